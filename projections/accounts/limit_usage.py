"""What accounts used of their outgoing limits, by UTC day: table, fold, reporting view, queries.

It is for display. A posting is decided on what the account itself has counted (`domain.accounts.account.usage`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import bindparam

from domain.accounts.account.events import LimitReturned, LimitUsed
from eventstore.postgres.arrays import BinaryArray, int8_array, text_array
from projections.accounts.account_persons import SEEN
from projections.engine.columns import code, day, index, moment, number, read_table, total
from projections.engine.listing import EVERYTHING, Listed, Listing, Reader, Visible, readable
from projections.engine.projection import FoldCache, Projection, RecordedEvent
from projections.engine.reporting import View

# Table and view.

TABLE = read_table(
    "limit_usage",
    "One row an account and UTC day with outgoing transactions that counted against its limits.",
    code("account", "The account.", key=True),
    day("day", "Calendar date, UTC.", key=True),
    code("currency", "ISO 4217 code."),
    number("transactions", "How many transactions counted."),
    total("used", "What they took, less what reversals gave back."),
    number("position", "Position in the log of the first of them."),
    number("last_position", "Position in the log of the last event that changed it."),
    moment("last_at", "When that event was recorded, UTC."),
    index("limit_usage_in_order", "position", unique=True),
)

VIEW = View(
    TABLE,
    "One row an account and UTC day with outgoing transactions that counted. Amounts in major units.",
    ("account", "day", "currency", "transactions", "used", "position", "last_position", "last_at"),
)

# Fold.


@dataclass(slots=True)
class _Sum:
    currency: str
    transactions: int
    used: int
    position: int
    last_position: int
    last_at: str


def fold(events: Iterable[RecordedEvent]) -> tuple[BinaryArray, ...]:
    """What the events add to each account and day, as parameters. No parameter if there is none."""
    sums: dict[tuple[str, str], _Sum] = {}
    for position, at, event in events:
        used = isinstance(event, LimitUsed)
        on = (event.at if used else event.used_at).date().isoformat()
        one = sums.setdefault((event.originator_id, on), _Sum(event.currency, 0, 0, position, position, at))
        one.transactions += used
        one.used += event.amount if used else -event.amount
        one.last_position, one.last_at = position, at
    if not sums:
        return ()
    keys = sorted(sums)
    rows = [sums[key] for key in keys]
    return (
        text_array([account for account, _ in keys]),
        text_array([on for _, on in keys]),
        text_array([row.currency for row in rows]),
        int8_array([row.transactions for row in rows]),
        text_array([str(row.used) for row in rows]),
        int8_array([row.position for row in rows]),
        int8_array([row.last_position for row in rows]),
        text_array([row.last_at for row in rows]),
    )


def write(connection: Connection[Any], parameters: tuple[BinaryArray, ...], cache: FoldCache) -> None:
    """Insert the rows that are new, and add to the others."""
    if parameters:
        connection.execute(_ADD, parameters)


_ADD = """
INSERT INTO limit_usage AS u (account, day, currency, transactions, used, position, last_position, last_at)
SELECT unnest(%s::text[]), unnest(%s::text[])::date, unnest(%s::text[]), unnest(%s::bigint[]),
       unnest(%s::text[])::numeric, unnest(%s::bigint[]), unnest(%s::bigint[]), unnest(%s::text[])::timestamptz
ON CONFLICT (account, day) DO UPDATE
   SET transactions = u.transactions + excluded.transactions, used = u.used + excluded.used,
       last_position = excluded.last_position, last_at = excluded.last_at
"""

LIMIT_USAGE = Projection(
    name="limit_usage",
    area="accounts",
    events=(LimitUsed, LimitReturned),
    read_tables=(TABLE,),
    reports=(VIEW,),
    fold=fold,
    write=write,
)

# Queries.


@dataclass(frozen=True, slots=True)
class LimitUsageRow:
    """What an account used on a day, in minor units."""

    account: str
    day: date
    currency: str
    transactions: int
    used: int
    position: int
    last_position: int
    last_at: datetime


_T = readable(TABLE)
LIMIT_USAGE_LIST = Listing(
    _T,
    LimitUsageRow,
    filters=("account",),
    conditions={"since": _T.c.day >= bindparam("since")},
    visible=Visible(_T.c.account.in_(SEEN)),
)


def limit_usage(
    connection: Connection[Any],
    account: str,
    *,
    reader: Reader = EVERYTHING,
    since: date | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[LimitUsageRow, int]:
    """What an account used, a row a day, in the order in which the days first had any."""
    filters = {"account": account, "since": since, "after": after}
    return LIMIT_USAGE_LIST.read(connection, filters, limit, cursor=cursor, reader=reader)
