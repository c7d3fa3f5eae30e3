"""Filters with few values, which a problem lists if another one is asked for, on pairs of metadata, and periods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from fastapi import Query
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from api.gateway.problems import Problem
from domain import money
from domain.codes import CODE, METADATA_KEY, MOST_CODE, MOST_METADATA_KEY

MOST_LISTED = 50
"""Most values that a message names. The figures of the problem have all of them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Metadata of an annotated `str`: it must be one of these values."""

    values: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the value after the type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The schema for the OpenAPI description."""
        return {"type": "string", "enum": list(self.values)}

    def _check(self, value: str) -> str:
        if value not in self.values:
            few = len(self.values) <= MOST_LISTED
            listed = ", ".join(self.values) if few else f"the {len(self.values)} values in `allowed`"
            figures = {"sent": repr(value[:100]), "listed": listed, "allowed": list(self.values)}
            raise PydanticCustomError("choice", "{sent} is not one of {listed}", figures)
        return value


def choice(values: Iterable[str]) -> Choice:
    """Allow only these values. Messages list them in this order."""
    return Choice(tuple(values))


CurrencyFilter = Annotated[str, choice(sorted(money.EXPONENTS))] | None
"""A currency of the table."""


def must_be_in_order(since: date, until: date) -> None:
    """Raise `Problem` for a period from `since` to `until`, both included, that ends before it begins."""
    if until < since:
        raise Problem("malformed", f"to: the period ends on {until}, before it begins on {since}.")


MOST_PAIRS_ASKED = 5
"""Most pairs of metadata that a filter asks for."""
_PAIR = f"{METADATA_KEY.strip('^$')}={CODE.strip('^$')}"
PAIRS = f"^{_PAIR}(,{_PAIR}){{0,{MOST_PAIRS_ASKED - 1}}}$"
"""The pattern of pairs of metadata in a query: ``key=value,key=value``. Codes have neither sign."""
MOST_PAIRS_TEXT = MOST_PAIRS_ASKED * (MOST_METADATA_KEY + MOST_CODE + len("=,")) - len(",")
"""Most characters of such pairs."""
MetadataFilter = Annotated[
    str | None,
    Query(
        max_length=MOST_PAIRS_TEXT,
        pattern=PAIRS,
        description="Pairs that the metadata have, all of them: `key=value`, or `key=value,key=value`",
    ),
]


def pairs_of(text: str | None) -> dict[str, str]:
    """Return the pairs of a filter. Raises `Problem` for a key with two values, which nothing has."""
    pairs: dict[str, str] = {}
    for pair in text.split(",") if text else ():
        key, _, value = pair.partition("=")
        if pairs.setdefault(key, value) != value:
            raise Problem("malformed", f"metadata: the key {key!r} is given with two values.")
    return pairs


AmountFilter = Annotated[str | None, Query(max_length=20, description="A decimal amount of the currency, included")]


def amounts_between(currency: str, amount_from: str | None, amount_until: str | None) -> tuple[int, int]:
    """Return the least and the highest amount of filters, in minor units. Raises `Problem`."""
    least = 0 if amount_from is None else _amount("amount_from", amount_from, currency)
    most = money.MAX_AMOUNT if amount_until is None else _amount("amount_until", amount_until, currency)
    if most < least:
        raise Problem("malformed", f"amount_until: {amount_until} is less than amount_from, {amount_from}.")
    return least, most


def _amount(name: str, text: str, currency: str) -> int:
    try:
        minor = money.parse(text, currency)
    except money.MoneyError as error:
        raise Problem("malformed", f"{name}: {error}") from None
    if minor < 0:
        raise Problem("malformed", f"{name}: {text} is less than zero.")
    return minor
