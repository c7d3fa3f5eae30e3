"""Movements of money between accounts: each rule at its bound and one past it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from msgspec.structs import fields

from domain.accounts import account, transaction
from domain.accounts.account.events import AccountCredited, AccountOpened
from domain.accounts.account.state import evolve
from domain.accounts.posting import MOST_ENTRIES, Entry, TransactionPosted, internal_account
from domain.accounts.transaction import ChargeFee, Deposit, PostTransaction, Withdraw
from domain.kernel import Unknown
from domain.money import MAX_AMOUNT
from tests.support.memory_ledger import OPENED, TODAY, MemoryLedger, new_id, opening, transfer

CASH = internal_account("main", "cash", "EUR")
FEES = internal_account("main", "fees", "EUR")


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.open_internal()
    return ledger


def deposit(account: str, amount: int, currency: str = "EUR", value_date: date = TODAY) -> Deposit:
    return Deposit(new_id("txn"), account, amount, currency, value_date)


def withdraw(account: str, amount: int) -> Withdraw:
    return Withdraw(new_id("txn"), account, amount, "EUR", TODAY)


def journal(*entries: Entry) -> PostTransaction:
    return PostTransaction(new_id("txn"), "journal", entries, TODAY)


def test_deposit_and_withdrawal_move_cash(ledger: MemoryLedger) -> None:
    account = ledger.account()
    done = ledger.accepted(deposit(account, 250_00))
    assert done.commuting == {CASH}
    assert done.result["balances"] == {account: {"balance": "250.00", "available": "250.00", "currency": "EUR"}}
    ledger.accepted(withdraw(account, 100_00))
    assert (ledger[account].balance, ledger[CASH].balance) == (150_00, -150_00)
    ledger.check()


def test_the_minimum_at_its_bound(ledger: MemoryLedger) -> None:
    account = ledger.account(500, minimum=100)
    ledger.accepted(withdraw(account, 400))
    refusal = ledger.refused(withdraw(account, 1))
    assert refusal.rule == "below_minimum"
    assert refusal.figures["available"] == "1.00"
    assert refusal.figures["remaining"] == "0.99"
    assert refusal.figures["minimum"] == "1.00"
    assert refusal.commuting == {CASH}


def test_the_maximum_at_its_bound(ledger: MemoryLedger) -> None:
    account = ledger.account(900, maximum=1000)
    ledger.accepted(deposit(account, 100))
    refusal = ledger.refused(deposit(account, 1))
    assert (refusal.rule, refusal.figures["resulting"]) == ("above_maximum", "10.01")
    other = ledger.account(5)
    assert ledger.refused(transfer(other, account, 1)).rule == "above_maximum", "transfers count too"


def test_without_a_minimum_an_account_may_go_below_zero(ledger: MemoryLedger) -> None:
    account = ledger.account(minimum=None)
    ledger.accepted(withdraw(account, 5))
    assert ledger[account].balance == -5


def test_a_transfer_conserves_money(ledger: MemoryLedger) -> None:
    source, target = ledger.account(1000), ledger.account()
    ledger.accepted(transfer(source, target, 300))
    assert (ledger[source].balance, ledger[target].balance) == (700, 300)
    assert ledger.refused(transfer(source, source, 1)).rule == "same_account"
    assert ledger.execute(transfer(source, "acct_nobody", 1)) == Unknown("account", "acct_nobody")
    ledger.check()


def test_currencies_do_not_mix(ledger: MemoryLedger) -> None:
    ledger.open_internal("USD")
    euro, dollar = ledger.account(100), ledger.account(currency="USD")
    refusal = ledger.refused(transfer(euro, dollar, 1))
    assert refusal.figures == {"account": dollar, "account_currency": "USD", "currency": "EUR"}
    assert ledger.refused(deposit(euro, 1, "USD")).rule == "currency_mismatch"
    assert ledger.refused(deposit(ledger.account(currency="GBP"), 1, "GBP")).rule == "internal_account_missing"
    both = journal(Entry(euro, "debit", 1, "EUR"), Entry(CASH, "credit", 1, "EUR"), Entry(euro, "debit", 1, "USD"))
    assert ledger.refused(both).rule in {"entries_unbalanced", "currency_mismatch"}


def test_value_dates(ledger: MemoryLedger) -> None:
    account = ledger.account()
    assert ledger.refused(deposit(account, 1, value_date=TODAY + timedelta(days=1))).rule == "value_date_in_future"
    early = ledger.refused(deposit(account, 1, value_date=OPENED - timedelta(days=1)))
    assert early.rule == "value_date_before_opening"
    ledger.accepted(deposit(account, 1, value_date=OPENED))


@pytest.mark.parametrize("command", [*account.AGGREGATE.decisions, *transaction.AGGREGATE.decisions])
def test_what_says_an_amount_says_its_currency_next(command: type) -> None:
    names = [field.name for field in fields(command)]
    assert "amount" not in names or names[names.index("amount") + 1] == "currency"


def test_a_fee_goes_to_the_fees_account(ledger: MemoryLedger) -> None:
    account = ledger.account(100)
    ledger.accepted(ChargeFee(new_id("txn"), account, 25, "EUR", TODAY, description="monthly fee"))
    assert (ledger[account].balance, ledger[FEES].balance) == (75, 25)
    posted = next(e for e in reversed(ledger.log) if isinstance(e, TransactionPosted))
    assert (posted.subject, posted.description, posted.kind) == ("owner-1", "monthly fee", "fee")
    assert ledger.refused(ChargeFee(new_id("txn"), FEES, 1, "EUR", TODAY)).rule == "account_internal"


def test_a_transaction_has_bounds(ledger: MemoryLedger) -> None:
    account, other = ledger.account(100), ledger.account()
    credit, debit = Entry(other, "credit", 1, "EUR"), Entry(account, "debit", 1, "EUR")
    assert ledger.refused(journal(debit)).figures == {"least": 2, "most": MOST_ENTRIES, "count": 1}
    assert ledger.refused(journal(debit, debit, credit)).figures == {"currency": "EUR", "sum": "-0.01"}
    many = [entry for _ in range(MOST_ENTRIES // 2) for entry in (credit, Entry(CASH, "debit", 1, "EUR"))]
    ledger.accepted(journal(*many))
    assert ledger.refused(journal(*many, credit)).rule == "entry_count"
    for amount in (0, -1, MAX_AMOUNT + 1):
        wrong = journal(Entry(CASH, "debit", amount, "EUR"), Entry(other, "credit", amount, "EUR"))
        assert ledger.refused(wrong).rule == "entry_amount"
    ledger.accepted(journal(Entry(CASH, "debit", MAX_AMOUNT, "EUR"), Entry(other, "credit", MAX_AMOUNT, "EUR")))
    ledger.check()


def test_the_largest_amount_many_times_over_is_exact(ledger: MemoryLedger) -> None:
    account = ledger.account()
    for _ in range(10_000 // 100):
        entries = [
            e
            for _ in range(100)
            for e in (Entry(CASH, "debit", MAX_AMOUNT, "EUR"), Entry(account, "credit", MAX_AMOUNT, "EUR"))
        ]
        ledger.accepted(journal(*entries))
    assert ledger[account].balance == 10_000 * MAX_AMOUNT > 2**63


def test_a_stream_that_is_opened_late_or_twice_is_no_account() -> None:
    opened = AccountOpened("acct_1", 1, "DB1", "checking", "EUR", "ada", "Ada", 0, None, OPENED)
    credited = AccountCredited("acct_1", 2, "txn_1", 1, 5, "EUR", TODAY)
    with pytest.raises(ValueError, match="acct_1 begins with AccountCredited"):
        evolve(None, credited)
    account = evolve(evolve(None, opened), credited)
    assert (account.version, account.balance) == (2, 5)
    with pytest.raises(ValueError, match="acct_1 is opened again at version 1"):
        evolve(account, opened)


def test_limits_see_the_net_of_a_transaction(ledger: MemoryLedger) -> None:
    account, other = ledger.account(100, maximum=100), ledger.account()
    ledger.accepted(
        journal(
            Entry(account, "credit", 900, "EUR"), Entry(CASH, "debit", 900, "EUR"),
            Entry(account, "debit", 950, "EUR"), Entry(other, "credit", 950, "EUR"),
        )
    )  # fmt: skip
    assert (ledger[account].balance, ledger[account].version) == (50, 4)


def test_a_crossed_limit_may_be_mended(ledger: MemoryLedger) -> None:
    account = ledger.account(0)
    hole = ledger[account].booked(ledger[account].version, -500)
    ledger.states[account] = hole
    assert hole.refuse_change(100, TODAY) is None
    assert hole.refuse_change(-1, TODAY) is not None


def test_an_internal_account_with_limits_does_not_commute() -> None:
    """Where there is a limit the order of entries decides, whoever the account belongs to."""
    ledger = MemoryLedger()
    ledger.accepted(opening("cash", account=CASH, minimum=0))
    account = ledger.account(minimum=None)
    assert ledger.accepted(withdraw(account, 5)).commuting == frozenset()
    ledger.accepted(deposit(account, 5))
    refusal = ledger.refused(deposit(account, 1))
    assert (refusal.rule, refusal.figures["account"], refusal.commuting) == ("below_minimum", CASH, frozenset())
