"""The process manager recurring_payments: it carries out each run of a recurring payment when it is due.

A process is about one payment. The events of the payment say when its next run is due, or its next try, and the process
sends `RunRecurringPayment` then. So a due time that passed while no worker ran is made up for, in order, one run after
the other. What became of a run is in the unit of that command, so its answer says nothing new, unless the command was
refused before a transfer was decided.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from domain.accounts.recurring.running import RunRecurringPayment
from domain.accounts.recurring.schedule import due_time
from domain.accounts.recurring.state import (
    RecurringPaymentCancelled,
    RecurringPaymentCreated,
    RecurringPaymentEvent,
    RecurringPaymentPaused,
    RecurringPaymentResumed,
    RecurringPaymentRun,
    RecurringPaymentStruck,
    RecurringPaymentSuspended,
)
from domain.kernel import Value
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

MAY_CHANGE = frozenset({"recurring_not_due"})
"""Rules whose refusal may change: another clock was ahead."""

Step = Literal["waiting", "running", "blocked", "stopped", "ended"]


class Recurrence(Value, frozen=True):
    """The runs of a payment. It is stopped while the payment is paused or suspended."""

    step: Step
    payment: str
    number: int  # of the next run
    refused: int = 0  # times, one after the other, before a transfer was decided
    next_at: datetime | None = None  # the due time


def evolve(state: Recurrence | None, trigger: Trigger) -> Recurrence:
    match trigger:
        case Happened(event=RecurringPaymentCreated(originator_id=payment, due_on=due_on)):
            return Recurrence("waiting", payment, 1, next_at=due_time(due_on))
        case Happened(event=RecurringPaymentResumed(originator_id=payment, number=number, due_on=due_on)):
            return Recurrence("waiting", payment, number, next_at=due_time(due_on))
    if state is None:
        raise ValueError("the runs of a payment begin with RecurringPaymentCreated")
    match trigger:
        case Happened(event=RecurringPaymentRun(number=number, next_on=next_on)):
            if next_on is None:
                return Recurrence("ended", state.payment, number)
            return Recurrence("waiting", state.payment, number + 1, next_at=due_time(next_on))
        case Happened(event=RecurringPaymentStruck(number=number, retry_at=retry_at)):
            return Recurrence("waiting", state.payment, number, next_at=retry_at)
        case Happened(event=RecurringPaymentPaused() | RecurringPaymentSuspended()):
            return replace(state, step="stopped", next_at=None)
        case Happened(event=RecurringPaymentCancelled()):
            return replace(state, step="ended", next_at=None)
        case Due() | Retried():
            stands = state.step in ("stopped", "ended")
            return state if stands else replace(state, step="running", next_at=None)
        case Answered():
            return _answered(state, trigger)
    raise TypeError(f"{type(trigger).__name__} is no trigger of a recurring payment")


def _answered(state: Recurrence, answer: Answered) -> Recurrence:
    if state.step != "running" or answer.intent != _intended(state):
        return state  # an event of the payment said what became of it
    refused = state.refused + 1
    next_at = again(refused, answer.at) if answer.rule in MAY_CHANGE else None
    if next_at is None:
        return replace(state, step="blocked", refused=0)
    return replace(state, refused=refused, next_at=next_at)


def react(state: Recurrence, trigger: Trigger) -> Reaction:
    if isinstance(trigger, Due | Retried) and state.step == "running":
        return Reaction((_intended(state),))
    if isinstance(trigger, Answered) and state.step == "blocked" and trigger.intent == _intended(state):
        return Reaction(attention=trigger.rule)
    return NOTHING


def _intended(state: Recurrence) -> RunRecurringPayment:
    return RunRecurringPayment(state.payment, state.number)


def _its_payment(event: RecurringPaymentEvent) -> tuple[str, ...]:
    return (event.originator_id,)


MANAGER = ProcessManager(
    name="recurring_payments",
    state=Recurrence,
    begins={RecurringPaymentCreated: _its_payment, RecurringPaymentResumed: _its_payment},
    concerns={
        RecurringPaymentRun: _its_payment,
        RecurringPaymentStruck: _its_payment,
        RecurringPaymentSuspended: _its_payment,
        RecurringPaymentPaused: _its_payment,
        RecurringPaymentCancelled: _its_payment,
    },
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(RunRecurringPayment,),
)
