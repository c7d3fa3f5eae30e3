"""The process manager hold_expiry: it ends a hold when its time is over.

A process is about one hold that was placed with a time. It sends `ExpireHold` then, unless the hold ended before. Until
that command is carried out the amount is reserved, and the hold can still be captured. A capture that keeps the rest
changes nothing here. The hold of a pending transaction has no such process: it ends with the transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from domain.accounts.account.events import HoldCaptured, HoldExpired, HoldPlaced, HoldReleased
from domain.accounts.account.holds import ExpireHold, of_transaction
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

MAY_CHANGE = frozenset({"hold_not_expired"})
"""Rules whose refusal may change: another clock was ahead. After any other one there is no hold to end any more."""

Step = Literal["held", "expiring", "blocked", "ended"]


class Expiry(Value, frozen=True):
    """The expiry of a hold."""

    step: Step
    account: str
    hold: str
    refused: int = 0  # times, one after the other
    next_at: datetime | None = None  # the due time


def evolve(state: Expiry | None, trigger: Trigger) -> Expiry:
    match trigger:
        case Happened(event=HoldPlaced(originator_id=account, hold=hold, expires_at=expires_at)):
            return Expiry("held", account, hold, next_at=expires_at)
        case Happened():
            return replace(_begun(state), step="ended", next_at=None)
        case Due() | Retried():
            begun = _begun(state)
            return begun if begun.step == "ended" else replace(begun, step="expiring", next_at=None)
        case Answered():
            return _answered(_begun(state), trigger)
    raise TypeError(f"{type(trigger).__name__} is no trigger of an expiry")


def _begun(state: Expiry | None) -> Expiry:
    if state is None:
        raise ValueError("an expiry begins with HoldPlaced")
    return state


def _answered(state: Expiry, answer: Answered) -> Expiry:
    if state.step != "expiring":
        return state
    if answer.outcome == "accepted" or answer.rule not in MAY_CHANGE:
        return replace(state, step="ended")
    refused = state.refused + 1
    next_at = again(refused, answer.at)
    if next_at is None:
        return replace(state, step="blocked", refused=0)
    return replace(state, refused=refused, next_at=next_at)


def react(state: Expiry, trigger: Trigger) -> Reaction:
    if isinstance(trigger, Due | Retried) and state.step == "expiring":
        return Reaction((ExpireHold(state.account, state.hold),))
    if isinstance(trigger, Answered) and state.step == "blocked":
        return Reaction(attention=trigger.rule)
    return NOTHING


def _that_expires(event: HoldPlaced) -> tuple[str, ...] | None:
    if event.expires_at is None or of_transaction(event.hold):
        return None
    return (event.originator_id, event.hold)


def _of_its_hold(event: HoldReleased | HoldCaptured | HoldExpired) -> tuple[str, ...]:
    return (event.originator_id, event.hold)


MANAGER = ProcessManager(
    name="hold_expiry",
    state=Expiry,
    begins={HoldPlaced: _that_expires},
    concerns={HoldReleased: _of_its_hold, HoldCaptured: _of_its_hold, HoldExpired: _of_its_hold},
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(ExpireHold,),
)
