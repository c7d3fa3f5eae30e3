"""How transactions become rows of `movements`: summed per account and day here, added to the rows in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from operator import itemgetter
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.accounts.events import TransactionPosted
from eventstore.arrays import int8_array, text_array
from projections.projection import Fact, Memory, Projection

_ACCOUNT = itemgetter(0)

Movements = dict[tuple[str, date, str], list[int]]
"""(account, day, currency) → debits, credits (minor units) and number of entries."""

# One writer at a time holds the checkpoint, so no row can come in between: MERGE is right, and a tenth cheaper than
# INSERT … ON CONFLICT.
_ADD = """
MERGE INTO movements m
USING unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
      AS s(account, day, currency, debits, credits, entries)
   ON m.account = s.account AND m.day = s.day::date
 WHEN MATCHED THEN UPDATE
  SET debits = m.debits + s.debits::numeric, credits = m.credits + s.credits::numeric, entries = m.entries + s.entries
 WHEN NOT MATCHED THEN INSERT (account, day, currency, debits, credits, entries)
      VALUES (s.account, s.day::date, s.currency, s.debits::numeric, s.credits::numeric, s.entries)
"""


def fold(facts: Iterable[Fact]) -> Movements:
    """The sums of these transactions, by account, as the index has them."""
    movements: Movements = {}
    for _, _, event in facts:
        day = event.value_date
        for entry in event.entries:
            key = (entry.account, day, entry.currency)
            sums = movements.get(key)
            if sums is None:
                movements[key] = sums = [0, 0, 0]
            sums[entry.side == "credit"] += entry.amount
            sums[2] += 1
    return {key: movements[key] for key in sorted(movements, key=_ACCOUNT)}


def write(connection: Connection[Any], movements: Movements, memory: Memory) -> None:
    """Add the sums."""
    connection.execute(
        _ADD,
        (
            text_array([account for account, _, _ in movements]),
            text_array([str(day) for _, day, _ in movements]),
            text_array([currency for _, _, currency in movements]),
            text_array([str(debits) for debits, _, _ in movements.values()]),
            text_array([str(credits) for _, credits, _ in movements.values()]),
            int8_array([entries for _, _, entries in movements.values()]),
        ),
    )


MOVEMENTS = Projection(
    name="movements",
    events=(TransactionPosted,),
    tables=("movements",),
    fold=fold,
    write=write,
    folder=Path(__file__).parent,
)
