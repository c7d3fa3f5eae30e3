"""How transactions become the trial balance: summed per account and currency, then per type of account."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.accounts.events import AccountOpened, TransactionPosted
from eventstore.arrays import text_array
from projections.projection import Fact, FoldError, Memory, Projection
from projections.rows import copy_rows, copy_text

_TYPES = "SELECT account, type FROM trial_balance_accounts WHERE account = ANY (%s)"

_ADD = """
INSERT INTO trial_balance AS t (currency, type, debits, credits)
SELECT currency, type, debits::numeric, credits::numeric
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS s(currency, type, debits, credits)
ON CONFLICT (currency, type) DO UPDATE
   SET debits = t.debits + excluded.debits, credits = t.credits + excluded.credits
"""


@dataclass(slots=True)
class Sums:
    """What some facts add."""

    types: dict[str, str] = field(default_factory=dict)  # of the accounts they open
    added: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """(account, currency) → debits and credits, minor units."""


def fold(facts: Iterable[Fact]) -> Sums:
    """The accounts that are new, and the sums of the transactions."""
    sums = Sums()
    added = sums.added
    for _, _, event in facts:
        if type(event) is AccountOpened:
            sums.types[event.originator_id] = event.type
            continue
        for entry in event.entries:
            key = (entry.account, entry.currency)
            pair = added.get(key)
            if pair is None:
                added[key] = pair = [0, 0]
            pair[entry.side == "credit"] += entry.amount
    return sums


def write(connection: Connection[Any], sums: Sums, memory: Memory) -> None:
    """Add the sums. Remembers account → type. Raises `FoldError` for entries of an account that was never opened."""
    memory.bound()
    lines = [f"{copy_text(account)}\t{copy_text(type)}" for account, type in sums.types.items()]
    copy_rows(connection, "trial_balance_accounts (account, type)", lines)
    memory.update(sums.types)
    unknown = [account for account, _ in sums.added if account not in memory]
    if unknown:
        memory.update(connection.execute(_TYPES, (text_array(unknown),)).fetchall())
    by_type: dict[tuple[str, str], list[int]] = {}
    for (account, currency), (debits, credits) in sums.added.items():
        type = memory.get(account)
        if type is None:
            raise FoldError(f"an entry is to {account}, which was never opened")
        pair = by_type.setdefault((currency, type), [0, 0])
        pair[0] += debits
        pair[1] += credits
    if by_type:
        columns = [(*key, str(debits), str(credits)) for key, (debits, credits) in by_type.items()]
        connection.execute(_ADD, tuple(text_array(column) for column in zip(*columns, strict=True)))


TRIAL_BALANCE = Projection(
    name="trial_balance",
    events=(AccountOpened, TransactionPosted),
    tables=("trial_balance", "trial_balance_accounts"),
    fold=fold,
    write=write,
    folder=Path(__file__).parent,
)
