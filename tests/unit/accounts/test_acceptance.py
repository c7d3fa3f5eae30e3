"""The scenarios that the product's requirements ask for by number (T1 to T17), as far as the domain alone decides them.

Where the requirements run a batch, a two-phase commit or a payroll, one transaction of many entries does it here: it is
booked whole or not at all.
"""

from __future__ import annotations

import pytest

from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.accounts.posting import Entry, entries_between
from domain.accounts.transaction import TRANSACTION, Deposit, PostTransaction, Withdraw
from tests.support.memory_ledger import TODAY, MemoryLedger, new_id, opening, transfer


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.open_internal()
    return ledger


def withdraw(account: str, amount: int) -> Withdraw:
    return Withdraw(new_id(TRANSACTION), account, amount, "EUR", TODAY)


def together(*moves: tuple[str, str, int]) -> PostTransaction:
    """(from, to, amount) in one transaction."""
    entries: list[Entry] = []
    for source, target, amount in moves:
        entries += entries_between(source, target, amount, "EUR")
    return PostTransaction(new_id(TRANSACTION), "journal", tuple(entries), TODAY)


def balances(ledger: MemoryLedger, *accounts: str) -> list[int]:
    ledger.check()
    return [ledger[account].balance for account in accounts]


def test_t1_an_opened_account_holds_what_was_paid_in(ledger: MemoryLedger) -> None:
    account = ledger[ledger.account(1_000_00)]
    assert (account.balance, account.available, account.reserved) == (1_000_00, 1_000_00, 0)
    assert (account.profile.owner, account.profile.type, account.status) == ("owner-1", "checking", "open")


def test_t2_numbers_are_distinct(ledger: MemoryLedger) -> None:
    numbers = {ledger[ledger.account()].profile.number for _ in range(5)}
    assert len(numbers) == 5
    assert all(number.startswith("CHK") for number in numbers)


def test_t4_a_freeze_stops_withdrawals_until_it_is_lifted(ledger: MemoryLedger) -> None:
    account = ledger.account(500)
    ledger.accepted(withdraw(account, 100))
    ledger.accepted(FreezeAccount(account, "suspicion"))
    assert ledger.refused(withdraw(account, 50)).rule == "account_frozen"
    ledger.accepted(UnfreezeAccount(account, "cleared"))
    ledger.accepted(withdraw(account, 50))
    assert balances(ledger, account) == [350]


def test_t5_t6_deposits_and_withdrawals_are_available_at_once(ledger: MemoryLedger) -> None:
    account = ledger.account()
    ledger.accepted(Deposit(new_id(TRANSACTION), account, 250, "EUR", TODAY))
    assert (ledger[account].balance, ledger[account].available) == (250, 250)
    ledger.accepted(withdraw(account, 150))
    assert (ledger[account].balance, ledger[account].available) == (100, 100)


def test_t7_more_than_there_is_cannot_be_withdrawn(ledger: MemoryLedger) -> None:
    account = ledger.account(100)
    assert ledger.refused(withdraw(account, 200)).rule == "below_minimum"
    assert balances(ledger, account) == [100]


def test_t8_t9_a_transfer_needs_two_accounts(ledger: MemoryLedger) -> None:
    source, target = ledger.account(1_000), ledger.account()
    ledger.accepted(transfer(source, target, 300))
    assert ledger.refused(transfer(source, source, 300)).rule == "same_account"
    assert balances(ledger, source, target) == [700, 300]


@pytest.mark.parametrize(("funds", "each", "booked"), [(2_000, 200, True), (500, 300, False)], ids=["T10", "T11"])
def test_t10_t11_a_batch_is_booked_whole_or_not_at_all(
    ledger: MemoryLedger, funds: int, each: int, booked: bool
) -> None:
    source, *targets = [ledger.account(funds), *(ledger.account() for _ in range(3))]
    batch = together(*((source, target, each) for target in targets))
    if booked:
        ledger.accepted(batch)
        assert balances(ledger, source, *targets) == [funds - 3 * each, each, each, each]
    else:
        assert ledger.refused(batch).figures["amount"] == "9.00"
        assert balances(ledger, source, *targets) == [funds, 0, 0, 0]


def test_t13_of_three_withdrawals_the_second_and_third_find_too_little(ledger: MemoryLedger) -> None:
    account = ledger.account(500)
    outcomes = [ledger.execute(withdraw(account, 300)).outcome for _ in range(3)]
    assert outcomes == ["accepted", "refused", "refused"]
    assert balances(ledger, account) == [200]


def test_t14_opposite_transfers_both_succeed(ledger: MemoryLedger) -> None:
    one, other = ledger.account(1_000), ledger.account(1_000)
    ledger.accepted(transfer(one, other, 300))
    ledger.accepted(transfer(other, one, 200))
    assert balances(ledger, one, other) == [900, 1_100]


def test_t15_a_chain_passes_through(ledger: MemoryLedger) -> None:
    a, b, c = (ledger.account(500) for _ in range(3))
    ledger.accepted(together((a, b, 100), (b, c, 100)))
    assert balances(ledger, a, b, c) == [400, 500, 600]


def test_t16_two_legs_that_one_account_cannot_pay_both_fall(ledger: MemoryLedger) -> None:
    payer, one, other = ledger.account(150), ledger.account(), ledger.account()
    assert ledger.refused(together((payer, one, 100), (payer, other, 100))).rule == "below_minimum"
    assert balances(ledger, payer, one, other) == [150, 0, 0]


def test_t17_a_payroll_is_one_transaction(ledger: MemoryLedger) -> None:
    opened = opening("merchant")
    ledger.accepted(opened)
    ledger.accepted(Deposit(new_id(TRANSACTION), opened.account, 5_000, "EUR", TODAY))
    staff = [ledger.account() for _ in range(3)]
    ledger.accepted(together(*((opened.account, person, 800) for person in staff)))
    assert balances(ledger, opened.account, *staff) == [2_600, 800, 800, 800]
