"""Debits and credits of an account: of what was booked by a position of the log, with certain value dates.

`movements` has the sums of each value date, whenever they were booked, and beside them those of each other day of
booking. So what was booked before any day is a sum of rows, which nothing booked later changes. A position lies within
a day: either the entries from the beginning of that day up to the position are added, or the entries after the position
are taken off the sums of the whole table, whichever are fewer. No more entries are read than the account has on a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from psycopg import Connection

from projections.accounts.statements.booked import LATEST, Booked, booked, midnight
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
OF_DAYS = """
SELECT coalesce(sum(debits), 0), coalesce(sum(credits), 0), coalesce(sum(entries), 0)
  FROM (
    SELECT debits, credits, entries FROM read.movements
     WHERE account = %(account)s AND day >= greatest(%(since)s::date, %(booked_since)s::date)
       AND day <= least(%(until)s::date, %(booked_until)s::date)
    UNION ALL
    SELECT -debits, -credits, -entries FROM read.movements_booked_on_other_days
     WHERE account = %(account)s AND day >= greatest(%(since)s::date, %(booked_since)s::date)
       AND day <= least(%(until)s::date, %(booked_until)s::date)
    UNION ALL
    SELECT debits, credits, entries FROM read.movements_booked_on_other_days
     WHERE account = %(account)s AND day >= %(since)s AND day <= %(until)s
       AND booked_on >= %(booked_since)s AND booked_on <= %(booked_until)s
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
    booked_since: date = date.min,
    booked_until: date = date.max,
    since: date = date.min,
    until: date = date.max,
) -> Sums:
    """The sums of the entries up to `last` that were booked from `booked_since` to `booked_until`, and have value dates
    from `since` to `until`. All days are included, those of booking in UTC. `movements` must be folded up to `last`.
    """
    if last.day is None or last.day < booked_since:
        return NOTHING
    reader = _Reader(connection, account, since, until)
    if booked_until < last.day:
        return reader.of_days(booked_since, booked_until)
    day_before = last.day - timedelta(days=1)  # no account is booked on in the year 1
    if booked_since == date.min:
        whole, upto = reader.whole()
        complete = folded(connection, "entries") >= upto  # asked before the newest entry is read
        newest, first = booked(connection, account, [(upto, LATEST), (last.position, midnight(last.day))])
        if complete and newest.number - last.number < last.number - first.number:
            return whole - reader.of_entries(last, newest)
    else:
        [first] = booked(connection, account, [(last.position, midnight(last.day))])
    return reader.of_days(booked_since, day_before) + reader.of_entries(first, last)


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

    def of_days(self, booked_since: date, booked_until: date) -> Sums:
        """What was booked on these days. They must be over for `movements`, so that nothing is added to them."""
        return Sums(*map(int, self._row(OF_DAYS, booked_since=booked_since, booked_until=booked_until)))

    def of_entries(self, after: Booked, upto: Booked) -> Sums:
        """The entries after one and up to another."""
        if after.number == upto.number:
            return NOTHING
        return Sums(*map(int, self._row(OF_ENTRIES, low=after.number, high=upto.number)))

    def _row(self, statement: str, **more: object) -> Sequence[Any]:
        parameters = {"account": self.account, "since": self.since, "until": self.until, **more}
        row: Sequence[Any] | None = self.connection.execute(statement.encode(), parameters).fetchone()
        assert row is not None, "an aggregate has a row"
        return row
