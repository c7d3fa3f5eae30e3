"""Closing with a sweep, and reopening: what is left goes to another account in the same unit, or nothing happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.accounts.account.events import (
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountOpened,
    AccountReopened,
    HoldPlaced,
    MandateGiven,
)
from domain.accounts.account.lifecycle import CloseAccount, ReopenAccount
from domain.accounts.numbers import AccountType
from domain.accounts.periods.closing import ClosePeriod
from domain.accounts.posting import Entry, TransactionPosted, internal_account, posting_streams
from domain.accounts.transaction import Deposit, Transfer
from domain.kernel import Accepted, Decision, Event, Forbidden, Refused, Unknown
from domain.money import MAX_AMOUNT
from domain.registry import forbid
from domain.together import Together
from tests.support.given import given, refusal
from tests.support.memory_ledger import NOW, OPENED, TODAY, By, MemoryLedger, by_person

A, B, FOREIGN, CASH = "acct_a", "acct_b", "acct_foreign", internal_account("main", "cash", "EUR")
ADA, BOB = "prsn_ada", "prsn_bob"


def opened(
    id: str,
    owner: str = ADA,
    *,
    minimum: int | None = 0,
    maximum: int | None = None,
    currency: str = "EUR",
    type: AccountType = "checking",
) -> AccountOpened:
    return AccountOpened(id, 1, f"number of {id}", type, currency, owner, "A name", minimum, maximum, OPENED)


def credited(id: str, amount: int, version: int = 2, currency: str = "EUR") -> AccountCredited:
    return AccountCredited(id, version, "txn_0", 1, amount, currency, TODAY)


RICH = (opened(A, minimum=100), credited(A, 500), opened(B))
"""5.00 EUR on an account with a minimum of 1.00, and an empty one."""
CLOSE, PLAIN = CloseAccount(A, "moved away", B, "txn_s"), CloseAccount(A, "moved away")
WHY = "moved away"


def swept(*entries: Entry) -> TransactionPosted:
    return TransactionPosted("txn_s", 1, "sweep", TODAY, entries, None, None, None)


def by(person: str, command: CloseAccount, *events: Event) -> Decision:
    """What a customer is answered after these events."""
    ledger = given(*events).ledger
    return ledger.execute_by(By(by_person(person, "customer"), command))


def test_what_is_left_goes_to_the_other_account_before_the_closing() -> None:
    ledger = (
        given(*RICH)
        .when(CLOSE)
        .then(
            swept(Entry(A, "debit", 500, "EUR"), Entry(B, "credit", 500, "EUR")),
            AccountDebited(A, 3, "txn_s", 1, 500, "EUR", TODAY),
            AccountCredited(B, 2, "txn_s", 2, 500, "EUR", TODAY),
            AccountClosed(A, 4, ADA, WHY),
        )
    )
    assert (ledger[A].status, ledger[A].balance, ledger[B].balance) == ("closed", 0, 500)


def test_a_minimum_prevents_no_closing_but_every_other_debit() -> None:
    given(*RICH).when(Transfer("txn_1", A, B, 401, "EUR", TODAY)).then(refusal("below_minimum", minimum="1.00"))
    given(*RICH).when(PLAIN).then(refusal("balance_not_zero", balance="5.00"))
    given(opened(A, minimum=100)).when(PLAIN).then(AccountClosed(A, 2, ADA, WHY))


def test_nothing_is_posted_where_nothing_is_left() -> None:
    given(opened(A), opened(B)).when(CLOSE).then(AccountClosed(A, 2, ADA, WHY))


def test_the_result_names_the_sweep_and_the_balances() -> None:
    decision = given(*RICH).when(CLOSE).decision
    assert isinstance(decision, Accepted)
    assert decision.result == {
        "account": A,
        "status": "closed",
        "transaction": "txn_s",
        "balances": {
            A: {"balance": "0.00", "available": "0.00", "currency": "EUR"},
            B: {"balance": "5.00", "available": "5.00", "currency": "EUR"},
        },
    }


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        ((opened(B, maximum=499),), refusal("above_maximum", account=B, resulting="5.00", maximum="4.99")),
        ((opened(B), AccountFrozen(B, 2, ADA, "why")), refusal("account_frozen", account=B)),
        ((opened(B), AccountClosed(B, 2, ADA, "why")), refusal("account_closed", account=B)),
        ((opened(B, currency="USD"),), refusal("currency_mismatch", account=B, account_currency="USD")),
        ((), Unknown("account", B)),
    ],
)
def test_the_rules_of_the_other_account_hold(target: tuple[Event, ...], refused: Any) -> None:
    ledger = given(*RICH[:2], *target).when(CLOSE).then(refused)
    assert (ledger[A].status, ledger[A].balance) == ("open", 500)


def test_the_other_account_may_be_as_full_as_it_can() -> None:
    assert given(*RICH[:2], opened(B, maximum=500)).when(CLOSE).then(*_events(RICH))[B].balance == 500


def _events(before: tuple[Event, ...]) -> tuple[Event, ...]:
    decision = given(*before).when(CLOSE).decision
    assert isinstance(decision, Accepted)
    return decision.events


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        (HoldPlaced(A, 3, "hold_1", 100, "EUR", None, {}, None), refusal("holds_open", holds=1, reserved="1.00")),
        (AccountFrozen(A, 3, ADA, "why"), refusal("account_frozen", account=A)),
    ],
)
def test_a_sweep_does_not_end_holds_and_not_the_freezing(more: Event, refused: Any) -> None:
    given(*RICH, more).when(CLOSE).then(refused)


def test_an_account_is_not_swept_to_itself() -> None:
    given(*RICH).when(CloseAccount(A, WHY, A, "txn_s")).then(refusal("same_account", account=A))
    given(opened(A)).when(CloseAccount(A, WHY, A, "txn_s")).then(refusal("same_account", account=A))


def test_more_than_the_largest_amount_is_swept_in_several_entries() -> None:
    rich = (opened(A), credited(A, MAX_AMOUNT), credited(A, 7, 3), opened(B))
    ledger = given(*rich).when(CLOSE).ledger
    assert (ledger[A].balance, ledger[A].status, ledger[B].balance) == (0, "closed", MAX_AMOUNT + 7)
    assert (ledger[A].version, ledger[B].version) == (3 + 2 + 1, 1 + 2)


def owing(maximum: int | None = None) -> tuple[Event, ...]:
    """An account that owes 1.00, and one with 5.00."""
    debited = AccountDebited(A, 2, "txn_0", 1, 100, "EUR", TODAY)
    return (opened(A, minimum=-500, maximum=maximum), debited, opened(B, minimum=0), credited(B, 500))


def test_staff_let_another_account_pay_what_is_owed() -> None:
    ledger = given(*owing()).when(CLOSE).ledger
    assert (ledger[A].balance, ledger[A].status, ledger[B].balance) == (0, "closed", 400)
    poor = (*owing()[:3], credited(B, 99))
    given(*poor).when(CLOSE).then(refusal("below_minimum", account=B, remaining="-0.01"))


def test_an_owner_cannot_sweep_what_is_owed() -> None:
    decision = by(ADA, CLOSE, *owing())
    assert isinstance(decision, Refused)
    assert decision.rule == "balance_owed"
    assert decision.figures == {"account": A, "balance": "-1.00", "currency": "EUR", "owed": "1.00"}


def test_an_owner_sweeps_to_whoever_could_get_a_transfer_and_learns_nothing() -> None:
    foreign = opened(FOREIGN, BOB), credited(FOREIGN, 400)
    to_foreign = CloseAccount(A, WHY, FOREIGN, "txn_s")
    decision = by(ADA, to_foreign, *RICH, *foreign)
    assert isinstance(decision, Accepted)
    assert decision.result["balances"] == {A: {"balance": "0.00", "available": "0.00", "currency": "EUR"}}
    assert decision.unseen == {FOREIGN}
    full = opened(FOREIGN, BOB, maximum=499)
    assert by(ADA, to_foreign, *RICH, full) == Refused("account_unseen", {"account": FOREIGN, "person": ADA})
    internal = opened(CASH, "main", minimum=None, type="cash")
    to_cash = CloseAccount(A, WHY, CASH, "txn_s")
    assert by(ADA, to_cash, *RICH, internal) == Unknown("account", CASH)
    assert by(ADA, to_cash, *RICH) == Unknown("account", CASH)


def test_nobody_else_closes_an_account() -> None:
    assert by(BOB, CLOSE, *RICH) == Unknown("account", A)
    mandate = MandateGiven(A, 3, BOB, True, MAX_AMOUNT, "EUR", None)
    decision = by(BOB, CLOSE, *RICH, mandate)
    assert decision == Forbidden(f"Only an owner closes account {A}; {BOB} is none.")


def test_an_internal_account_is_closed_at_an_exact_version() -> None:
    """Its entries commute elsewhere: a deposit that comes in between must not be left on it."""
    cash, fees = opened(CASH, "main", minimum=None, type="cash"), internal_account("main", "fees", "EUR")
    ledger = MemoryLedger()
    ledger.record((cash, credited(CASH, 500), opened(fees, "main", minimum=None, type="fees")))
    closing = CloseAccount(CASH, WHY, fees, "txn_s")
    decision = ledger.decide(closing)
    assert isinstance(decision, Accepted)
    assert decision.commuting == {fees}
    ledger.record([HoldPlaced(CASH, 3, "hold_1", 1, "EUR", None, {}, None)])
    refused = ledger.decide(closing)
    assert isinstance(refused, Refused)
    assert refused.rule == "holds_open"
    assert refused.commuting == {fees}


def test_only_a_sweep_reads_another_account_and_what_postings_read() -> None:
    assert PLAIN.streams == (A,)
    assert CLOSE.streams == posting_streams(A, B)


def test_a_sweep_that_was_decided_yesterday_is_refused_once_the_day_is_closed() -> None:
    """Another process closed the period while the sweep waited for its append, and the sweep is decided again."""
    tomorrow, month = NOW + timedelta(days=1), ClosePeriod("per_1", "2026-11", TODAY, TODAY)
    closing = By(by_person(ADA, "operator"), month, tomorrow)
    ledger = given(*RICH).ledger
    ledger.accepted(closing)
    refused = ledger.refused(CLOSE)
    assert (refused.rule, refused.figures["value_date"]) == ("period_closed", TODAY.isoformat())
    ledger.accepted(By(by_person(ADA, "operator"), CLOSE, tomorrow))


def test_the_item_after_a_closing_sees_it() -> None:
    late = Together((CLOSE, Deposit("txn_d", A, 1, "EUR", TODAY)))
    cash = opened(CASH, "main", minimum=None, type="cash")
    ledger = given(*RICH, cash).when(late).then(refusal("item_refused", item=2))
    assert ledger[A].status == "open"


def test_a_closed_account_is_reopened() -> None:
    closed = (opened(A), AccountClosed(A, 2, ADA, WHY))
    given(*closed).when(ReopenAccount(A, "a mistake")).then(AccountReopened(A, 3, ADA, "a mistake"))
    given(opened(A)).when(ReopenAccount(A, "x")).then(refusal("account_not_closed", status="open"))
    frozen = (opened(A), AccountFrozen(A, 2, ADA, "why"))
    given(*frozen).when(ReopenAccount(A, "x")).then(refusal("account_not_closed", status="frozen"))
    given().when(ReopenAccount(A, "x")).then(Unknown("account", A))


def test_only_operators_reopen() -> None:
    for role in ("command", "customer", "audit"):
        assert isinstance(forbid(by_person(ADA, role), ReopenAccount(A, "x"), NOW), Forbidden)
    assert forbid(by_person(ADA, "operator"), ReopenAccount(A, "x"), NOW) is None
