"""The figures of a price in a table: columns, values, and how a reporting view shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import asdict
from sqlalchemy import Column

from domain.accounts.currencies.pricing import Price
from projections.engine.columns import code, number
from projections.engine.reporting import Shown

_AMOUNTS: Final = {
    "source_amount": ("source_currency", "What the source account pays"),
    "target_amount": ("target_currency", "What the target account gets"),
    "liquidity_amount": ("target_currency", "What the liquidity account of the pair gives, in the target currency"),
    "spread_amount": ("target_currency", "Income of the ledger, in the target currency"),
    "remainder": ("target_currency", "What rounding leaves to the ledger, in the target currency"),
}
"""The amounts, each with the column that has its currency, and what it is."""
_MINOR_UNIT = "(SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.{})"
_RATE = "How much of the counter currency one unit of the base currency is worth"


def price_columns() -> tuple[Column[Any], ...]:
    """The columns of a price. Its amounts are of two currencies, so they are no `amount` of one column `currency`."""
    return (
        code("source_currency", "ISO 4217 code of what is paid."),
        code("target_currency", "ISO 4217 code of what is got."),
        *(number(name, f"{what}, in minor units.") for name, (_, what) in _AMOUNTS.items()),
        code("pair", "The pair of the rate, such as EUR:USD."),
        number("rate", f"{_RATE}, in millionths."),
        number("rate_number", "Number of the rate on the stream of the pair."),
        code("rate_source", "Where the rate is from."),
        number("spread", "Basis points that the conversion keeps.", bits=32),
    )


def price_values(price: Price) -> dict[str, Any]:
    """The values of the columns."""
    return asdict(price)


def price_view() -> tuple[str | Shown, ...]:
    """The columns of a reporting view: amounts in major units, the rate as a number."""
    return (
        "source_currency",
        "target_currency",
        *(
            Shown(
                name,
                f"{what}.",
                f"t.{name} * {_MINOR_UNIT.format(currency)}",
            )
            for name, (currency, what) in _AMOUNTS.items()
        ),
        "pair",
        Shown("rate", f"{_RATE}.", "t.rate * 0.000001"),
        "rate_number",
        "rate_source",
        "spread",
    )


@dataclass(frozen=True, slots=True)
class PriceRow:
    """The figures of a price; amounts in minor units, the rate in millionths."""

    source_currency: str
    target_currency: str
    source_amount: int
    target_amount: int
    liquidity_amount: int
    spread_amount: int
    remainder: int
    pair: str
    rate: int
    rate_number: int
    rate_source: str
    spread: int
