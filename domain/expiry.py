"""What process managers share that end something when its time is over, such as a hold or a pending transaction.

A process is about one thing that began with a time. At that time it sends the command that ends the thing, unless the
thing ended before. The state is a class of the manager's own, with the fields of `Expiring`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar, cast

from msgspec.structs import replace

from domain.kernel import Command, Event
from domain.process_manager import NOTHING, Answered, Due, Happened, Reaction, Retried, Trigger, again

EXPIRING, BLOCKED, ENDED = "expiring", "blocked", "ended"
"""Steps of such a process, beside the one at which it waits."""


class Expiring(Protocol):
    """The part of a state that the functions here change."""

    @property
    def step(self) -> str: ...
    @property
    def refused(self) -> int: ...  # times, one after the other
    @property
    def next_at(self) -> datetime | None: ...  # the due time


S = TypeVar("S", bound=Expiring)


def evolving(
    begins: type[Event], begin: Callable[[Any], S], may_change: frozenset[str]
) -> Callable[[S | None, Trigger], S]:
    """Return the `evolve` of such a manager.

    `begin` makes the state from the event that begins a process. Another event ends it. `may_change` has the rules
    whose refusal may change: the clock of another machine was ahead. After any other one there is nothing to end.
    """

    def evolve(state: S | None, trigger: Trigger) -> S:
        if isinstance(trigger, Happened) and isinstance(trigger.event, begins):
            return begin(trigger.event)
        if state is None:
            raise ValueError(f"an expiry begins with {begins.__name__}")
        match trigger:
            case Happened():
                return _with(state, step=ENDED, next_at=None)
            case Due() | Retried():
                return state if state.step == ENDED else _with(state, step=EXPIRING, next_at=None)
            case Answered():
                return _answered(state, trigger, may_change)
        raise TypeError(f"{type(trigger).__name__} is no trigger of an expiry")

    return evolve


def _answered(state: S, answer: Answered, may_change: frozenset[str]) -> S:
    if state.step != EXPIRING:
        return state
    if answer.outcome == "accepted" or answer.rule not in may_change:
        return _with(state, step=ENDED)
    refused = state.refused + 1
    next_at = again(refused, answer.at)
    if next_at is None:
        return _with(state, step=BLOCKED, refused=0)
    return _with(state, refused=refused, next_at=next_at)


def _with(state: S, **values: Any) -> S:
    return cast(S, replace(cast(Any, state), **values))


def reacting(end: Callable[[S], Command]) -> Callable[[S, Trigger], Reaction]:
    """Return the `react` of such a manager. `end` makes the command that ends the thing."""

    def react(state: S, trigger: Trigger) -> Reaction:
        if isinstance(trigger, Due | Retried) and state.step == EXPIRING:
            return Reaction((end(state),))
        if isinstance(trigger, Answered) and state.step == BLOCKED:
            return Reaction(attention=trigger.rule)
        return NOTHING

    return react
