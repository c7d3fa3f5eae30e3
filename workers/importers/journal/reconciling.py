"""Compares the ledger's balances with those of the books, per account and day. Nothing is adjusted to make them fit.

The books' balance is the sum of the account's postings in the file up to the end of a day. The ledger's is the sum of
its entries in the log, by value date. Entries of the ledger that the file does not have make a difference from their
day on; after the account's last day in the file they are *left over*, since there is nothing to compare them with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

from psycopg import Connection

from domain.money import show
from workers.importers.journal.planning import Plan, Planned
from workers.importers.journal.source import JournalError

SAMPLE: Final = 20

_OURS = """
SELECT stream, (p.payload->>'value_date')::date,
       sum((p.payload->>'amount')::numeric * CASE type WHEN 'account.credited.v1' THEN 1 ELSE -1 END)::text
  FROM log.events e, LATERAL (SELECT convert_from(e.payload, 'UTF8')::jsonb AS payload) p
 WHERE e.log = %s AND e.stream = ANY (%s) AND e.encoding = 0
   AND e.type IN ('account.credited.v1', 'account.debited.v1')
 GROUP BY 1, 2 ORDER BY 2
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A day on which the ledger and the books do not agree. Amounts are as the books have them: debits positive."""

    account: str
    currency: str
    day: date
    ours: str
    books: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """What the ledger has after the last day of an account in the file."""

    account: str
    currency: str
    after: date
    days: int
    amount: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The comparison of every day on which an account has a posting in the file."""

    accounts: int
    account_days: int
    exact: int
    otherwise: int
    differences: tuple[Difference, ...]  # the first ones
    leftovers: tuple[Leftover, ...]

    @property
    def ok(self) -> bool:
        """Whether every balance is equal, and nothing is left over."""
        return self.otherwise == 0 and not self.leftovers

    def as_json(self) -> dict[str, Any]:
        """The documented `--json` form."""
        return {"ok": self.ok, **asdict(self)}


def check_starts(connection: Connection[Any], log_number: int, plan: Plan, accepted: Collection[str]) -> None:
    """Raises `JournalError` if a file that continues does not begin at the ledger's balance, before it is posted.

    Then rows between the files are missing, or the file begins with rows of an earlier one, which would be posted
    twice. `accepted` has the keys of what an earlier run of the same import has posted; if that is all, the comparison
    at the end says the same.
    """
    new = [one for one, _ in plan.transactions if plan.key(one) not in accepted]
    stated = {account.id: account for account in plan.accounts.values() if account.start is not None}
    if not new or not stated:
        return
    moved = _moved(connection, log_number, stated)
    for transaction, command in plan.transactions:
        if plan.key(transaction) in accepted:
            for entry in command.entries:
                if entry.account in stated:
                    moved[entry.account][transaction.day] -= entry.signed
    for account in stated.values():
        first, days = min(account.days), moved[account.id]
        on_first, now = sum(change for day, change in days.items() if day <= first), sum(days.values())
        # Value dates need not be in the order of the rows, so the balance of all days will do too.
        if account.start not in (on_first, now):
            ours, states = (show(-amount, account.currency) for amount in (on_first, account.start or 0))
            raise JournalError(
                f"{account.name}: the file begins at {states} {account.currency} on {first}, and the ledger is at "
                f"{ours}: rows before it are missing, or it begins with rows of an earlier file"
            )


def reconcile(connection: Connection[Any], log_number: int, plan: Plan) -> Reconciliation:
    """Compare the accounts of an import with what is in the log."""
    accounts = [*plan.accounts.values()]
    return compare(accounts, _moved(connection, log_number, {one.id for one in accounts}), continues=plan.continues)


def _moved(connection: Connection[Any], log_number: int, ids: Collection[str]) -> dict[str, dict[date, int]]:
    """The change of each day, credits less debits, by the ids of accounts."""
    moved: dict[str, dict[date, int]] = defaultdict(dict)
    for stream, day, total in connection.execute(_OURS, (log_number, [*ids])):
        moved[stream][day] = int(total)
    return moved


def compare(
    accounts: Iterable[Planned], moved: Mapping[str, Mapping[date, int]], *, continues: bool = False
) -> Reconciliation:
    """Compare. `moved` has the change of each day, credits less debits, by the ids of accounts.

    The books begin with nothing. If the file continues, they begin with what it states. What it states nothing about
    begins with the ledger's balance, and with what the ledger has of that first day besides: the file before may have
    ended within it.

    Several accounts of the books may be one of the ledger: their postings are added then.
    """
    by_id: dict[str, list[Planned]] = defaultdict(list)
    for account in accounts:
        by_id[account.id].append(account)
    days = exact = 0
    differences: list[Difference] = []
    leftovers: list[Leftover] = []
    for id, of_it in by_id.items():
        name, currency = ", ".join(one.name for one in of_it), of_it[0].currency
        books: dict[date, int] = defaultdict(int)
        for one in of_it:
            for day, change in one.days.items():
                books[day] += change
        first, last = min(books), max(books)
        ours = moved.get(id, {})
        balance = booked = 0
        if continues:
            balance = sum(change for day, change in ours.items() if day < first)
            besides = balance + ours.get(first, 0) - books[first]
            booked = next((one.start for one in of_it if one.start is not None), besides)
        for day in sorted({*books, *(day for day in ours if day <= last and not (continues and day < first))}):
            balance += ours.get(day, 0)
            booked += books.get(day, 0)
            if day not in books:
                continue
            days += 1
            if balance == booked:
                exact += 1
            else:
                differences.append(Difference(name, currency, day, show(-balance, currency), show(-booked, currency)))
        later = {day: change for day, change in ours.items() if day > last}
        if later:
            amount = show(-sum(later.values()), currency)
            leftovers.append(Leftover(name, currency, last, len(later), amount))
    return Reconciliation(
        accounts=len(by_id),
        account_days=days,
        exact=exact,
        otherwise=len(differences),
        differences=tuple(differences[:SAMPLE]),
        leftovers=tuple(leftovers),
    )
