"""Reading transactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import bindparam, column, select, table

from projections.engine.listing import Listed, Listing


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


_NAMES = "transaction kind value_date reference description description_erased entries position recorded_at".split()
_T = table("transactions", *(column(name) for name in _NAMES), schema="read").c
_E = table("entries", column("account"), column("transaction"), schema="read").c


def _make(*row: Any) -> TransactionRow:
    values = dict(zip(_NAMES, row, strict=True))
    return TransactionRow(**{**values, "entries": tuple(TransactionEntry(**entry) for entry in values["entries"])})


_SELECT = select(*(_T[name] for name in _NAMES))
_CONDITIONS = {
    "transaction": _T.transaction == bindparam("transaction"),
    "after": _T.position > bindparam("after"),
    "before": _T.position < bindparam("before"),
    "account": _T.transaction.in_(select(_E.transaction).where(_E.account == bindparam("account"))),
    "kind": _T.kind == bindparam("kind"),
    "reference": _T.reference == bindparam("reference"),
    "value_from": _T.value_date >= bindparam("value_from"),
    "value_until": _T.value_date <= bindparam("value_until"),
}
OLDEST_FIRST: Listing[TransactionRow] = Listing(_SELECT.order_by(_T.position), _CONDITIONS, _make)
NEWEST_FIRST: Listing[TransactionRow] = Listing(_SELECT.order_by(_T.position.desc()), _CONDITIONS, _make)


def transaction(connection: Connection[Any], transaction: str) -> TransactionRow | None:
    """One transaction by its id."""
    rows: Sequence[TransactionRow] = OLDEST_FIRST.read(
        connection, {"transaction": transaction}, 1, key=lambda row: row.position
    ).items
    return rows[0] if rows else None


def transactions(
    connection: Connection[Any],
    *,
    account: str | None = None,
    kind: str | None = None,
    reference: str | None = None,
    value_from: date | None = None,
    value_until: date | None = None,
    after: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Listed[TransactionRow, int]:
    """Transactions in the order of the log, or the other way round.

    `after` is the `position` of the last one of the page before, whichever the direction. The value dates are bounds
    included; `account`: only those with an entry of it, as far as `entries` is folded.
    """
    listing, cursor = (NEWEST_FIRST, "before") if newest_first else (OLDEST_FIRST, "after")
    filters = {
        "account": account,
        "kind": kind,
        "reference": reference,
        "value_from": value_from,
        "value_until": value_until,
        cursor: after,
    }
    return listing.read(connection, filters, limit, key=lambda row: row.position)
