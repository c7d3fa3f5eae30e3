"""The process manager payroll: it pays the parts of a large payroll run, one after the other, and ends the run.

A part that is refused as a whole, because of the company's account, is tried again after a while, and then needs an
operator. The hold stays meanwhile, so the money is there once the cause is mended. An operator can stop the run too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from domain.accounts.payroll.events import PayrollFinished, PayrollStopped, PayrollSubmitted
from domain.accounts.payroll.part import PayPart
from domain.accounts.payroll.paying import parts_of
from domain.accounts.payroll.run import FinishPayroll
from domain.accounts.transaction.state import TRANSACTION
from domain.kernel import Command, Value
from domain.process_manager import (
    NOTHING,
    Answered,
    Due,
    Happened,
    ProcessManager,
    Reaction,
    Retried,
    Trigger,
    again,
)

DONE = frozenset({"payroll_part_tried"})
"""Rules whose refusal means that the part was paid or parked before."""
OVER = frozenset({"payroll_ended", "payroll_stopped"})
"""Rules whose refusal means that there is nothing to do any more."""


class Paying(Value, frozen=True):
    """How far a run is. After the last part it is finished."""

    step: Literal["paying", "waiting", "blocked", "ended"]
    payroll: str
    parts: int
    part: int = 1  # the one that is paid now; after the last one the run is finished
    refused: int = 0  # times, one after the other
    next_at: datetime | None = None  # the due time


def evolve(state: Paying | None, trigger: Trigger) -> Paying:
    """Return how far the run is after the trigger."""
    if isinstance(trigger, Happened) and isinstance(trigger.event, PayrollSubmitted):
        return Paying("paying", trigger.event.originator_id, len(parts_of(trigger.event.items)))
    if state is None:
        raise ValueError("a payroll process begins with PayrollSubmitted")
    match trigger:
        case Happened():
            return replace(state, step="ended", next_at=None)
        case Due() | Retried():
            return state if state.step == "ended" else replace(state, step="paying", next_at=None)
        case Answered():
            return _answered(state, trigger)
    raise TypeError(f"{type(trigger).__name__} is no trigger of a payroll process")


def _answered(state: Paying, answer: Answered) -> Paying:
    if state.step != "paying":
        return state
    if answer.rule in OVER:
        return replace(state, step="ended")
    if answer.outcome == "accepted" or answer.rule in DONE:
        return replace(state, part=state.part + 1, refused=0)
    refused = state.refused + 1
    next_at = again(refused, answer.at)
    if next_at is None:
        return replace(state, step="blocked", refused=0)
    return replace(state, step="waiting", refused=refused, next_at=next_at)


def react(state: Paying, trigger: Trigger) -> Reaction:
    """Return the next part to pay, the end of the run, or the cause for attention."""
    if state.step == "paying":
        return Reaction((_next(state, trigger),))
    if state.step == "blocked" and isinstance(trigger, Answered):
        return Reaction(attention=trigger.rule)
    return NOTHING


def _next(state: Paying, trigger: Trigger) -> Command:
    if state.part <= state.parts:
        return PayPart(state.payroll, state.part, trigger.id(TRANSACTION))
    return FinishPayroll(state.payroll)


def _in_parts(event: PayrollSubmitted) -> tuple[str, ...] | None:
    return (event.originator_id,) if event.mode == "in_parts" else None


def _of_run(event: PayrollFinished | PayrollStopped) -> tuple[str, ...]:
    return (event.originator_id,)


MANAGER = ProcessManager(
    name="payroll",
    state=Paying,
    begins={PayrollSubmitted: _in_parts},
    concerns={PayrollFinished: _of_run, PayrollStopped: _of_run},
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(PayPart, FinishPayroll),
)
