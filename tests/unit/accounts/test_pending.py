"""Pending transactions: what they reserve, and how they are posted, cancelled and expire."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.accounts.account.events import (
    AccountCredited,
    AccountDebited,
    HoldCaptured,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    MandateGiven,
)
from domain.accounts.account.holds import MOST_DAYS_HELD, MOST_HOLDS, ExpireHold, PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount, UnfreezeAccount
from domain.accounts.posting import Entry, TransactionPosted
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.transaction import (
    ApprovePending,
    CancelPending,
    CaptureHold,
    ExpirePending,
    PendTransaction,
    PostPending,
    RejectPending,
)
from domain.accounts.transaction.events import TransactionCancelled, TransactionExpired, TransactionPended
from domain.permissions import PROCESSES
from domain.registry import PERMISSIONS
from tests.support.bank import (
    ADA,
    BOB,
    CASH,
    EVE,
    FEES,
    FOREIGN,
    FUNDED,
    MOMENT,
    REVENUE,
    A,
    B,
    at,
    bank,
    by,
    customer,
    figures,
    operator,
    pend,
    transfer,
    unknown,
    withdraw,
)
from tests.support.checking import broken
from tests.support.memory_ledger import NOW, TODAY, MemoryLedger

HOUR = NOW + timedelta(hours=1)
YESTERDAY = TODAY - timedelta(days=1)


def waiting(amount: int = 300, **more: Any) -> MemoryLedger:
    """The bank with a pending transfer of so much from A to B."""
    ledger = bank()
    ledger.accepted(pend(amount, **more))
    return ledger


# Reserving


def test_a_pending_transfer_reserves_on_the_source_and_moves_nothing() -> None:
    ledger = bank()
    decided = ledger.accepted(pend(300, expires_at=HOUR))
    entries = (Entry(A, "debit", 300, "EUR"), Entry(B, "credit", 300, "EUR"))
    assert decided.events == (
        TransactionPended("txn_1", 1, "transfer", TODAY, entries, None, ADA, None, "request", None, HOUR),
        HoldPlaced(A, 3, "txn_1", 300, "EUR", None, {}, HOUR),
    )
    assert decided.result == {
        "transaction": "txn_1",
        "status": "pending",
        "awaits": "request",
        "expires_at": HOUR.isoformat(),
    }
    assert (figures(ledger), figures(ledger, B)) == ((FUNDED, 300), (0, 0))


def test_what_is_reserved_is_not_available_to_anything_else() -> None:
    ledger = waiting(300)
    for command in (
        withdraw(701, "txn_2"),
        transfer(701, "txn_2"),
        pend(701, "txn_2"),
        PlaceHold(A, "hold_1", 701, "EUR"),
    ):
        assert ledger.refused(command).rule == "below_minimum"
    ledger.accepted(withdraw(700, "txn_3"))
    assert figures(ledger) == (300, 300)
    ledger.accepted(PostPending("txn_1"))
    assert (figures(ledger), figures(ledger, B)) == ((0, 0), (300, 0))


def test_it_passes_the_rules_of_a_posting() -> None:
    ledger = bank()
    assert ledger.refused(pend(1_001)).rule == "below_minimum"
    assert ledger.refused(pend(0)).rule == "entry_amount"
    assert ledger.refused(pend(1, target=A)).rule == "same_account"
    assert unknown(ledger.execute(pend(1, target="acct_missing"))) == ("account", "acct_missing")
    ledger.accepted(FreezeAccount(B, "a question"))
    assert ledger.refused(pend(1)).rule == "account_frozen"


def test_what_several_entries_take_from_an_account_is_reserved_as_one_sum() -> None:
    ledger = bank()
    entries = (
        Entry(A, "debit", 500, "EUR"),
        Entry(A, "debit", 200, "EUR"),
        Entry(A, "credit", 100, "EUR"),
        Entry(B, "credit", 590, "EUR"),
        Entry(FEES, "credit", 10, "EUR"),
    )
    ledger.accepted(PendTransaction("txn_1", "journal", entries, TODAY))
    assert figures(ledger) == (FUNDED, 600)
    decided = ledger.accepted(PostPending("txn_1"))
    assert decided.events[0] == HoldCaptured(A, 4, "txn_1", 600, "EUR", "txn_1")
    assert (figures(ledger), figures(ledger, B), figures(ledger, FEES)) == ((400, 0), (590, 0), (10, 0))


def test_nothing_is_reserved_on_accounts_of_the_ledger() -> None:
    ledger = bank()
    entries = (Entry(CASH, "debit", 50, "EUR"), Entry(REVENUE, "credit", 50, "EUR"))
    decided = ledger.accepted(PendTransaction("txn_1", "journal", entries, TODAY))
    [pended] = decided.events
    assert isinstance(pended, TransactionPended)
    assert pended.subject is None
    ledger.accepted(PostPending("txn_1"))
    assert figures(ledger, CASH) == (-FUNDED - 50, 0)


def test_holds_and_pending_transactions_share_their_bound() -> None:
    ledger = bank()
    for n in range(MOST_HOLDS - 1):
        ledger.accepted(PlaceHold(A, f"hold_{n}", 1, "EUR"))
    ledger.accepted(pend(1, "txn_last"))
    assert ledger.refused(pend(1, "txn_more")).rule == "hold_count"
    assert ledger.refused(PlaceHold(A, "hold_more", 1, "EUR")).rule == "hold_count"
    ledger.accepted(CancelPending("txn_last"))
    ledger.accepted(pend(1, "txn_more"))


@pytest.mark.parametrize("command", [ReleaseHold(A, "txn_1"), CaptureHold(A, "txn_1", "txn_2", B, 1, "EUR", TODAY)])
def test_what_it_reserves_ends_only_with_the_transaction(command: Any) -> None:
    ledger = waiting()
    assert ledger.refused(command).rule == "hold_of_transaction"
    assert figures(ledger) == (FUNDED, 300)


def test_its_hold_does_not_expire_alone() -> None:
    ledger = waiting(expires_at=HOUR)
    assert ledger.refused(at(HOUR, ExpireHold(A, "txn_1"))).rule == "hold_of_transaction"
    ledger.accepted(at(HOUR, ExpirePending("txn_1")))


# Its time


LATEST = NOW + timedelta(days=MOST_DAYS_HELD)


@pytest.mark.parametrize("expires_at", [None, NOW + MOMENT, LATEST])
def test_it_waits_until_after_now_and_for_366_days_at_most(expires_at: datetime | None) -> None:
    assert waiting(expires_at=expires_at)["txn_1"].expires_at == expires_at


@pytest.mark.parametrize("expires_at", [NOW - MOMENT, NOW, LATEST + MOMENT])
def test_it_does_not_wait_for_longer_or_for_what_is_over(expires_at: datetime) -> None:
    refused = bank().refused(pend(expires_at=expires_at))
    assert (refused.rule, refused.figures["days"]) == ("pending_expiry", MOST_DAYS_HELD)


def test_it_is_posted_before_its_time_and_expires_from_then_on() -> None:
    ledger = waiting(expires_at=HOUR)
    assert ledger.refused(at(HOUR - MOMENT, ExpirePending("txn_1"))).rule == "pending_not_expired"
    assert ledger.refused(at(HOUR, PostPending("txn_1"))).rule == "pending_expired"
    ledger.accepted(at(HOUR - MOMENT, PostPending("txn_1")))
    assert ledger.refused(at(HOUR, ExpirePending("txn_1"))).rule == "transaction_not_pending"


def test_it_can_still_be_cancelled_when_its_time_is_over() -> None:
    ledger = waiting(expires_at=HOUR)
    ledger.accepted(at(HOUR + MOMENT, CancelPending("txn_1")))
    assert figures(ledger) == (FUNDED, 0)


def test_without_a_time_it_never_expires() -> None:
    refused = waiting().refused(at(NOW + timedelta(days=9_999), ExpirePending("txn_1")))
    assert refused.rule == "pending_not_expired"
    assert refused.figures["expires_at"] == "it is posted or cancelled"


def test_it_expires_from_a_frozen_account_too() -> None:
    ledger = waiting(expires_at=HOUR)
    ledger.accepted(FreezeAccount(A, "a question"))
    decided = ledger.accepted(at(HOUR, ExpirePending("txn_1")))
    assert decided.events == (TransactionExpired("txn_1", 2), HoldExpired(A, 5, "txn_1", 300, "EUR"))
    assert figures(ledger) == (FUNDED, 0)


def test_only_a_process_lets_it_expire() -> None:
    assert PERMISSIONS[ExpirePending] == PROCESSES


# What becomes of it


def test_posting_captures_the_hold_and_makes_the_entries() -> None:
    ledger = waiting(300)
    decided = ledger.accepted(PostPending("txn_1"))
    entries = (Entry(A, "debit", 300, "EUR"), Entry(B, "credit", 300, "EUR"))
    assert decided.events == (
        HoldCaptured(A, 4, "txn_1", 300, "EUR", "txn_1"),
        TransactionPosted("txn_1", 2, "transfer", TODAY, entries, None, None, None),
        AccountDebited(A, 5, "txn_1", 1, 300, "EUR", TODAY),
        AccountCredited(B, 2, "txn_1", 2, 300, "EUR", TODAY),
    )
    assert decided.result["balances"] == {
        A: {"balance": "7.00", "available": "7.00", "currency": "EUR"},
        B: {"balance": "3.00", "available": "3.00", "currency": "EUR"},
    }
    assert ledger["txn_1"].status == "posted"


def test_the_last_cent_can_be_reserved_and_posted() -> None:
    ledger = waiting(FUNDED)
    ledger.accepted(PostPending("txn_1"))
    assert figures(ledger) == (0, 0)


def test_it_is_posted_with_its_value_date_or_another_one() -> None:
    for value_date, booked in ((None, TODAY), (YESTERDAY, YESTERDAY)):
        ledger = waiting()
        ledger.accepted(PostPending("txn_1", value_date))
        assert ledger["txn_1"].value_date == booked
    assert waiting().refused(PostPending("txn_1", TODAY + timedelta(days=1))).rule == "value_date_in_future"


def test_the_rules_hold_again_when_it_is_posted() -> None:
    ledger = waiting()
    ledger.accepted(FreezeAccount(B, "a question"))
    assert ledger.refused(PostPending("txn_1")).rule == "account_frozen"
    ledger.accepted(UnfreezeAccount(B, "an answer"))
    ledger.accepted(ChangePostingPolicy(1))
    late = NOW + timedelta(days=2)
    assert ledger.refused(at(late, PostPending("txn_1"))).rule == "value_date_too_old"
    ledger.accepted(at(late, PostPending("txn_1", late.date())))


def test_a_closed_account_takes_no_pending_transaction_but_lets_it_end() -> None:
    ledger = waiting()
    assert ledger.refused(CloseAccount(A, "the end")).rule in ("holds_open", "balance_not_zero")
    ledger.accepted(CloseAccount(B, "nothing is reserved on it"))
    assert ledger.refused(PostPending("txn_1")).rule == "account_closed"
    ledger.accepted(CancelPending("txn_1"))


def test_cancelling_gives_the_amount_back() -> None:
    ledger = waiting(300)
    decided = ledger.accepted(CancelPending("txn_1", "the customer changed their mind"))
    assert decided.events == (
        TransactionCancelled("txn_1", 2, ADA, "the customer changed their mind"),
        HoldReleased(A, 4, "txn_1", 300, "EUR"),
    )
    assert decided.result == {"transaction": "txn_1", "status": "cancelled"}
    assert figures(ledger) == (FUNDED, 0)


ENDS = {
    "posted": PostPending("txn_1"),
    "cancelled": CancelPending("txn_1"),
    "expired": at(HOUR, ExpirePending("txn_1")),
}


@pytest.mark.parametrize("status", ENDS)
@pytest.mark.parametrize("asked", ENDS)
def test_it_ends_once(status: str, asked: str) -> None:
    ledger = waiting(expires_at=HOUR)
    ledger.accepted(ENDS[status])
    refused = ledger.refused(ENDS[asked])
    assert (refused.rule, refused.figures["status"], refused.figures["asked"]) == (
        "transaction_not_pending",
        status,
        asked,
    )


@pytest.mark.parametrize("command", [PostPending("txn_9"), CancelPending("txn_9"), ExpirePending("txn_9")])
def test_an_unknown_one_is_unknown(command: Any) -> None:
    assert unknown(bank().execute(command)) == ("transaction", "txn_9")


def test_one_that_was_posted_at_once_was_never_pending() -> None:
    ledger = bank()
    ledger.accepted(transfer(1))
    assert ledger.refused(CancelPending("txn_1")).rule == "transaction_not_pending"


def test_one_that_waits_for_a_person_is_not_posted_by_a_request() -> None:
    ledger = waiting(awaits="approval")
    assert ledger.refused(PostPending("txn_1")).rule == "transaction_waits"
    ledger.accepted(CancelPending("txn_1"))


def test_one_that_waits_for_a_request_is_not_rejected() -> None:
    refused = waiting().refused(by(operator(BOB), RejectPending("txn_1", "no")))
    assert refused.rule == "approval_not_needed"


# Customers


def test_a_customer_reserves_posts_and_cancels_what_is_theirs() -> None:
    ada = customer(ADA)
    for end in (PostPending("txn_1"), CancelPending("txn_1", "no")):
        ledger = bank()
        ledger.accepted(by(ada, pend(300, target=FOREIGN)))
        decided = ledger.accepted(by(ada, end))
        assert FOREIGN not in decided.result.get("balances", {})  # type: ignore[operator]
        if isinstance(end, PostPending):
            assert FOREIGN in decided.unseen


@pytest.mark.parametrize("command", [PostPending("txn_1"), CancelPending("txn_1")])
def test_to_another_customer_it_is_unknown(command: Any) -> None:
    """The payee does not learn of it either: it may never be posted."""
    for ended in (False, True):
        ledger = waiting(target=FOREIGN)
        if ended:
            ledger.accepted(CancelPending("txn_1"))
        for person in (EVE, BOB):
            assert unknown(ledger.execute_by(by(customer(person), command))) == ("transaction", "txn_1")


def test_a_customer_does_not_end_what_takes_from_accounts_of_others_or_of_none() -> None:
    ledger = bank()
    entries = (Entry(CASH, "debit", 5, "EUR"), Entry(A, "credit", 5, "EUR"))
    ledger.accepted(PendTransaction("txn_1", "journal", entries, TODAY))
    assert unknown(ledger.execute_by(by(customer(ADA), PostPending("txn_1")))) == ("transaction", "txn_1")
    ledger.accepted(transfer(200, "txn_2", target=FOREIGN))
    both = (Entry(A, "debit", 5, "EUR"), Entry(FOREIGN, "debit", 5, "EUR"), Entry(B, "credit", 10, "EUR"))
    ledger.accepted(PendTransaction("txn_3", "journal", both, TODAY))
    for person in (ADA, EVE):
        assert unknown(ledger.execute_by(by(customer(person), CancelPending("txn_3")))) == ("transaction", "txn_3")


def test_a_customer_reserves_from_no_foreign_account_and_pays_no_internal_one() -> None:
    ledger, ada = bank(), customer(ADA)
    assert unknown(ledger.execute_by(by(ada, pend(1, source=FOREIGN)))) == ("account", FOREIGN)
    assert unknown(ledger.execute_by(by(ada, pend(1, target=CASH)))) == ("account", CASH)


def test_a_foreign_account_stays_unknown_when_it_is_both_sides() -> None:
    """`same_account` would tell that there is such an account."""
    ledger, ada = bank(), customer(ADA)
    for both in (FOREIGN, "acct_none"):
        assert unknown(ledger.execute_by(by(ada, pend(1, source=both, target=both)))) == ("account", both)
    assert ledger.refused(by(ada, pend(1, source=A, target=A))).rule == "same_account"


@pytest.mark.parametrize("command", [PostPending("txn_1"), CancelPending("txn_1")])
def test_a_mandate_is_enough_up_to_its_amount_and_its_end(command: Any) -> None:
    bob = customer(BOB)
    ledger = bank(MandateGiven(A, 3, BOB, False, 300, "EUR", HOUR))
    assert ledger.refused(by(bob, pend(301))).rule == "mandate_exceeded"
    ledger.accepted(by(bob, pend(300)))
    ledger.accepted(pend(301, "txn_2"))
    assert unknown(ledger.execute_by(by(bob, CancelPending("txn_2")))) == ("transaction", "txn_2")
    assert unknown(ledger.execute_by(by(bob, command, HOUR))) == ("transaction", "txn_1")
    decided = ledger.accepted(by(bob, command, HOUR - MOMENT))
    assert A in decided.unseen, "the mandate does not let Bob see the account, so no answer has its version"
    assert A not in decided.result.get("balances", {})  # type: ignore[operator]


def test_why_a_foreign_account_takes_no_part_is_not_told() -> None:
    ledger = waiting(target=FOREIGN)
    ledger.accepted(FreezeAccount(FOREIGN, "a question"))
    assert ledger.refused(by(customer(ADA), PostPending("txn_1"))).rule == "account_unseen"


# What verify holds the events to


@pytest.mark.parametrize(
    ("command", "more"),
    [
        (PostPending("txn_1"), {}),
        (CancelPending("txn_1"), {}),
        (by(operator(BOB), ApprovePending("txn_1")), {"awaits": "approval"}),
        (by(operator(BOB), RejectPending("txn_1", "no")), {"awaits": "approval"}),
        (at(HOUR, ExpirePending("txn_1")), {"expires_at": HOUR}),
    ],
    ids=["posted", "cancelled", "approved", "rejected", "expired"],
)
def test_a_transaction_that_waits_no_more_and_goes_on_to_reserve_is_found(command: Any, more: Any) -> None:
    ledger = waiting(300, **more)
    before = dict(ledger.states)
    decided = ledger.accepted(command)
    ends = HoldCaptured | HoldReleased | HoldExpired
    kept = [event for event in decided.events if not isinstance(event, ends)]
    assert len(kept) == len(decided.events) - 1
    found = [what for _, what in broken(before, kept, ledger.decided)]
    assert f"txn_1 waits no more, and its unit does not end what it reserves on {A}" in found
