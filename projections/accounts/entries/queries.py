"""Reading the entries of an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import bindparam, func, literal_column, select

from projections.accounts.account_persons import SEEN
from projections.accounts.entries.tables import TABLE
from projections.engine.listing import EVERYTHING, Listed, Listing, Reader, Visible, readable


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One posting; amounts in minor units."""

    account: str
    number: int  # within the account, from 1
    transaction: str
    entry: int  # within the transaction, from 1
    side: str
    amount: int
    currency: str
    value_date: date
    balance_after: int
    position: int
    recorded_at: datetime


_T = readable(TABLE)
_E = _T.alias("earlier")
_LAST_EARLIER = (
    select(_E.c.number)
    .where(_E.c.account == bindparam("account"), _E.c.position <= bindparam("after"))
    .order_by(_E.c.number.desc())
    .limit(literal_column("1"))
    .scalar_subquery()
)
ENTRIES = Listing(
    _T,
    EntryRow,
    key="number",
    filters=("account", "side"),
    conditions={
        # From the end of the account back to the position: what is passed over is what is going to be read.
        "after": _T.c.number > func.coalesce(_LAST_EARLIER, literal_column("0")),
        "value_from": _T.c.value_date >= bindparam("value_from"),
        "value_until": _T.c.value_date <= bindparam("value_until"),
    },
    visible=Visible(_T.c.account.in_(SEEN)),
)


def entries(
    connection: Connection[Any],
    account: str,
    *,
    reader: Reader = EVERYTHING,
    side: str | None = None,
    value_from: date | None = None,
    value_until: date | None = None,
    after: int | None = None,
    cursor: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Listed[EntryRow, int]:
    """An account's entries in the order of booking, or the other way round.

    `after` is a position: only entries that the log has after it. `cursor` is the `number` of the last entry of the
    page before, whichever the direction. The value dates are bounds included.
    """
    filters = {"account": account, "side": side, "value_from": value_from, "value_until": value_until, "after": after}
    return ENTRIES.read(connection, filters, limit, cursor=cursor, newest_first=newest_first, reader=reader)
