"""The process manager settlement_payout: it pays out what the settlement of a day has due.

A process is about one settlement. A payout that is refused is tried again after a while, and then an operator has to
look: an account is frozen, or the fees have no account. Other days and other merchants have processes of their own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from domain.accounts.settlement.events import SettlementCalculated
from domain.accounts.settlement.settlement import PaySettlement
from domain.accounts.transaction.state import TRANSACTION
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

OVER = frozenset({"settlement_not_due"})
"""Rules whose refusal means that there is nothing to pay out any more."""

Step = Literal["paying", "waiting", "blocked", "ended"]


class Payout(Value, frozen=True):
    """The payout of a settlement."""

    step: Step
    settlement: str
    account: str
    refused: int = 0  # times, one after the other
    next_at: datetime | None = None  # the due time


def evolve(state: Payout | None, trigger: Trigger) -> Payout:
    if isinstance(trigger, Happened) and isinstance(trigger.event, SettlementCalculated):
        return Payout("paying", trigger.event.originator_id, trigger.event.account)
    if state is None:
        raise ValueError("a payout begins with SettlementCalculated")
    match trigger:
        case Due() if state.step == "waiting":
            return replace(state, step="paying", next_at=None)
        case Retried() if state.step == "blocked":
            return replace(state, step="paying", next_at=None)
        case Answered() if state.step == "paying":
            return _answered(state, trigger)
    return state


def _answered(state: Payout, answer: Answered) -> Payout:
    if answer.outcome == "accepted" or answer.rule in OVER:
        return replace(state, step="ended")
    refused = state.refused + 1
    next_at = again(refused, answer.at)
    if next_at is None:
        return replace(state, step="blocked", refused=0)
    return replace(state, step="waiting", refused=refused, next_at=next_at)


def react(state: Payout, trigger: Trigger) -> Reaction:
    if isinstance(trigger, Happened | Due | Retried) and state.step == "paying":
        return Reaction((PaySettlement(state.settlement, state.account, trigger.id(TRANSACTION)),))
    if isinstance(trigger, Answered) and state.step == "blocked":
        return Reaction(attention=trigger.rule)
    return NOTHING


def _that_is_due(event: SettlementCalculated) -> tuple[str, ...] | None:
    return (event.originator_id,) if event.is_due else None


MANAGER = ProcessManager(
    name="settlement_payout",
    state=Payout,
    begins={SettlementCalculated: _that_is_due},
    concerns={},
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(PaySettlement,),
)
