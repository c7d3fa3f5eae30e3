"""The closing of an account once it is free, folded from events alone."""

from __future__ import annotations

from typing import Any

import pytest

from domain.accounts.account.events import (
    AccountClosed,
    AccountClosingAsked,
    AccountClosingCancelled,
    AccountUnfrozen,
    HoldCaptured,
    HoldExpired,
    HoldPartlyCaptured,
    HoldReleased,
)
from domain.accounts.account_closing import MANAGER
from domain.accounts.transaction.closing import CloseFreeAccount
from domain.kernel import Event
from domain.process_manager import NOTHING, Answered, Happened, Reaction, Retried
from tests.support.memory_ledger import NOW

A = "acct_a"
RELEASED = HoldReleased(A, 5, "hold_1", 100, "EUR")


def happened(event: Event) -> Happened:
    return Happened("proc_1", "event:1", event)


def asked(holds: int) -> Happened:
    return happened(AccountClosingAsked(A, 4, "owner-1", "moves away", "acct_b", holds))


def answered(rule: str | None = None) -> Answered:
    outcome: Any = "accepted" if rule is None else "refused"
    return Answered("proc_1", "answer:1:1", None, outcome, rule, {}, NOW)


def state_after(*triggers: Any) -> Any:
    state = None
    for trigger in triggers:
        state = MANAGER.evolve(state, trigger)
    return state


def reaction_after(*triggers: Any) -> Reaction:
    return MANAGER.react(state_after(*triggers), triggers[-1])


def closes(trigger: Any) -> Reaction:
    return Reaction((CloseFreeAccount(A, trigger.id("txn")),))


def test_a_free_account_is_closed_and_another_one_after_its_last_hold() -> None:
    assert reaction_after(asked(0)) == closes(asked(0))
    ends = [
        happened(event)
        for event in (RELEASED, HoldExpired(A, 6, "hold_2", 1, "EUR"), HoldCaptured(A, 7, "hold_3", 1, "EUR", "txn_1"))
    ]
    for number in range(3):
        assert reaction_after(asked(3), *ends[:number]) == NOTHING
    assert reaction_after(asked(3), *ends) == closes(ends[-1])
    assert MANAGER.process_of(HoldPartlyCaptured(A, 5, "hold_1", 1, "EUR", "txn_1")) is None, "the hold goes on"


def test_a_refused_closing_needs_attention_until_its_cause_is_mended() -> None:
    before = (asked(0), answered("account_frozen"))
    assert state_after(*before).step == "blocked"
    assert reaction_after(*before) == Reaction(attention="account_frozen")
    unfrozen = happened(AccountUnfrozen(A, 6, "owner-1", "why"))
    for mended in (unfrozen, Retried("proc_1", "retry:1")):
        assert reaction_after(*before, mended) == closes(mended)
    assert reaction_after(asked(1), unfrozen) == NOTHING, "it waits for its hold"


@pytest.mark.parametrize(
    "end",
    [
        happened(AccountClosed(A, 6, "owner-1", "at once")),
        happened(AccountClosingCancelled(A, 6, "owner-1", "stays")),
        answered(),
        answered("closing_not_asked"),
        answered("account_closed"),
    ],
)
def test_it_ends(end: Any) -> None:
    for begin in (asked(0), asked(1)):
        assert state_after(begin, end).step == "ended"
        for late in (happened(RELEASED), Retried("proc_1", "retry:1"), answered("account_frozen")):
            assert reaction_after(begin, end, late) == NOTHING
    assert state_after(asked(1), end, asked(1)).step == "waiting", "it can be asked for again"
