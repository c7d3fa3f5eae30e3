"""Four eyes: above an amount another person approves or rejects, and never who asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import HoldCaptured, HoldPlaced, HoldReleased
from domain.accounts.account.holds import MOST_HOLDS, PlaceHold
from domain.accounts.account.lifecycle import FreezeAccount
from domain.accounts.account.state import Account
from domain.accounts.kinds import WITHOUT_APPROVAL
from domain.accounts.posting import Entry, TransactionKind, TransactionPosted
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.transaction import (
    AdjustBalance,
    ApprovePending,
    CancelPending,
    CaptureHold,
    ChargeFee,
    Deposit,
    ExpirePending,
    PendTransaction,
    PostPending,
    PostTransaction,
    RejectPending,
)
from domain.accounts.transaction.events import TransactionApproved, TransactionPended, TransactionRejected
from domain.accounts.transaction.waiting import DAYS_TO_APPROVE
from domain.kernel import Accepted, Forbidden, Grant, Principal
from domain.permissions import OPERATORS
from domain.registry import PERMISSIONS, forbid
from tests.support.bank import (
    ADA,
    BOB,
    CASH,
    EVE,
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
    limited,
    operator,
    pend,
    reverse,
    transfer,
    unknown,
    withdraw,
)
from tests.support.checking import broken
from tests.support.memory_ledger import NOW, TODAY, MemoryLedger

ABOVE = 200
LATER = NOW + timedelta(days=1)
END = NOW + timedelta(days=DAYS_TO_APPROVE)


def guarded() -> MemoryLedger:
    """The bank whose policy wants another person above 2.00 EUR."""
    ledger = bank()
    ledger.accepted(ChangePostingPolicy(None, None, {"EUR": ABOVE}))
    return ledger


def asked_by_ada(amount: int = 300) -> MemoryLedger:
    """The guarded bank with a transfer that waits, which Ada asked for as an operator."""
    ledger = guarded()
    ledger.accepted(by(operator(ADA), transfer(amount)))
    assert ledger["txn_1"].status == "pending"
    return ledger


# What waits


def test_up_to_the_amount_it_is_posted_and_above_it_waits() -> None:
    ledger = guarded()
    ledger.accepted(transfer(ABOVE, "txn_0b"))
    assert ledger["txn_0b"].status == "posted"
    decided = ledger.accepted(by(operator(ADA), transfer(ABOVE + 1)))
    entries = (Entry(A, "debit", ABOVE + 1, "EUR"), Entry(B, "credit", ABOVE + 1, "EUR"))
    assert decided.events == (
        TransactionPended("txn_1", 1, "transfer", TODAY, entries, None, ADA, None, "approval", ADA, END),
        HoldPlaced(A, 4, "txn_1", ABOVE + 1, "EUR", None, {}, END),
    )
    assert (decided.result["status"], decided.result["awaits"]) == ("pending", "approval")


@pytest.mark.parametrize(
    "command",
    [
        transfer(ABOVE + 1),
        withdraw(ABOVE + 1, "txn_1"),
        Deposit("txn_1", A, ABOVE + 1, "EUR", TODAY),
        ChargeFee("txn_1", A, ABOVE + 1, "EUR", TODAY),
        AdjustBalance("txn_1", A, "credit", ABOVE + 1, "EUR", "revenue", TODAY, "why"),
        pend(ABOVE + 1),
    ],
    ids=lambda command: type(command).__name__,
)
def test_every_command_that_posts_waits(command: Any) -> None:
    ledger = guarded()
    ledger.accepted(command)
    assert (ledger["txn_1"].status, ledger["txn_1"].awaits) == ("pending", "approval")
    ledger.accepted(by(operator(BOB), ApprovePending("txn_1")))
    assert ledger["txn_1"].status == "posted"


def test_what_counts_is_the_sum_of_the_debits_in_a_currency() -> None:
    ledger = guarded()
    debits = (Entry(A, "debit", 100, "EUR"), Entry(A, "debit", 101, "EUR"))
    entries = (*debits, Entry(B, "credit", 201, "EUR"))
    ledger.accepted(PostTransaction("txn_1", "journal", entries, TODAY))
    assert ledger["txn_1"].status == "pending"


@pytest.mark.parametrize("kind", get_args(TransactionKind))
def test_every_kind_waits_but_what_undoes_or_moves_what_was_approved(kind: TransactionKind) -> None:
    ledger = guarded()
    entries = (Entry(CASH, "debit", ABOVE + 1, "EUR"), Entry(REVENUE, "credit", ABOVE + 1, "EUR"))
    decision = ledger.decide(PostTransaction("txn_1", kind, entries, TODAY))
    assert isinstance(decision, Accepted)
    assert isinstance(decision.events[0], TransactionPosted if kind in WITHOUT_APPROVAL else TransactionPended)


def test_a_reversal_of_what_was_approved_does_not_wait() -> None:
    ledger = asked_by_ada()
    ledger.accepted(by(operator(BOB), ApprovePending("txn_1")))
    ledger.accepted(by(operator(ADA), reverse()))
    assert figures(ledger) == (FUNDED, 0)


def test_a_limit_of_the_account_does_the_same() -> None:
    ledger = bank()
    ledger.accepted(limited(approve_above=100))
    ledger.accepted(transfer(100, "txn_0b"))
    ledger.accepted(transfer(101))
    assert (ledger["txn_0b"].status, ledger["txn_1"].status) == ("posted", "pending")
    ledger.accepted(transfer(100, "txn_2", B, A))
    assert ledger["txn_2"].status == "posted", "the limit is about what the account pays"
    ledger.accepted(by(operator(BOB), ApprovePending("txn_1")))
    ledger.accepted(reverse("txn_3"))


def test_a_posting_above_the_limit_of_the_account_that_nobody_approved_is_found() -> None:
    ledger = bank()
    decision = ledger.decide(transfer(101))
    assert isinstance(decision, Accepted)
    ledger.accepted(limited(approve_above=101))
    unit = [
        replace(event, originator_version=event.originator_version + (event.originator_id == A))
        for event in decision.events
    ]
    assert broken(ledger.states, unit, ledger.decided) == []
    account = ledger.states[A]
    assert isinstance(account, Account)
    ledger.states[A] = replace(account, profile=replace(account.profile, approve_above=100))
    says = f"txn_1 takes 101 from {A}, where another person approves what is above 100"
    assert [what for _, what in broken(ledger.states, unit, ledger.decided)] == [says]


def test_a_capture_of_a_hold_does_not_wait_but_is_refused() -> None:
    ledger = guarded()
    ledger.accepted(PlaceHold(A, "hold_1", 300, "EUR"))
    capture = CaptureHold(A, "hold_1", "txn_1", B, ABOVE + 1, "EUR", TODAY)
    assert ledger.refused(capture).rule == "approval_needed"
    ledger.accepted(CaptureHold(A, "hold_1", "txn_1", B, ABOVE, "EUR", TODAY))


def test_what_would_break_a_rule_does_not_begin_to_wait() -> None:
    ledger = guarded()
    assert ledger.refused(transfer(FUNDED + 1)).rule == "below_minimum"
    for n in range(MOST_HOLDS):
        ledger.accepted(PlaceHold(A, f"hold_{n}", 1, "EUR"))
    assert ledger.refused(transfer(ABOVE + 1)).rule == "hold_count"


def test_asking_to_wait_for_another_person_needs_no_amount() -> None:
    ledger = bank()
    ledger.accepted(by(operator(ADA), pend(1, awaits="approval")))
    assert ledger["txn_1"].awaits == "approval"
    assert ledger.refused(by(operator(ADA), ApprovePending("txn_1"))).rule == "approval_by_initiator"


# Who decides


def test_another_person_approves_and_it_is_posted() -> None:
    ledger = asked_by_ada(300)
    decided = ledger.accepted(by(operator(BOB), ApprovePending("txn_1")))
    approved, captured, posted, *_ = decided.events
    assert approved == TransactionApproved("txn_1", 2, BOB)
    assert captured == HoldCaptured(A, 4, "txn_1", 300, "EUR", "txn_1")
    assert isinstance(posted, TransactionPosted)
    assert posted.originator_version == 3
    assert (ledger["txn_1"].status, figures(ledger), figures(ledger, B)) == ("posted", (700, 0), (300, 0))


def test_another_person_rejects_and_nothing_is_posted() -> None:
    ledger = asked_by_ada(300)
    decided = ledger.accepted(by(operator(BOB), RejectPending("txn_1", "not ours")))
    assert decided.events == (
        TransactionRejected("txn_1", 2, BOB, ADA, "not ours"),
        HoldReleased(A, 4, "txn_1", 300, "EUR"),
    )
    assert figures(ledger) == (FUNDED, 0)


BOTH = [ApprovePending("txn_1"), RejectPending("txn_1", "no")]


@pytest.mark.parametrize("command", BOTH)
def test_who_asked_does_not_decide_under_another_id_either(command: Any) -> None:
    ledger = asked_by_ada()
    granted = Principal(ADA, ("person",), "session", ADA, (Grant("operator"),))
    for same in (operator(ADA), operator(ADA, "another-token"), granted):
        refused = ledger.refused(by(same, command))
        assert (refused.rule, refused.figures["person"]) == ("approval_by_initiator", ADA)


@pytest.mark.parametrize("command", BOTH)
def test_a_program_does_not_decide(command: Any) -> None:
    decided = asked_by_ada().execute_by(by(operator(None), command))
    assert isinstance(decided, Forbidden)
    assert "Only a person decides" in decided.why


def test_any_person_decides_about_what_a_program_asked_for() -> None:
    for person in (ADA, BOB):
        ledger = guarded()
        ledger.accepted(by(Principal("till", ("command",)), transfer(300)))
        assert ledger["txn_1"].initiator is None
        ledger.accepted(by(operator(person), ApprovePending("txn_1")))


def test_a_customer_who_asked_and_is_an_operator_too_does_not_decide() -> None:
    ledger = guarded()
    ledger.accepted(by(customer(ADA), transfer(300)))
    assert ledger.refused(by(operator(ADA), ApprovePending("txn_1"))).rule == "approval_by_initiator"
    ledger.accepted(by(operator(BOB), ApprovePending("txn_1")))


@pytest.mark.parametrize("command", BOTH)
def test_a_grant_counts_at_the_time_of_the_decision(command: Any) -> None:
    assert PERMISSIONS[type(command)] == OPERATORS
    bob = Principal(BOB, ("person",), "session", BOB, (Grant("operator", LATER),))
    assert forbid(bob, command, LATER - MOMENT) is None
    assert isinstance(forbid(bob, command, LATER), Forbidden)


def test_a_grant_of_the_initiator_may_end_before_another_person_approves() -> None:
    ada = Principal(ADA, ("person",), "session", ADA, (Grant("operator", NOW + MOMENT),))
    ledger = guarded()
    ledger.accepted(by(ada, transfer(300)))
    ledger.accepted(by(operator(BOB), ApprovePending("txn_1"), LATER))


@pytest.mark.parametrize("command", BOTH)
def test_a_decision_comes_before_the_end_of_the_wait(command: Any) -> None:
    ledger = asked_by_ada()
    assert ledger.refused(by(operator(BOB), command, END)).rule == "pending_expired"
    ledger.accepted(by(operator(BOB), command, END - MOMENT))


def test_without_a_decision_it_expires() -> None:
    ledger = asked_by_ada()
    ledger.accepted(at(END, ExpirePending("txn_1")))
    assert figures(ledger) == (FUNDED, 0)
    assert ledger.refused(by(operator(BOB), ApprovePending("txn_1"))).figures["status"] == "expired"


@pytest.mark.parametrize("command", BOTH)
def test_one_decision_ends_it(command: Any) -> None:
    ledger = asked_by_ada()
    ledger.accepted(by(operator(BOB), command))
    for again in (*BOTH, CancelPending("txn_1"), PostPending("txn_1")):
        assert ledger.refused(by(operator(EVE), again)).rule == "transaction_not_pending"


@pytest.mark.parametrize("command", BOTH)
def test_a_decision_about_an_unknown_one(command: Any) -> None:
    assert unknown(bank().execute_by(by(operator(BOB), command))) == ("transaction", "txn_1")


def test_who_asked_can_take_it_back() -> None:
    ledger = asked_by_ada()
    ledger.accepted(by(operator(ADA), CancelPending("txn_1")))
    assert figures(ledger) == (FUNDED, 0)


def test_the_rules_hold_again_at_the_approval() -> None:
    ledger = asked_by_ada()
    ledger.accepted(FreezeAccount(B, "a question"))
    assert ledger.refused(by(operator(BOB), ApprovePending("txn_1"))).rule == "account_frozen"
    assert ledger["txn_1"].status == "pending"
    ledger.accepted(by(operator(BOB), RejectPending("txn_1", "no")))


def test_an_approval_uses_the_limits_of_the_account() -> None:
    ledger = bank()
    ledger.accepted(limited(daily=500, approve_above=100))
    for n in (1, 2):
        ledger.accepted(transfer(300, f"txn_{n}"))
    ledger.accepted(by(operator(BOB), ApprovePending("txn_1")))
    assert ledger.refused(by(operator(BOB), ApprovePending("txn_2"))).rule == "outgoing_limit"


# When the amount changes while something waits


def test_one_that_waits_for_a_request_is_not_posted_above_a_lower_amount() -> None:
    """It can be cancelled, and asked for again."""
    ledger = bank()
    ledger.accepted(pend(300))
    ledger.accepted(ChangePostingPolicy(None, None, {"EUR": ABOVE}))
    assert ledger.refused(PostPending("txn_1")).rule == "approval_needed"
    ledger.accepted(CancelPending("txn_1"))


def test_one_that_waits_for_a_person_still_does_when_the_amount_rises() -> None:
    ledger = asked_by_ada(300)
    ledger.accepted(ChangePostingPolicy(None, None, {"EUR": 1_000}))
    assert ledger.refused(PostPending("txn_1")).rule == "transaction_waits"
    ledger.accepted(by(operator(BOB), ApprovePending("txn_1")))


def test_a_review_is_decided_by_another_person_too() -> None:
    ledger = bank()
    entries = (Entry(A, "debit", 5, "EUR"), Entry(B, "credit", 5, "EUR"))
    ledger.accepted(by(operator(ADA), PendTransaction("txn_1", "journal", entries, TODAY, awaits="review")))
    assert ledger.refused(PostPending("txn_1")).figures["awaits"] == "review"
    assert ledger.refused(by(operator(ADA), ApprovePending("txn_1"))).rule == "approval_by_initiator"
    ledger.accepted(by(operator(BOB), ApprovePending("txn_1")))
