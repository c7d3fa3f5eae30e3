"""What the two processes on a closed period share: sealing it, and closing the year that ends with it.

Such a process asks one question, whose answer can change no more, and sends one command that is made of the answer. It
ends when the period is reopened.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from datetime import date
from typing import Any, Literal

from msgspec.structs import replace

from domain.kernel import Command, Value
from domain.process_manager import NOTHING, Answered, Happened, Question, Reaction, Retried, Trigger


class OnPeriod(Value, frozen=True):
    """What is to be done on a closed period."""

    step: Literal["asking", "sending", "blocked", "ended"]
    period: str
    ends_on: date  # the last day of the period


def evolving(begins: type[Any], *, most: int, over: Set[str]) -> Callable[[OnPeriod | None, Trigger], OnPeriod]:
    """Return the `evolve` of such a manager.

    The event `begins` names the period and its last day. Another event ends the process. An answer with a `count` above
    `most` blocks it. `over` has the rules whose refusal means that there is nothing to do any more.
    """

    def evolve(state: OnPeriod | None, trigger: Trigger) -> OnPeriod:
        if isinstance(trigger, Happened) and isinstance(trigger.event, begins):
            begun: Any = trigger.event
            return OnPeriod("asking", begun.period, begun.ends_on)
        if state is None:
            raise ValueError(f"the process begins with {begins.__name__}")
        match trigger:
            case Happened():
                return replace(state, step="ended")
            case Retried() | Answered() if state.step == "ended":
                return state
            case Retried():
                return replace(state, step="asking")
            case Answered(intent=Question()):
                return replace(state, step="sending" if int(trigger.figures["count"] or 0) <= most else "blocked")
            case Answered():
                done = trigger.outcome == "accepted" or trigger.rule in over
                return replace(state, step="ended" if done else "blocked")
        raise TypeError(f"{type(trigger).__name__} is no trigger of a process on a period")

    return evolve


def reacting(
    query: str, send: Callable[[OnPeriod, Answered], Command], *, too_many: str
) -> Callable[[OnPeriod, Trigger], Reaction]:
    """Return the `react` of such a manager.

    It asks `query` with the last day of the period as `until`. `send` makes the command of the answer. `too_many` is
    the reason for attention when the answer has too many rows.
    """

    def react(state: OnPeriod, trigger: Trigger) -> Reaction:
        if state.step == "asking":
            return Reaction((Question(query, {"until": state.ends_on.isoformat()}),))
        if not isinstance(trigger, Answered):
            return NOTHING
        if state.step == "sending" and isinstance(trigger.intent, Question):
            return Reaction((send(state, trigger),))
        if state.step == "blocked":
            return Reaction(attention=trigger.rule or too_many)
        return NOTHING

    return react


def its_period(event: Any) -> tuple[str, ...]:
    """Return the key of the process that an event is about: the id of the period."""
    return (event.period,)
