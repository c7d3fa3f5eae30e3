"""Reading the entries of an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import bindparam, column, select, table

from projections.engine.listing import Listed, Listing


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


_NAMES = "account number transaction entry side amount currency value_date balance_after position recorded_at".split()
_T = table("entries", *(column(name) for name in _NAMES), schema="read").c
_CONDITIONS = {
    "account": _T.account == bindparam("account"),
    "after": _T.number > bindparam("after"),
    "before": _T.number < bindparam("before"),
    "side": _T.side == bindparam("side"),
    "value_from": _T.value_date >= bindparam("value_from"),
    "value_until": _T.value_date <= bindparam("value_until"),
}


def _make(
    account: str, number: int, transaction: str, entry: int, side: str, amount: int, currency: str, value_date: date,
    balance_after: Any, position: int, recorded_at: datetime,
) -> EntryRow:  # fmt: skip
    return EntryRow(
        account, number, transaction, entry, side, amount, currency, value_date, int(balance_after), position,
        recorded_at,
    )  # fmt: skip


_SELECT = select(*(_T[name] for name in _NAMES))
OLDEST_FIRST: Listing[EntryRow] = Listing(_SELECT.order_by(_T.number), _CONDITIONS, _make)
NEWEST_FIRST: Listing[EntryRow] = Listing(_SELECT.order_by(_T.number.desc()), _CONDITIONS, _make)


def entries(
    connection: Connection[Any],
    account: str,
    *,
    side: str | None = None,
    value_from: date | None = None,
    value_until: date | None = None,
    after: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Listed[EntryRow, int]:
    """An account's entries in the order of booking, or the other way round.

    `after` is the `number` of the last entry of the page before, whichever the direction. The value dates are bounds
    included.
    """
    listing, cursor = (NEWEST_FIRST, "before") if newest_first else (OLDEST_FIRST, "after")
    filters = {"account": account, "side": side, "value_from": value_from, "value_until": value_until, cursor: after}
    return listing.read(connection, filters, limit, key=lambda row: row.number)
