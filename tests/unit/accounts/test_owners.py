"""Owners and mandates: who has them, what they allow until when, and what a customer learns of foreign accounts."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.details import ChangeAccountDetails
from domain.accounts.account.events import (
    AccountClosed,
    AccountCredited,
    AccountFrozen,
    AccountOpened,
    HoldPlaced,
    HoldReleased,
    MandateGiven,
    MandateWithdrawn,
    OwnerAdded,
    OwnerRemoved,
)
from domain.accounts.account.holds import PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import CancelClosing, CloseAccount, CloseWhenFree
from domain.accounts.account.limits import ChangeLimits
from domain.accounts.account.owners import (
    AddOwner,
    GiveMandate,
    RemoveOwner,
    WithdrawMandate,
    allows,
    knows,
)
from domain.accounts.account.state import Account, Mandate
from domain.accounts.currencies.conversions import ConvertMoney
from domain.accounts.currencies.quotes import QuoteConversion
from domain.accounts.posting import internal_account
from domain.accounts.recurring import (
    CancelRecurringPayment,
    ChangeRecurringAmount,
    CreateRecurringPayment,
    PauseRecurringPayment,
    ResumeRecurringPayment,
)
from domain.accounts.transaction import CancelPending, PendTransfer, PostPending, Transfer
from domain.accounts.transfer_order import CancelTransferOrder, SubmitTransferOrder
from domain.batch import SubmitBatch
from domain.kernel import Accepted, Event, Forbidden, Grant, Principal, Refused, Role, Unknown
from domain.long_batch import OpenLongBatch, ReceivePart, StopLongBatch
from domain.money import MAX_AMOUNT
from domain.permissions import COMMANDERS
from domain.registry import PERMISSIONS
from domain.together import Together
from tests.support.given import Given, given, refusal
from tests.support.memory_ledger import NOW, OPENED, TODAY, MemoryLedger

A, B, FOREIGN, MISSING = "acct_a", "acct_b", "acct_foreign", "acct_missing"
CASH = internal_account("main", "cash", "EUR")
ADA, BOB, EVE = "prsn_ada", "prsn_bob", "prsn_eve"
MOMENT = timedelta(microseconds=1)


def opened(id: str, owner: str, maximum: int | None = None, type: str = "checking") -> AccountOpened:
    return AccountOpened(id, 1, f"number of {id}", type, "EUR", owner, "A name", 0, maximum, OPENED)  # type: ignore[arg-type]


WORLD: tuple[Event, ...] = (
    opened(A, ADA),
    AccountCredited(A, 2, "txn_0", 1, 1_000, "EUR", TODAY),
    opened(B, ADA),
    opened(FOREIGN, EVE, maximum=500),
    AccountCredited(FOREIGN, 2, "txn_0", 2, 400, "EUR", TODAY),
    opened(CASH, "main", type="cash"),
)
"""Ada owns A with 10.00 and B. Eve owns the foreign account, which has 4.00 and takes no more than 5.00."""


def mandate(person: str = BOB, *, see: bool = True, up_to: int | None = None, until: datetime | None = None) -> Any:
    return GiveMandate(A, person, see, up_to, "EUR", until)


def mandated(*, see: bool = True, up_to: int | None = None, until: datetime | None = None) -> MandateGiven:
    return MandateGiven(A, 3, BOB, see, up_to, "EUR", until)


def customer(person: str | None, role: Role = "customer") -> Principal:
    return Principal("app", (role,), person=person)


def asked_by(person: str | None, *more: Event, now: datetime = NOW, role: Role = "customer") -> Given:
    """What this person meets in the world, after these events too."""
    met = given(*WORLD, *more)
    met.ledger.context = replace(met.ledger.context, principal=customer(person, role), decided_at=now)
    return met


def transfer(amount: int = 1, source: str = A, target: str = B, currency: str = "EUR") -> Transfer:
    return Transfer("txn_1", source, target, amount, currency, TODAY)


# Owners and mandates


def test_the_owner_of_the_opening_is_the_first_owner() -> None:
    assert given(*WORLD).ledger[A].profile.owners == (ADA,)


def test_an_owner_is_added_and_removed_and_the_last_one_stays() -> None:
    added = OwnerAdded(A, 3, BOB)
    ledger = given(*WORLD).when(AddOwner(A, BOB)).then(added)
    assert ledger[A].profile.owners == (ADA, BOB)
    ledger = given(*WORLD, added).when(RemoveOwner(A, ADA)).then(OwnerRemoved(A, 4, ADA))
    assert (ledger[A].profile.owners, ledger[A].profile.owner) == ((BOB,), ADA), "the key that seals its texts stays"
    given(*WORLD).when(RemoveOwner(A, ADA)).then(refusal("owner_last", person=ADA))


def test_a_mandate_replaces_the_one_before_and_ends_with_ownership_and_withdrawal() -> None:
    first, second = mandated(), MandateGiven(A, 4, BOB, False, 500, "EUR", NOW + MOMENT)
    ledger = given(*WORLD, first).when(mandate(see=False, up_to=500, until=NOW + MOMENT)).then(second)
    assert ledger[A].profile.mandates == (Mandate(BOB, False, 500, NOW + MOMENT),)
    ledger = given(*WORLD, first, second).when(WithdrawMandate(A, BOB)).then(MandateWithdrawn(A, 5, BOB))
    assert ledger[A].profile.mandates == ()
    ledger = given(*WORLD, first).when(AddOwner(A, BOB)).then(OwnerAdded(A, 4, BOB))
    assert ledger[A].profile.mandates == ()
    ledger = given(*WORLD, first, OwnerAdded(A, 4, BOB)).when(RemoveOwner(A, BOB)).ledger
    assert not knows(ledger[A], BOB, NOW), "the mandate does not come back"


@pytest.mark.parametrize("command", [AddOwner(CASH, BOB), replace(mandate(), account=CASH)])
def test_an_internal_account_has_neither(command: Any) -> None:
    given(*WORLD).when(command).then(refusal("account_internal", type="cash"))


def test_a_closed_account_gets_nobody_new_and_can_lose_them() -> None:
    closed: tuple[Event, ...] = (
        opened("acct_c", ADA),
        OwnerAdded("acct_c", 2, BOB),
        MandateGiven("acct_c", 3, EVE, True, None, "EUR", None),
        AccountClosed("acct_c", 4, ADA, "why"),
    )
    for command in (AddOwner("acct_c", "prsn_1"), replace(mandate("prsn_1"), account="acct_c")):
        given(*closed).when(command).then(refusal("account_closed"))
    given(*closed).when(RemoveOwner("acct_c", BOB)).then(OwnerRemoved("acct_c", 5, BOB))
    given(*closed).when(WithdrawMandate("acct_c", EVE)).then(MandateWithdrawn("acct_c", 5, EVE))


def test_a_frozen_account_can_get_a_mandate_which_moves_nothing_meanwhile() -> None:
    frozen = (AccountFrozen(A, 3, ADA, "why"), MandateGiven(A, 4, BOB, True, 500, "EUR", None))
    given(*WORLD, frozen[0]).when(mandate(up_to=500)).then(frozen[1])
    asked_by(BOB, *frozen).when(transfer()).then(refusal("account_frozen"))


def test_a_mandate_in_another_currency_is_refused() -> None:
    given(*WORLD).when(replace(mandate(up_to=1), currency="USD")).then(refusal("currency_mismatch"))


# The rule


def account(*more: Event) -> Account:
    found = given(*WORLD, *more).ledger[A]
    assert isinstance(found, Account)
    return found


@pytest.mark.parametrize("debit", [None, 1, MAX_AMOUNT])
def test_an_owner_may_do_everything_and_others_nothing(debit: int | None) -> None:
    assert allows(account(), ADA, NOW, debit=debit)
    for person in (BOB, "the-log", None):
        assert not allows(account(), person, NOW, debit=debit)


@pytest.mark.parametrize("person", ["main", ADA, None])
def test_an_internal_account_is_nobodys(person: str | None) -> None:
    cash = given(*WORLD).ledger[CASH]
    assert not knows(cash, person, NOW)


def test_a_mandate_allows_what_it_says() -> None:
    see, move = account(mandated()), account(mandated(see=False, up_to=500))
    assert [allows(see, BOB, NOW, debit=debit) for debit in (None, 1)] == [True, False]
    assert [allows(move, BOB, NOW, debit=debit) for debit in (None, 500, 501)] == [False, True, False]
    assert not knows(see, EVE, NOW)


@pytest.mark.parametrize(("at", "allowed"), [(NOW - MOMENT, True), (NOW, False), (NOW + MOMENT, False)])
def test_a_mandate_ends_at_its_instant(at: datetime, allowed: bool) -> None:
    ended = mandated(up_to=500, until=NOW)
    assert allows(account(ended), BOB, at) is allowed
    assert allows(account(ended), BOB, at, debit=500) is allowed
    assert allows(account(mandated(up_to=500)), BOB, at), "without an end"
    decision = asked_by(BOB, ended, now=at).when(transfer(500)).decision
    assert isinstance(decision, Accepted if allowed else Unknown)


# What a customer may send


def test_an_owner_moves_what_is_theirs_and_sees_the_balances_that_are() -> None:
    decision = asked_by(ADA).when(transfer(100)).decision
    assert isinstance(decision, Accepted)
    assert set(decision.result["balances"]) == {A, B}  # type: ignore[arg-type]
    assert decision.unseen == frozenset()


def test_a_foreign_payee_is_paid_and_nothing_is_told_of_it() -> None:
    decision = asked_by(ADA).when(transfer(100, target=FOREIGN)).decision
    assert isinstance(decision, Accepted)
    assert set(decision.result["balances"]) == {A}  # type: ignore[arg-type]
    assert decision.unseen == {FOREIGN}


@pytest.mark.parametrize("more", [(), (AccountFrozen(FOREIGN, 3, EVE, "why"),)], ids=["full", "frozen"])
def test_why_a_foreign_payee_takes_nothing_is_not_told(more: tuple[Event, ...]) -> None:
    decision = asked_by(ADA, *more).when(transfer(101, target=FOREIGN)).decision
    assert isinstance(decision, Refused)
    assert (decision.rule, decision.figures) == ("account_unseen", {"account": FOREIGN, "person": ADA})


def test_what_is_wrong_with_the_own_account_is_told() -> None:
    asked_by(ADA).when(transfer(1_001, target=FOREIGN)).then(refusal("below_minimum", balance="10.00"))
    asked_by(ADA).when(transfer(1, target=FOREIGN, currency="USD")).then(refusal("currency_mismatch", account=A))


def test_who_may_move_and_not_see_gets_no_figure_of_the_account() -> None:
    only_moves = mandated(see=False, up_to=5_000)
    decision = asked_by(BOB, only_moves).when(transfer(1)).decision
    assert isinstance(decision, Accepted)
    assert decision.result["balances"] == {}
    assert decision.unseen == {A, B}
    asked_by(BOB, only_moves).when(transfer(1_001)).then(refusal("account_unseen", account=A))
    held = asked_by(BOB, only_moves).when(PlaceHold(A, "hold_1", 100, "EUR")).decision
    assert isinstance(held, Accepted)
    assert held.result == {"account": A, "hold": "hold_1", "currency": "EUR"}


FROM: dict[str, Any] = {
    "transfer": lambda account: transfer(1, account, B),
    "hold": lambda account: PlaceHold(account, "hold_1", 1, "EUR"),
    "hold of nothing": lambda account: PlaceHold(account, "hold_1", 0, "EUR"),
    "release": lambda account: ReleaseHold(account, "hold_1"),
    "mandate": lambda account: replace(mandate("prsn_1"), account=account),
    "empty mandate": lambda account: replace(mandate("prsn 1", see=False), account=account),
    "withdrawal": lambda account: WithdrawMandate(account, "prsn_1"),
}
"""Commands of a customer about an account."""


UNKNOWN = [(about, account, person) for about in FROM for account in (FOREIGN, CASH) for person in (ADA, None)]
UNKNOWN.append(("payee", CASH, ADA))


@pytest.mark.parametrize(("about", "account", "person"), UNKNOWN)
def test_a_foreign_account_is_unknown_like_one_that_does_not_exist(
    about: str, account: str, person: str | None
) -> None:
    make = FROM.get(about, lambda account: transfer(0, A, account))
    for id in (account, MISSING):
        decision = asked_by(person).when(make(id)).decision
        assert decision == replace(Unknown("account", id), commuting=decision.commuting)  # type: ignore[union-attr]
    together = asked_by(person).when(Together((transfer(1), make(account)))).decision
    assert isinstance(together, Unknown)


def test_a_mandate_is_exceeded_in_a_sentence() -> None:
    asked_by(BOB, mandated(up_to=500)).when(transfer(501)).then(refusal("mandate_exceeded", move_up_to="5.00"))
    asked_by(BOB, mandated()).when(transfer(1)).then(refusal("mandate_exceeded", move_up_to="0.00", amount="0.01"))
    asked_by(BOB, mandated()).when(PlaceHold(A, "hold_1", 1, "EUR")).then(refusal("mandate_exceeded"))


def test_a_hold_is_released_by_who_may_move_its_amount() -> None:
    held = HoldPlaced(A, 3, "hold_1", 300, "EUR", None, {}, None)
    released = HoldReleased(A, 5, "hold_1", 300, "EUR")
    for up_to in (299, 300):
        given_mandate = MandateGiven(A, 4, BOB, True, up_to, "EUR", None)
        when = asked_by(BOB, held, given_mandate).when(ReleaseHold(A, "hold_1"))
        when.then(released if up_to == 300 else refusal("mandate_exceeded", amount="3.00"))
    asked_by(ADA, held).when(ReleaseHold(A, "hold_1")).then(replace(released, originator_version=4))
    asked_by(ADA, held).when(ReleaseHold(A, "hold_2")).then(refusal("hold_unknown"))


def test_an_owner_decides_about_mandates_and_a_mandate_does_not() -> None:
    asked_by(ADA).when(mandate()).then(mandated())
    asked_by(ADA, mandated()).when(WithdrawMandate(A, BOB)).then(MandateWithdrawn(A, 4, BOB))
    for command in (mandate(EVE), WithdrawMandate(A, BOB)):
        decision = asked_by(BOB, mandated(up_to=500)).when(command).decision
        assert decision == Forbidden(f"Only an owner decides about the mandates of account {A}; {BOB} is none.")


def test_staff_and_programs_are_not_asked_whose_it_is() -> None:
    for role in COMMANDERS:
        assert isinstance(asked_by(ADA, role=role).when(transfer(1, FOREIGN)).decision, Accepted)
        assert isinstance(asked_by(None, role=role).when(transfer(1, FOREIGN)).decision, Accepted)


def test_a_customer_with_a_role_of_staff_is_staff_while_it_lasts() -> None:
    for at, kind in ((NOW - MOMENT, Accepted), (NOW, Unknown)):
        met = asked_by(ADA, now=at)
        granted = Principal("app", ("customer",), person=ADA, grants=(Grant("operator", NOW),))
        met.ledger.context = replace(met.ledger.context, principal=granted)
        assert isinstance(met.when(transfer(1, FOREIGN)).decision, kind)


def test_what_a_customer_may_send_at_all() -> None:
    commands = {command for command, roles in PERMISSIONS.items() if "customer" in roles}
    assert commands == {
        QuoteConversion,
        ConvertMoney,
        Transfer,
        PendTransfer,
        PostPending,
        CancelPending,
        PlaceHold,
        ReleaseHold,
        GiveMandate,
        WithdrawMandate,
        ChangeLimits,
        ChangeAccountDetails,
        CloseAccount,
        CloseWhenFree,
        CancelClosing,
        SubmitBatch,
        OpenLongBatch,
        ReceivePart,
        StopLongBatch,
        CreateRecurringPayment,
        ChangeRecurringAmount,
        PauseRecurringPayment,
        ResumeRecurringPayment,
        CancelRecurringPayment,
        SubmitTransferOrder,
        CancelTransferOrder,
    }


def test_together_a_mandate_counts_from_the_item_after_it() -> None:
    """The states of a unit are those after its items before."""
    items = (mandate(EVE, up_to=100), WithdrawMandate(A, EVE), transfer(100))
    decision = asked_by(ADA).when(Together(items)).decision
    assert isinstance(decision, Accepted)
    paid = asked_by(ADA).when(Together((transfer(1, target=FOREIGN), mandate()))).decision
    assert isinstance(paid, Accepted)
    assert paid.unseen == {FOREIGN}


# Random histories


@pytest.mark.parametrize("seed", range(20))
def test_no_answer_to_a_customer_tells_of_an_account_that_is_not_theirs(seed: int) -> None:
    """A customer sends commands at random. Answers for what is foreign are those for what does not exist."""
    chance = Random(seed)
    ledger = MemoryLedger()
    people = [ADA, BOB, EVE]
    accounts = [f"acct_{n}" for n in range(5)]
    for account in accounts:
        ledger.record([opened(account, chance.choice(people), chance.choice((None, 1_000)))])
        ledger.record([AccountCredited(account, 2, f"txn_{account}", 1, 900, "EUR", TODAY)])
    for number in range(200):
        person = chance.choice(people)
        now = NOW + timedelta(seconds=number)
        ledger.context = replace(ledger.context, principal=customer(person), decided_at=now)
        source, target = chance.sample(accounts, 2)
        amount = chance.randint(1, 300)
        closing = CloseAccount(source, "moved away", target, f"txn_{number}")
        command: Any = chance.choice(
            (
                *((closing,) if number > 120 else ()),
                Transfer(f"txn_{number}", source, target, amount, "EUR", TODAY),
                PlaceHold(source, f"hold_{number}", amount, "EUR"),
                GiveMandate(source, chance.choice(people), True, amount, "EUR", now + timedelta(seconds=50)),
                GiveMandate(source, chance.choice(people), False, amount, "EUR", None),
            )
        )
        before: Account = ledger[source]
        decision = ledger.execute(command)
        allowed = allows(before, person, now, debit=amount)
        if not knows(before, person, now):
            assert decision == replace(Unknown("account", source), commuting=decision.commuting)  # type: ignore[union-attr]
        elif isinstance(decision, Accepted):
            assert allowed or person in before.profile.owners
            seen = {id for id in accounts if allows(ledger[id], person, now)}
            assert set(decision.result.get("balances", ())) <= seen  # type: ignore[arg-type]
            assert ("balance" not in decision.result) or source in seen
            assert {event.originator_id for event in decision.events if event.originator_id in accounts} <= (
                seen | decision.unseen
            )
        elif isinstance(decision, Refused) and "balance" in decision.figures:
            assert allows(ledger[str(decision.figures["account"])], person, now)
