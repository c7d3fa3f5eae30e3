"""Holds: placed on what is available, released, or captured in whole or in part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.accounts.account.events import (
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountOpened,
    HoldCaptured,
    HoldExpired,
    HoldPartlyCaptured,
    HoldPlaced,
    HoldReleased,
)
from domain.accounts.account.holds import MOST_HOLDS, ExpireHold, PlaceHold, ReleaseHold
from domain.accounts.account.state import HOLDS_OF_TRANSACTIONS
from domain.accounts.posting import Entry, TransactionPosted, internal_account
from domain.accounts.transaction import TRANSACTION, CaptureHold, Withdraw
from domain.kernel import Accepted, Event
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


def part(amount: int) -> CaptureHold:
    return replace(capture(amount), keep_rest=True)


@pytest.mark.parametrize("amount", [299, 1])
def test_a_capture_can_keep_the_rest(amount: int) -> None:
    events = (HoldPartlyCaptured("acct_1", 4, "hold_1", amount, "EUR", "txn_1"), *captured(amount)[1:])
    done = given(*FUNDED, HELD).when(part(amount))
    account = done.then(*events)["acct_1"]
    assert (account.balance, account.reserved) == (500 - amount, 300 - amount)
    assert account.holds == (("hold_1", 300 - amount, None),)
    assert isinstance(done.decision, Accepted)
    assert done.decision.result["remaining"] == f"{(300 - amount) / 100:.2f}"
    rest = HoldReleased("acct_1", 6, "hold_1", 300 - amount, "EUR")
    assert given(*FUNDED, HELD, *events).when(ReleaseHold("acct_1", "hold_1")).then(rest)["acct_1"].reserved == 0


FIRST_PART = (HoldPartlyCaptured("acct_1", 4, "hold_1", 100, "EUR", "txn_1"), *captured(100)[1:])


def test_a_capture_of_exactly_the_rest_ends_the_hold() -> None:
    given(*FUNDED, HELD).when(part(300)).then(*captured(300))
    given(*FUNDED, HELD, *FIRST_PART).when(part(201)).then(refusal("hold_exceeded", held="2.00", amount="2.01"))
    done = given(*FUNDED, HELD, *FIRST_PART).when(replace(part(200), transaction="txn_2"))
    assert isinstance(done.decision, Accepted)
    assert done.decision.events[0] == HoldCaptured("acct_1", 6, "hold_1", 200, "EUR", "txn_2")
    assert done.decision.result["remaining"] == "0.00"
    assert (done.ledger["acct_1"].balance, done.ledger["acct_1"].holds) == (200, ())


@pytest.mark.parametrize("amount", [0, -1])
@pytest.mark.parametrize("command", [capture, part])
def test_a_part_of_nothing_is_not_captured(command: Callable[[int], CaptureHold], amount: int) -> None:
    given(*FUNDED, HELD).when(command(amount)).then(refusal("entry_amount", entry=1))


def test_the_rest_of_a_hold_expires() -> None:
    expired = HoldExpired("acct_1", 6, "hold_1", 200, "EUR")
    given(*FUNDED, replace(HELD, expires_at=NOW), *FIRST_PART).when(ExpireHold("acct_1", "hold_1")).then(expired)


OF_TRANSACTION = HoldPlaced("acct_1", 3, "txn_9", 300, "EUR", None, {}, NOW)


@pytest.mark.parametrize(
    "command",
    [
        ReleaseHold("acct_1", "txn_9"),
        ExpireHold("acct_1", "txn_9"),
        capture(1, held="txn_9"),
        replace(part(1), hold="txn_9"),
    ],
)
def test_the_hold_of_a_pending_transaction_ends_with_it(command: Any) -> None:
    given(*FUNDED, OF_TRANSACTION).when(command).then(refusal("hold_of_transaction", hold="txn_9"))
    given(*FUNDED).when(command).then(refusal("hold_unknown", hold="txn_9"))


def test_no_client_places_the_hold_of_a_transaction() -> None:
    assert f"{TRANSACTION}_" == HOLDS_OF_TRANSACTIONS
    given(*FUNDED).when(hold(1, "txn_9")).then(refusal("hold_of_transaction", hold="txn_9"))


def test_holds_and_pending_transactions_are_bounded_together() -> None:
    many = [HoldPlaced("acct_2", 2 + n, f"hold_{n}", 1, "EUR", None, {}, None) for n in range(MOST_HOLDS - 1)]
    pending = HoldPlaced("acct_2", MOST_HOLDS + 1, "txn_9", 1, "EUR", None, {}, None)
    full = given(*FUNDED, *many, pending).when(hold(1, "hold_x", account="acct_2"))
    full.then(refusal("hold_count", holds=MOST_HOLDS))


STEPS = st.lists(
    st.tuples(st.sampled_from(("place", "capture", "part", "release")), st.integers(0, 3), st.integers(1, 400)),
    max_size=30,
)


@hypothesis.given(STEPS)
def test_no_more_is_taken_than_was_held_and_the_rest_is_reserved(steps: list[tuple[str, int, int]]) -> None:
    """Holds against a model of sums: what was placed, what was taken, what is left."""
    funds = AccountCredited("acct_1", 2, "txn_0", 1, 2_000, "EUR", TODAY)
    ledger = given(FUNDED[0], funds, *FUNDED[2:]).ledger
    placed: dict[str, int] = {}
    taken: dict[str, int] = {}
    left: dict[str, int] = {}
    for number, (kind, which, amount) in enumerate(steps):
        id = f"hold_{len(placed) if kind == 'place' else which}"
        if kind == "place":
            accepted = amount <= 2_000 - 100 - sum(taken.values()) - sum(left.values())
            command: Any = hold(amount, id)
        elif kind == "release":
            accepted, command = id in left, ReleaseHold("acct_1", id)
        else:
            accepted = amount <= left.get(id, 0)
            command = replace(capture(amount, held=id), transaction=f"txn_{number + 1}", keep_rest=kind == "part")
        assert isinstance(ledger.execute(command), Accepted) is accepted
        if accepted and kind == "place":
            placed[id] = left[id] = amount
        elif accepted and kind == "release":
            del left[id]
        elif accepted:
            taken[id] = taken.get(id, 0) + amount
            rest = left.pop(id) - amount
            left |= {id: rest} if rest and kind == "part" else {}
        account = ledger["acct_1"]
        assert all(taken.get(id, 0) + left.get(id, 0) <= was for id, was in placed.items())
        assert {id: rest for id, rest, _ in account.holds} == left
        assert account.reserved == sum(left.values())
        assert (account.balance, ledger["acct_2"].balance) == (2_000 - sum(taken.values()), sum(taken.values()))


@pytest.mark.parametrize("held", ["hold_1", "hold_unknown"])
@pytest.mark.parametrize("amount", [200, 301])
def test_a_hold_is_captured_in_its_own_currency(held: str, amount: int) -> None:
    """300 EUR are not 300 JPY."""
    wrong = refusal("currency_mismatch", account="acct_1", account_currency="EUR", currency="JPY")
    given(*FUNDED, HELD).when(capture(amount, currency="JPY", held=held)).then(wrong)
