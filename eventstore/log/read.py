"""Reading the log: a stream from a version, or the whole log from a position, always to the end of a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from eventstore.postgres.arrays import int8_array, text_array

CHANNEL = "daybook"
"""The channel of NOTIFY after appends. Nothing depends on it: every reader polls as well."""


class Recorded(NamedTuple):
    """A row of the log. Payload and metadata are the stored bytes."""

    position: int
    unit_end: int
    stream: str
    version: int
    type: str
    recorded_at: datetime
    payload: bytes
    metadata: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """The events after `after` up to and including `upto`, which ends a unit.

    A filter may leave fewer events or none. The page still advances to `upto`.
    """

    events: list[Recorded]
    after: int
    upto: int

    @property
    def at_end(self) -> bool:
        """Whether the log has no event after `after`."""
        return self.upto == self.after


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log."""

    log_number: int
    epoch: int
    position: int
    recorded_at: datetime | None  # None for an empty log


class UnknownLogError(LookupError):
    """There is no log of that name."""


_HEAD = "SELECT log, epoch, position, nullif(recorded_at, '-infinity') FROM log.logs WHERE name = %s"

# The unit end of the event `limit` positions ahead, or of the last event: one index probe.
_UPTO = """
SELECT unit_end FROM log.events
 WHERE log = %s AND position > %s AND position <= %s ORDER BY position DESC LIMIT 1
"""

_PAGE = """
SELECT position, unit_end, stream, version, type, recorded_at, payload, metadata FROM log.events
 WHERE log = %s AND position > %s AND position <= %s
 ORDER BY position
"""

_PAGE_FILTERED = """
SELECT position, unit_end, stream, version, type, recorded_at, payload, metadata FROM log.events
 WHERE log = %(log)s AND position > %(after)s AND position <= %(upto)s
   AND (%(types)s::text[] IS NULL OR type = ANY (%(types)s))
   AND (%(prefix)s::text IS NULL OR starts_with(stream, %(prefix)s))
 ORDER BY position
"""

_STREAM = """
SELECT position, unit_end, stream, version, type, recorded_at, payload, metadata FROM log.events
 WHERE log = %s AND stream = %s AND version > %s ORDER BY version LIMIT %s
"""

_LAST = """
SELECT version, type FROM log.events
 WHERE log = %s AND stream = %s ORDER BY version DESC LIMIT 1
"""

STREAM_PAGE = 1_000
"""Most events of one stream in one read of several streams. A longer stream is read in pages."""

_STREAMS = """
SELECT e.stream, e.version, e.type, e.payload
  FROM unnest(%s::text[], %s::bigint[]) AS s(stream, version)
  JOIN LATERAL (
    SELECT stream, version, type, payload FROM log.events
     WHERE log = %s AND stream = s.stream AND version > s.version ORDER BY version LIMIT %s
  ) e ON true
"""


_POSITION_AT = """
WITH RECURSIVE search AS (
    SELECT 0::bigint AS low, %(head)s::bigint AS high
  UNION ALL
    SELECT CASE WHEN e.early THEN s.middle ELSE s.low END, CASE WHEN e.early THEN s.high ELSE s.middle - 1 END
      FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM search WHERE low < high) s
     CROSS JOIN LATERAL (
        SELECT recorded_at <= %(at)s AS early FROM log.events WHERE log = %(log)s AND position = s.middle LIMIT 1
     ) e
)
SELECT low FROM search WHERE low = high
"""

# Versions of a stream are dense, so its first event after a position is found by halving as well.
_VERSION_AT = """
WITH RECURSIVE search AS (
    SELECT 0::bigint AS low, coalesce(max(version), 0) AS high FROM log.events
     WHERE log = %(log)s AND stream = %(stream)s
  UNION ALL
    SELECT CASE WHEN e.early THEN s.middle ELSE s.low END, CASE WHEN e.early THEN s.high ELSE s.middle - 1 END
      FROM (SELECT low, high, (low + high + 1) / 2 AS middle FROM search WHERE low < high) s
     CROSS JOIN LATERAL (
        SELECT position <= %(position)s AS early FROM log.events
         WHERE log = %(log)s AND stream = %(stream)s AND version = s.middle LIMIT 1
     ) e
)
SELECT low FROM search WHERE low = high
"""

_UNIT = """
SELECT position, unit_end, stream, version, type, recorded_at, payload, metadata FROM log.events
 WHERE log = %(log)s AND position > %(after)s
   AND position <= (SELECT unit_end FROM log.events WHERE log = %(log)s AND position = %(position)s)
 ORDER BY position LIMIT %(row_limit)s
"""

_UNIT_END = "SELECT unit_end FROM log.events WHERE log = %s AND position = %s"

_UNIT_BEFORE = """
SELECT position FROM log.events
 WHERE log = %s AND position < %s AND position = unit_end ORDER BY position DESC LIMIT 1
"""

_OF_UNITS = """
SELECT position, unit_end, stream, version, type, recorded_at, payload, metadata FROM log.events
 WHERE log = %s AND stream = ANY (%s) AND unit_end = ANY (%s)
 ORDER BY position
"""

_NAMING = """
SELECT position, unit_end, stream, version, type, recorded_at, payload, metadata FROM log.events
 WHERE log = %s AND position > %s AND position <= %s AND position(%s::bytea in metadata) > 0
 ORDER BY position
"""

_RECORDED_AT = "SELECT recorded_at FROM log.events WHERE log = %s AND position = %s"

_UUID = "SELECT uuid FROM log.logs WHERE log = %s"

_MOVED = """
SELECT stream, max(version) FROM log.events
 WHERE log = %s AND position > %s AND position <= %s
 GROUP BY stream
"""


def read_head(connection: Connection[Any], log: str) -> Head:
    """The head of a log by its name. Raises `UnknownLogError`."""
    row = connection.execute(_HEAD, (log,), binary=True).fetchone()
    if row is None:
        raise UnknownLogError(f"there is no log named {log!r}: has this database been migrated and the log created?")
    return Head(*row)


def position_at(connection: Connection[Any], head: Head, at: datetime) -> int:
    """The position of the last event up to the head that was recorded at this time or before; 0 if there is none.

    Positions are dense and times never fall with them, so the position is found by halving: one index probe a step.
    """
    parameters = {"log": head.log_number, "head": head.position, "at": at}
    row = connection.execute(_POSITION_AT.encode(), parameters).fetchone()
    return 0 if row is None else int(row[0])


def recorded_at(connection: Connection[Any], log_number: int, position: int) -> datetime | None:
    """When the event at a position was recorded, UTC; None where there is none."""
    row = connection.execute(_RECORDED_AT, (log_number, position), binary=True).fetchone()
    return None if row is None else row[0]


def version_at(connection: Connection[Any], log_number: int, stream: str, position: int) -> int:
    """The version that a stream had at a position; 0 if it did not exist yet."""
    parameters = {"log": log_number, "stream": stream, "position": position}
    row = connection.execute(_VERSION_AT.encode(), parameters).fetchone()
    return 0 if row is None else int(row[0])


def read_unit_end(connection: Connection[Any], log_number: int, position: int) -> int | None:
    """Where the unit with this position ends; None where the log has no such position."""
    row = connection.execute(_UNIT_END, (log_number, position), binary=True).fetchone()
    return None if row is None else int(row[0])


def read_unit(connection: Connection[Any], log_number: int, position: int, limit: int) -> list[Recorded]:
    """The events of the unit with this position, at most `limit`; empty where the log has no such position."""
    row = connection.execute(_UNIT_BEFORE, (log_number, position)).fetchone()
    before = 0 if row is None else row[0]
    parameters = {"log": log_number, "after": before, "position": position, "row_limit": limit}
    return [Recorded._make(row) for row in connection.execute(_UNIT, parameters, binary=True)]


def read_of_units(
    connection: Connection[Any], log_number: int, streams: Sequence[str], unit_ends: Sequence[int]
) -> list[Recorded]:
    """The events of these streams in the units that end at these positions, in order of the log."""
    parameters = (log_number, text_array(list(streams)), int8_array(list(unit_ends)))
    return [Recorded._make(row) for row in connection.execute(_OF_UNITS, parameters, binary=True)]


def read_naming(connection: Connection[Any], log_number: int, after: int, limit: int, text: bytes) -> Page:
    """Read about `limit` positions, as `read_log` does, but only events whose metadata have these bytes."""
    found = connection.execute(_UPTO, (log_number, after, after + limit), binary=True).fetchone()
    if found is None:
        return Page([], after, after)
    cursor = connection.execute(_NAMING, (log_number, after, found[0], text), binary=True)
    return Page([Recorded._make(row) for row in cursor], after, found[0])


def read_uuid(connection: Connection[Any], log_number: int) -> UUID:
    """The UUID of a log, which no other log of any database has. Raises `UnknownLogError`."""
    row = connection.execute(_UUID, (log_number,)).fetchone()
    if row is None:
        raise UnknownLogError(f"there is no log with the number {log_number}")
    uuid: UUID = row[0]
    return uuid


def read_log(
    connection: Connection[Any],
    log_number: int,
    after: int,
    limit: int,
    *,
    types: tuple[str, ...] | None = None,
    prefix: str | None = None,
) -> Page:
    """Read the next page after a position: about `limit` positions, to the end of the unit.

    `types` selects events of these types, `prefix` those on streams whose names begin with it. The two statements
    need no common snapshot: events before the end of a unit never change.
    """
    found = connection.execute(_UPTO, (log_number, after, after + limit), binary=True).fetchone()
    if found is None:
        return Page([], after, after)
    upto = found[0]
    if types is None and prefix is None:
        cursor = connection.execute(_PAGE, (log_number, after, upto), binary=True)
    else:
        wanted = None if types is None else text_array(types)
        parameters = {"log": log_number, "after": after, "upto": upto, "types": wanted, "prefix": prefix}
        cursor = connection.execute(_PAGE_FILTERED, parameters, binary=True)
    return Page([Recorded._make(row) for row in cursor], after, upto)


def read_stream(
    connection: Connection[Any], log_number: int, stream: str, *, after: int = 0, limit: int = 1_000
) -> list[Recorded]:
    """The events of a stream after a version, oldest first, at most `limit`; empty for a stream that does not exist."""
    cursor = connection.execute(_STREAM, (log_number, stream, after, limit), binary=True)
    return [Recorded._make(row) for row in cursor]


def read_last(connection: Connection[Any], log_number: int, stream: str) -> tuple[int, str] | None:
    """Version and type of the last event of a stream; None for a stream that does not exist."""
    row: tuple[int, str] | None = connection.execute(_LAST, (log_number, stream), binary=True).fetchone()
    return row


def read_moved(connection: Connection[Any], log_number: int, after: int, upto: int) -> list[tuple[str, int]]:
    """(stream, version) of each stream with events between two positions: its version at the second one."""
    return connection.execute(_MOVED, (log_number, after, upto), binary=True).fetchall()


def read_streams(
    connection: Connection[Any], log_number: int, after: dict[str, int]
) -> list[tuple[str, int, str, bytes]]:
    """(stream, version, type, payload) of several streams, each after its given version, in order within a stream.

    There are at most `STREAM_PAGE` events of each stream. A stream with so many may have more.
    """
    streams, versions = text_array(list(after)), int8_array(list(after.values()))
    return connection.execute(_STREAMS, (streams, versions, log_number, STREAM_PAGE), binary=True).fetchall()
