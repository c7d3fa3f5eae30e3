"""Reading transactions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import bindparam, select

from projections.accounts.entries.tables import TABLE as ENTRIES
from projections.accounts.transactions.tables import TABLE
from projections.engine.listing import Listed, Listing, readable


@dataclass(frozen=True, slots=True)
class TransactionEntry:
    """One line of a transaction; amount in minor units."""

    account: str
    side: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """A transaction, complete."""

    transaction: str
    kind: str
    value_date: date
    reference: str | None
    description: str | None
    description_erased: bool
    entries: tuple[TransactionEntry, ...]
    position: int
    recorded_at: datetime


def _entries(value: list[dict[str, Any]]) -> tuple[TransactionEntry, ...]:
    return tuple(TransactionEntry(**entry) for entry in value)


_T = readable(TABLE)
_E = readable(ENTRIES)
TRANSACTIONS = Listing(
    _T,
    TransactionRow,
    filters=("transaction", "kind", "reference"),
    conditions={
        "account": _T.c.transaction.in_(select(_E.c.transaction).where(_E.c.account == bindparam("account"))),
        "value_from": _T.c.value_date >= bindparam("value_from"),
        "value_until": _T.c.value_date <= bindparam("value_until"),
    },
    convert={"entries": _entries},
)


def transaction(connection: Connection[Any], transaction: str) -> TransactionRow | None:
    """One transaction by its id."""
    return TRANSACTIONS.one(connection, transaction=transaction)


def transactions(
    connection: Connection[Any],
    *,
    account: str | None = None,
    kind: str | None = None,
    reference: str | None = None,
    value_from: date | None = None,
    value_until: date | None = None,
    after: int | None = None,
    cursor: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Listed[TransactionRow, int]:
    """Transactions in the order of the log, or the other way round.

    `after` is a position: only transactions that the log has after it. `cursor` is the position of the last one of the
    page before, whichever the direction. The value dates are bounds included. `account`: only those with an entry of
    it, as far as `entries` is folded.
    """
    filters = {
        "account": account,
        "kind": kind,
        "reference": reference,
        "value_from": value_from,
        "value_until": value_until,
        "after": after,
    }
    return TRANSACTIONS.read(connection, filters, limit, cursor=cursor, newest_first=newest_first)
