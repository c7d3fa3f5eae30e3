"""The folds of the read models of accounts: what events sum up to, without a table in sight."""

from __future__ import annotations

import json
from datetime import date

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import (
    AccountClosed,
    AccountDebited,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    HoldCaptured,
    HoldPartlyCaptured,
    HoldPlaced,
    HoldReleased,
)
from domain.accounts.posting import Entry, TransactionPosted
from domain.kernel import ERASED, Event, Personal
from projections.accounts import holds
from projections.accounts.accounts import fold as accounts
from projections.accounts.entries import fold as entries
from projections.accounts.movements import fold as movements
from projections.accounts.transactions import fold as transactions
from projections.accounts.trial_balance import fold as trial_balance
from projections.engine.projection import FoldError, RecordedEvent
from projections.registry import PROJECTIONS
from tests.support.recorded_events import recorded

DAY, NEXT_DAY = date(2024, 1, 2), date(2024, 1, 3)


def opened(account: str, name: Personal = "Ada") -> AccountOpened:
    return AccountOpened(account, 1, f"number of {account}", "checking", "EUR", "ada", name, None, 100, DAY)


def moved(source: str, target: str, amount: int, day: date = DAY) -> TransactionPosted:
    both = Entry(source, "debit", amount, "EUR"), Entry(target, "credit", amount, "EUR")
    return TransactionPosted(f"txn_{source}_{target}", 1, "transfer", day, both, None, None, None)


def test_an_account_changes_by_the_sum_of_its_entries() -> None:
    changes = accounts.fold(recorded(moved("a", "b", 5), moved("b", "a", 2), moved("a", "a", 7)))
    assert (changes["a"].balance, changes["a"].entries, changes["a"].version) == (-3, 4, 4)
    assert (changes["b"].balance, changes["b"].entries, changes["b"].version) == (3, 2, 2)
    assert (changes["b"].position, changes["b"].at) == (2, "t2")
    assert changes["a"].status is None


def test_holds_change_what_is_reserved() -> None:
    change = accounts.fold(
        recorded(
            HoldPlaced("a", 1, "h1", 10, "EUR", None, {}, None),
            HoldPlaced("a", 2, "h2", 20, "EUR", None, {}, None),
            HoldReleased("a", 3, "h1", 10, "EUR"),
            HoldPlaced("a", 4, "h3", 40, "EUR", None, {}, None),
            HoldCaptured("a", 5, "h2", 20, "EUR", "txn"),
            HoldPartlyCaptured("a", 6, "h3", 15, "EUR", "txn_2"),
        )
    )["a"]
    assert (change.reserved, change.balance, change.version, change.entries) == (25, 0, 6, 0)


def captured(account: str, transaction: str, amount: int) -> TransactionPosted:
    return replace(moved(account, "b", amount), originator_id=transaction, kind="capture")


def test_a_hold_has_what_transactions_took_of_it() -> None:
    changes = holds.fold(
        recorded(
            HoldPlaced("a", 1, "h", 100, "EUR", None, {}, None),
            HoldPlaced("b", 1, "h", 100, "EUR", None, {}, None),
            HoldPartlyCaptured("a", 2, "h", 30, "EUR", "txn_1"),
            captured("a", "txn_1", 30),
            HoldCaptured("a", 4, "h", 70, "EUR", "txn_2"),
            captured("a", "txn_2", 20),
            HoldReleased("b", 2, "h", 100, "EUR"),
        )
    )
    one, other = changes["h", "a"], changes["h", "b"]
    assert (one.captured, one.status, one.transaction, one.position) == (50, "captured", "txn_2", 5)
    assert (other.captured, other.status, other.transaction, other.position) == (0, "released", None, 7)


def test_a_hold_of_a_pending_transaction_names_it_and_is_taken_whole() -> None:
    placed = HoldPlaced("a", 1, "txn_1", 100, "EUR", None, {}, None)
    assert holds.fold(recorded(placed))["txn_1", "a"].transaction == "txn_1"
    posted = replace(moved("a", "b", 100), originator_id="txn_1")
    change = holds.fold(recorded(HoldCaptured("a", 2, "txn_1", 100, "EUR", "txn_1"), posted))["txn_1", "a"]
    assert (change.captured, change.status) == (100, "captured")


def test_a_foreign_event_is_no_hold_s() -> None:
    with pytest.raises(FoldError, match="_Foreign"):
        holds.fold(recorded(_Foreign("a", 1, "h")))


class _Foreign(Event, frozen=True):
    hold: str


def test_the_last_status_holds() -> None:
    frozen = accounts.fold(recorded(opened("a"), AccountFrozen("a", 2, "ada", "why")))["a"]
    assert (frozen.status, frozen.reason, frozen.version) == ("frozen", "why", 2)
    assert frozen.opened is not None
    thawed = accounts.fold(recorded(AccountFrozen("a", 2, "ada", "why"), AccountUnfrozen("a", 3, "ada", "error")))["a"]
    assert (thawed.status, thawed.reason) == ("open", None)
    closed = accounts.fold(recorded(AccountClosed("a", 2, "ada", ERASED)))["a"]
    assert (closed.status, closed.reason, closed.reason_erased) == ("closed", None, True)


def test_an_account_cannot_begin_twice() -> None:
    with pytest.raises(FoldError, match="a is opened, but it has events before"):
        accounts.fold(recorded(moved("a", "b", 1), opened("a")))


def test_a_foreign_event_is_no_account_s() -> None:
    with pytest.raises(FoldError, match="AccountDebited"):
        accounts.fold(recorded(AccountDebited("a", 1, "txn", 1, 1, "EUR", DAY)))


def test_postings_are_signed_and_in_order() -> None:
    postings = entries.fold(recorded(moved("a", "b", 5)))
    assert postings == [
        ("a", -5, "debit\t5\tEUR\t1\ttxn_a_b\t2024-01-02\t1\tt1"),
        ("b", 5, "credit\t5\tEUR\t2\ttxn_a_b\t2024-01-02\t1\tt1"),
    ]


def test_a_transaction_row_carries_its_entries_as_json() -> None:
    event = TransactionPosted("t", 1, "fee", DAY, moved("a", "b", 5).entries, "ref\\1", "ada", "a\tb")
    [line] = transactions.fold(recorded(event)).posted
    *columns, lines, position, at = line.split("\t")
    assert columns == ["t", "posted", "fee", "2024-01-02", "ref\\\\1", "ada", "a\\tb", "f"]
    assert (position, at) == ("1", "t1")
    assert json.loads(lines) == [
        {"account": "a", "side": "debit", "amount": 5, "currency": "EUR"},
        {"account": "b", "side": "credit", "amount": 5, "currency": "EUR"},
    ]
    erased = TransactionPosted("t", 1, "fee", DAY, event.entries, None, "ada", ERASED)
    assert transactions.fold(recorded(erased)).posted[0].split("\t")[4:8] == ["\\N", "ada", "\\N", "t"]
    silent = TransactionPosted("t", 1, "fee", DAY, event.entries, None, "ada", None)
    assert transactions.fold(recorded(silent)).posted[0].split("\t")[4:8] == ["\\N", "\\N", "\\N", "f"]


def test_movements_are_per_account_and_day() -> None:
    added, _ = movements.fold(recorded(moved("a", "b", 5), moved("b", "a", 2), moved("a", "b", 1, NEXT_DAY)))
    assert added == {
        DAY: {"a": movements.Sums("EUR", 5, 2, 2, 2), "b": movements.Sums("EUR", 2, 5, 2, 2)},
        NEXT_DAY: {"a": movements.Sums("EUR", 1, 0, 1, 3), "b": movements.Sums("EUR", 0, 1, 1, 3)},
    }


def test_movements_that_are_booked_on_another_day_are_summed_by_both_days() -> None:
    recorded_at = [
        RecordedEvent(1, "2024-01-02 23:59:59.999999+00", moved("a", "b", 5)),
        RecordedEvent(2, "2024-01-03 00:00:00+00", moved("a", "b", 2)),
        RecordedEvent(3, "2024-01-03 00:00:00+00", moved("b", "a", 1)),
    ]
    _, other_days = movements.fold(recorded_at)
    assert other_days == {
        ("a", "2024-01-02", "2024-01-03"): movements.OtherSums(2, 2, 1, 2, 3),
        ("b", "2024-01-02", "2024-01-03"): movements.OtherSums(2, 1, 2, 2, 3),
    }


def test_movements_of_one_account_are_never_summed_across_currencies() -> None:
    dollars = Entry("a", "debit", 5, "USD"), Entry("b", "credit", 5, "USD")
    event = TransactionPosted("txn_1", 1, "transfer", DAY, dollars, None, None, None)
    with pytest.raises(FoldError, match="a has entries in EUR and in USD"):
        movements.fold(recorded(moved("a", "b", 5), event))


def test_the_trial_balance_adds_debits_and_credits() -> None:
    sums = trial_balance.fold(recorded(opened("a"), moved("a", "b", 5), moved("b", "a", 2)))
    assert sums.types == {"a": "checking"}
    assert sums.added == {"EUR": {"a": [5, 2, 3], "b": [2, 5, 3]}}


def test_money_is_read_from_transactions_not_from_their_shares() -> None:
    shares = {"AccountDebited", "AccountCredited"}
    assert all(not shares & {event.__name__ for event in projection.events} for projection in PROJECTIONS)
