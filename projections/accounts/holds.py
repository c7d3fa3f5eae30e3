"""Holds: table, fold, reporting view and queries. A row is a hold of an account.

The fold reads transactions too. `HoldCaptured` says what was left of the hold, and the transaction of its unit says how
much of that was paid. A page has whole units, so it has both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import orjson
from psycopg import Connection

from domain.accounts.account.events import HoldCaptured, HoldExpired, HoldPartlyCaptured, HoldPlaced, HoldReleased
from domain.accounts.account.holds import of_transaction
from domain.accounts.kinds import ORDERED
from domain.accounts.posting import TransactionPosted
from eventstore.postgres.arrays import BinaryArray, int8_array, text_array
from projections.accounts.account_persons import SEEN
from projections.engine.columns import amount, code, index, json_value, moment, number, read_table
from projections.engine.listing import EVERYTHING, Listed, Listing, Reader, Visible, readable
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.reporting import View

HoldStatus = Literal["open", "captured", "released", "expired"]

# Table and view. The hold of a pending transaction has the id of the transaction, on each account that it reserves on:
# so only account and id together name a hold.

TABLE = read_table(
    "holds",
    "One row a hold of an account, as it is now. Amounts in minor units.",
    code("hold", "Id of the hold; of a pending transaction, its id.", key=True),
    code("account", "The account that it reserves on.", key=True),
    code("status", "open, or how it ended: captured, released or expired."),
    amount("amount", "What it was placed for."),
    amount("captured", "What transactions took of it."),
    amount("remaining", "What it still reserves; 0 once it ended."),
    code("currency", "ISO 4217 code."),
    code("reference", "The reference that the client gave it.", optional=True),
    json_value("metadata", "Pairs of codes that the client keeps with it, as a JSON object."),
    moment("expires_at", "When it expires, UTC. NULL: it does not.", optional=True),
    code("transaction", "The last transaction that captured it, or the pending one that it belongs to.", optional=True),
    number("position", "Position in the log of its placing."),
    moment("placed_at", "When it was placed, UTC."),
    moment("ended_at", "When it ended, UTC. NULL while it is open.", optional=True),
    number("last_position", "Position in the log of the last event that changed it."),
    moment("last_at", "When that event was recorded, UTC."),
    index("holds_in_order", "position", unique=True),
    index("holds_of_account", "account", "position"),
    index("holds_with_status", "status", "position"),
    index("holds_by_reference", "reference", "position", where="reference IS NOT NULL"),
)

VIEW = View(
    TABLE,
    "One row a hold of an account, as it is now. Amounts in major units.",
    (
        "hold",
        "account",
        "status",
        "amount",
        "captured",
        "remaining",
        "currency",
        "reference",
        "metadata",
        "expires_at",
        "transaction",
        "position",
        "placed_at",
        "ended_at",
        "last_position",
        "last_at",
    ),
)

# Fold.


@dataclass(slots=True)
class Change:
    """The changes of one hold by some events."""

    placed: HoldPlaced | None = None  # the hold is new
    placed_position: int = 0
    placed_at: str = ""
    captured: int = 0  # added, minor units
    status: HoldStatus | None = None  # how it ended; None: it did not
    transaction: str | None = None  # None: unchanged
    position: int = 0  # of the last of the events
    at: str = ""


def fold(events: Iterable[RecordedEvent]) -> dict[tuple[str, str], Change]:
    """The changes of each hold, by hold and account. Raises `FoldError` for a foreign event."""
    changes: dict[tuple[str, str], Change] = {}
    ends: list[tuple[Change, HoldCaptured]] = []
    taken: dict[str, int] = {}
    for position, at, event in events:
        kind = type(event)
        if kind is TransactionPosted:
            if event.kind in ORDERED:
                taken[event.originator_id] = event.entries[0].amount
            continue
        key = event.hold, event.originator_id
        if kind is HoldPlaced:
            of = event.hold if of_transaction(event.hold) else None
            changes[key] = Change(event, position, at, transaction=of, position=position, at=at)
            continue
        change = changes.setdefault(key, Change())
        change.position, change.at = position, at
        match event:
            case HoldPartlyCaptured():
                change.captured += event.amount
                change.transaction = event.transaction
            case HoldCaptured():
                change.status, change.transaction = "captured", event.transaction
                ends.append((change, event))
            case HoldReleased():
                change.status = "released"
            case HoldExpired():
                change.status = "expired"
            case _:
                raise FoldError(f"{kind.__name__} is none of its events")
    for change, event in ends:
        # A transaction that was pending takes all that it reserved.
        whole = event.hold == event.transaction
        change.captured += event.amount if whole else taken.get(event.transaction, event.amount)
    return changes


class Rows(NamedTuple):
    """The parameters of the two statements. An empty tuple means no statement."""

    placed: tuple[BinaryArray, ...]
    changed: tuple[BinaryArray, ...]  # of holds that were placed before
    old: int  # how many those are


def _changed(keys: list[tuple[str, str]], changes: list[Change]) -> tuple[BinaryArray, ...]:
    return (
        text_array([hold for hold, _ in keys]),
        text_array([account for _, account in keys]),
        int8_array([change.captured for change in changes]),
        text_array([change.status for change in changes]),
        text_array([change.transaction for change in changes]),
        int8_array([change.position for change in changes]),
        text_array([change.at for change in changes]),
    )


def lay_out(changes: dict[tuple[str, str], Change]) -> Rows:
    """The changes as parameters."""
    new = {key: (change, change.placed) for key, change in sorted(changes.items()) if change.placed is not None}
    old = {key: change for key, change in sorted(changes.items()) if change.placed is None}
    events = [event for _, event in new.values()]
    placed = (
        *_changed(list(new), [change for change, _ in new.values()]),
        int8_array([event.amount for event in events]),
        text_array([event.currency for event in events]),
        text_array([event.reference for event in events]),
        text_array([orjson.dumps(event.metadata, option=orjson.OPT_SORT_KEYS).decode() for event in events]),
        text_array([None if event.expires_at is None else event.expires_at.isoformat() for event in events]),
        int8_array([change.placed_position for change, _ in new.values()]),
        text_array([change.placed_at for change, _ in new.values()]),
    )
    return Rows(placed if new else (), _changed(list(old), list(old.values())) if old else (), len(old))


def write(connection: Connection[Any], rows: Rows, cache: FoldCache) -> None:
    """Insert the holds that are new, and change the others. Raises `FoldError` for a hold that was never placed."""
    if rows.changed:
        updated = connection.execute(_CHANGE, rows.changed).rowcount
        if updated != rows.old:
            missing = connection.execute(_MISSING, rows.changed[:2]).fetchone()
            raise FoldError(f"{rows.old - updated} holds were never placed, among them {missing and missing[0]}")
    if rows.placed:
        connection.execute(_PLACE, rows.placed)


_CHANGE = """
UPDATE holds h
   SET captured = h.captured + c.captured,
       remaining = CASE WHEN c.status IS NULL THEN h.remaining - c.captured ELSE 0 END,
       status = coalesce(c.status, h.status), transaction = coalesce(c.transaction, h.transaction),
       ended_at = CASE WHEN c.status IS NOT NULL THEN c.at::timestamptz END,
       last_position = c.position, last_at = c.at::timestamptz
  FROM (SELECT unnest(%s::text[]) AS hold, unnest(%s::text[]) AS account, unnest(%s::bigint[]) AS captured,
               unnest(%s::text[]) AS status, unnest(%s::text[]) AS transaction, unnest(%s::bigint[]) AS position,
               unnest(%s::text[]) AS at) AS c
 WHERE h.hold = c.hold AND h.account = c.account
"""

# An id that is used again after its hold ended begins a new one in the same row.
_PLACE = """
INSERT INTO holds (hold, account, captured, status, transaction, last_position, last_at, amount, currency, reference,
                   metadata, expires_at, position, placed_at, remaining, ended_at)
SELECT c.hold, c.account, c.captured, coalesce(c.status, 'open'), c.transaction, c.last_position,
       c.last_at::timestamptz, c.amount, c.currency, c.reference, c.metadata::json, c.expires_at::timestamptz,
       c.position, c.placed_at::timestamptz, CASE WHEN c.status IS NULL THEN c.amount - c.captured ELSE 0 END,
       CASE WHEN c.status IS NOT NULL THEN c.last_at::timestamptz END
  FROM (SELECT unnest(%s::text[]) AS hold, unnest(%s::text[]) AS account, unnest(%s::bigint[]) AS captured,
               unnest(%s::text[]) AS status, unnest(%s::text[]) AS transaction, unnest(%s::bigint[]) AS last_position,
               unnest(%s::text[]) AS last_at, unnest(%s::bigint[]) AS amount, unnest(%s::text[]) AS currency,
               unnest(%s::text[]) AS reference, unnest(%s::text[]) AS metadata, unnest(%s::text[]) AS expires_at,
               unnest(%s::bigint[]) AS position, unnest(%s::text[]) AS placed_at) AS c
ON CONFLICT (hold, account) DO UPDATE
   SET captured = excluded.captured, status = excluded.status, transaction = excluded.transaction,
       last_position = excluded.last_position, last_at = excluded.last_at, amount = excluded.amount,
       currency = excluded.currency, reference = excluded.reference, metadata = excluded.metadata,
       expires_at = excluded.expires_at, position = excluded.position, placed_at = excluded.placed_at,
       remaining = excluded.remaining, ended_at = excluded.ended_at
"""

_MISSING = """
SELECT min(c.hold) FROM unnest(%s::text[], %s::text[]) AS c(hold, account)
 WHERE NOT EXISTS (SELECT FROM holds h WHERE h.hold = c.hold AND h.account = c.account)
"""

HOLDS = Projection(
    name="holds",
    area="accounts",
    events=(HoldPlaced, HoldReleased, HoldCaptured, HoldPartlyCaptured, HoldExpired, TransactionPosted),
    read_tables=(TABLE,),
    reports=(VIEW,),
    fold=lambda events: lay_out(fold(events)),
    write=write,
)

# Queries.


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold as it is now; amounts in minor units."""

    hold: str
    account: str
    status: str
    amount: int
    captured: int
    remaining: int
    currency: str
    reference: str | None
    metadata: dict[str, str]
    expires_at: datetime | None
    transaction: str | None
    position: int
    placed_at: datetime
    ended_at: datetime | None


_T = readable(TABLE)
HOLD_LIST = Listing(
    _T,
    HoldRow,
    filters=("hold", "account", "status", "reference"),
    visible=Visible(_T.c.account.in_(SEEN)),
)


def hold(
    connection: Connection[Any], hold: str, *, account: str | None = None, reader: Reader = EVERYTHING
) -> HoldRow | None:
    """One hold by its id. Of those on several accounts it is the first one, unless `account` says which."""
    found = HOLD_LIST.read(connection, {"hold": hold, "account": account}, 1, reader=reader).items
    return found[0] if found else None


def holds(
    connection: Connection[Any],
    *,
    reader: Reader = EVERYTHING,
    account: str | None = None,
    status: str | None = None,
    reference: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[HoldRow, int]:
    """Holds in the order in which they were placed; `after` and `cursor` are positions."""
    filters = {"account": account, "status": status, "reference": reference, "after": after}
    return HOLD_LIST.read(connection, filters, limit, cursor=cursor, reader=reader)
