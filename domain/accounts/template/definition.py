"""What a template says: parameters, named amounts that are computed from them, and entries.

The vocabulary is small and closed, so that a definition can be checked once and for all (`checking`). A name is that of
one parameter, one amount or one part of a split. Amounts are in minor units, percentages in millionths of a per cent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from domain.accounts.allocation import Fee, fee_in_json, show_percentage
from domain.accounts.numbers import InternalRole
from domain.accounts.posting import Side, TransactionKind
from domain.kernel import Figure, Value
from domain.money import EXPONENTS, show

ParameterType = Literal["account", "amount", "currency", "percentage", "integer", "code"]
AmountKind = Literal["fixed", "sum", "percentage", "product", "fee", "split"]

NAME = r"^[a-z][a-z0-9_]{0,39}$"
"""The pattern of the names of parameters and amounts. No currency has one, so a text is the one or the other."""


class Parameter(Value, frozen=True):
    """What a posting gives to the template."""

    name: str
    type: ParameterType
    currency: str | None = None  # of an amount: a currency, or the parameter that has it
    least: int | None = None  # of an amount, a percentage or an integer
    most: int | None = None
    default: str | int | None = None  # None: a posting has to give it


class Part(Value, frozen=True):
    """A part of a split, which is an amount too."""

    name: str
    weight: int | str  # a number, or the integer parameter that has it


class Amount(Value, frozen=True):
    """An amount that is computed. It has the members of its kind; the others are empty.

    - `fixed`: `fixed` and `currency`.
    - `sum`: the amounts in `plus` less those in `minus`. What is left of an amount is such a sum.
    - `percentage`: `percentage` of `of`, or the percentage that is in `parameter`.
    - `product`: `of` times the integer in `parameter`.
    - `fee`: the fee of `of` by the terms `fee`. If these have figures of money, it has their `currency`.
    - `split`: `of`, which is divided into `parts` by weights. The parts always sum to the whole.
    """

    name: str
    kind: AmountKind
    fixed: int | None = None
    currency: str | None = None
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    of: str | None = None
    percentage: int | None = None
    parameter: str | None = None
    fee: Fee | None = None
    parts: tuple[Part, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and those of its parts."""
        return (self.name, *(part.name for part in self.parts))

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The names of the amounts that it is computed from."""
        return (*self.plus, *self.minus) if self.of is None else (self.of,)


class TemplateEntry(Value, frozen=True):
    """An entry of the transaction. Its account is one of three: of a parameter, a fixed one, or an internal one."""

    side: Side
    amount: str  # the name of an amount, or of a parameter that is one
    parameter: str | None = None
    account: str | None = None
    internal: InternalRole | None = None


class Definition(Value, frozen=True):
    """A version of a template. Each amount stands after those that it is computed from."""

    kind: TransactionKind
    parameters: tuple[Parameter, ...]
    amounts: tuple[Amount, ...]
    entries: tuple[TemplateEntry, ...]

    @property
    def accounts(self) -> tuple[str, ...]:
        """The fixed accounts, each once."""
        return tuple(dict.fromkeys(entry.account for entry in self.entries if entry.account is not None))


# The form in answers and read tables: as in a request, with decimal strings and without empty members.


def in_json(definition: Definition) -> dict[str, Figure]:
    """Return the definition as a request has it."""
    return {
        "kind": definition.kind,
        "parameters": [dict(_parameter(one)) for one in definition.parameters],
        "amounts": [dict(_amount(one)) for one in definition.amounts],
        "entries": [dict(_given(one, one.__struct_fields__)) for one in definition.entries],
    }


def currencies(definition: Definition) -> dict[str, str]:
    """Return the currency of each amount by its name: a code, or the name of the parameter that has it."""
    known = {one.name: one.currency for one in definition.parameters if one.currency is not None}
    for amount in definition.amounts:
        names = amount.rests_on
        currency = amount.currency or next((known[name] for name in names if name in known), None)
        if currency is not None:
            known.update(dict.fromkeys((amount.name, *(part.name for part in amount.parts)), currency))
    return known


def figure(parameter: Parameter, value: str | int) -> str | int:
    """Return a bound or value of a parameter as people write it. Integers of amounts are minor units."""
    if isinstance(value, str) or parameter.type == "integer":
        return value
    if parameter.type == "percentage":
        return show_percentage(value)
    return show(value, parameter.currency) if parameter.currency in EXPONENTS else str(value)


def _parameter(one: Parameter) -> Iterator[tuple[str, Figure]]:
    yield from _given(one, ("name", "type", "currency"))
    for name in ("least", "most", "default"):
        value = getattr(one, name)
        if value is not None:
            yield name, figure(one, value)


def _amount(one: Amount) -> Iterator[tuple[str, Figure]]:
    yield from _given(one, ("name", "kind", "currency", "of", "parameter"))
    if one.fixed is not None and one.currency is not None:
        yield "fixed", show(one.fixed, one.currency)
    if one.percentage is not None:
        yield "percentage", show_percentage(one.percentage)
    if one.kind == "sum":
        yield "plus", list(one.plus)
        yield "minus", list(one.minus)
    if one.fee is not None:
        yield "fee", fee_in_json(one.fee, one.currency)
    if one.parts:
        yield "parts", [{"name": part.name, "weight": part.weight} for part in one.parts]


def _given(one: Value, names: tuple[str, ...]) -> Iterator[tuple[str, Figure]]:
    """The members of these names that are not empty."""
    for name in names:
        value = getattr(one, name)
        if value is not None:
            yield name, value
