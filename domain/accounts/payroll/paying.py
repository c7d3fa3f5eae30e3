"""What the commands of a payroll run share: the rules of items, and the transactions that pay them.

An item is paid by the same rules as every other credit. They are asked for each employee alone first, so that one who
cannot be paid is known by name and does not keep the others from their money.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

from domain.accounts.account.lifecycle import RULES as LIFECYCLE_RULES
from domain.accounts.account.state import RULES as ACCOUNT_RULES
from domain.accounts.account.state import Account
from domain.accounts.chart.state import CHART, POSTING_RULES, chart_of, refuse_kind
from domain.accounts.details import details_of
from domain.accounts.kinds import TransactionKind
from domain.accounts.payroll.events import PayrollItem
from domain.accounts.posting import MOST_ENTRIES, Entry, Transaction
from domain.codes import RULES as CODE_RULES
from domain.codes import refuse_other_than_code
from domain.ids import named_id
from domain.kernel import NeedsStreams, Refused, States, found
from domain.money import MAX_AMOUNT, show

PAYROLL, PAYROLL_PART = "payroll", "paypart"
"""Prefixes of the ids of runs and of their parts."""
MOST_AT_ONCE = MOST_ENTRIES - 1
"""Most employees that one transaction pays. The other entry is the company's."""
MOST_ITEMS = 5_000
"""Most employees of a run. With the longest codes they fit a request of 1 MiB."""
PART_ITEMS = 250
"""Items in a part. With the longest codes its state has 52 KB, so it would fit a snapshot."""

_PERIOD = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)

FORM_RULES: dict[str, str] = {
    **CODE_RULES,
    "payroll_period": "The period of a payroll run is a month such as 2026-11.",
    "payroll_items": "A payroll run has 1 to {most} items; this one has {count}.",
    "payroll_amount": (
        "Item {item} of the payroll run is for {amount} {currency}; an item must be for {least} to {most}."
    ),
    "payroll_employee_twice": "Employee {employee} is in items {first} and {item} of the payroll run.",
    "payroll_account_twice": "Account {account} is in items {first} and {item} of the payroll run.",
    "payroll_own_account": "Item {item} of the payroll run would pay {account}, the account that the run pays from.",
}
"""The rules of items that need no account but the company's."""

CREDIT_RULES: dict[str, str] = {
    **{
        rule: sentence
        for rule, sentence in {**ACCOUNT_RULES, **LIFECYCLE_RULES}.items()
        if rule
        in (
            "account_closed",
            "account_frozen",
            "account_internal",
            "currency_mismatch",
            "value_date_before_opening",
            "above_maximum",
        )
    },
    **POSTING_RULES,
    "payroll_account_missing": "There is no account {account}.",
}
"""The rules that keep one employee from being paid."""


def part_stream(payroll: str, part: int) -> str:
    """Return the id of a part of a run. Parts count from 1."""
    return named_id(PAYROLL_PART, payroll, str(part))


def part_of(number: int) -> int:
    """Return the part that has the item with this number."""
    return (number - 1) // PART_ITEMS + 1


def parts_of(items: int) -> range:
    """Return the numbers of the parts of a run with so many items."""
    return range(1, part_of(items) + 1)


def refuse_items(account: str, currency: str, items: Sequence[PayrollItem]) -> Refused | None:
    """Return the refusal of items by a rule that needs no account of an employee, or None."""
    if not 0 < len(items) <= MOST_ITEMS:
        return Refused("payroll_items", {"most": MOST_ITEMS, "count": len(items)})
    employees: dict[str, int] = {}
    accounts: dict[str, int] = {}
    for number, item in enumerate(items, 1):
        refusal = refuse_other_than_code("employee", item.employee)
        if refusal is not None:
            return refusal
        if not 0 < item.amount <= MAX_AMOUNT:
            figures = {"amount": show(item.amount, currency), "currency": currency}
            bounds = {"least": show(1, currency), "most": show(MAX_AMOUNT, currency)}
            return Refused("payroll_amount", {"item": number, **figures, **bounds})
        if item.account == account:
            return Refused("payroll_own_account", {"item": number, "account": account})
        if (first := employees.setdefault(item.employee, number)) != number:
            return Refused("payroll_employee_twice", {"employee": item.employee, "first": first, "item": number})
        if (first := accounts.setdefault(item.account, number)) != number:
            return Refused("payroll_account_twice", {"account": item.account, "first": first, "item": number})
    return None


def refuse_period(period: str) -> Refused | None:
    """Return the refusal of a period that is no month, or None."""
    return None if _PERIOD.fullmatch(period) else Refused("payroll_period", {})


def refuse_payment(
    item: PayrollItem, currency: str, kind: TransactionKind, value_date: date, states: States, today: date
) -> Refused | NeedsStreams | None:
    """Return why the employee cannot be credited, or None. The rules are those of `post`."""
    account = found(states, item.account, Account)
    if account is None:
        return Refused("payroll_account_missing", {"account": item.account})
    if account.profile.internal:
        return Refused("account_internal", {"account": item.account, "type": account.profile.type})
    refusal = account.refuse_posting(currency, value_date) or account.refuse_change(item.amount, today)
    if refusal is not None or account.profile.node is None:
        return refusal
    if CHART not in states:
        return NeedsStreams((CHART,))
    return refuse_kind(chart_of(states), kind, ((item.account, account.profile.node),))


def transaction_of(
    id: str,
    kind: TransactionKind,
    payroll: str,
    period: str,
    value_date: date,
    account: str,
    currency: str,
    items: Sequence[PayrollItem],
) -> Transaction:
    """Return the transaction that pays these items from the account."""
    total = sum(item.amount for item in items)
    entries = (
        Entry(account, "debit", total, currency),
        *(Entry(item.account, "credit", item.amount, currency) for item in items),
    )
    details = details_of({"payroll": payroll, "period": period})
    return Transaction(id, kind, entries, value_date, reference=reference_of(period), details=details)


def reference_of(period: str) -> str:
    """Return the reference of the transactions of a period."""
    return f"PAYROLL-{period}"


def unlimited(states: States, accounts: Iterable[str]) -> frozenset[str]:
    """Return those accounts whose entries commute: a newer one of another transaction changes nothing here."""
    of = ((id, found(states, id, Account)) for id in accounts)
    return frozenset(id for id, account in of if account is not None and account.unlimited)
