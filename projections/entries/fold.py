"""How transactions become rows of `entries`.

An account's last entry has its number and balance, so the table itself is all the state there is: it is looked up
once a page for each account in it, by primary key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.accounts.events import TransactionPosted
from eventstore.arrays import text_array
from projections.projection import Fact, Projection
from projections.rows import copy_rows

Last = dict[str, tuple[int, int]]
"""Account → number of its last entry and the balance after it; (0, 0) without any."""

_COLUMNS = (
    "entries (account, number, balance_after, side, amount, currency, entry,"
    " transaction, value_date, position, recorded_at)"
)

_LAST = """
SELECT a.account, coalesce(e.number, 0), coalesce(e.balance_after, 0)::text
  FROM unnest(%s::text[]) AS a(account)
  LEFT JOIN LATERAL (
    SELECT number, balance_after FROM entries WHERE account = a.account ORDER BY number DESC LIMIT 1
  ) e ON true
"""


def fold(facts: Iterable[Fact], last: Last) -> list[str]:
    """The rows of these transactions, as COPY reads them; `last` is where each account stands, and is moved on."""
    lines: list[str] = []
    append = lines.append
    for position, at, event in facts:
        common = f"{event.originator_id}\t{event.value_date}\t{position}\t{at}"
        for number, entry in enumerate(event.entries, 1):
            account = entry.account
            before, balance = last[account]
            balance += entry.amount if entry.side == "credit" else -entry.amount
            last[account] = (before + 1, balance)
            # Only free text needs `copy_text`; ids, sides and currencies are the domain's own.
            money = f"{balance}\t{entry.side}\t{entry.amount}\t{entry.currency}"
            append(f"{account}\t{before + 1}\t{money}\t{number}\t{common}")
    return lines


def apply(connection: Connection[Any], facts: Sequence[Fact]) -> None:
    """Fold and write."""
    accounts = list({entry.account for fact in facts for entry in fact.event.entries})
    rows = connection.execute(_LAST, (text_array(accounts),), binary=True)
    copy_rows(connection, _COLUMNS, fold(facts, {account: (number, int(balance)) for account, number, balance in rows}))


ENTRIES = Projection(
    name="entries", events=(TransactionPosted,), tables=("entries",), apply=apply, folder=Path(__file__).parent
)
