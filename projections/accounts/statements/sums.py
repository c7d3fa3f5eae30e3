"""Debits and credits of an account: of what was booked by a position of the log, with certain value dates.

`movements` has the sums of each value date, whenever they were booked, and beside them those of each other day of
booking. So what was booked before any day is a sum of rows, which nothing booked later changes. A position lies within
a day: either the entries from the beginning of that day up to the position are added, or the entries after the position
are taken off the sums of the whole table, whichever are fewer. No more entries are read than the account has on a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg import Connection

from projections.accounts.statements.booked import Booked, booked_before, booked_by, midnight
from projections.engine.checkpoint import folded


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of entries in minor units, and how many they are."""

    debits: int
    credits: int
    entries: int

    @property
    def net(self) -> int:
        """By how much they raise the balance."""
        return self.credits - self.debits

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.debits + other.debits, self.credits + other.credits, self.entries + other.entries)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.debits - other.debits, self.credits - other.credits, self.entries - other.entries)


NOTHING = Sums(0, 0, 0)

OF_VALUE_DATES = """
SELECT coalesce(sum(debits), 0), coalesce(sum(credits), 0), coalesce(sum(entries), 0),
       (SELECT position FROM read.checkpoints WHERE projection = 'movements') FROM read.movements
 WHERE account = %(account)s AND day >= %(since)s AND day <= %(until)s
"""
# Booked on the value date: all of that date but what was booked on another day. Then what was booked on another day.
BOOKED_BEFORE = """
SELECT coalesce(sum(debits), 0), coalesce(sum(credits), 0), coalesce(sum(entries), 0)
  FROM (
    SELECT debits, credits, entries FROM read.movements
     WHERE account = %(account)s AND day >= %(since)s AND day <= %(until)s AND day < %(before)s
    UNION ALL
    SELECT -debits, -credits, -entries FROM read.movements_booked_on_other_days
     WHERE account = %(account)s AND day >= %(since)s AND day <= %(until)s AND day < %(before)s
    UNION ALL
    SELECT debits, credits, entries FROM read.movements_booked_on_other_days
     WHERE account = %(account)s AND day >= %(since)s AND day <= %(until)s AND booked_on < %(before)s
  ) AS booked
"""
OF_ENTRIES = """
SELECT coalesce(sum(amount) FILTER (WHERE side = 'debit'), 0),
       coalesce(sum(amount) FILTER (WHERE side = 'credit'), 0), count(*) FROM read.entries
 WHERE account = %(account)s AND number > %(low)s AND number <= %(high)s
   AND value_date >= %(since)s AND value_date <= %(until)s
"""


def sums(
    connection: Connection[Any],
    account: str,
    last: Booked,
    *,
    booked_before_day: date | None = None,
    since: date = date.min,
    until: date = date.max,
) -> Sums:
    """The sums of the entries up to `last` that have value dates from `since` to `until`, both included.

    With `booked_before_day` only of those that were booked before that day, UTC. `movements` must be folded up to
    `last`.
    """
    if last.day is None:
        return NOTHING
    reader = _Reader(connection, account, since, until)
    if booked_before_day is not None and booked_before_day <= last.day:
        return reader.booked_before(booked_before_day)
    whole, upto = reader.whole()
    complete = folded(connection, "entries") >= upto  # asked before the newest entry is read
    [newest] = booked_by(connection, account, [upto])
    if complete and newest.number == last.number:
        return whole
    [day_before] = booked_before(connection, account, [midnight(last.day)])
    if complete and newest.number - last.number < last.number - day_before.number:
        return whole - reader.of_entries(last, newest)
    return reader.booked_before(last.day) + reader.of_entries(day_before, last)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads sums of an account for value dates from `since` to `until`."""

    connection: Connection[Any]
    account: str
    since: date
    until: date

    def whole(self) -> tuple[Sums, int]:
        """All that `movements` has, and the position up to which it is folded."""
        *figures, upto = self._row(OF_VALUE_DATES)
        return Sums(*map(int, figures)), upto

    def booked_before(self, day: date) -> Sums:
        """What was booked before a day. The day must have begun for `movements`, so that nothing is added to it."""
        return Sums(*map(int, self._row(BOOKED_BEFORE, before=day)))

    def of_entries(self, after: Booked, upto: Booked) -> Sums:
        """The entries after one and up to another."""
        return Sums(*map(int, self._row(OF_ENTRIES, low=after.number, high=upto.number)))

    def _row(self, statement: str, **more: object) -> Sequence[Any]:
        parameters = {"account": self.account, "since": self.since, "until": self.until, **more}
        row: Sequence[Any] | None = self.connection.execute(statement.encode(), parameters).fetchone()
        assert row is not None, "an aggregate has a row"
        return row
