"""The balance of an account as of a position and by value date, and its balances day by day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from psycopg import Connection

from projections.accounts.statements.booked import booked, booked_by, midnight, midnight_after, position_to_read
from projections.accounts.statements.sums import sums

Every = Literal["day", "week", "month"]
MOST_STEPS = 400
"""Most days, weeks or months of one answer."""


@dataclass(frozen=True, slots=True)
class Balance:
    """A balance in minor units, and the position that it is of."""

    balance: int
    position: int


@dataclass(frozen=True, slots=True)
class Step:
    """A day, week or month of an account: what was booked in it. Amounts in minor units."""

    day: date  # its first
    opening: int
    debits: int
    credits: int
    entries: int
    lowest: int  # the lowest balance at any moment of it, in the order of booking
    highest: int

    @property
    def closing(self) -> int:
        """The balance at the end."""
        return self.opening + self.credits - self.debits


@dataclass(frozen=True, slots=True)
class History:
    """The steps of a period without gaps, oldest first; empty if none of it has come yet."""

    steps: tuple[Step, ...]
    position: int  # that it is of


BALANCE_PROJECTIONS = ("entries", "movements")
STEPS = """
SELECT date_trunc(%(every)s, recorded_at AT TIME ZONE 'UTC')::date AS step,
       coalesce(sum(amount) FILTER (WHERE side = 'debit'), 0), coalesce(sum(amount) FILTER (WHERE side = 'credit'), 0),
       count(*), min(balance_after), max(balance_after)
  FROM read.entries WHERE account = %(account)s AND number > %(low)s AND number <= %(high)s
 GROUP BY step ORDER BY step
"""


def balance(
    connection: Connection[Any], account: str, *, as_of: int | None = None, value_date: date | None = None
) -> Balance:
    """The balance of what was booked up to the position `as_of`, included, with value dates up to `value_date`.

    Without `as_of` it is of the position up to which the tables are folded. Raises `NotFoldedError`.
    """
    position = position_to_read(connection, as_of, *(BALANCE_PROJECTIONS if value_date else ("entries",)))
    last = booked_by(connection, account, position)
    if value_date is None:
        return Balance(last.balance, position)
    return Balance(sums(connection, account, last, until=value_date).net, position)


def history(
    connection: Connection[Any],
    account: str,
    *,
    since: date,
    until: date,
    every: Every = "day",
    as_of: int | None = None,
    now: datetime,
) -> History:
    """The days from `since` to `until`, both included, by the day of booking, UTC; or their weeks or months.

    The first and the last week or month have only what lies in the period. A step without entries has the balance
    before it. There is none after `now`. Raises ValueError for more than `MOST_STEPS` of them, and
    `NotFoldedError`.
    """
    position = position_to_read(connection, as_of, "entries")
    starts = list(step_starts(since, min(until, now.date()), every))
    if not starts:
        return History((), position)
    low, high = booked(connection, account, [(position, midnight(since)), (position, midnight_after(until))])
    parameters = {"every": every, "account": account, "low": low.number, "high": high.number}
    rows = connection.execute(STEPS.encode(), parameters).fetchall()
    return History(tuple(_steps(starts, {max(day, since): more for day, *more in rows}, low.balance)), position)


def step_starts(since: date, until: date, every: Every) -> Iterator[date]:
    """The first days of the days, weeks (from Monday) or months. Raises ValueError for more than `MOST_STEPS`."""
    start, steps = since, 0
    while start <= until:
        steps += 1
        if steps > MOST_STEPS:
            raise ValueError(f"the period has more than {MOST_STEPS} {every}s")
        yield start
        following = _next_start(start, every)
        if following is None:
            return
        start = following


def _next_start(day: date, every: Every) -> date | None:
    """The first day of the next day, week or month; None after the last one that has a date."""
    try:
        match every:
            case "day":
                return day + timedelta(days=1)
            case "week":
                return day + timedelta(days=7 - day.weekday())
            case "month":
                return date(day.year + day.month // 12, day.month % 12 + 1, 1)
    except (OverflowError, ValueError):
        return None


def _steps(starts: Sequence[date], found: dict[date, Sequence[Any]], balance: int) -> Iterator[Step]:
    for start in starts:
        debits, credits, entries, lowest, highest = found.get(start, (0, 0, 0, balance, balance))
        step = Step(
            day=start,
            opening=balance,
            debits=int(debits),
            credits=int(credits),
            entries=entries,
            lowest=min(balance, int(lowest)),
            highest=max(balance, int(highest)),
        )
        yield step
        balance = step.closing
