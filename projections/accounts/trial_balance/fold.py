"""How transactions become the trial balance: summed per account and currency, then per type of account."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection

from domain.accounts.account.events import AccountOpened
from domain.accounts.posting import TransactionPosted
from eventstore.postgres.arrays import text_array
from projections.accounts.trial_balance.tables import ACCOUNTS, TABLE, VIEW
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.rows import copy_rows, copy_text
from projections.engine.writing import copy_target

_TARGET = copy_target(ACCOUNTS)

_TYPES = "SELECT account, type FROM trial_balance_accounts WHERE account = ANY (%s)"

_ADD = """
INSERT INTO trial_balance AS t (currency, type, debits, credits, last_position)
SELECT currency, type, debits::numeric, credits::numeric, position::bigint
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
       AS s(currency, type, debits, credits, position)
ON CONFLICT (currency, type) DO UPDATE
   SET debits = t.debits + excluded.debits, credits = t.credits + excluded.credits,
       last_position = excluded.last_position
"""


@dataclass(slots=True)
class Sums:
    """The sums of some events."""

    types: dict[str, str] = field(default_factory=dict)  # types of new accounts, by account
    added: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """By currency and account: debits and credits in minor units, and the position of the last transaction."""


def fold(events: Iterable[RecordedEvent]) -> Sums:
    """The accounts that are new, and the sums of the transactions."""
    sums = Sums()
    added = sums.added
    for position, _, event in events:
        if type(event) is AccountOpened:
            sums.types[event.originator_id] = event.type
            continue
        for entry in event.entries:
            of_currency = added.get(entry.currency)
            if of_currency is None:
                added[entry.currency] = of_currency = {}
            of_account = of_currency.get(entry.account)
            if of_account is None:
                of_currency[entry.account] = of_account = [0, 0, 0]
            of_account[entry.side == "credit"] += entry.amount
            of_account[2] = position
    return sums


def write(connection: Connection[Any], sums: Sums, cache: FoldCache) -> None:
    """Add the sums. Caches account → type. Raises `FoldError` for entries of an account that was never opened."""
    cache.bound()
    lines = [f"{copy_text(account)}\t{copy_text(type)}" for account, type in sums.types.items()]
    copy_rows(connection, _TARGET, lines)
    cache.update(sums.types)
    columns: list[tuple[str, ...]] = []
    for currency, by_account in sums.added.items():
        by_type: dict[str, list[int]] = {}
        for type, added in zip(_types(connection, by_account, cache), by_account.values(), strict=True):
            total = by_type.get(type)
            if total is None:
                by_type[type] = list(added)
            else:
                total[0] += added[0]
                total[1] += added[1]
                total[2] = max(total[2], added[2])
        columns += [(currency, type, *map(str, total)) for type, total in by_type.items()]
    if columns:
        connection.execute(_ADD, tuple(text_array(column) for column in zip(*columns, strict=True)))


def _types(connection: Connection[Any], accounts: Collection[str], cache: FoldCache) -> list[str]:
    """The types of the accounts, which are cached. Raises `FoldError`."""
    types: list[Any] = list(map(cache.get, accounts))
    if None not in types:
        return types
    unknown = [account for account in accounts if account not in cache]
    cache.update(connection.execute(_TYPES, (text_array(unknown),)).fetchall())
    for account in unknown:
        if account not in cache:
            raise FoldError(f"an entry is to {account}, which was never opened")
    return [cache[account] for account in accounts]


TRIAL_BALANCE = Projection(
    name="trial_balance",
    area="accounts",
    events=(AccountOpened, TransactionPosted),
    read_tables=(TABLE, ACCOUNTS),
    reports=(VIEW,),
    fold=fold,
    write=write,
    version=2,
)
