"""Holds: placed on what is available, released, or captured in whole or in part."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from domain.accounts.account.events import (
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountOpened,
    HoldCaptured,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
)
from domain.accounts.account.holds import MOST_HOLDS, ExpireHold, PlaceHold, ReleaseHold
from domain.accounts.posting import Entry, TransactionPosted, internal_account
from domain.accounts.transaction import CaptureHold, Withdraw
from domain.kernel import Event
from domain.money import MAX_AMOUNT
from tests.support.given import given, refusal
from tests.support.memory_ledger import NOW, OPENED, TODAY

CASH = internal_account("main", "cash", "EUR")


def opened(id: str, minimum: int | None, type: str = "checking") -> AccountOpened:
    number = f"number of {id}"
    return AccountOpened(id, 1, number, type, "EUR", "owner-1", "Ada", minimum, None, OPENED)  # type: ignore[arg-type]


FUNDED: tuple[Event, ...] = (
    opened("acct_1", 100),
    AccountCredited("acct_1", 2, "txn_0", 1, 500, "EUR", TODAY),
    opened("acct_2", None),
    opened(CASH, None, "cash"),
)
"""acct_1 has 5.00 EUR and a minimum of 1.00."""
HELD = HoldPlaced("acct_1", 3, "hold_1", 300, "EUR", None, {}, None)


def hold(amount: int, id: str = "hold_1", currency: str = "EUR", account: str = "acct_1") -> PlaceHold:
    return PlaceHold(account, id, amount, currency)


def capture(amount: int, target: str = "acct_2", currency: str = "EUR", held: str = "hold_1") -> CaptureHold:
    return CaptureHold("acct_1", held, "txn_1", target, amount, currency, TODAY)


def captured(amount: int) -> tuple[Event, ...]:
    """The hold of 3.00 ends, and so much of it is paid."""
    entries = (Entry("acct_1", "debit", amount, "EUR"), Entry("acct_2", "credit", amount, "EUR"))
    return (
        HoldCaptured("acct_1", 4, "hold_1", 300, "EUR", "txn_1"),
        TransactionPosted("txn_1", 1, "capture", TODAY, entries, None, None, None),
        AccountDebited("acct_1", 5, "txn_1", 1, amount, "EUR", TODAY),
        AccountCredited("acct_2", 2, "txn_1", 2, amount, "EUR", TODAY),
    )


def test_a_hold_is_placed_and_released() -> None:
    ledger = given(*FUNDED).when(hold(300)).then(HELD)
    account = ledger["acct_1"]
    assert (account.balance, account.reserved, account.available) == (500, 300, 200)
    given(*FUNDED, HELD).when(ReleaseHold("acct_1", "hold_1")).then(HoldReleased("acct_1", 4, "hold_1", 300, "EUR"))


def test_a_hold_counts_against_what_is_available() -> None:
    given(*FUNDED).when(hold(401)).then(refusal("below_minimum", available="5.00", remaining="0.99"))
    given(*FUNDED, HELD).when(hold(101, "hold_2")).then(refusal("below_minimum", available="2.00"))
    given(*FUNDED, HELD).when(Withdraw("txn_1", "acct_1", 101, "EUR", TODAY)).then(refusal("below_minimum"))
    assert given(*FUNDED, HELD).when(Withdraw("txn_1", "acct_1", 100, "EUR", TODAY)).ledger["acct_1"].available == 100


@pytest.mark.parametrize("amount", [-1, 0, MAX_AMOUNT + 1])
def test_a_hold_is_over_an_amount(amount: int) -> None:
    given(*FUNDED).when(hold(amount)).then(refusal("hold_amount", hold="hold_1"))


def test_what_a_hold_needs() -> None:
    given(*FUNDED, HELD).when(hold(1)).then(refusal("hold_exists", hold="hold_1"))
    given(*FUNDED).when(hold(1, currency="USD")).then(refusal("currency_mismatch", currency="USD"))
    given(*FUNDED).when(hold(1, account=CASH)).then(refusal("account_internal", type="cash"))
    many = [HoldPlaced("acct_2", 2 + n, f"hold_{n}", 1, "EUR", None, {}, None) for n in range(MOST_HOLDS)]
    given(*FUNDED, *many).when(hold(1, "hold_x", account="acct_2")).then(refusal("hold_count", holds=MOST_HOLDS))


def expiring(expires_at: datetime | None) -> PlaceHold:
    return PlaceHold("acct_1", "hold_1", 300, "EUR", "till/4", {"till": "4"}, expires_at)


LATEST = NOW + timedelta(days=366)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize("expires_at", [None, NOW + MOMENT, LATEST])
def test_a_hold_may_expire_and_has_metadata(expires_at: datetime | None) -> None:
    placed = HoldPlaced("acct_1", 3, "hold_1", 300, "EUR", "till/4", {"till": "4"}, expires_at)
    ledger = given(*FUNDED).when(expiring(expires_at)).then(placed)
    assert ledger["acct_1"].holds == (("hold_1", 300, expires_at),)
    given(*FUNDED, placed).when(ReleaseHold("acct_1", "hold_1")).then(HoldReleased("acct_1", 4, "hold_1", 300, "EUR"))


@pytest.mark.parametrize("expires_at", [NOW - MOMENT, NOW, LATEST + MOMENT])
def test_a_hold_expires_after_now_and_within_366_days(expires_at: datetime) -> None:
    figures = {"hold": "hold_1", "expires_at": expires_at.isoformat(), "now": NOW.isoformat(), "days": 366}
    given(*FUNDED).when(expiring(expires_at)).then(refusal("hold_expiry", **figures))


@pytest.mark.parametrize(
    ("expires_at", "until"),
    [(NOW, None), (NOW + MOMENT, (NOW + MOMENT).isoformat()), (None, "no time")],
)
def test_a_hold_ends_when_its_time_is_over(expires_at: datetime | None, until: str | None) -> None:
    placed = HoldPlaced("acct_1", 3, "hold_1", 300, "EUR", "till/4", {}, expires_at)
    over = given(*FUNDED, placed).when(ExpireHold("acct_1", "hold_1"))
    if until is None:
        ledger = over.then(HoldExpired("acct_1", 4, "hold_1", 300, "EUR"))
        assert (ledger["acct_1"].holds, ledger["acct_1"].reserved) == ((), 0)
    else:
        over.then(refusal("hold_not_expired", hold="hold_1", expires_at=until, now=NOW.isoformat()))


def test_a_hold_that_ended_otherwise_does_not_expire() -> None:
    placed = HoldPlaced("acct_1", 3, "hold_1", 300, "EUR", None, {}, NOW)
    released = HoldReleased("acct_1", 4, "hold_1", 300, "EUR")
    unknown = refusal("hold_unknown", account="acct_1", hold="hold_1")
    given(*FUNDED, placed, released).when(ExpireHold("acct_1", "hold_1")).then(unknown)
    frozen = AccountFrozen("acct_1", 4, "owner-1", "why")
    expired = HoldExpired("acct_1", 5, "hold_1", 300, "EUR")
    given(*FUNDED, placed, frozen).when(ExpireHold("acct_1", "hold_1")).then(expired)


def test_an_account_with_more_holds_than_a_new_one_keeps_them() -> None:
    """An earlier revision allowed a thousand."""
    many = [HoldPlaced("acct_2", 2 + n, f"hold_{n}", 1, "EUR", None, {}, None) for n in range(MOST_HOLDS + 2)]
    version = MOST_HOLDS + 4
    account = given(*FUNDED, *many).ledger["acct_2"]
    assert (len(account.holds), account.reserved) == (MOST_HOLDS + 2, MOST_HOLDS + 2)
    released = HoldReleased("acct_2", version, "hold_0", 1, "EUR")
    given(*FUNDED, *many).when(ReleaseHold("acct_2", "hold_0")).then(released)
    capture_one = CaptureHold("acct_2", "hold_1", "txn_1", "acct_1", 1, "EUR", TODAY)
    assert given(*FUNDED, *many, released).when(capture_one).ledger["acct_2"].reserved == MOST_HOLDS
    refused = refusal("hold_count", holds=MOST_HOLDS + 1)
    given(*FUNDED, *many, released).when(hold(1, "hold_x", account="acct_2")).then(refused)


@pytest.mark.parametrize("amount", [300, 200, 1])
def test_a_hold_is_captured_in_whole_or_in_part_and_then_gone(amount: int) -> None:
    ledger = given(*FUNDED, HELD).when(capture(amount)).then(*captured(amount))
    account = ledger["acct_1"]
    assert (account.balance, account.reserved, account.holds) == (500 - amount, 0, ())
    gone = refusal("hold_unknown", hold="hold_1")
    given(*FUNDED, HELD, *captured(amount)).when(ReleaseHold("acct_1", "hold_1")).then(gone)


def test_what_a_capture_needs() -> None:
    given(*FUNDED, HELD).when(capture(301)).then(refusal("hold_exceeded", held="3.00", amount="3.01"))
    given(*FUNDED, HELD).when(capture(1, held="hold_2")).then(refusal("hold_unknown", hold="hold_2"))
    given(*FUNDED, HELD).when(capture(1, target="acct_1")).then(refusal("same_account", account="acct_1"))


@pytest.mark.parametrize("held", ["hold_1", "hold_unknown"])
@pytest.mark.parametrize("amount", [200, 301])
def test_a_hold_is_captured_in_its_own_currency(held: str, amount: int) -> None:
    """300 EUR are not 300 JPY."""
    wrong = refusal("currency_mismatch", account="acct_1", account_currency="EUR", currency="JPY")
    given(*FUNDED, HELD).when(capture(amount, currency="JPY", held=held)).then(wrong)
