"""How transactions become the trial balance: summed per account and currency here, per type of account in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.accounts.events import AccountOpened, TransactionPosted
from eventstore.arrays import text_array
from projections.projection import Fact, FoldError, Projection
from projections.rows import copy_rows, copy_text

Sums = dict[tuple[str, str], list[int]]
"""(account, currency) → debits and credits, minor units."""

_ADD = """
WITH s AS (
    SELECT s.currency, a.type, sum(s.debits::numeric) AS debits, sum(s.credits::numeric) AS credits, count(*) AS pairs
      FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS s(account, currency, debits, credits)
      JOIN trial_balance_accounts a ON a.account = s.account
     GROUP BY s.currency, a.type
), added AS (
    INSERT INTO trial_balance AS t (currency, type, debits, credits)
    SELECT currency, type, debits, credits FROM s
    ON CONFLICT (currency, type) DO UPDATE
       SET debits = t.debits + excluded.debits, credits = t.credits + excluded.credits
)
SELECT coalesce(sum(pairs), 0)::bigint FROM s
"""


def fold(facts: Iterable[Fact]) -> tuple[list[AccountOpened], Sums]:
    """The accounts that are new, and the sums of the transactions."""
    opened: list[AccountOpened] = []
    sums: Sums = {}
    for _, _, event in facts:
        if type(event) is AccountOpened:
            opened.append(event)
            continue
        for entry in event.entries:
            key = (entry.account, entry.currency)
            pair = sums.get(key)
            if pair is None:
                sums[key] = pair = [0, 0]
            pair[entry.side == "credit"] += entry.amount
    return opened, sums


def apply(connection: Connection[Any], facts: Sequence[Fact]) -> None:
    """Fold and write. Raises `FoldError` for entries of an account that was never opened."""
    opened, sums = fold(facts)
    copy_rows(
        connection,
        "trial_balance_accounts (account, type)",
        [f"{copy_text(event.originator_id)}\t{copy_text(event.type)}" for event in opened],
    )
    if not sums:
        return
    row = connection.execute(
        _ADD,
        (
            text_array([account for account, _ in sums]),
            text_array([currency for _, currency in sums]),
            text_array([str(debits) for debits, _ in sums.values()]),
            text_array([str(credits) for _, credits in sums.values()]),
        ),
    ).fetchone()
    if row is None or row[0] != len(sums):
        raise FoldError(f"of {len(sums)} accounts with entries only {row and row[0]} were ever opened")


TRIAL_BALANCE = Projection(
    name="trial_balance",
    events=(AccountOpened, TransactionPosted),
    tables=("trial_balance", "trial_balance_accounts"),
    apply=apply,
    folder=Path(__file__).parent,
)
