"""Details and metadata of accounts: who may change them, what is refused, and what the state keeps of them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.details import ChangeAccountDetails, ChangeAccountMetadata
from domain.accounts.account.events import (
    AccountClosed,
    AccountDetailsChanged,
    AccountFrozen,
    AccountMetadataChanged,
    AccountOpened,
    MandateGiven,
)
from domain.accounts.posting import internal_account
from domain.claims import ClaimTaken
from domain.codes import MOST_PAIRS
from domain.kernel import Accepted, Event, Forbidden, Principal, Unknown
from domain.money import MAX_AMOUNT
from domain.registry import forbid
from tests.support.given import given, refusal
from tests.support.memory_ledger import NOW, OPENED, By, by_person, opening

A, CASH = "acct_a", internal_account("main", "cash", "EUR")
ADA, BOB = "prsn_ada", "prsn_bob"
OPEN = AccountOpened(A, 1, "number of a", "checking", "EUR", ADA, "Ada Lovelace", 0, None, OPENED)
INTERNAL = AccountOpened(CASH, 1, "number of cash", "cash", "EUR", "main", "Cash", None, None, OPENED)
NAME = ChangeAccountDetails(A, "Ada King")
COMMANDER = Principal("till", ("command",))


def pairs(*remove: str, **set: str) -> ChangeAccountMetadata:
    return ChangeAccountMetadata(A, set, remove)


def changed(version: int, *removed: str, **set: str) -> AccountMetadataChanged:
    return AccountMetadataChanged(A, version, set, removed)


def test_an_account_gets_another_name() -> None:
    given(OPEN).when(NAME).then(AccountDetailsChanged(A, 2, ADA, "Ada King"))
    given().when(NAME).then(Unknown("account", A))


def test_the_state_has_no_name() -> None:
    """States are kept in snapshots, which have nothing personal. So no decision knows whether a name is another one."""
    assert "Ada" not in repr(given(OPEN).when(NAME).ledger[A])


@pytest.mark.parametrize("command", [NAME, pairs(branch="12")])
def test_a_frozen_account_is_described_and_a_closed_one_is_not(command: Any) -> None:
    assert isinstance(given(OPEN, AccountFrozen(A, 2, ADA, "why")).when(command).decision, Accepted)
    given(OPEN, AccountClosed(A, 2, ADA, "why")).when(command).then(refusal("account_closed", account=A))


def test_an_owner_names_their_account_and_nobody_else_does() -> None:
    def by(person: str, *events: Event) -> Any:
        return given(OPEN, *events).ledger.execute_by(By(by_person(person, "customer"), NAME))

    assert isinstance(by(ADA), Accepted)
    assert by(BOB) == Unknown("account", A)
    mandate = MandateGiven(A, 2, BOB, True, MAX_AMOUNT, "EUR", None)
    assert by(BOB, mandate) == Forbidden(f"Only an owner changes the details of account {A}; {BOB} is none.")


def test_metadata_are_for_staff() -> None:
    """They are what programs of the staff match by, such as a segment: a customer does not decide about that."""
    assert isinstance(forbid(by_person(ADA, "customer"), pairs(branch="12"), NOW), Forbidden)
    assert forbid(COMMANDER, pairs(branch="12"), NOW) is None


@pytest.mark.parametrize("command", [ChangeAccountDetails(CASH, "Till"), ChangeAccountMetadata(CASH, {"k": "v"})])
def test_internal_accounts_are_an_operators(command: Any) -> None:
    ledger = given(INTERNAL).ledger
    decision = ledger.execute_by(By(COMMANDER, command))
    assert decision == Forbidden("Only an operator changes an internal account; till is none.")
    assert isinstance(ledger.execute(command), Accepted)


def test_pairs_are_set_replaced_and_removed() -> None:
    given(OPEN).when(pairs(branch="12", till="4")).then(changed(2, branch="12", till="4"))
    before = (OPEN, changed(2, branch="12", till="4"))
    ledger = (
        given(*before).when(pairs("till", branch="13", segment="x")).then(changed(3, "till", branch="13", segment="x"))
    )
    assert ledger[A].profile.metadata_keys == ("branch", "segment")
    given(*before).when(pairs("till", "till")).then(changed(3, "till"))


def test_what_is_removed_must_be_there_and_is_not_set_too() -> None:
    before = (OPEN, changed(2, branch="12"))
    given(*before).when(pairs("till")).then(refusal("metadata_unknown", key="till"))
    given(*before).when(pairs("branch", branch="13")).then(refusal("metadata_twice", key="branch"))
    given(*before).when(pairs()).then(refusal("metadata_unchanged", account=A))
    given(*before).when(pairs("two words")).then(refusal("not_a_code", field="key of metadata"))
    given(*before).when(pairs(k="ada@example.com")).then(refusal("not_a_code", field="value of metadata"))


def test_the_bound_is_for_the_pairs_after_the_change() -> None:
    full = {f"k{n}": "v" for n in range(MOST_PAIRS)}
    before = (OPEN, changed(2, **full))
    given(*before).when(pairs(one="more")).then(refusal("metadata_pairs", pairs=MOST_PAIRS + 1, most=MOST_PAIRS))
    given(*before).when(pairs("k0", one="more")).then(changed(3, "k0", one="more"))
    given(*before).when(pairs(k0="other")).then(changed(3, k0="other"))


def test_an_account_is_opened_with_metadata_in_one_unit() -> None:
    command = opening(account=A, number="CHK000000000101")
    decision = given().ledger.execute(replace(command, metadata={"k": "v"}))
    assert isinstance(decision, Accepted)
    assert [type(event) for event in decision.events] == [AccountOpened, AccountMetadataChanged, ClaimTaken]
    assert decision.events[1] == changed(2, k="v")
    bare = given().ledger.execute(command)
    assert isinstance(bare, Accepted)
    assert [type(event) for event in bare.events] == [AccountOpened, ClaimTaken]
