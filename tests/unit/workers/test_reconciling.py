"""Balances of the ledger and the bank: entries count from their day on, and days without a balance are left over."""

from __future__ import annotations

from datetime import date

from workers.importers.czech_bank.importing import account_id
from workers.importers.czech_bank.reconciling import Leftover, Reconciliation, compare

LOG, ACCOUNT = "main", 9
Days = dict[int, int]
"""Days of January 1993, and amounts in haléře."""


def compared(bank: Days, ledger: Days, *, accounts: tuple[int, ...] = (ACCOUNT,)) -> Reconciliation:
    """Compare the bank's balances with movements of one account."""
    balances = [(ACCOUNT, date(1993, 1, day), balance) for day, balance in bank.items()]
    movements = [(date(1993, 1, day), amount) for day, amount in ledger.items()]
    return compare(LOG, accounts, balances, {account_id(LOG, ACCOUNT): movements})


def test_balances_equal_to_those_of_the_bank_are_exact() -> None:
    report = compared({1: 70_000, 9: 80_000}, {1: 70_000, 9: 10_000})
    assert (report.account_days, report.exact, report.movements_exact, report.ok) == (2, 2, 2, True)


def test_an_entry_on_a_day_without_a_row_of_the_bank_counts_on_the_next_day_with_one() -> None:
    report = compared({1: 70_000, 9: 80_000}, {1: 70_000, 5: 99_999_999, 9: 10_000})
    assert (report.exact, report.otherwise, report.accounts_off, report.ok) == (1, 1, (ACCOUNT,), False)
    assert [(d.day, d.ours, d.bank) for d in report.differences] == [(date(1993, 1, 9), "1000799.99", "800.00")]


def test_an_entry_after_the_last_row_of_the_bank_is_left_over() -> None:
    report = compared({1: 70_000}, {1: 70_000, 5: 500, 6: -500})
    assert (report.exact, report.otherwise, report.ok) == (1, 0, False)
    assert report.leftovers == (Leftover(ACCOUNT, date(1993, 1, 1), 2, "0.00"),)


def test_an_account_of_the_bank_without_a_row_is_left_over() -> None:
    report = compared({}, {5: 500})
    assert report.leftovers == (Leftover(ACCOUNT, None, 1, "5.00"),)
    assert not report.ok


def test_an_account_that_the_bank_does_not_have_is_not_compared() -> None:
    assert compared({}, {5: 500}, accounts=()).ok


def test_entries_of_files_imported_earlier_count_with_the_rounding_of_each_day() -> None:
    earlier = {1: 70_000, 2: 10_010, 3: 10_010}
    assert compared({9: 100_000}, {**earlier, 9: 10_000}).rounding == 1
    assert compared({9: 100_000}, {**earlier, 4: 40, 9: 10_000}).otherwise == 1


def test_between_two_rows_of_the_bank_a_day_may_be_off_by_the_rounding_once() -> None:
    assert compared({1: 70_000, 2: 80_000}, {1: 70_010, 2: 10_010}).rounding == 2
    assert compared({1: 70_000, 9: 80_000}, {1: 70_000, 5: 6, 9: 10_005}).accounts_off == (ACCOUNT,)
