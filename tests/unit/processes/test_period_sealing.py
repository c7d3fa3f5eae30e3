"""The sealing of a period, folded from events and answers alone."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from domain.accounts.periods.closing import MOST_FIGURES, SealPeriod
from domain.accounts.periods.sealing import MANAGER, TRIAL_BALANCE_UNTIL
from domain.accounts.periods.state import PERIODS, PeriodClosed, PeriodFigures, PeriodReopened
from domain.kernel import Event
from domain.process_manager import (
    MOST_INTENT_CHARACTERS,
    Answered,
    Fact,
    Happened,
    Question,
    Reaction,
    Retried,
    recorded,
)
from tests.support.memory_ledger import NOW

LAST_DAY = date(2026, 1, 31)
CLOSED = PeriodClosed(PERIODS, 2, "per_1", "2026-01", date(2026, 1, 1), LAST_DAY, "tester")
REOPENED = PeriodReopened(PERIODS, 5, "per_1", "appr_1", "prsn_1")
ASKS = Question(TRIAL_BALANCE_UNTIL, {"until": "2026-01-31"})
FIGURES = (PeriodFigures("EUR", "cash", 1, 5, 0), PeriodFigures("EUR", "checking", 2, 0, 5))
SEALS = SealPeriod("per_1", "ab", FIGURES)


def happened(event: Event) -> Happened:
    return Happened("proc_1", "event:1", event)


def figures(count: int = len(FIGURES)) -> Answered:
    told: dict[str, Fact] = {"figures": msgspec.json.encode(FIGURES).decode(), "count": count, "digest": "ab"}
    return Answered("proc_1", "answer:1:1", ASKS, "accepted", None, told, NOW)


def answered(outcome: Any, rule: str | None = None) -> Answered:
    return Answered("proc_1", "answer:2:1", SEALS, outcome, rule, {}, NOW)


RETRIED = Retried("proc_1", "retry:1")


def run(*triggers: Any) -> tuple[Any, Reaction]:
    """The state after the triggers, and the reaction to the last one."""
    state = None
    for trigger in triggers:
        state = MANAGER.evolve(state, trigger)
    return state, MANAGER.react(state, triggers[-1])


def test_it_asks_for_the_figures_and_seals_the_period_with_them() -> None:
    state, reaction = run(happened(CLOSED))
    assert (state.step, reaction, MANAGER.due(state)) == ("asking", Reaction((ASKS,)), None)
    state, reaction = run(happened(CLOSED), figures())
    assert (state.step, reaction) == ("sending", Reaction((SEALS,)))
    state, reaction = run(happened(CLOSED), figures(), answered("accepted"))
    assert (state.step, reaction.is_nothing) == ("ended", True)


def test_each_closing_has_a_process_of_its_own() -> None:
    assert MANAGER.process_of(CLOSED) == MANAGER.process_of(REOPENED)
    assert MANAGER.process_of(CLOSED) != MANAGER.process_of(msgspec.structs.replace(CLOSED, period="per_2"))


def test_a_period_that_is_reopened_is_not_sealed() -> None:
    for before in ((), (figures(),)):
        state, reaction = run(happened(CLOSED), *before, happened(REOPENED))
        assert (state.step, reaction.is_nothing) == ("ended", True)
    for after in (figures(), answered("refused", "period_not_closed"), RETRIED):
        state, reaction = run(happened(CLOSED), happened(REOPENED), after)
        assert (state.step, reaction.is_nothing) == ("ended", True)


def test_a_seal_that_is_not_wanted_any_more_ends_it_and_another_refusal_needs_attention() -> None:
    for rule in ("period_not_closed", "period_sealed"):
        state, reaction = run(happened(CLOSED), figures(), answered("refused", rule))
        assert (state.step, reaction.is_nothing) == ("ended", True)
    blocked = (happened(CLOSED), figures(), answered("refused", "period_unbalanced"))
    state, reaction = run(*blocked)
    assert (state.step, reaction) == ("blocked", Reaction(attention="period_unbalanced"))
    assert run(*blocked, RETRIED)[1] == Reaction((ASKS,))
    assert run(*blocked, RETRIED, figures())[1] == Reaction((SEALS,))


def test_an_operator_who_tries_again_in_between_does_not_end_it() -> None:
    state, reaction = run(happened(CLOSED), RETRIED, figures(), figures())
    assert (state.step, reaction) == ("sending", Reaction((SEALS,)))


def test_more_figures_than_a_seal_has_need_attention() -> None:
    assert run(happened(CLOSED), figures(MOST_FIGURES))[0].step == "sending"
    state, reaction = run(happened(CLOSED), figures(MOST_FIGURES + 1))
    assert (state.step, reaction) == ("blocked", Reaction(attention="period_figures"))


def test_the_most_figures_fit_one_intent() -> None:
    widest = PeriodFigures("EUR", "penalties", 10**9, 10**20, 10**20)
    intent = recorded(MANAGER, SealPeriod("per_01h455vb4pex5vsknk084sn02q", "f" * 64, (widest,) * MOST_FIGURES))
    assert len(intent.fields) <= MOST_INTENT_CHARACTERS
