"""Computes the entries of a posting from the parameters that were given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from domain.accounts.allocation import allocate, fee_of, parse_percentage, percentage_of
from domain.accounts.posting import Entry, internal_account
from domain.accounts.template.checking import bounds
from domain.accounts.template.definition import Amount, Definition, Parameter, figure
from domain.codes import refuse_other_than_code
from domain.kernel import Figure, Refused
from domain.money import EXPONENTS, MAX_AMOUNT, MoneyError, parse, show

Given: TypeAlias = Mapping[str, str | int]
"""Parameters as they come: amounts and percentages are decimal strings, integers are integers, the rest are texts."""

RULES: dict[str, str] = {
    "parameter_unknown": "Template {template} has no parameter {name}; it has {names}.",
    "parameter_missing": "Template {template} needs the parameter {name}, of type {type}.",
    "parameter_type": "Parameter {name} has to be {wanted}, and the value is not.",
    "parameter_bounds": "Parameter {name} is from {least} to {most}; this is {value}.",
    "template_amount": "Amount {name} would be {amount} {currency}; the largest is {most}.",
    "template_negative": "Amount {name} would be {amount} {currency}, and {use} cannot be negative.",
    "template_weights": "The weights of amount {name} are all zero, so nothing can be divided by them.",
}

_WANTED: Mapping[str, str] = {
    "account": "the id of an account",
    "percentage": "a percentage such as '2.5', with up to six decimals",
    "currency": "the code of a currency such as EUR",
    "integer": "an integer",
    "code": "a code of 1 to 100 letters, digits and . _ : / # + -",
}


def entries_of(template: str, definition: Definition, given: Given, log: str) -> tuple[Entry, ...] | Refused:
    """Return the entries of a posting with these parameters, or the first rule that they break.

    An entry of zero is left out. Whether the entries balance is for the posting to see.
    """
    values = _values(template, definition, given)
    if isinstance(values, Refused):
        return values
    amounts = _amounts(definition, values)
    if isinstance(amounts, Refused):
        return amounts
    entries = []
    for one in definition.entries:
        amount, currency = amounts[one.amount]
        if amount < 0:
            return _negative(one.amount, amount, currency, "an entry")
        if amount > 0:
            if one.internal is not None:
                account = internal_account(log, one.internal, currency)
            else:
                account = one.account or str(values[one.parameter or ""])
            entries.append(Entry(account=account, side=one.side, amount=amount, currency=currency))
    return tuple(entries)


def _values(template: str, definition: Definition, given: Given) -> dict[str, str | int] | Refused:
    """Return the value of each parameter: amounts in minor units, percentages in millionths of a per cent."""
    names = [parameter.name for parameter in definition.parameters]
    for name in given:
        if name not in names:
            return Refused(
                "parameter_unknown", {"template": template, "name": name, "names": ", ".join(names) or "none"}
            )
    values: dict[str, str | int] = {}
    # Currencies come first, because amounts need theirs.
    for one in sorted(definition.parameters, key=lambda parameter: parameter.type == "amount"):
        value = given.get(one.name)
        if value is None:
            if one.default is None:
                return Refused("parameter_missing", {"template": template, "name": one.name, "type": one.type})
            values[one.name] = one.default
            continue
        currency = str(values.get(one.currency, one.currency)) if one.currency is not None else None
        read = _read(one, value, currency)
        if read is None:
            wanted = f"an amount such as {show(1230, currency)!r}" if currency is not None else _WANTED[one.type]
            return Refused("parameter_type", {"name": one.name, "wanted": wanted})
        if isinstance(read, int):
            least, most = bounds(one)
            if not least <= read <= most:
                return Refused("parameter_bounds", _figures(one, least, most, read, currency))
        values[one.name] = read
    return values


def _read(one: Parameter, value: str | int, currency: str | None) -> str | int | None:
    """Return the value of a parameter, or None if it is of another type."""
    if one.type == "integer":
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if not isinstance(value, str):
        return None
    if one.type == "percentage":
        return parse_percentage(value)
    if currency is not None:
        try:
            return parse(value, currency)
        except MoneyError:
            return None
    if one.type == "currency":
        return value if value in EXPONENTS else None
    if one.type == "code":
        return value if refuse_other_than_code(one.name, value) is None else None
    return value  # the id of an account, which the posting looks up


def _figures(one: Parameter, least: int, most: int, value: int, currency: str | None) -> dict[str, Figure]:
    def text(number: int) -> str:
        return show(number, currency) if currency is not None else str(figure(one, number))

    return {"name": one.name, "least": text(least), "most": text(most), "value": text(value)}


def _amounts(definition: Definition, values: Mapping[str, str | int]) -> dict[str, tuple[int, str]] | Refused:
    """Return each amount in minor units, and its currency."""
    known: dict[str, tuple[int, str]] = {
        one.name: (int(values[one.name]), str(values.get(one.currency, one.currency)))
        for one in definition.parameters
        if one.currency is not None
    }
    for one in definition.amounts:
        base, currency = known[one.rests_on[0]] if one.rests_on else (0, str(one.currency))
        if base < 0 and one.kind in ("fee", "split"):
            return _negative(one.of or "", base, currency, f"the base of a {one.kind}")
        amount = _computed(one, base, known, values)
        if abs(amount) > MAX_AMOUNT:
            figures = {"name": one.name, "amount": show(amount, currency), "currency": currency}
            return Refused("template_amount", {**figures, "most": show(MAX_AMOUNT, currency)})
        known[one.name] = amount, currency
        if one.parts:
            weights = [int(values[at] if isinstance(at := part.weight, str) else at) for part in one.parts]
            if not any(weights):
                return Refused("template_weights", {"name": one.name})
            shares = allocate(base, weights)
            known.update({part.name: (share, currency) for part, share in zip(one.parts, shares, strict=True)})
    return known


def _computed(one: Amount, base: int, known: Mapping[str, tuple[int, str]], values: Mapping[str, str | int]) -> int:
    """Return an amount that rests on `base`, or on several amounts that are known."""
    if one.kind == "fixed":
        return one.fixed or 0
    if one.kind == "sum":
        return sum(known[name][0] for name in one.plus) - sum(known[name][0] for name in one.minus)
    if one.kind == "product":
        return base * int(values[one.parameter or ""])
    if one.kind == "percentage":
        percentage = one.percentage if one.percentage is not None else int(values[one.parameter or ""])
        return percentage_of(base, percentage)
    return base if one.fee is None else fee_of(one.fee, base)


def _negative(name: str, amount: int, currency: str, use: str) -> Refused:
    return Refused(
        "template_negative", {"name": name, "amount": show(amount, currency), "currency": currency, "use": use}
    )
