"""The process manager account_closing: it closes an account once its last hold has ended.

A process is about one account that was to be closed when free. Pending transactions reserve with holds too. No new hold
can be placed, so the process counts them down. What is left is swept in the unit of the closing. If that is refused, an
operator has to look.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from domain.accounts.account.events import (
    AccountClosed,
    AccountClosingAsked,
    AccountClosingCancelled,
    AccountUnfrozen,
    HoldCaptured,
    HoldExpired,
    HoldReleased,
)
from domain.accounts.transaction.closing import CloseFreeAccount
from domain.accounts.transaction.state import TRANSACTION
from domain.kernel import Value
from domain.process_manager import NOTHING, Answered, Happened, ProcessManager, Reaction, Retried, Trigger

OVER = frozenset({"closing_not_asked", "account_closed"})
"""Rules whose refusal means that there is nothing to close any more."""


class Closing(Value, frozen=True):
    """An account that is to be closed, and how many holds are open."""

    step: Literal["waiting", "closing", "blocked", "ended"]
    account: str
    holds: int


def evolve(state: Closing | None, trigger: Trigger) -> Closing:
    """Return the closing after the trigger."""
    if isinstance(trigger, Happened) and isinstance(trigger.event, AccountClosingAsked):
        holds = trigger.event.open_holds
        return Closing("waiting" if holds else "closing", trigger.event.originator_id, holds)
    if state is None:
        raise ValueError("the closing of an account begins with AccountClosingAsked")
    if state.step == "ended":
        return state
    match trigger:
        case Happened(event=AccountClosed() | AccountClosingCancelled()):
            return replace(state, step="ended")
        case Happened(event=AccountUnfrozen()):
            return replace(state, step="closing") if state.step == "blocked" else state
        case Happened():
            left = state.holds - 1
            return replace(state, step="waiting" if left else "closing", holds=left)
        case Retried():
            return replace(state, step="closing")
        case Answered():
            done = trigger.outcome == "accepted" or trigger.rule in OVER
            return replace(state, step="ended" if done else "blocked")
    raise TypeError(f"{type(trigger).__name__} is no trigger of a closing")


def react(state: Closing, trigger: Trigger) -> Reaction:
    """Return the command that closes the account, or the cause for attention."""
    if state.step == "closing":
        return Reaction((CloseFreeAccount(state.account, trigger.id(TRANSACTION)),))
    if state.step == "blocked" and isinstance(trigger, Answered):
        return Reaction(attention=trigger.rule)
    return NOTHING


_Event = (
    AccountClosingAsked
    | AccountClosingCancelled
    | AccountClosed
    | AccountUnfrozen
    | HoldReleased
    | HoldCaptured
    | HoldExpired
)


def _its_account(event: _Event) -> tuple[str, ...]:
    return (event.originator_id,)


MANAGER = ProcessManager(
    name="account_closing",
    state=Closing,
    begins={AccountClosingAsked: _its_account},
    concerns=dict.fromkeys(
        (AccountClosingCancelled, AccountClosed, AccountUnfrozen, HoldReleased, HoldCaptured, HoldExpired),
        _its_account,
    ),
    evolve=evolve,
    react=react,
    due=lambda state: None,
    ends=frozenset({"ended"}),
    sends=(CloseFreeAccount,),
)
