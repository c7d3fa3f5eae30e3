"""The process of a payroll run in parts, folded from events alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from domain.accounts.payroll.events import PayrollFinished, PayrollStopped, PayrollSubmitted
from domain.accounts.payroll.part import PayPart
from domain.accounts.payroll.process import MANAGER
from domain.accounts.payroll.run import FinishPayroll
from domain.kernel import Event
from domain.process_manager import BACK_OFF, NOTHING, Answered, Due, Happened, Reaction, Retried
from tests.support.memory_ledger import NOW, TODAY

SUBMITTED = PayrollSubmitted("payroll_1", 1, "acct_1", "EUR", "2026-11", TODAY, 1_000, 100_000, "in_parts")


def happened(event: Event) -> Happened:
    return Happened("proc_1", "event:1", event)


def answered(rule: str | None = None, at: datetime = NOW, number: int = 1) -> Answered:
    outcome: Any = "accepted" if rule is None else "refused"
    return Answered("proc_1", f"answer:{number}:1", None, outcome, rule, {}, at)


BEGUN = happened(SUBMITTED)


def state_after(*triggers: Any) -> Any:
    state = None
    for trigger in triggers:
        state = MANAGER.evolve(state, trigger)
    return state


def reaction_after(*triggers: Any) -> Reaction:
    return MANAGER.react(state_after(*triggers), triggers[-1])


def part(number: int, trigger: Any) -> Reaction:
    return Reaction((PayPart("payroll_1", number, trigger.id("txn")),))


def test_only_a_run_in_parts_has_a_process() -> None:
    at_once = PayrollSubmitted("payroll_1", 1, "acct_1", "EUR", "2026-11", TODAY, 999, 99_900, "at_once")
    assert MANAGER.process_of(at_once) is None
    ended = PayrollFinished("payroll_1", 2, 1_000, 100_000, 0, 0, "EUR")
    assert (
        MANAGER.process_of(SUBMITTED)
        == MANAGER.process_of(ended)
        != MANAGER.process_of(PayrollFinished("payroll_2", 2, 1_000, 100_000, 0, 0, "EUR"))
    )


def test_it_pays_one_part_after_the_other_and_ends_the_run() -> None:
    triggers: list[Any] = [BEGUN]
    assert reaction_after(*triggers) == part(1, BEGUN)
    for number in (2, 3, 4):
        triggers.append(answered(number=number))
        assert reaction_after(*triggers) == part(number, triggers[-1])
    triggers.append(answered(number=5))
    assert reaction_after(*triggers) == Reaction((FinishPayroll("payroll_1"),))
    triggers += [happened(PayrollFinished("payroll_1", 2, 1_000, 100_000, 0, 0, "EUR")), answered(number=6)]
    assert state_after(*triggers).step == "ended"
    assert reaction_after(*triggers) == NOTHING


def test_a_part_that_was_tried_before_is_no_failure() -> None:
    tried = answered("payroll_part_tried")
    assert reaction_after(BEGUN, tried) == part(2, tried)


def test_a_refused_part_is_tried_again_and_then_an_operator_is_asked() -> None:
    triggers: list[Any] = [BEGUN]
    for wait in BACK_OFF:
        triggers.append(answered("account_frozen"))
        state = state_after(*triggers)
        assert (state.step, MANAGER.due(state)) == ("waiting", NOW + wait)
        assert reaction_after(*triggers) == NOTHING
        triggers.append(Due("proc_1", "due:1", NOW))
        assert reaction_after(*triggers) == part(1, triggers[-1])
    triggers.append(answered("account_frozen"))
    assert (state_after(*triggers).step, MANAGER.due(state_after(*triggers))) == ("blocked", None)
    assert reaction_after(*triggers) == Reaction(attention="account_frozen")
    triggers.append(Retried("proc_1", "retry:9"))
    assert reaction_after(*triggers) == part(1, triggers[-1])


@pytest.mark.parametrize("rule", ["payroll_stopped", "payroll_ended"])
def test_nothing_is_left_to_do_for_a_run_that_has_ended(rule: str) -> None:
    assert state_after(BEGUN, answered(rule)).step == "ended"


def test_an_operator_stops_the_run() -> None:
    stopped = happened(PayrollStopped("payroll_1", 2, "operator", "why"))
    assert state_after(BEGUN, stopped).step == "ended"
    for late in (answered(), Due("proc_1", "due:1", NOW), Retried("proc_1", "retry:1")):
        assert reaction_after(BEGUN, stopped, late) == NOTHING
