"""How transactions become rows of `movements`: summed per account and day here, added to the rows in one statement.

What is booked on another day than its value date is also summed per account and pair of days. So what was booked before
any day, with any value dates, is a sum of rows. An account whose value dates are the days of booking has none of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any

from psycopg import Connection

from domain.accounts.posting import TransactionPosted
from eventstore.postgres.arrays import BinaryArray, int8_array, text_array
from projections.accounts.movements.tables import OTHER_DAYS, TABLE, VIEW
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent

_ACCOUNT = itemgetter(0)


@dataclass(slots=True)
class Sums:
    """The sums of one account on one day."""

    currency: str
    debits: int = 0  # minor units
    credits: int = 0
    entries: int = 0
    position: int = 0  # position of the last transaction


@dataclass(slots=True)
class OtherSums:
    """The sums of one account, value date and other day of booking."""

    first: int  # position of the first transaction
    debits: int = 0  # minor units
    credits: int = 0
    entries: int = 0
    last: int = 0  # position of the last transaction


Movements = dict[date, dict[str, Sums]]
"""Sums by day and account."""
OtherDays = dict[tuple[str, str, str], OtherSums]
"""Sums by account, value date and day of booking, where the days differ. Days are texts."""
Parameters = tuple[BinaryArray, ...]

# One writer at a time holds the checkpoint, so no other row can appear: MERGE is safe, and a tenth cheaper than
# INSERT … ON CONFLICT. An account has one currency. With another one MERGE finds no row, and the insert conflicts.
_ADD = """
MERGE INTO movements m
USING (SELECT unnest(%s::text[]) AS account, unnest(%s::text[])::date AS day, unnest(%s::text[]) AS currency,
              unnest(%s::text[]) AS debits, unnest(%s::text[]) AS credits, unnest(%s::bigint[]) AS entries,
              unnest(%s::bigint[]) AS position) AS s
   ON m.account = s.account AND m.day = s.day AND m.currency = s.currency
 WHEN MATCHED THEN UPDATE
  SET debits = m.debits + s.debits::numeric, credits = m.credits + s.credits::numeric, entries = m.entries + s.entries,
      last_position = s.position
 WHEN NOT MATCHED THEN INSERT (account, day, currency, debits, credits, entries, last_position)
      VALUES (s.account, s.day, s.currency, s.debits::numeric, s.credits::numeric, s.entries, s.position)
"""

_ADD_OTHER_DAYS = """
MERGE INTO movements_booked_on_other_days m
USING (SELECT unnest(%s::text[]) AS account, unnest(%s::text[])::date AS day, unnest(%s::text[])::date AS booked_on,
              unnest(%s::text[]) AS debits, unnest(%s::text[]) AS credits, unnest(%s::bigint[]) AS entries,
              unnest(%s::bigint[]) AS first, unnest(%s::bigint[]) AS last) AS s
   ON m.account = s.account AND m.day = s.day AND m.booked_on = s.booked_on
 WHEN MATCHED THEN UPDATE
  SET debits = m.debits + s.debits::numeric, credits = m.credits + s.credits::numeric, entries = m.entries + s.entries,
      last_position = s.last
 WHEN NOT MATCHED THEN INSERT (account, day, booked_on, debits, credits, entries, first_position, last_position)
      VALUES (s.account, s.day, s.booked_on, s.debits::numeric, s.credits::numeric, s.entries, s.first, s.last)
"""
_DAY = 10
"""Characters of a day at the beginning of a time as PostgreSQL writes it: 2024-01-02."""


def fold(events: Iterable[RecordedEvent]) -> tuple[Movements, OtherDays]:
    """The sums of these transactions. Raises `FoldError` for an account that has entries in two currencies."""
    days: dict[date, tuple[str, dict[str, Sums]]] = {}  # each day as a text, and its sums
    other_days: OtherDays = {}
    for position, at, event in events:
        found = days.get(event.value_date)
        if found is None:
            days[event.value_date] = found = event.value_date.isoformat(), {}
        value_date, of_day = found
        if not at.startswith(value_date):
            _add_other_day(other_days, position, at[:_DAY], value_date, event)
        for entry in event.entries:
            sums = of_day.get(entry.account)
            if sums is None:
                of_day[entry.account] = sums = Sums(entry.currency)
            elif sums.currency != entry.currency:
                raise FoldError(f"{entry.account} has entries in {sums.currency} and in {entry.currency}")
            if entry.side == "credit":
                sums.credits += entry.amount
            else:
                sums.debits += entry.amount
            sums.entries += 1
            sums.position = position
    return {day: of_day for day, (_, of_day) in days.items()}, other_days


def _add_other_day(
    other_days: OtherDays, position: int, booked_on: str, value_date: str, event: TransactionPosted
) -> None:
    """Add the entries of a transaction that was booked on another day."""
    for entry in event.entries:
        key = entry.account, value_date, booked_on
        sums = other_days.get(key)
        if sums is None:
            other_days[key] = sums = OtherSums(position)
        if entry.side == "credit":
            sums.credits += entry.amount
        else:
            sums.debits += entry.amount
        sums.entries += 1
        sums.last = position


def lay_out(movements: Movements, other_days: OtherDays) -> tuple[Parameters, Parameters | None]:
    """The sums as parameters of the two statements, sorted like the indexes; None without other days."""
    rows: list[tuple[str, str, str, str, str, int, int]] = []
    for day, of_day in movements.items():
        written = str(day)
        rows += [
            (account, written, sums.currency, str(sums.debits), str(sums.credits), sums.entries, sums.position)
            for account, sums in of_day.items()
        ]
    rows.sort(key=_ACCOUNT)
    account, days, currency, debits, credits, entries, position = zip(*rows, strict=True)
    added = (
        text_array(account),
        text_array(days),
        text_array(currency),
        text_array(debits),
        text_array(credits),
        int8_array(entries),
        int8_array(position),
    )
    return added, _lay_out_other_days(other_days) if other_days else None


def _lay_out_other_days(other_days: OtherDays) -> Parameters:
    keys = sorted(other_days)
    account, days, booked_on = zip(*keys, strict=True)
    sums = [other_days[key] for key in keys]
    return (
        text_array(account),
        text_array(days),
        text_array(booked_on),
        text_array([str(one.debits) for one in sums]),
        text_array([str(one.credits) for one in sums]),
        int8_array([one.entries for one in sums]),
        int8_array([one.first for one in sums]),
        int8_array([one.last for one in sums]),
    )


def write(connection: Connection[Any], added: tuple[Parameters, Parameters | None], cache: FoldCache) -> None:
    """Add the sums."""
    movements, other_days = added
    connection.execute(_ADD, movements)
    if other_days is not None:
        connection.execute(_ADD_OTHER_DAYS, other_days)


MOVEMENTS = Projection(
    name="movements",
    area="accounts",
    events=(TransactionPosted,),
    read_tables=(TABLE, OTHER_DAYS),
    reports=(VIEW,),
    fold=lambda events: lay_out(*fold(events)),
    write=write,
    version=2,
)
