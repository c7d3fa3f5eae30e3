"""The process manager hold_expiry: it ends a hold when its time is over.

A process is about one hold that was placed with a time. It sends `ExpireHold` then, unless the hold ended before. Until
that command is carried out the amount is reserved, and the hold can still be captured. A capture that keeps the rest
changes nothing here. The hold of a pending transaction has no such process: it ends with the transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from domain.accounts.account.events import HoldCaptured, HoldExpired, HoldPlaced, HoldReleased
from domain.accounts.account.holds import ExpireHold, of_transaction
from domain.expiry import evolving, reacting
from domain.kernel import Value
from domain.process_manager import ProcessManager

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


def _held(event: HoldPlaced) -> Expiry:
    return Expiry("held", event.originator_id, event.hold, next_at=event.expires_at)


evolve = evolving(HoldPlaced, _held, MAY_CHANGE)


def _end(state: Expiry) -> ExpireHold:
    return ExpireHold(state.account, state.hold)


react = reacting(_end)


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
