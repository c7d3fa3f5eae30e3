"""Checks a definition once, when it is made: names, types, circles, currencies, and whether its entries balance.

The decision calls `refuse_definition`, and `daybook verify` calls it again for what is stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final, TypeAlias

from msgspec.structs import replace

from domain.accounts.account.state import INTERNAL_ROLES
from domain.accounts.allocation import MOST_PERCENTAGE, WHOLE, refuse_fee
from domain.accounts.allocation import RULES as FEE_RULES
from domain.accounts.fee_schedule import NAME_RULES
from domain.accounts.posting import LEAST_ENTRIES, MOST_ENTRIES
from domain.accounts.template.definition import (
    NAME,
    Amount,
    Definition,
    Parameter,
    ParameterType,
    currencies,
)
from domain.codes import refuse_other_than_code
from domain.kernel import Figure, Refused
from domain.money import EXPONENTS, MAX_AMOUNT, show

MOST_PARAMETERS, MOST_AMOUNTS, MOST_PARTS, MOST_TERMS = 50, 100, 100, 100
"""Most parameters and amounts of a template, parts of a split, and amounts in one sum."""
MOST_INTEGER = 10**9
"""The largest integer of a parameter, and the largest weight."""
KINDS: Final = frozenset({"transfer", "fee", "interest", "penalty", "payment", "journal"})
"""The kinds of transaction that a template can post: those that any client can post."""
MOST_OF_TYPE: Final[Mapping[ParameterType, int]] = {
    "amount": MAX_AMOUNT,
    "percentage": MOST_PERCENTAGE,
    "integer": MOST_INTEGER,
}
"""The largest value of a parameter of each type that has bounds. The least is zero."""

_NAME = re.compile(NAME, re.ASCII)
_MEMBERS: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "fixed": (frozenset({"fixed", "currency"}),),
    "sum": (frozenset({"plus"}), frozenset({"plus", "minus"})),
    "percentage": (frozenset({"of", "percentage"}), frozenset({"of", "parameter"})),
    "product": (frozenset({"of", "parameter"}),),
    "fee": (frozenset({"of", "fee"}), frozenset({"of", "fee", "currency"})),
    "split": (frozenset({"of", "parts"}),),
}
"""The members that an amount of each kind has."""

RULES: dict[str, str] = {
    "template_kind": "A template cannot post a transaction of the kind {kind}; it can post {kinds}.",
    "template_size": "A template has {least} to {most} {what}; this one has {count}.",
    "template_name": (
        "The name of {what} {number} is not one: it has 1 to 40 small letters, digits and underscores, and begins with "
        "a letter."
    ),
    "template_name_twice": "The name {name} is given twice; each parameter, amount and part has its own.",
    "template_parameter": "Parameter {name} of type {type} cannot have this {member}.",
    "template_members": "Amount {name} of kind {kind} does not have the members of its kind, each within its bounds.",
    "template_name_unknown": "{where} names {name}, which is none of the {wanted} of the template.",
    "template_cycle": "Amounts rest on each other in a circle, so none of them can be computed: {cycle}.",
    "template_currencies": "Amount {name} mixes {one} and {other}; an amount has one currency.",
    "template_currency_missing": "Amount {name} has figures of money, so it has to name their currency.",
    "template_entry_account": "Entry {entry} names one account: of a parameter, a fixed one, or an internal one.",
    "template_unbalanced": (
        "The entries do not balance whatever the parameters are: in {currency} the credits less the debits are {rest}."
    ),
}
DEFINITION_RULES: dict[str, str] = {**NAME_RULES, **FEE_RULES, **RULES}
"""All rules that a definition can break."""


def refuse_definition(definition: Definition) -> Refused | None:
    """Return the first rule that the definition breaks, or None. Its amounts can be in any order."""
    return next(_findings(definition), None)


def in_order(definition: Definition) -> Definition:
    """Return the definition with each amount after those that it rests on. There must be no circle.

    One that is in order already stays as it is.
    """
    by_name = {amount.name: amount for amount in definition.amounts}
    graph, ordered = _graph(definition), dict[str, Amount]()

    def add(name: str) -> None:
        if name not in ordered:
            for before in graph[name]:
                add(before)
            ordered[name] = by_name[name]

    for name in by_name:
        add(name)
    return replace(definition, amounts=tuple(ordered.values()))


def _findings(definition: Definition) -> Iterator[Refused]:
    if definition.kind not in KINDS:
        yield Refused("template_kind", {"kind": definition.kind, "kinds": ", ".join(sorted(KINDS))})
    yield from _sizes(definition)
    yield from _names(definition)
    for parameter in definition.parameters:
        yield from _parameter(parameter, definition)
    types: dict[str, ParameterType] = {one.name: one.type for one in definition.parameters}
    amounts = {name for name, type in types.items() if type == "amount"}
    amounts.update(name for amount in definition.amounts for name in amount.names)
    for amount in definition.amounts:
        yield from _amount(amount, types, amounts)
    try:
        TopologicalSorter(_graph(definition)).prepare()
    except CycleError as error:
        # Each of these rests on the one before.
        yield Refused("template_cycle", {"cycle": " -> ".join(reversed(error.args[1]))})
    ordered = in_order(definition)
    yield from _currencies(ordered)
    yield from _entries(ordered, types, amounts)
    yield from _balance(ordered)


def _sizes(definition: Definition) -> Iterator[Refused]:
    for what, least, count, most in (
        ("parameters", 0, len(definition.parameters), MOST_PARAMETERS),
        ("amounts", 0, len(definition.amounts), MOST_AMOUNTS),
        ("entries", LEAST_ENTRIES, len(definition.entries), MOST_ENTRIES),
    ):
        if not least <= count <= most:
            yield Refused("template_size", {"least": least, "most": most, "what": what, "count": count})


def _names(definition: Definition) -> Iterator[Refused]:
    seen: set[str] = set()
    named = {
        "parameter": [one.name for one in definition.parameters],
        "amount": [one.name for one in definition.amounts],
        "part": [part.name for one in definition.amounts for part in one.parts],
    }
    for what, names in named.items():
        for number, name in enumerate(names, 1):
            if _NAME.fullmatch(name) is None:
                yield Refused("template_name", {"what": what, "number": number})
            if name in seen:
                yield Refused("template_name_twice", {"name": name})
            seen.add(name)


def _parameter(one: Parameter, definition: Definition) -> Iterator[Refused]:
    """What is wrong with the currency, the bounds and the default value of a parameter."""

    def wrong(member: str) -> Refused:
        return Refused("template_parameter", {"name": one.name, "type": one.type, "member": member})

    if (one.type == "amount") != (one.currency is not None):
        yield wrong("currency")
    fixed = one.currency in EXPONENTS
    if one.currency is not None and not fixed:
        currencies = {each.name for each in definition.parameters if each.type == "currency"}
        yield from _unknown(f"Parameter {one.name}", one.currency, currencies, "currencies")
    bounded = one.type in MOST_OF_TYPE and (one.type != "amount" or fixed)  # else its decimals are not known yet
    least, most = bounds(one)
    if not bounded and (one.least, one.most) != (None, None):
        yield wrong("bound")
    if bounded and not 0 <= least <= most <= MOST_OF_TYPE[one.type]:
        yield wrong("bound")
    default = one.default
    if default is None:
        return
    if bounded:
        fits = isinstance(default, int) and least <= default <= most
    elif one.type == "currency":
        fits = default in EXPONENTS
    elif one.type == "code":
        fits = isinstance(default, str) and refuse_other_than_code("default", default) is None
    else:  # an account stands fixed in the entries; an amount has no currency yet
        fits = False
    if not fits:
        yield wrong("default")


def bounds(one: Parameter) -> tuple[int, int]:
    """Return the least and the largest value of a parameter."""
    least = 0 if one.least is None else one.least
    return least, MOST_OF_TYPE.get(one.type, 0) if one.most is None else one.most


def _unknown(where: str, name: str, known: Iterable[str], wanted: str) -> Iterator[Refused]:
    """A name that is none of the known ones. It is quoted only if it has the form of a name."""
    if name not in known:
        quoted = name if _NAME.fullmatch(name) else "something else"
        yield Refused("template_name_unknown", {"where": where, "name": quoted, "wanted": wanted})


def _amount(one: Amount, types: Mapping[str, ParameterType], amounts: set[str]) -> Iterator[Refused]:
    """What is wrong with an amount by itself, and with the names in it."""
    members = {name for name in one.__struct_fields__[2:] if getattr(one, name) not in (None, ())}
    fits = any(members == allowed for allowed in _MEMBERS[one.kind])
    fits = fits and (one.fixed is None or 0 <= one.fixed <= MAX_AMOUNT)
    fits = fits and (one.percentage is None or 0 <= one.percentage <= MOST_PERCENTAGE)
    fits = fits and len(one.plus) + len(one.minus) <= MOST_TERMS and len(one.parts) <= MOST_PARTS
    weights = [part.weight for part in one.parts]
    fits = fits and all(isinstance(weight, str) or 0 <= weight <= MOST_INTEGER for weight in weights)
    fits = fits and (not weights or any(weight != 0 for weight in weights))
    fits = fits and (one.currency is None or one.currency in EXPONENTS)
    if not fits:
        yield Refused("template_members", {"name": one.name, "kind": one.kind})
    where = f"Amount {one.name}"
    for name in one.rests_on:
        yield from _unknown(where, name, amounts, "amounts")
    numbers = {name for name, type in types.items() if type == "integer"}
    for weight in weights:
        if isinstance(weight, str):
            yield from _unknown(where, weight, numbers, "integer parameters")
    if one.parameter is not None and one.kind == "product":
        yield from _unknown(where, one.parameter, numbers, "integer parameters")
    elif one.parameter is not None:
        percentages = {name for name, type in types.items() if type == "percentage"}
        yield from _unknown(where, one.parameter, percentages, "percentage parameters")


def _graph(definition: Definition) -> dict[str, list[str]]:
    """The amounts, each with those that it rests on. A part of a split stands for its split."""
    owner = {name: amount.name for amount in definition.amounts for name in amount.names}
    return {one.name: [owner[name] for name in one.rests_on if name in owner] for one in definition.amounts}


def _currencies(definition: Definition) -> Iterator[Refused]:
    known = currencies(definition)
    for amount in definition.amounts:
        own = [] if amount.currency is None else [amount.currency]
        used = list(dict.fromkeys([known[name] for name in amount.rests_on] + own))
        if len(used) > 1:
            figures: dict[str, Figure] = {"name": amount.name, "one": used[0], "other": used[1]}
            yield Refused("template_currencies", figures)
        if amount.fee is not None:
            if amount.currency is None and amount.fee.has_money:
                yield Refused("template_currency_missing", {"name": amount.name})
            refusal = refuse_fee(amount.fee, amount.currency)
            if refusal is not None:
                yield refusal


def _entries(definition: Definition, types: Mapping[str, ParameterType], amounts: set[str]) -> Iterator[Refused]:
    accounts = {name for name, type in types.items() if type == "account"}
    for number, entry in enumerate(definition.entries, 1):
        where = f"Entry {number}"
        named = [name for name in (entry.parameter, entry.account, entry.internal) if name is not None]
        if len(named) != 1 or (entry.internal is not None and entry.internal not in INTERNAL_ROLES):
            yield Refused("template_entry_account", {"entry": number})
        if entry.parameter is not None:
            yield from _unknown(where, entry.parameter, accounts, "accounts")
        yield from _unknown(where, entry.amount, amounts, "amounts")


# Whether the entries balance. Each amount is a sum of terms with factors: parameters, one minor unit, and whatever is
# rounded, each counted as a term of its own. Credits less debits must be the empty sum.

Form: TypeAlias = dict[int, int]
"""Factors of terms, by the number of the term. Factors are not zero."""


_UNIT: Final = "minor unit"
"""The term of fixed amounts. No amount has such a name."""


class _Terms:
    """Numbers the terms: the same one for what is computed in the same way from the same sum."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self.shown: list[str] = []
        self.parameters: list[frozenset[str]] = []  # the amount parameters that each term rests on

    def term(self, key: object, shown: str, parameters: frozenset[str]) -> Form:
        number = self._numbers.setdefault(key, len(self._numbers))
        if number == len(self.shown):
            self.shown.append(shown)
            self.parameters.append(parameters)
        return {number: 1}

    def rest_on(self, form: Form) -> frozenset[str]:
        """The amount parameters that a sum rests on."""
        return frozenset(name for number in form for name in self.parameters[number])

    def show(self, form: Form, currency: str) -> str:
        """The sum for people."""
        signed = [("-" if factor < 0 else "+", abs(factor), self.shown[number]) for number, factor in form.items()]
        texts = [
            f"{sign} {show(factor, currency) if name == _UNIT else name if factor == 1 else f'{factor} x {name}'}"
            for sign, factor, name in signed
        ]
        return " ".join(texts).removeprefix("+ ")


def _combined(forms: Iterable[tuple[int, Form]]) -> Form:
    total: Form = {}
    for sign, form in forms:
        for number, factor in form.items():
            total[number] = total.get(number, 0) + sign * factor
    return {number: factor for number, factor in total.items() if factor}


def _forms(definition: Definition, terms: _Terms) -> dict[str, Form]:
    """The sum that each amount is."""
    forms = {
        one.name: terms.term(("parameter", one.name), one.name, frozenset({one.name}))
        for one in definition.parameters
        if one.type == "amount"
    }
    for one in definition.amounts:
        forms[one.name] = _form(one, forms, terms)
        if one.parts:  # the last part is what the others leave
            whole, weights = forms[one.name], tuple(part.weight for part in one.parts)
            key, rests = tuple(sorted(whole.items())), terms.rest_on(whole)
            for place, part in enumerate(one.parts[:-1]):
                forms[part.name] = terms.term(("part", key, weights, place), part.name, rests)
            forms[one.parts[-1].name] = _combined(
                [(1, whole), *((-1, forms[part.name]) for part in one.parts[:-1])],
            )
    return forms


def _form(one: Amount, forms: Mapping[str, Form], terms: _Terms) -> Form:
    if one.kind == "fixed":
        unit = terms.term((_UNIT, one.currency), _UNIT, frozenset())
        return _combined([(one.fixed or 0, unit)])
    if one.kind == "sum":
        return _combined([*((1, forms[name]) for name in one.plus), *((-1, forms[name]) for name in one.minus)])
    assert one.of is not None  # `_members` has seen that
    base = forms[one.of]
    if one.kind == "split":
        return base
    if one.kind == "percentage" and one.percentage is not None and one.percentage % WHOLE == 0:
        return _combined([(one.percentage // WHOLE, base)])  # nothing is rounded
    if not base and one.kind != "fee":
        return {}
    key = (one.kind, tuple(sorted(base.items())), one.percentage, one.parameter, one.fee)
    return terms.term(key, one.name, terms.rest_on(base))


def _balance(definition: Definition) -> Iterator[Refused]:
    """Find entries that cannot balance. Those that balance for some amounts of several parameters are left to each
    posting."""
    terms = _Terms()
    forms, known = _forms(definition, terms), currencies(definition)
    totals: dict[str, list[tuple[int, Form]]] = {}
    for entry in definition.entries:
        sign = 1 if entry.side == "credit" else -1
        totals.setdefault(known[entry.amount], []).append((sign, forms[entry.amount]))
    for currency, signed in totals.items():
        rest = _combined(signed)
        if rest and (len(terms.rest_on(rest)) < 2 or len({factor > 0 for factor in rest.values()}) == 1):
            yield Refused("template_unbalanced", {"currency": currency, "rest": terms.show(rest, currency)})
