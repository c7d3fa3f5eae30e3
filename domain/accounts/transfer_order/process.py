"""The process manager transfer_orders: it executes each order when it is due, and then tells the owners by mail.

A process is about one order. The events of the order say when it is tried, and that it ended. What became of a try is
in the unit of its command, so the answer says nothing new, unless the command was refused before anything was tried.
The mails come after the money: a mail that cannot be queued asks for attention, and one that cannot be sent is given up
on its own stream (`domain.people.mail`). Neither changes the order.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from domain.accounts.transfer_order.events import (
    TransferOrderCancelled,
    TransferOrderDelayed,
    TransferOrderEvent,
    TransferOrderExecuted,
    TransferOrderExpired,
    TransferOrderFailed,
    TransferOrderSubmitted,
)
from domain.accounts.transfer_order.executing import ExecuteTransferOrder
from domain.kernel import Value
from domain.people.mail import MAIL, QueueMail, Template
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

MAY_CHANGE = frozenset({"transfer_order_not_due"})
"""Rules whose refusal may change: another clock was ahead."""

Step = Literal["waiting", "executing", "telling", "blocked", "ended"]


class Notice(Value, frozen=True):
    """A mail about the end of an order that is not queued yet."""

    person: str
    template: Template
    cause_version: int


class Ordered(Value, frozen=True):
    """An order, when it is tried next, and whom to tell."""

    step: Step
    order: str
    next_at: datetime | None = None  # the due time
    expires_at: datetime | None = None
    refused: int = 0  # times, one after the other, before anything was tried
    notices: tuple[Notice, ...] = ()


def evolve(state: Ordered | None, trigger: Trigger) -> Ordered:
    """Return the process after the trigger."""
    if isinstance(trigger, Happened) and isinstance(trigger.event, TransferOrderSubmitted):
        return _submitted(trigger.event)
    if state is None:
        raise ValueError("the process of a transfer order begins with TransferOrderSubmitted")
    match trigger:
        case Happened(event=TransferOrderDelayed(retry_at=retry_at)):
            at = retry_at if state.expires_at is None else min(retry_at, state.expires_at)
            return replace(state, step="waiting", refused=0, next_at=at)
        case Happened(event=TransferOrderExecuted() as event):
            return _ended(state, "transfer_executed", event)
        case Happened(event=TransferOrderFailed() | TransferOrderExpired() as event):
            return _ended(state, "transfer_not_executed", event)
        case Happened():
            return replace(state, step="ended", next_at=None)
        case Due() | Retried():
            if state.step == "ended":
                return state
            return replace(state, step="telling" if state.notices else "executing", next_at=None)
        case Answered(intent=QueueMail() as mail):
            return _queued(state, mail, trigger)
        case Answered():
            return _answered(state, trigger)
    raise TypeError(f"{type(trigger).__name__} is no trigger of a transfer order")


def _submitted(event: TransferOrderSubmitted) -> Ordered:
    step: Step = "executing" if event.execute_at is None else "waiting"
    return Ordered(step, event.originator_id, event.execute_at, event.expires_at)


def _ended(
    state: Ordered, template: Template, event: TransferOrderExecuted | TransferOrderFailed | TransferOrderExpired
) -> Ordered:
    notices = tuple(Notice(person, template, event.originator_version) for person in event.notify)
    return replace(state, step="telling" if notices else "ended", next_at=None, notices=notices)


def _queued(state: Ordered, mail: QueueMail, answer: Answered) -> Ordered:
    """A mail is queued, or refused: then it stays to be tried again, and the others are queued all the same."""
    if state.step == "ended":
        return state
    if answer.outcome == "refused":
        return replace(state, step="blocked")
    left = tuple(notice for notice in state.notices if notice.person != mail.person)
    return replace(state, step=state.step if left else "ended", notices=left)


def _answered(state: Ordered, answer: Answered) -> Ordered:
    if state.step != "executing":
        return state  # an event of the order said what became of it
    refused = state.refused + 1
    next_at = again(refused, answer.at) if answer.rule in MAY_CHANGE else None
    if next_at is None:
        return replace(state, step="blocked", refused=0)
    return replace(state, step="waiting", refused=refused, next_at=next_at)


def react(state: Ordered, trigger: Trigger) -> Reaction:
    """Return the command that executes the order, the mails to queue, or the cause for attention."""
    if isinstance(trigger, Answered):
        return Reaction(attention=trigger.rule) if state.step == "blocked" and trigger.rule is not None else NOTHING
    if state.step == "executing":
        return Reaction((ExecuteTransferOrder(state.order),))
    if state.step == "telling":
        mails = (
            QueueMail(trigger.id(MAIL, number), notice.person, notice.template, notice.cause_version)
            for number, notice in enumerate(state.notices, 1)
        )
        return Reaction(tuple(mails))
    return NOTHING


def _its_order(event: TransferOrderEvent) -> tuple[str, ...]:
    return (event.originator_id,)


MANAGER = ProcessManager(
    name="transfer_orders",
    state=Ordered,
    begins={TransferOrderSubmitted: _its_order},
    concerns={
        TransferOrderDelayed: _its_order,
        TransferOrderExecuted: _its_order,
        TransferOrderFailed: _its_order,
        TransferOrderExpired: _its_order,
        TransferOrderCancelled: _its_order,
    },
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(ExecuteTransferOrder, QueueMail),
)
