"""The expiry of a hold, folded from events alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.accounts.account.events import HoldCaptured, HoldExpired, HoldPlaced, HoldReleased
from domain.accounts.account.holds import ExpireHold
from domain.accounts.hold_expiry import MANAGER
from domain.kernel import Event
from domain.process_manager import BACK_OFF, Answered, Due, Happened, Reaction, Retried
from tests.support.memory_ledger import NOW

PLACED = HoldPlaced("acct_1", 3, "hold_1", 300, "EUR", None, {}, NOW)
EXPIRE = ExpireHold("acct_1", "hold_1")


def state_after(*triggers: Any) -> Any:
    state = None
    for trigger in triggers:
        state = MANAGER.evolve(state, trigger)
    return state


def happened(event: Event) -> Happened:
    return Happened("proc_1", "event:1", event)


def answered(outcome: Any, rule: str | None = None, at: datetime = NOW) -> Answered:
    return Answered("proc_1", "answer:1:1", EXPIRE, outcome, rule, {}, at)


DUE = Due("proc_1", "due:1", NOW)


def test_a_hold_without_a_time_has_no_process() -> None:
    forever = HoldPlaced("acct_1", 3, "hold_1", 300, "EUR", None, {}, None)
    assert MANAGER.process_of(forever) is None
    of_transaction = HoldPlaced("acct_1", 3, "txn_1", 300, "EUR", None, {}, NOW)
    assert MANAGER.process_of(of_transaction) is None
    assert MANAGER.process_of(PLACED) == MANAGER.process_of(HoldReleased("acct_1", 4, "hold_1", 300, "EUR"))
    assert MANAGER.process_of(PLACED) != MANAGER.process_of(HoldReleased("acct_1", 4, "hold_2", 300, "EUR"))
    assert MANAGER.process_of(PLACED) != MANAGER.process_of(HoldReleased("acct_2", 4, "hold_1", 300, "EUR"))


def test_it_waits_for_the_time_and_ends_the_hold() -> None:
    state = state_after(happened(PLACED))
    assert (state.step, MANAGER.due(state)) == ("held", NOW)
    state = state_after(happened(PLACED), DUE)
    assert (state.step, MANAGER.due(state)) == ("expiring", None)
    assert MANAGER.react(state, DUE) == Reaction((EXPIRE,))
    assert state_after(happened(PLACED), DUE, answered("accepted")).step == "ended"


@pytest.mark.parametrize(
    "end",
    [
        HoldReleased("acct_1", 4, "hold_1", 300, "EUR"),
        HoldCaptured("acct_1", 4, "hold_1", 300, "EUR", "txn_1"),
        HoldExpired("acct_1", 4, "hold_1", 300, "EUR"),
    ],
)
def test_a_hold_that_ended_needs_no_timer(end: Event) -> None:
    state = state_after(happened(PLACED), happened(end))
    assert (state.step, MANAGER.due(state)) == ("ended", None)
    assert state_after(happened(PLACED), happened(end), DUE) == state
    assert MANAGER.react(state, DUE).is_nothing


def test_a_refusal_that_will_not_change_ends_it_and_another_is_tried_again() -> None:
    assert state_after(happened(PLACED), DUE, answered("refused", "hold_unknown")).step == "ended"
    triggers: list[Any] = [happened(PLACED)]
    state, at = state_after(*triggers), NOW
    for pause in (*BACK_OFF, timedelta(0)):
        triggers += [DUE, answered("refused", "hold_not_expired", at)]
        state = state_after(*triggers)
        assert state.next_at == (at + pause if pause else None)
        at += pause
    assert state.step == "blocked"
    assert MANAGER.react(state, triggers[-1]) == Reaction(attention="hold_not_expired")
    retried = Retried("proc_1", "retry:9")
    assert MANAGER.react(state_after(*triggers, retried), retried) == Reaction((EXPIRE,))
