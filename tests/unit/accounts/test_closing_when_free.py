"""Closing once no hold is open: nothing new leaves the account, what was reserved does, and the rest is swept."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import (
    AccountClosed,
    AccountClosingAsked,
    AccountClosingCancelled,
    AccountCredited,
    AccountDebited,
    AccountOpened,
    HoldPlaced,
)
from domain.accounts.account.holds import PlaceHold
from domain.accounts.account.lifecycle import CancelClosing, CloseAccount, CloseWhenFree, FreezeAccount, ReopenAccount
from domain.accounts.account.limits import ChangeLimits, Limits
from domain.accounts.account.owners import AddOwner
from domain.accounts.posting import Entry, TransactionPosted
from domain.accounts.transaction import CaptureHold, Deposit, PendTransfer, PostPending, Transfer, Withdraw
from domain.accounts.transaction.closing import AS_ASKED, CloseFreeAccount
from domain.kernel import Accepted, Event, Forbidden, Unknown
from tests.support.checking import broken
from tests.support.given import given, refusal
from tests.support.memory_ledger import OPENED, TODAY, By, MemoryLedger, by_person

A, B = "acct_a", "acct_b"
ASK, CANCEL, CLOSE = CloseWhenFree(A, "moves away", B), CancelClosing(A, "stays"), CloseFreeAccount(A, "txn_s")


def world(balance: int = 500, **more: Any) -> MemoryLedger:
    """5.00 EUR on an account, and an empty one."""
    ledger = MemoryLedger()
    ledger.open_internal()
    ledger.account(balance, account=A)
    ledger.account(account=B, **more)
    return ledger


def opened(id: str) -> AccountOpened:
    return AccountOpened(id, 1, f"number of {id}", "checking", "EUR", "owner-1", "Ada", 0, None, OPENED)


FREE: tuple[Event, ...] = (opened(A), AccountCredited(A, 2, "txn_0", 1, 500, "EUR", TODAY), opened(B))
HELD = HoldPlaced(A, 3, "hold_1", 100, "EUR", None, {}, None)


def test_it_is_asked_for_with_the_number_of_open_holds() -> None:
    given(*FREE).when(ASK).then(AccountClosingAsked(A, 3, "owner-1", "moves away", B, 0))
    asked = given(*FREE, HELD).when(ASK).then(AccountClosingAsked(A, 4, "owner-1", "moves away", B, 1))
    assert (asked[A].status, asked[A].profile.closing_to) == ("open", B)


def test_the_rest_is_swept_in_the_unit_of_the_closing() -> None:
    ledger = (
        given(*FREE)
        .when(ASK, CLOSE)
        .then(
            TransactionPosted(
                "txn_s",
                1,
                "sweep",
                TODAY,
                (Entry(A, "debit", 500, "EUR"), Entry(B, "credit", 500, "EUR")),
                None,
                None,
                None,
            ),
            AccountDebited(A, 4, "txn_s", 1, 500, "EUR", TODAY),
            AccountCredited(B, 2, "txn_s", 2, 500, "EUR", TODAY),
            AccountClosed(A, 5, "owner-1", AS_ASKED),
        )
    )
    assert (ledger[A].status, ledger[A].profile.closing_to) == ("closed", None)


def test_nothing_new_leaves_and_what_was_reserved_does() -> None:
    ledger = world()
    ledger.accepted(PlaceHold(A, "hold_1", 200, "EUR"))
    ledger.accepted(PendTransfer("txn_p", A, B, 50, "EUR", TODAY))
    ledger.accepted(ASK)
    for new in (
        Withdraw("txn_1", A, 1, "EUR", TODAY),
        Transfer("txn_1", A, B, 1, "EUR", TODAY),
        PendTransfer("txn_1", A, B, 1, "EUR", TODAY),
        PlaceHold(A, "hold_2", 1, "EUR"),
    ):
        assert ledger.refused(new).rule == "account_closing", new
    assert ledger.refused(CLOSE).rule == "holds_open"
    ledger.accepted(Deposit("txn_d", A, 7, "EUR", TODAY))
    ledger.accepted(CaptureHold(A, "hold_1", "txn_c", B, 100, "EUR", TODAY, keep_rest=True))
    ledger.accepted(CaptureHold(A, "hold_1", "txn_e", B, 100, "EUR", TODAY))
    assert ledger.refused(CLOSE).figures["holds"] == 1
    ledger.accepted(PostPending("txn_p", TODAY))
    ledger.accepted(CLOSE)
    assert (ledger[A].balance, ledger[B].balance) == (0, 507)
    ledger.check()


def test_a_closing_can_be_cancelled() -> None:
    given(*FREE).when(ASK, CANCEL).then(AccountClosingCancelled(A, 4, "owner-1", "stays"))
    ledger = world()
    ledger.accepted(ASK)
    ledger.accepted(CANCEL)
    ledger.accepted(Withdraw("txn_1", A, 1, "EUR", TODAY))
    assert ledger.refused(CLOSE).rule == "closing_not_asked"


def test_an_account_that_was_closed_and_reopened_goes_on() -> None:
    ledger = world()
    ledger.accepted(ASK)
    ledger.accepted(CloseAccount(A, "at once", B, "txn_s"))
    ledger.accepted(ReopenAccount(A, "a mistake"))
    ledger.accepted(Deposit("txn_d", A, 7, "EUR", TODAY))
    ledger.accepted(Withdraw("txn_1", A, 1, "EUR", TODAY))
    assert ledger.refused(CLOSE).rule == "closing_not_asked"


def test_the_newest_target_gets_the_rest() -> None:
    """An intent from before names no target: the state of the account does."""
    ledger = world()
    ledger.account(account="acct_c")
    for command in (ASK, CANCEL, replace(ASK, sweep_to="acct_c"), CLOSE):
        ledger.accepted(command)
    assert (ledger[B].balance, ledger["acct_c"].balance) == (0, 500)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (replace(ASK, sweep_to=A), refusal("same_account")),
        (replace(ASK, sweep_to="acct_x"), Unknown("account", "acct_x")),
        (replace(ASK, account="acct_x"), Unknown("account", "acct_x")),
    ],
)
def test_what_cannot_be_asked(command: Any, expected: Any) -> None:
    given(*FREE).when(command).then(expected)


def test_a_closed_or_frozen_account_and_one_that_is_to_be_closed_cannot_be_asked_for() -> None:
    given(*FREE).when(ASK, ASK).then(refusal("account_closing"))
    given(*FREE).when(FreezeAccount(A, "why"), ASK).then(refusal("account_frozen"))
    given(*FREE).when(CloseAccount(A, "why", B, "txn_1"), ASK).then(refusal("account_closed"))
    assert world(currency="USD").refused(ASK).rule == "currency_mismatch"


def test_the_sweep_is_refused_by_the_rules_of_the_other_account() -> None:
    full = world(maximum=499)
    full.accepted(ASK)
    assert full.refused(CLOSE).rule == "above_maximum"
    frozen = world()
    frozen.accepted(ASK)
    frozen.accepted(FreezeAccount(B, "why"))
    assert frozen.refused(CLOSE).figures["account"] == B
    assert frozen[A].profile.closing_to == B


def test_nobody_pays_what_is_owed() -> None:
    ledger = world(0)
    ledger.accepted(ChangeLimits(A, "EUR", Limits(minimum=-100, maximum=None), "a line"))
    ledger.accepted(Withdraw("txn_1", A, 1, "EUR", TODAY))
    ledger.accepted(ASK)
    assert ledger.refused(CLOSE).rule == "balance_owed"
    ledger.accepted(Deposit("txn_2", A, 1, "EUR", TODAY))
    ledger.accepted(CLOSE)


def test_an_owner_asks_and_cancels_and_nobody_else_does() -> None:
    ada, bob = by_person("prsn_ada", "customer"), by_person("prsn_bob", "customer")
    ledger = world()
    ledger.accepted(AddOwner(A, "prsn_ada"))
    assert ledger.execute_by(By(bob, ASK)) == Unknown("account", A, unseen(ledger))
    ledger.accepted(By(ada, ASK))
    assert isinstance(ledger.execute_by(By(bob, CANCEL)), Unknown | Forbidden)
    ledger.accepted(By(ada, CANCEL))


def unseen(ledger: MemoryLedger) -> frozenset[str]:
    """A customer is answered about a foreign account as about none."""
    decision = ledger.execute_by(By(by_person("prsn_bob", "customer"), replace(ASK, account="acct_x")))
    assert isinstance(decision, Unknown)
    return decision.commuting


def test_verify_finds_what_left_an_account_that_is_to_be_closed() -> None:
    ledger = world()
    ledger.accepted(PlaceHold(A, "hold_1", 200, "EUR"))
    transfer = ledger.decide(Transfer("txn_1", A, B, 1, "EUR", TODAY))
    ledger.accepted(ASK)
    assert isinstance(transfer, Accepted)
    unit = [
        replace(event, originator_version=event.originator_version + (event.originator_id == A))
        for event in transfer.events
    ]
    before = {event.originator_id: ledger.states.get(event.originator_id) for event in unit}
    assert any("is to be closed" in what for _, what in broken(before, unit, ledger.decided))
    asked = AccountClosingAsked(A, ledger[A].version + 1, "owner-1", "why", A, 2)
    found = [what for _, what in broken({A: ledger[A]}, [asked], ledger.decided)]
    assert {f"{A} has 1 open holds, not 2", f"{A} is to be swept to itself"} <= set(found)
    cancelled = AccountClosingCancelled(B, ledger[B].version + 1, "owner-1", "why")
    assert any("is not to be closed" in what for _, what in broken({B: ledger[B]}, [cancelled], ledger.decided))
