"""Our balances against the bank's, per account and day. Nothing is adjusted to make them fit.

Ours: the sum of the account's shares in the log up to the end of the day, by value date. The bank's: the balance it
printed on the day's last transaction. Within a day the file is not in the bank's order, so the last one is found by
chaining: each row says what the balance was before it (balance less amount), and the last is the one whose balance
is before no other row of that day. Where that leaves none or several, it is the one closest to the bank's balance of
the day before plus the day's amounts.

The bank rounded its amounts for publication, to 0.10, but not its balances. So each day's movement can differ by 0.10,
and such differences add up from day to day: a balance is *off by the rounding* as long as each day's step of its
difference was within 0.10, and *off otherwise* from the first day on whose step was not. On an account's first day in
the files we may be off by the rounding of every day of ours before it: those are of files imported earlier.

What we have after the last day of an account in the files, or of an account that they have no row of, is held against
nothing: it is *left over*.
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
"""What a day's movement may differ by, in haléře."""
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
"""Of each stream the days with entries, in their order, and what they come to."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A day on which we and the bank do not agree."""

    account: int
    day: date
    ours: str
    bank: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """What we have of an account after the last day on which the bank printed its balance."""

    account: int
    after: date | None  # None where the bank printed none
    days: int  # with entries
    amount: str  # that they come to


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Every account-day on which the bank printed a balance."""

    account_days: int
    exact: int  # our balance is the bank's
    rounding: int  # off by the published rounding, or by several days' of it
    otherwise: int
    movements_exact: int  # the day's own movement is the bank's
    largest_difference: str  # of a balance, whatever explains it
    accounts_off: tuple[int, ...]  # that are off otherwise on some day
    below_zero: int  # account-days on which our balance is below zero: accepted as history
    accounts_below_zero: tuple[int, ...]
    differences: tuple[Difference, ...]  # the first of those off otherwise
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
    """Hold our movements against the bank's balances: (account, day, balance), in order of days.

    `accounts` are the bank's; movements on other streams, such as the ledger's own accounts, are not looked at.
    """
    coming = {account: deque(movements.get(account_id(log, account), ())) for account in accounts}
    days = exact = rounding = movements_exact = below = largest = 0
    balances: dict[int, int] = defaultdict(int)
    before: dict[int, int] = defaultdict(int)  # each account's difference the day before
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
    """What moved up to the end of that day, taken from what was still to come."""
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
    """The balance after the last of an account's rows of one day, whatever their order in the file."""
    if len(rows) == 1:
        return rows[0].balance
    last = [
        row
        for row in rows
        if not any(abs(o.balance - o.signed - row.balance) <= CHAIN_TOLERANCE for o in rows if o is not row)
    ]
    closing = opening + sum(row.signed for row in rows)
    return min(last or rows, key=lambda row: abs(row.balance - closing)).balance


def _our_days(connection: Connection[Any], log: int) -> Movements:
    days: dict[str, list[tuple[date, int]]] = defaultdict(list)
    for stream, day, total in connection.execute(_OURS, (log, CURRENCY)):
        days[stream].append((day, total))
    return days


def _all(folder: Path) -> Iterator[SourceTransaction]:
    for file in transaction_files(folder):
        yield from read_transactions(file)
