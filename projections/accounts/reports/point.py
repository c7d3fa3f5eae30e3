"""The position that a report is read at, and the transactions that were posted between two positions.

A transaction that is posted at once has its row at the position of its posting. One that waited has the position of
its posting beside that. Neither changes afterwards, and neither do the entries, so a report of a position is the same
for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from psycopg import Connection

from eventstore.log.read import Head, position_at, recorded_at

_MOMENT = timedelta(microseconds=1)

POSTED = """
    SELECT transaction, kind, parent, value_date, entries, recorded_at AS booked_at FROM read.transactions
     WHERE awaits IS NULL AND position > %(after)s AND position <= %(position)s
    UNION ALL
    SELECT transaction, kind, parent, value_date, entries, posted_at FROM read.transactions
     WHERE posted > %(after)s AND posted <= %(position)s
"""
"""The transactions that were posted after one position and up to another."""
LINES = "json_to_recordset(p.entries) AS l(account text, side text, amount bigint, currency text)"


@dataclass(frozen=True, slots=True)
class Point:
    """A position of the log, the time of its event, and the last position before the UTC day of that time."""

    position: int
    at: datetime  # aware, UTC
    before_day: int

    @property
    def day(self) -> date:
        """The UTC day."""
        return self.at.date()


def point_at(connection: Connection[Any], head: Head, position: int) -> Point:
    """The point of a position; 0 is before all events."""
    found = recorded_at(connection, head.log_number, position)
    if found is None:
        return Point(0, datetime(1, 1, 1, tzinfo=UTC), 0)
    at = found.astimezone(UTC)
    return Point(position, at, _before(connection, head, at.date()))


def window(connection: Connection[Any], head: Head, point: Point, since: date, until: date) -> tuple[int, int]:
    """The position before what was recorded from one UTC day to another, both included, and the last one of it."""
    first = _before(connection, head, since)
    last = point.position if until >= point.day else _before(connection, head, until + timedelta(days=1))
    return first, max(first, min(last, point.position))


def _before(connection: Connection[Any], head: Head, day: date) -> int:
    """The last position that was recorded before a UTC day."""
    if day == date.min:
        return 0
    return position_at(connection, head, datetime.combine(day, time(), UTC) - _MOMENT)
