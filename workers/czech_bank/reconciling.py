"""Our balances against the bank's, per account and day. Nothing is adjusted to make them fit.

Ours: the sum of the account's shares in the log up to the end of the day, by value date. The bank's: the balance it
printed on the day's last transaction. Within a day the file is not in the bank's order, so the last one is found by
chaining: each row says what the balance was before it (balance less amount), and the last is the one whose balance
is before no other row of that day. Where that leaves none or several, it is the one closest to the bank's balance of
the day before plus the day's amounts.

The bank rounded its amounts for publication, to 0.10, but not its balances. So each day's movement can differ by 0.10,
and such differences add up from day to day: a balance is *off by the rounding* as long as each day's step of its
difference was within 0.10, and *off otherwise* from the first day on whose step was not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.money import show
from workers.czech_bank.importing import account_id
from workers.czech_bank.source import CURRENCY, SourceTransaction, read_transactions, transaction_files

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
 GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A day on which we and the bank do not agree."""

    account: int
    day: date
    ours: str
    bank: str


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

    @property
    def ok(self) -> bool:
        """Whether every difference is explained by the published rounding."""
        return self.otherwise == 0

    def as_json(self) -> dict[str, Any]:
        """The documented `--json` form."""
        return {"ok": self.ok, **asdict(self)}


def reconcile(connection: Connection[Any], log: str, log_number: int, folder: Path) -> Reconciliation:
    """Compare all days in the folder's files with what is in the log. Raises `SourceError`."""
    ours = _our_days(connection, log_number)
    days = exact = rounding = movements_exact = below = largest = 0
    balances: dict[int, int] = defaultdict(int)
    before: dict[int, int] = defaultdict(int)  # each account's difference the day before
    off: set[int] = set()
    negative: set[int] = set()
    differences: list[Difference] = []
    for account, day, bank in bank_days(_all(folder)):
        balances[account] += ours.pop((account_id(log, account), day), 0)
        mine = balances[account]
        difference, step = mine - bank, mine - bank - before[account]
        before[account] = difference
        days += 1
        movements_exact += step == 0
        largest = max(largest, abs(difference))
        if mine < 0:
            below += 1
            negative.add(account)
        if abs(step) > ROUNDING:
            off.add(account)
        if difference == 0:
            exact += 1
        elif account not in off:
            rounding += 1
        else:
            differences.append(Difference(account, day, show(mine, CURRENCY), show(bank, CURRENCY)))
    return Reconciliation(
        days, exact, rounding, len(differences), movements_exact, show(largest, CURRENCY), tuple(sorted(off)), below,
        tuple(sorted(negative)), tuple(differences[:SAMPLE]),
    )  # fmt: skip


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


def _our_days(connection: Connection[Any], log: int) -> dict[tuple[str, date], int]:
    return {(stream, day): total for stream, day, total in connection.execute(_OURS, (log, CURRENCY))}


def _all(folder: Path) -> Iterator[SourceTransaction]:
    for file in transaction_files(folder):
        yield from read_transactions(file)
