"""Debits and credits of an account between two positions of the log and two value dates.

`movements` has the sums of each value date, with the positions of the first and the last transaction that has an entry
of it. A value date whose entries all lie between the two positions is taken from there, and one without such an entry
is left out. Only the rest, such as a day on which something is booked at this moment, is read entry by entry: either
the entries between the positions are added, or the others of that day are taken off, whichever are fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg import Connection

from projections.accounts.statements.booked import booked_by


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


NOTHING = Sums(0, 0, 0)

WHOLE_DAYS = """
SELECT coalesce(sum(debits) FILTER (WHERE whole), 0), coalesce(sum(credits) FILTER (WHERE whole), 0),
       coalesce(sum(entries) FILTER (WHERE whole), 0),
       array_agg(ARRAY[day - DATE '0001-01-01', first_position, last_position, entries] ORDER BY day)
         FILTER (WHERE NOT whole),
       array_agg(ARRAY[debits, credits] ORDER BY day) FILTER (WHERE NOT whole)
  FROM (
    SELECT day, debits, credits, entries, first_position, last_position,
           first_position > %(after)s AND last_position <= %(upto)s AS whole
      FROM read.movements
     WHERE account = %(account)s AND day >= %(since)s AND day <= %(until)s
       AND first_position <= %(upto)s AND last_position > %(after)s
  ) AS touched
"""
IN_RANGES = """
SELECT coalesce(sum(e.amount * d.sign) FILTER (WHERE e.side = 'debit'), 0),
       coalesce(sum(e.amount * d.sign) FILTER (WHERE e.side = 'credit'), 0), coalesce(sum(d.sign), 0)
  FROM unnest(%(lows)s::bigint[], %(highs)s::bigint[]) AS r(low, high)
 CROSS JOIN LATERAL (
    SELECT number, value_date, side, amount FROM read.entries
     WHERE account = %(account)s AND number > r.low AND number <= r.high
  ) e
  JOIN unnest(%(days)s::date[], %(day_lows)s::bigint[], %(day_highs)s::bigint[], %(signs)s::integer[])
    AS d(day, low, high, sign) ON e.value_date = d.day AND e.number > d.low AND e.number <= d.high
"""

Range = tuple[int, int]
"""Entries with numbers above the first and up to the second."""


@dataclass(frozen=True, slots=True)
class _Day:
    """A value date with entries both between the positions and outside."""

    day: date
    first: int  # positions
    last: int
    sums: Sums


def sums(
    connection: Connection[Any],
    account: str,
    *,
    after: int = 0,
    upto: int,
    since: date = date.min,
    until: date = date.max,
    entries_until: int,
) -> Sums:
    """The sums of the entries after the position `after` and up to `upto`, with value dates from `since` to `until`.

    Both tables have to be folded up to `upto`, and `entries` up to `entries_until`.
    """
    parameters = {"account": account, "after": after, "upto": upto, "since": since, "until": until}
    row = connection.execute(WHOLE_DAYS.encode(), parameters).fetchone()
    assert row is not None, "an aggregate has a row"
    debits, credits, entries, days, amounts = row
    whole = Sums(int(debits), int(credits), int(entries))
    mixed = [
        _Day(date.fromordinal(day + 1), first, last, Sums(int(sums[0]), int(sums[1]), count))
        for (day, first, last, count), sums in zip(days or (), amounts or (), strict=True)
    ]
    return whole + _of_mixed(connection, account, mixed, after, upto, entries_until) if mixed else whole


def _of_mixed(
    connection: Connection[Any], account: str, days: Sequence[_Day], after: int, upto: int, entries_until: int
) -> Sums:
    """The sums of the entries of these days between the positions."""
    edges = sorted({after, upto, *(day.first - 1 for day in days), *(day.last for day in days)})
    found = booked_by(connection, account, edges)
    number = {edge: booked.number for edge, booked in zip(edges, found, strict=True)}
    total, parts = NOTHING, list[tuple[date, Range, int]]()
    for day in days:
        first, last = day.first - 1, day.last
        inside = number[max(after, first)], number[min(upto, last)]
        outside = [(number[first], number[max(after, first)]), (number[min(upto, last)], number[last])]
        if last <= entries_until and sum(map(_size, outside)) < _size(inside):
            total += day.sums
            parts += [(day.day, part, -1) for part in outside if _size(part)]
        else:
            parts.append((day.day, inside, 1))
    ranges = _merged([part for _, part, _ in parts])
    parameters = {
        "account": account,
        "lows": [low for low, _ in ranges],
        "highs": [high for _, high in ranges],
        "days": [day for day, _, _ in parts],
        "day_lows": [low for _, (low, _), _ in parts],
        "day_highs": [high for _, (_, high), _ in parts],
        "signs": [sign for _, _, sign in parts],
    }
    row = connection.execute(IN_RANGES.encode(), parameters).fetchone()
    assert row is not None, "an aggregate has a row"
    return total + Sums(*map(int, row))


def _size(part: Range) -> int:
    return part[1] - part[0]


def _merged(ranges: Sequence[Range]) -> list[Range]:
    """The same entries in ranges that do not overlap, so that none is read twice."""
    merged = list[Range]()
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return merged
