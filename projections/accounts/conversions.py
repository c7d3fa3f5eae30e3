"""Conversions, one row each: table, fold, reporting view, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import BindParameter, bindparam, or_

from domain.accounts.currencies.conversion_events import ConversionMade
from projections.accounts.account_persons import SEEN
from projections.accounts.priced import PriceRow, price_columns, price_values, price_view
from projections.engine.columns import code, index, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import EVERYTHING, Listed, Listing, Reader, Visible, readable
from projections.engine.reporting import View
from projections.engine.writing import Row

TABLE = read_table(
    "conversions",
    "One row a conversion. Amounts in minor units. Rows are never changed.",
    code("conversion", "Public id; also the name of its stream in the log.", key=True),
    code("source", "The account that paid."),
    code("target", "The account that got it."),
    code("transaction", "The transaction that moved the money."),
    code("quote", "The quote that it used. NULL: the rate in force.", optional=True),
    *price_columns(),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its event."),
    moment("made_at", "When it was recorded, UTC."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("conversions_in_order", "position"),
    index("conversions_of_source", "source", "position"),
    index("conversions_of_target", "target", "position"),
    index("conversions_of_pair", "pair", "position"),
)


def made(row: Row, event: ConversionMade) -> Row:
    """A new conversion."""
    return {
        **row,
        "source": event.source,
        "target": event.target,
        "transaction": event.transaction,
        "quote": event.quote,
        **price_values(event.price),
        "position": row["last_position"],
        "made_at": row["last_at"],
    }


FOLD = RowFold(TABLE, starts={ConversionMade: made})

CONVERSIONS = declared(
    "conversions",
    FOLD,
    area="accounts",
    reports=(
        View(
            TABLE,
            "One row a conversion. Amounts in major units.",
            (
                "conversion",
                "source",
                "target",
                "transaction",
                "quote",
                *price_view(),
                "version",
                "position",
                "made_at",
                "last_position",
                "last_at",
            ),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class ConversionRow(PriceRow):
    """A conversion; amounts in minor units."""

    conversion: str
    source: str
    target: str
    transaction: str
    quote: str | None
    version: int
    position: int
    made_at: datetime


_T = readable(TABLE)
_ACCOUNT: BindParameter[Any] = bindparam("account")
CONVERSION_LIST = Listing(
    _T,
    ConversionRow,
    filters=("pair", "transaction"),
    conditions={"account": or_(_T.c.source == _ACCOUNT, _T.c.target == _ACCOUNT)},
    # The two accounts are of who converted. A co-owner of one of them sees the entries on it, and not the other one.
    visible=Visible(_T.c.source.in_(SEEN) & _T.c.target.in_(SEEN)),
)


def conversions(
    connection: Connection[Any],
    *,
    reader: Reader = EVERYTHING,
    account: str | None = None,
    pair: str | None = None,
    transaction: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Listed[ConversionRow, int]:
    """Conversions in the order of the log, or the other way round; `account` is that of either side."""
    filters = {"account": account, "pair": pair, "transaction": transaction, "after": after}
    return CONVERSION_LIST.read(connection, filters, limit, cursor=cursor, newest_first=newest_first, reader=reader)
