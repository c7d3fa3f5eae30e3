"""What was booked on an account by a position of the log, or before a time.

The entries of an account are numbered without gaps in the order of the log. Their positions and times never fall with
their numbers. So the last entry by a position or a time is found by halving: with a million entries that is twenty
probes of the primary key, and no further index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from psycopg import Connection

from projections.engine.checkpoint import folded


@dataclass(frozen=True, slots=True)
class Booked:
    """The last entry of an account by some position or time; all 0 if there is none. The balance in minor units."""

    number: int
    position: int
    balance: int
    day: date | None  # on which it was booked, UTC


NOTHING_BOOKED = Booked(0, 0, 0, None)


class NotFoldedError(RuntimeError):
    """The tables are not folded up to the position that was asked for."""

    def __init__(self, asked: int, reached: int, projections: Sequence[str]) -> None:
        super().__init__(f"{', '.join(projections)} are folded up to position {reached}, not yet up to {asked}")
        self.asked = asked
        self.reached = reached
        self.projections = tuple(projections)


# The LIMIT keeps the probe a nested loop.
LAST = """
WITH RECURSIVE search AS (
    SELECT a.i, a.upto, a.before, 0::bigint AS low, coalesce((
        SELECT number FROM read.entries WHERE account = %(account)s ORDER BY number DESC LIMIT 1), 0) AS high
      FROM unnest(%(upto)s::bigint[], %(before)s::timestamptz[]) WITH ORDINALITY AS a(upto, before, i)
  UNION ALL
    SELECT s.i, s.upto, s.before, CASE WHEN e.passes THEN s.middle ELSE s.low END,
           CASE WHEN e.passes THEN s.high ELSE s.middle - 1 END
      FROM (SELECT i, upto, before, low, high, (low + high + 1) / 2 AS middle FROM search WHERE low < high) s
     CROSS JOIN LATERAL (
        SELECT position <= s.upto AND recorded_at < s.before AS passes FROM read.entries
         WHERE account = %(account)s AND number = s.middle LIMIT 1
     ) e
)
SELECT s.low, coalesce(e.position, 0), coalesce(e.balance_after, 0), (e.recorded_at AT TIME ZONE 'UTC')::date
  FROM search s LEFT JOIN LATERAL (
    SELECT position, balance_after, recorded_at FROM read.entries WHERE account = %(account)s AND number = s.low LIMIT 1
  ) e ON true
 WHERE s.low = s.high ORDER BY s.i
"""
AT_NUMBER = """
SELECT number, position, balance_after, (recorded_at AT TIME ZONE 'UTC')::date FROM read.entries
 WHERE account = %s AND number = %s
"""
HIGHEST, LATEST = 2**63 - 1, datetime.max.replace(tzinfo=UTC)
Bound = tuple[int, datetime]
"""A position up to which, and a time before which something was booked."""


def position_to_read(connection: Connection[Any], as_of: int | None, *projections: str) -> int:
    """The position to read at: `as_of`, or that up to which these are folded. Raises `NotFoldedError` beyond it.

    Entries and transactions up to there never change, so what is read of them later is of one state.
    """
    reached = folded(connection, *projections)
    if as_of is not None and as_of > reached:
        raise NotFoldedError(as_of, reached, projections)
    return reached if as_of is None else as_of


def booked(connection: Connection[Any], account: str, bounds: Sequence[Bound]) -> list[Booked]:
    """The last entry within each of these bounds."""
    parameters = {"account": account, "upto": [upto for upto, _ in bounds], "before": [before for _, before in bounds]}
    rows = connection.execute(LAST.encode(), parameters).fetchall()
    return [Booked(number, position, int(balance), day) for number, position, balance, day in rows]


def booked_by(connection: Connection[Any], account: str, position: int) -> Booked:
    """The last entry at a position or before it."""
    [last] = booked(connection, account, [(position, LATEST)])
    return last


def booked_at(connection: Connection[Any], account: str, number: int) -> Booked:
    """The entry with this number; nothing if there is none."""
    row = connection.execute(AT_NUMBER, (account, number)).fetchone()
    if row is None:
        return NOTHING_BOOKED
    number, position, balance, day = row
    return Booked(number, position, int(balance), day)


def midnight(day: date) -> datetime:
    """The beginning of a day, UTC."""
    return datetime.combine(day, time(), UTC)


def midnight_after(day: date) -> datetime:
    """The end of a day, UTC: the beginning of the next one, or the last time there is."""
    return LATEST if day == date.max else midnight(day + timedelta(days=1))
