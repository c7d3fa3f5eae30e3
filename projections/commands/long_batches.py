"""Long batches as they are now: table, fold, reporting view, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.long_batch import (
    LongBatchEnded,
    LongBatchFinished,
    LongBatchOpened,
    LongBatchPartDone,
    LongBatchPartReceived,
    LongBatchStarted,
    LongBatchStopped,
)
from projections.engine.columns import code, index, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View
from projections.engine.writing import Row

# Table.

TABLE = read_table(
    "long_batches",
    "One row a long batch, as it is now.",
    code("batch", "Public id; also the name of its stream in the log.", key=True),
    code("sender", "Who sends it; the actor of its items."),
    code("status", "receiving, running, stopped or finished."),
    code("cause", "Why it was stopped: asked, sender, expired or lost. NULL if it was not.", optional=True),
    code("stopped_by", "Who stopped it. NULL if nobody did.", optional=True),
    number("items", "How many items it has.", bits=32),
    number("received", "Items that came.", bits=32),
    number("bytes", "Size of the items that came, in bytes."),
    number("parts", "Parts that came.", bits=32),
    number("part_items", "Items of each part but the last. 0 before the first.", bits=32),
    number("done", "Parts that were carried out.", bits=32),
    number("accepted", "Items of these parts that were carried out.", bits=32),
    number("refused", "Items that a rule refused.", bits=32),
    number("expectation_failed", "Items that expected another version of a stream.", bits=32),
    number("key_reused", "Items whose key came with another request before.", bits=32),
    number("unrecorded", "Items without a recorded answer: malformed, unknown or forbidden.", bits=32),
    moment("opened_at", "When it was opened, UTC."),
    moment("expires_at", "When it is ended unless it has finished, UTC."),
    moment("started_at", "When its last part came, UTC. NULL before.", optional=True),
    moment("ended_at", "When it was finished or stopped, UTC. NULL before.", optional=True),
    number("version", "Version of the stream: the number of its events."),
    number("position", "Position in the log of its first event."),
    number("last_position", "Position in the log of the last event."),
    moment("last_at", "When the last event was recorded, UTC."),
    index("long_batches_in_order", "position"),
    index("long_batches_of_sender", "sender", "position"),
    index("long_batches_in_status", "status", "position"),
)
_COUNTS = ("accepted", "refused", "expectation_failed", "key_reused", "unrecorded")

# Fold.


def opened(row: Row, event: LongBatchOpened) -> Row:
    """A new one."""
    return {
        **row,
        "sender": event.sender,
        "status": "receiving",
        "items": event.items,
        **dict.fromkeys(("received", "bytes", "parts", "part_items", "done", *_COUNTS), 0),
        "opened_at": row["last_at"],
        "expires_at": event.expires_at.isoformat(),
        "position": row["last_position"],
    }


def part_received(row: Row, event: LongBatchPartReceived) -> Row:
    """Another part came."""
    items = len(event.keys)
    return {
        **row,
        "received": row["received"] + items,
        "bytes": row["bytes"] + event.bytes,
        "parts": event.part,
        "part_items": row["part_items"] or items,
    }


def started(row: Row, event: LongBatchStarted) -> Row:
    """All items came."""
    return {**row, "status": "running", "started_at": row["last_at"]}


def part_done(row: Row, event: LongBatchPartDone) -> Row:
    """Another part was carried out."""
    return {
        **row,
        "done": event.part,
        "accepted": row["accepted"] + event.accepted,
        "refused": row["refused"] + event.refused,
        "expectation_failed": row["expectation_failed"] + event.expectation_failed,
        "key_reused": row["key_reused"] + event.key_reused,
        "unrecorded": row["unrecorded"] + len(event.unrecorded),
    }


def finished(row: Row, event: LongBatchFinished) -> Row:
    """All parts were carried out."""
    return {**row, "status": "finished", "ended_at": row["last_at"]}


def stopped(row: Row, event: LongBatchStopped) -> Row:
    """Somebody stopped it."""
    return {**row, "status": "stopped", "cause": "asked", "stopped_by": event.by, "ended_at": row["last_at"]}


def ended(row: Row, event: LongBatchEnded) -> Row:
    """It cannot go on."""
    return {**row, "status": "stopped", "cause": event.cause, "ended_at": row["last_at"]}


FOLD = RowFold(
    TABLE,
    starts={LongBatchOpened: opened},
    changes={
        LongBatchPartReceived: part_received,
        LongBatchStarted: started,
        LongBatchPartDone: part_done,
        LongBatchFinished: finished,
        LongBatchStopped: stopped,
        LongBatchEnded: ended,
    },
    reads=("received", "bytes", "part_items", *_COUNTS),
)

LONG_BATCHES = declared(
    "long_batches",
    FOLD,
    area="commands",
    reports=(View(TABLE, "One row a long batch, as it is now.", tuple(TABLE.columns.keys())),),
)

# Queries.


@dataclass(frozen=True, slots=True)
class LongBatchRow:
    """A long batch as it is now."""

    batch: str
    sender: str
    status: str
    cause: str | None
    stopped_by: str | None
    items: int
    received: int
    parts: int
    part_items: int
    done: int
    accepted: int
    refused: int
    expectation_failed: int
    key_reused: int
    unrecorded: int
    opened_at: datetime
    expires_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    version: int
    position: int


LONG_BATCH_LIST = Listing(readable(TABLE), LongBatchRow, filters=("batch", "sender", "status"))


def long_batch(connection: Connection[Any], batch: str, *, sender: str | None = None) -> LongBatchRow | None:
    """One long batch by its id, if it is of this sender. None as the sender: of any."""
    return LONG_BATCH_LIST.one(connection, batch=batch, sender=sender)


def long_batches(
    connection: Connection[Any],
    *,
    sender: str | None = None,
    status: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[LongBatchRow, int]:
    """Long batches in the order in which they were opened."""
    filters = {"sender": sender, "status": status, "after": after}
    return LONG_BATCH_LIST.read(connection, filters, limit, cursor=cursor)


_OPEN = "SELECT batch FROM read.long_batches WHERE status IN ('receiving', 'running') ORDER BY position"


def open_long_batches(connection: Connection[Any]) -> list[str]:
    """The long batches that have neither finished nor been stopped."""
    return [batch for (batch,) in connection.execute(_OPEN).fetchall()]
