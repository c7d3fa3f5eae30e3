"""Quotes of conversions as they are now: table, fold, reporting view, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import bindparam

from domain.accounts.currencies.quotes import QuoteGiven, QuoteUsed
from projections.accounts.priced import PriceRow, price_columns, price_values, price_view
from projections.engine.columns import code, index, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import EVERYTHING, PERSON, Listing, Reader, Visible, readable
from projections.engine.reporting import View
from projections.engine.writing import Row

TABLE = read_table(
    "quotes",
    "One row a quote of a conversion, as it is now. Amounts in minor units.",
    code("quote", "Public id; also the name of its stream in the log.", key=True),
    code("person", "The person for whom it is. NULL for programs and staff.", optional=True),
    *price_columns(),
    moment("expires_at", "The first instant at which it cannot be used, UTC."),
    code("conversion", "The conversion that used it. NULL if none has.", optional=True),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its first event."),
    moment("given_at", "When it was given, UTC."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("quotes_in_order", "position"),
)


def given(row: Row, event: QuoteGiven) -> Row:
    """A new quote."""
    return {
        **row,
        "person": event.person,
        **price_values(event.price),
        "expires_at": event.expires_at.isoformat(),
        "position": row["last_position"],
        "given_at": row["last_at"],
    }


def used(row: Row, event: QuoteUsed) -> Row:
    """A conversion used it up."""
    return {**row, "conversion": event.conversion}


FOLD = RowFold(TABLE, starts={QuoteGiven: given}, changes={QuoteUsed: used})

QUOTES = declared(
    "quotes",
    FOLD,
    area="accounts",
    reports=(
        View(
            TABLE,
            "One row a quote of a conversion, as it is now. Amounts in major units.",
            (
                "quote",
                "person",
                *price_view(),
                "expires_at",
                "conversion",
                "version",
                "position",
                "given_at",
                "last_position",
                "last_at",
            ),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class QuoteRow(PriceRow):
    """A quote as it is now; amounts in minor units."""

    quote: str
    person: str | None
    expires_at: datetime
    conversion: str | None
    version: int
    position: int
    given_at: datetime


_T = readable(TABLE)
QUOTE_LIST = Listing(_T, QuoteRow, filters=("quote",), visible=Visible(_T.c.person == bindparam(PERSON)))


def quote(connection: Connection[Any], quote: str, *, reader: Reader = EVERYTHING) -> QuoteRow | None:
    """One quote by its id. A customer sees their own."""
    return QUOTE_LIST.one(connection, reader=reader, quote=quote)
