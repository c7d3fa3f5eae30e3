"""The process manager pending_expiry: it ends a pending transaction when its time is over.

A process is about one transaction that was reserved with a time. It sends `ExpirePending` then, unless the transaction
was posted, cancelled or rejected before. Until that command is carried out the amounts stay reserved.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from domain.accounts.account.events import HoldCaptured
from domain.accounts.transaction.events import (
    TransactionApproved,
    TransactionCancelled,
    TransactionExpired,
    TransactionPended,
    TransactionRejected,
)
from domain.accounts.transaction.pending import ExpirePending
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

MAY_CHANGE = frozenset({"pending_not_expired"})
"""Rules whose refusal may change: another clock was ahead. After any other one the transaction waits no more."""

Step = Literal["waiting", "expiring", "blocked", "ended"]


class PendingExpiry(Value, frozen=True):
    """The expiry of a pending transaction."""

    step: Step
    transaction: str
    refused: int = 0  # times, one after the other
    next_at: datetime | None = None  # the due time


def evolve(state: PendingExpiry | None, trigger: Trigger) -> PendingExpiry:
    match trigger:
        case Happened(event=TransactionPended(originator_id=transaction, expires_at=expires_at)):
            return PendingExpiry("waiting", transaction, next_at=expires_at)
        case Happened():
            return replace(_begun(state), step="ended", next_at=None)
        case Due() | Retried():
            begun = _begun(state)
            return begun if begun.step == "ended" else replace(begun, step="expiring", next_at=None)
        case Answered():
            return _answered(_begun(state), trigger)
    raise TypeError(f"{type(trigger).__name__} is no trigger of an expiry")


def _begun(state: PendingExpiry | None) -> PendingExpiry:
    if state is None:
        raise ValueError("an expiry begins with TransactionPended")
    return state


def _answered(state: PendingExpiry, answer: Answered) -> PendingExpiry:
    if state.step != "expiring":
        return state
    if answer.outcome == "accepted" or answer.rule not in MAY_CHANGE:
        return replace(state, step="ended")
    refused = state.refused + 1
    next_at = again(refused, answer.at)
    if next_at is None:
        return replace(state, step="blocked", refused=0)
    return replace(state, refused=refused, next_at=next_at)


def react(state: PendingExpiry, trigger: Trigger) -> Reaction:
    if isinstance(trigger, Due | Retried) and state.step == "expiring":
        return Reaction((ExpirePending(state.transaction),))
    if isinstance(trigger, Answered) and state.step == "blocked":
        return Reaction(attention=trigger.rule)
    return NOTHING


def _that_expires(event: TransactionPended) -> tuple[str, ...] | None:
    return None if event.expires_at is None else (event.originator_id,)


def _of_its_hold(event: HoldCaptured) -> tuple[str, ...] | None:
    """The end of what the transaction reserved says that it was posted.

    `TransactionPosted` says it too. But every posting would then be read here, and nearly none was pending.
    """
    return (event.hold,) if event.hold == event.transaction else None


def _of_itself(
    event: TransactionApproved | TransactionCancelled | TransactionRejected | TransactionExpired,
) -> tuple[str, ...]:
    return (event.originator_id,)


MANAGER = ProcessManager(
    name="pending_expiry",
    state=PendingExpiry,
    begins={TransactionPended: _that_expires},
    concerns={
        HoldCaptured: _of_its_hold,
        TransactionApproved: _of_itself,
        TransactionCancelled: _of_itself,
        TransactionRejected: _of_itself,
        TransactionExpired: _of_itself,
    },
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(ExpirePending,),
)
