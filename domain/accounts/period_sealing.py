"""The process manager period_sealing: it seals a closed period with its figures.

A process is about one closing. It asks for the trial balance up to the end of the period. The worker answers from read
tables that have passed the position of the question, which is after the closing. So they have every posting with such a
value date, and no other one can follow. Then it sends `SealPeriod`. A period that was reopened meanwhile refuses it.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec
from msgspec.structs import replace

from domain.accounts.periods.closing import MOST_FIGURES, SealPeriod
from domain.accounts.periods.state import PeriodClosed, PeriodFigures, PeriodReopened
from domain.kernel import Value
from domain.process_manager import (
    NOTHING,
    Answered,
    Happened,
    ProcessManager,
    Question,
    Reaction,
    Retried,
    Trigger,
)

TRIAL_BALANCE_UNTIL = "trial_balance_until"
"""The query that it asks, with the day `until`: figures by value date up to that day, as a JSON array of
`PeriodFigures`, their count, and the digest of all balances."""
OVER = frozenset({"period_not_closed", "period_sealed"})
"""Rules whose refusal means that there is nothing to seal any more."""

Step = Literal["asking", "sealing", "blocked", "ended"]


class Sealing(Value, frozen=True):
    """The sealing of a period."""

    step: Step
    period: str
    ends_on: date


def evolve(state: Sealing | None, trigger: Trigger) -> Sealing:
    match trigger:
        case Happened(event=PeriodClosed(period=period, ends_on=ends_on)):
            return Sealing("asking", period, ends_on)
        case Happened():
            return replace(_begun(state), step="ended")
        case Retried():
            begun = _begun(state)
            return begun if begun.step == "ended" else replace(begun, step="asking")
        case Answered():
            return _answered(_begun(state), trigger)
    raise TypeError(f"{type(trigger).__name__} is no trigger of a sealing")


def _begun(state: Sealing | None) -> Sealing:
    if state is None:
        raise ValueError("a sealing begins with PeriodClosed")
    return state


def _answered(state: Sealing, answer: Answered) -> Sealing:
    if state.step == "ended":
        return state
    if isinstance(answer.intent, Question):
        return replace(state, step="sealing" if int(answer.figures["count"] or 0) <= MOST_FIGURES else "blocked")
    return replace(state, step="ended" if answer.outcome == "accepted" or answer.rule in OVER else "blocked")


def react(state: Sealing, trigger: Trigger) -> Reaction:
    if state.step == "asking":
        return Reaction((Question(TRIAL_BALANCE_UNTIL, {"until": state.ends_on.isoformat()}),))
    if isinstance(trigger, Answered) and isinstance(trigger.intent, Question) and state.step == "sealing":
        figures = msgspec.json.decode(str(trigger.figures["figures"]), type=tuple[PeriodFigures, ...])
        return Reaction((SealPeriod(state.period, str(trigger.figures["digest"]), figures),))
    if isinstance(trigger, Answered) and state.step == "blocked":
        return Reaction(attention=trigger.rule or "period_figures")
    return NOTHING


def _its_period(event: PeriodClosed | PeriodReopened) -> tuple[str, ...]:
    return (event.period,)


MANAGER = ProcessManager(
    name="period_sealing",
    state=Sealing,
    begins={PeriodClosed: _its_period},
    concerns={PeriodReopened: _its_period},
    evolve=evolve,
    react=react,
    due=lambda state: None,
    ends=frozenset({"ended"}),
    sends=(SealPeriod,),
    asks=(TRIAL_BALANCE_UNTIL,),
)
