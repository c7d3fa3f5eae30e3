"""How transactions become rows of `movements`: summed per account and day here, added to the rows in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any

from psycopg import Connection

from domain.accounts.posting import TransactionPosted
from eventstore.postgres.arrays import BinaryArray, int8_array, text_array
from projections.accounts.movements.tables import TABLE, VIEW
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent

_ACCOUNT = itemgetter(0)


@dataclass(slots=True)
class Sums:
    """The sums of one account on one day."""

    currency: str
    first: int  # position of the first transaction
    debits: int = 0  # minor units
    credits: int = 0
    entries: int = 0
    last: int = 0  # position of the last transaction


Movements = dict[date, dict[str, Sums]]
"""Sums by day and account."""

# One writer at a time holds the checkpoint, so no other row can appear: MERGE is safe, and a tenth cheaper than
# INSERT … ON CONFLICT. An account has one currency. With another one MERGE finds no row, and the insert conflicts.
_ADD = """
MERGE INTO movements m
USING (SELECT unnest(%s::text[]) AS account, unnest(%s::text[])::date AS day, unnest(%s::text[]) AS currency,
              unnest(%s::text[]) AS debits, unnest(%s::text[]) AS credits, unnest(%s::bigint[]) AS entries,
              unnest(%s::bigint[]) AS first, unnest(%s::bigint[]) AS last) AS s
   ON m.account = s.account AND m.day = s.day AND m.currency = s.currency
 WHEN MATCHED THEN UPDATE
  SET debits = m.debits + s.debits::numeric, credits = m.credits + s.credits::numeric, entries = m.entries + s.entries,
      last_position = s.last
 WHEN NOT MATCHED THEN INSERT (account, day, currency, debits, credits, entries, first_position, last_position)
      VALUES (s.account, s.day, s.currency, s.debits::numeric, s.credits::numeric, s.entries, s.first, s.last)
"""


def fold(events: Iterable[RecordedEvent]) -> Movements:
    """The sums of these transactions. Raises `FoldError` for an account that has entries in two currencies."""
    movements: Movements = {}
    for position, _, event in events:
        of_day = movements.get(event.value_date)
        if of_day is None:
            movements[event.value_date] = of_day = {}
        for entry in event.entries:
            sums = of_day.get(entry.account)
            if sums is None:
                of_day[entry.account] = sums = Sums(entry.currency, position)
            elif sums.currency != entry.currency:
                raise FoldError(f"{entry.account} has entries in {sums.currency} and in {entry.currency}")
            if entry.side == "credit":
                sums.credits += entry.amount
            else:
                sums.debits += entry.amount
            sums.entries += 1
            sums.last = position
    return movements


def lay_out(movements: Movements) -> tuple[BinaryArray, ...]:
    """The sums as parameters, sorted by account, like the index."""
    rows: list[tuple[str, str, str, str, str, int, int, int]] = []
    for day, of_day in movements.items():
        written = str(day)
        rows += [
            (account, written, sums.currency, str(sums.debits), str(sums.credits), sums.entries, sums.first, sums.last)
            for account, sums in of_day.items()
        ]
    rows.sort(key=_ACCOUNT)
    account, days, currency, debits, credits, entries, first, last = zip(*rows, strict=True)
    return (
        text_array(account),
        text_array(days),
        text_array(currency),
        text_array(debits),
        text_array(credits),
        int8_array(entries),
        int8_array(first),
        int8_array(last),
    )


def write(connection: Connection[Any], movements: tuple[BinaryArray, ...], cache: FoldCache) -> None:
    """Add the sums."""
    connection.execute(_ADD, movements)


MOVEMENTS = Projection(
    name="movements",
    area="accounts",
    events=(TransactionPosted,),
    read_tables=(TABLE,),
    reports=(VIEW,),
    fold=lambda events: lay_out(fold(events)),
    write=write,
    version=2,
)
