"""Compares the ledger's balances with the bank's, per account and day. Nothing is adjusted to make them fit.

The ledger's balance is the sum of the account's entries up to the end of the day, by value date. The bank's balance is
the one of the day's last transaction. Within a day the file is not in the bank's order, so the last transaction is
found by chaining. Each row has a balance before it (balance less amount). The last row is the one whose balance is
before no other row of that day. If there is none or several, it is the one closest to the bank's balance of the day
before plus the day's amounts.

The bank rounded its amounts for publication to 0.10, but not its balances. So each day's movement can differ by 0.10,
and such differences add up from day to day. A balance is *off by the rounding* as long as its difference changed by at
most 0.10 each day. It is *off otherwise* from the first day with a larger change. On an account's first day in the
files, the difference may have the rounding of every earlier day in the ledger: these came from files imported before.

Days of the ledger after the account's last day in the files, and days of accounts without a row in the files, are not
compared with anything. They are *left over*.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.money import show
from workers.importers.czech_bank.importing import account_id
from workers.importers.czech_bank.source import (
    CURRENCY,
    SourceTransaction,
    read_accounts,
    read_transactions,
    transaction_files,
)

ROUNDING = 10
"""The most that a day's movement may differ, in haléře."""
CHAIN_TOLERANCE = 2 * ROUNDING
SAMPLE = 20

_OURS = """
SELECT stream, (p.payload->>'value_date')::date,
       sum((p.payload->>'amount')::numeric * CASE type WHEN 'account.credited.v1' THEN 1 ELSE -1 END)::bigint
  FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p
 WHERE e.log = %s AND e.encoding = 0 AND e.type IN ('account.credited.v1', 'account.debited.v1')
   AND p.payload->>'currency' = %s
 GROUP BY 1, 2 ORDER BY 2
"""

Movements = Mapping[str, Iterable[tuple[date, int]]]
"""For each stream the days with entries, in order, and the sum of each day."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A day on which the ledger and the bank do not agree."""

    account: int
    day: date
    ours: str
    bank: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """The ledger's days of an account after the last day with a balance of the bank."""

    account: int
    after: date | None  # None if the bank has no balance of the account
    days: int  # with entries
    amount: str  # the sum of them


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The comparison of every account-day with a balance of the bank."""

    account_days: int
    exact: int  # the balances are equal
    rounding: int  # off by the rounding, of one day or of several
    otherwise: int
    movements_exact: int  # the day's movements are equal
    largest_difference: str  # of a balance, for any reason
    accounts_off: tuple[int, ...]  # accounts that are off otherwise on some day
    below_zero: int  # account-days with a balance below zero in the ledger: accepted as history
    accounts_below_zero: tuple[int, ...]
    differences: tuple[Difference, ...]  # the first ones off otherwise
    leftovers: tuple[Leftover, ...]  # by account

    @property
    def ok(self) -> bool:
        """Whether the published rounding explains every difference, and nothing is left over."""
        return self.otherwise == 0 and not self.leftovers

    def as_json(self) -> dict[str, Any]:
        """The documented `--json` form."""
        return {"ok": self.ok, **asdict(self)}


def reconcile(connection: Connection[Any], log: str, log_number: int, folder: Path) -> Reconciliation:
    """Compare all days in the folder's files with what is in the log. Raises `SourceError`."""
    accounts = [account.id for account in read_accounts(folder)]
    return compare(log, accounts, bank_days(_all(folder)), _our_days(connection, log_number))


def compare(
    log: str, accounts: Iterable[int], bank: Iterable[tuple[int, date, int]], movements: Movements
) -> Reconciliation:
    """Compare movements with the bank's balances, given as (account, day, balance) in order of days.

    `accounts` are those of the bank. Movements on other streams, such as internal accounts, are not compared.
    """
    coming = {account: deque(movements.get(account_id(log, account), ())) for account in accounts}
    days = exact = rounding = movements_exact = below = largest = 0
    balances: dict[int, int] = defaultdict(int)
    before: dict[int, int] = defaultdict(int)  # the difference of each account on the day before
    last: dict[int, date] = {}
    off: set[int] = set()
    negative: set[int] = set()
    differences: list[Difference] = []
    for account, day, balance in bank:
        if account not in coming:
            coming[account] = deque(movements.get(account_id(log, account), ()))
        moved = _taken(coming[account], day)
        balances[account] += sum(moved)
        mine = balances[account]
        difference, step = mine - balance, mine - balance - before[account]
        explained = ROUNDING if account in last else ROUNDING * max(1, len(moved))
        before[account], last[account] = difference, day
        days += 1
        movements_exact += step == 0
        largest = max(largest, abs(difference))
        if mine < 0:
            below += 1
            negative.add(account)
        if abs(step) > explained:
            off.add(account)
        if difference == 0:
            exact += 1
        elif account not in off:
            rounding += 1
        else:
            differences.append(
                Difference(account=account, day=day, ours=show(mine, CURRENCY), bank=show(balance, CURRENCY))
            )
    leftovers = tuple(
        Leftover(
            account=account,
            after=last.get(account),
            days=len(rest),
            amount=show(sum(amount for _, amount in rest), CURRENCY),
        )
        for account, rest in sorted(coming.items())
        if rest
    )
    return Reconciliation(
        account_days=days,
        exact=exact,
        rounding=rounding,
        otherwise=len(differences),
        movements_exact=movements_exact,
        largest_difference=show(largest, CURRENCY),
        accounts_off=tuple(sorted(off)),
        below_zero=below,
        accounts_below_zero=tuple(sorted(negative)),
        differences=tuple(differences[:SAMPLE]),
        leftovers=leftovers,
    )


def _taken(coming: deque[tuple[date, int]], upto: date) -> list[int]:
    """Take the movements up to the end of that day from those still to come, and return their sum."""
    moved = []
    while coming and coming[0][0] <= upto:
        moved.append(coming.popleft()[1])
    return moved


def bank_days(rows: Iterable[SourceTransaction]) -> Iterator[tuple[int, date, int]]:
    """(account, day, the bank's balance at the end of it), in order of days. The rows are in date order."""
    before: dict[int, int] = {}
    for day, of_day in groupby(rows, key=lambda row: row.day):
        by_account: dict[int, list[SourceTransaction]] = defaultdict(list)
        for row in of_day:
            by_account[row.account].append(row)
        for account, mine in by_account.items():
            before[account] = _last_balance(mine, before.get(account, 0))
            yield account, day, before[account]


def _last_balance(rows: list[SourceTransaction], opening: int) -> int:
    """The balance after the last of an account's rows of one day. Their order in the file does not matter."""
    if len(rows) == 1:
        return rows[0].balance
    last = [
        row
        for row in rows
        if not any(abs(o.balance - o.signed - row.balance) <= CHAIN_TOLERANCE for o in rows if o is not row)
    ]
    closing = opening + sum(row.signed for row in rows)
    return min(last or rows, key=lambda row: abs(row.balance - closing)).balance


def _our_days(connection: Connection[Any], log_number: int) -> Movements:
    days: dict[str, list[tuple[date, int]]] = defaultdict(list)
    for stream, day, total in connection.execute(_OURS, (log_number, CURRENCY)):
        days[stream].append((day, total))
    return days


def _all(folder: Path) -> Iterator[SourceTransaction]:
    for file in transaction_files(folder):
        yield from read_transactions(file)
