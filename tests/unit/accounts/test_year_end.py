"""Closing a year without a database: what is moved, what is refused, and what forged events are found to be."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.attachment import AttachAccount
from domain.accounts.account.state import Account
from domain.accounts.chart.nodes import AddNode
from domain.accounts.periods.check import check
from domain.accounts.periods.state import (
    PERIODS,
    ClosedPeriod,
    PeriodReopened,
    Periods,
    YearClosed,
    YearClosingAsked,
    YearEndReversed,
)
from domain.accounts.posting import Entry, TransactionPosted, internal_account
from domain.accounts.transaction import PostTransaction
from domain.accounts.transaction.events import TransactionReversed
from domain.accounts.transaction.year_end import PostYearEnd, YearEnd
from domain.aggregate import Decided
from domain.kernel import Event
from domain.money import MAX_AMOUNT
from domain.registry import check_unit
from tests.samples.accounts.periods import CLOSE_YEAR, balances_until, close, seal, year_ends
from tests.support.memory_ledger import NOW, MemoryLedger, new_id

FIRST, LAST, OPEN = date(2026, 1, 1), date(2026, 1, 31), date(2026, 2, 1)
FEES, REVENUE, EQUITY = (internal_account("main", role, "EUR") for role in ("fees", "revenue", "equity"))


def posted(ledger: MemoryLedger, debited: str, credited: str, amount: int, day: date) -> None:
    entries = (Entry(debited, "debit", amount, "EUR"), Entry(credited, "credit", amount, "EUR"))
    ledger.accepted(PostTransaction(new_id("txn"), "journal", entries, day))


def balance(ledger: MemoryLedger, account: str) -> int:
    state = ledger[account]
    assert isinstance(state, Account)
    return state.balance


def test_random_years_leave_nothing_on_income_and_expense() -> None:
    for seed in range(20):
        chance, ledger = Random(seed), MemoryLedger()
        ledger.open_internal()
        one, rent, loan = (ledger.account(100_000) for _ in range(3))
        ledger.accepted(AddNode("5000", "Rent", "expense"))
        ledger.accepted(AddNode("2000", "Loans", "liability"))
        ledger.accepted(AttachAccount(rent, "5000"))
        ledger.accepted(AttachAccount(loan, "2000"))
        accounts = (one, rent, loan, FEES, REVENUE)
        for _ in range(30):
            debited, credited = chance.sample(accounts, 2)
            posted(ledger, debited, credited, chance.randint(1, 99), chance.choice((FIRST, LAST, OPEN)))
        ledger.accepted(close())
        ledger.accepted(seal())
        ledger.accepted(CLOSE_YEAR)
        before = balances_until(ledger, LAST).get("EUR", {})
        now = {account: balance(ledger, account) for account in (*accounts, EQUITY)}
        ledger.accepted(PostYearEnd("per_1", year_ends(ledger, LAST)))
        assert set(before) <= {rent, FEES, REVENUE}
        for account in accounts:
            assert balance(ledger, account) == now[account] - before.get(account, 0)
        assert balance(ledger, EQUITY) == now[EQUITY] + sum(before.values())
        assert balances_until(ledger, LAST).get("EUR", {}) == before, "the closed days stay"
        ledger.check()


def test_a_balance_larger_than_an_entry_is_moved_by_several() -> None:
    ledger = MemoryLedger()
    ledger.open_internal()
    for command in (close(), seal(), CLOSE_YEAR):
        ledger.accepted(command)
    many = 2 * MAX_AMOUNT + 1
    ledger.accepted(PostYearEnd("per_1", (YearEnd("txn_1", "EUR", ((FEES, many), (REVENUE, -many))),)))
    assert (balance(ledger, FEES), balance(ledger, REVENUE), balance(ledger, EQUITY)) == (-many, many, 0)
    [event] = [one for one in ledger.log if isinstance(one, TransactionPosted)]
    assert [entry.amount for entry in event.entries] == [MAX_AMOUNT, MAX_AMOUNT, 1] * 2


# What `verify` finds

DECIDED = Decided(NOW, 1, "main")
PERIOD = ClosedPeriod("per_1", "2026-01", FIRST, LAST, sealed=True, asked="appr_1")
SEALED = Periods(3, (PERIOD,), OPEN)
ASKED = Periods(4, (replace(PERIOD, year="asked"),), OPEN)
CLOSED = Periods(5, (replace(PERIOD, year="closed", year_end=("txn_1",)),), OPEN)
ASKING = YearClosingAsked(PERIODS, 4, "per_1", LAST, "tester")
CLOSING = YearClosed(PERIODS, 5, "per_1", LAST, ("txn_1",))
REVERSAL = YearEndReversed(PERIODS, 6, "per_1", "txn_1")


@pytest.mark.parametrize(
    ("before", "event", "what"),
    [
        (SEALED, ASKING, None),
        (ASKED, CLOSING, None),
        (CLOSED, REVERSAL, None),
        (Periods(3, (replace(PERIOD, sealed=False),), OPEN), ASKING, "is not sealed yet"),
        (ASKED, ASKING, "Somebody asked to close the year"),
        (CLOSED, ASKING, "The year that ends with per_1 is closed"),
        (SEALED, replace(ASKING, ends_on=FIRST), "is closed up to 2026-01-01, where it does not end"),
        (SEALED, CLOSING, "Nobody asked to close the year"),
        (CLOSED, CLOSING, "Nobody asked to close the year"),
        (ASKED, replace(CLOSING, period="per_0"), "The period per_0 is not closed"),
        (ASKED, replace(CLOSING, ends_on=FIRST), "is closed up to 2026-01-01, where it does not end"),
        (CLOSED, replace(REVERSAL, transaction="txn_2"), "txn_2 is reversed, and did not close the year of per_1"),
        (ASKED, REVERSAL, "txn_1 is reversed, and did not close the year of per_1"),
        (CLOSED, PeriodReopened(PERIODS, 6, "per_1", "appr_1", "prsn_1"), "of which 1 are left"),
    ],
)
def test_stored_events_are_held_to_the_rules(before: Periods, event: Any, what: str | None) -> None:
    found = [one.what for one in check(before, [event], DECIDED)]
    assert found == [] if what is None else len(found) == 1 and what in found[0], found


ENTRIES = (Entry(FEES, "debit", 1, "EUR"), Entry(EQUITY, "credit", 1, "EUR"))
POSTED = TransactionPosted("txn_1", 1, "year_end", OPEN, ENTRIES, None, None, None)


@pytest.mark.parametrize(
    ("event", "beside", "is_right"),
    [
        (CLOSING, POSTED, True),
        (CLOSING, replace(POSTED, kind="journal"), False),
        (CLOSING, replace(POSTED, originator_id="txn_2"), False),
        (REVERSAL, TransactionReversed("txn_1", 2, "txn_9", (1, 1), True), True),
        (REVERSAL, TransactionReversed("txn_1", 2, "txn_9", (1, 1), False), False),
        (REVERSAL, TransactionReversed("txn_2", 2, "txn_9", (1, 1), True), False),
    ],
)
def test_a_closing_stands_with_its_transactions(event: Event, beside: Event, is_right: bool) -> None:
    about = [one for one in check_unit((beside, event), DECIDED) if one.event is event]
    assert (about == []) is is_right
