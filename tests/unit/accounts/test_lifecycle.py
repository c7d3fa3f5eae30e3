"""The life of an account: opened, frozen, unfrozen, closed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.accounts.account.events import (
    AccountClosed,
    AccountCredited,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    HoldPlaced,
)
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount, OpenAccount, UnfreezeAccount
from domain.accounts.numbers import number_claim
from domain.accounts.posting import internal_account
from domain.accounts.transaction import Deposit, Transfer, Withdraw
from domain.claims import ClaimTaken
from domain.kernel import Event, Unknown
from tests.support.given import given, refusal
from tests.support.memory_ledger import OPENED, TODAY, opening

CASH = internal_account("main", "cash", "EUR")
NUMBER = "CHK000000000101"


def opened(id: str = "acct_1", minimum: int | None = 0, **more: Any) -> AccountOpened:
    number, type = more.get("number", f"number of {id}"), more.get("type", "checking")
    return AccountOpened(id, 1, number, type, "EUR", "owner-1", "Ada Lovelace", minimum, None, OPENED)


OPEN = (opened(), AccountCredited("acct_1", 2, "txn_0", 1, 500, "EUR", TODAY))
"""An account with 5.00 EUR."""
FROZEN = AccountFrozen("acct_1", 3, "owner-1", "court order")
FREEZE, UNFREEZE = FreezeAccount("acct_1", "court order"), UnfreezeAccount("acct_1", "lifted")
CLOSE = CloseAccount("acct_1", "moved away")
OTHERS = (opened("acct_2", minimum=None), opened(CASH, minimum=None, type="cash"))
MOVEMENTS = [
    Deposit("txn_1", "acct_1", 50, "EUR", TODAY),
    Withdraw("txn_1", "acct_1", 50, "EUR", TODAY),
    Transfer("txn_1", "acct_1", "acct_2", 1, "EUR", TODAY),
    Transfer("txn_1", "acct_2", "acct_1", 1, "EUR", TODAY),
]


def opens(id: str = "acct_1", **more: Any) -> OpenAccount:
    return opening(account=id, number=more.pop("number", NUMBER), **more)


def test_opening_claims_the_number() -> None:
    claimed = ClaimTaken(number_claim(NUMBER), 1, "acct_1")
    given().when(opens()).then(opened(number=NUMBER), claimed)
    given(opened(number=NUMBER), claimed).when(opens("acct_2")).then(refusal("number_taken", number=NUMBER))
    given(opened()).when(opens()).then(refusal("account_exists", account="acct_1"))


def test_limits_and_the_opening_date_have_bounds() -> None:
    given().when(opens(minimum=5, maximum=4)).then(refusal("limits_crossed", minimum="0.05", maximum="0.04"))
    tomorrow = TODAY + timedelta(days=1)
    given().when(opens(opened_on=tomorrow)).then(refusal("opened_in_future", opened_on=tomorrow.isoformat()))


def test_an_account_is_frozen_and_unfrozen() -> None:
    given(*OPEN).when(FREEZE).then(FROZEN)
    given(*OPEN, FROZEN).when(UNFREEZE).then(AccountUnfrozen("acct_1", 4, "owner-1", "lifted"))
    given(*OPEN).when(UNFREEZE).then(refusal("account_not_frozen", account="acct_1"))
    given().when(FREEZE).then(Unknown("account", "acct_1"))


@pytest.mark.parametrize("command", [*MOVEMENTS, FREEZE, CLOSE])
def test_a_frozen_account_takes_nothing_either_way(command: Any) -> None:
    given(*OPEN, FROZEN, *OTHERS).when(command).then(refusal("account_frozen", account="acct_1"))


def test_an_account_that_was_unfrozen_moves_again() -> None:
    ledger = given(*OPEN, FROZEN, *OTHERS).when(UNFREEZE, MOVEMENTS[1]).ledger
    assert ledger["acct_1"].balance == 450


def test_an_account_is_closed_when_nothing_is_left() -> None:
    given(opened()).when(CLOSE).then(AccountClosed("acct_1", 2, "owner-1", "moved away"))
    given(*OPEN).when(CLOSE).then(refusal("balance_not_zero", balance="5.00"))
    held = HoldPlaced("acct_1", 3, "hold_1", 500, "EUR", None, {}, None)
    given(*OPEN, held).when(CLOSE).then(refusal("holds_open", holds=1, reserved="5.00"))


@pytest.mark.parametrize("command", [*MOVEMENTS, FREEZE, UNFREEZE, CLOSE])
def test_nothing_becomes_of_a_closed_account(command: Any) -> None:
    closed: tuple[Event, ...] = (opened(), AccountClosed("acct_1", 2, "owner-1", "moved away"))
    given(*closed, *OTHERS).when(command).then(refusal("account_closed", account="acct_1"))
