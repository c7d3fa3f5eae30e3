"""The pure form of the read model of processes: `advance` returns a process after an event.

It folds business events into the state of their process, and evaluates the manager's reaction. A reaction that is not
nothing is pending until its event is on the process's stream; an intent is open until its answer is. So a worker needs
no memory of its own: it records what is pending, and sends what is open.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from domain.process_manager import (
    MOST_INTENTS,
    Answered,
    Due,
    Happened,
    ProcessManager,
    Reaction,
    RecordedIntent,
    Retried,
    Trigger,
    intent_of,
    recorded,
)
from domain.processes.process import ProcessAnswered, ProcessReacted, ProcessResolved, ProcessRetried
from projections.engine.projection import FoldError, RecordedEvent

MOST_PENDING = 250
"""Most pending reactions of a process. Further ones are dropped, and the process needs attention."""
TOO_MANY_REACTIONS = "too_many_reactions"

Status: TypeAlias = Literal["waiting", "working", "attention", "done"]


class PendingReaction(Struct, frozen=True):
    """A reaction that is not on the process's stream yet. `step` is the step at which it was made."""

    trigger: str
    step: str
    intents: tuple[RecordedIntent, ...]
    attention: str | None
    due_at: datetime | None = None


class OpenIntent(Struct, frozen=True):
    """An intent that is recorded and not answered."""

    reaction: int
    number: int
    intent: RecordedIntent


class Tracked(Struct):
    """A process at a position of the log. `advance` changes it."""

    process: str
    manager: str
    stream: str
    position: int
    began_at: str
    since: str
    last_position: int
    last_at: str
    state: Any = None  # of the manager; None once the process was resolved
    step: str | None = None
    status: Status = "waiting"
    due_at: datetime | None = None
    fired_at: datetime | None = None  # the due time that was recorded last, until the manager wants another
    timer: int = 0  # position at which the due time was set
    pending: tuple[PendingReaction, ...] = ()
    open: tuple[OpenIntent, ...] = ()
    last_answer: str | None = None
    attempts: int = 0
    cause: str | None = None
    round: int = 0
    version: int = 0

    @property
    def due_key(self) -> str:
        """The key of the trigger of its due time."""
        return f"due:{self.timer}"


ProcessEvent: TypeAlias = ProcessReacted | ProcessAnswered | ProcessRetried | ProcessResolved
PROCESS_EVENTS: tuple[type[Any], ...] = (ProcessReacted, ProcessAnswered, ProcessRetried, ProcessResolved)


def advance(tracked: Tracked | None, process: str, manager: ProcessManager, one: RecordedEvent) -> Tracked | None:
    """Return the process after the event; None if it was never begun. Raises `FoldError`.

    An event of its own stream that does not fit it is ignored: another version of the manager may have recorded it.
    """
    position, at, event = one
    if tracked is None:
        if type(event) not in manager.begins:
            return None
        stream = event.originator_id
        tracked = Tracked(process, manager.name, stream, position, at, at, position, at)
    before = tracked.status, tracked.step
    tracked.last_position, tracked.last_at = position, at
    if isinstance(event, PROCESS_EVENTS):
        tracked.version = event.originator_version
        _own_event(tracked, manager, position, event)
    else:
        _take(tracked, manager, position, Happened(process, f"event:{position}", event))
    tracked.status = _status(tracked, manager)
    if (tracked.status, tracked.step) != before:
        tracked.since = at
    return tracked


def _own_event(tracked: Tracked, manager: ProcessManager, position: int, event: ProcessEvent) -> None:
    match event:
        case ProcessReacted():
            if event.round == tracked.round:
                _reacted(tracked, manager, position, event)
        case ProcessAnswered():
            answered = [one for one in tracked.open if (one.reaction, one.number) == (event.reaction, event.number)]
            if answered:
                _answered(tracked, manager, position, event, answered[0])
        case ProcessRetried():
            tracked.cause, tracked.attempts = None, 0
            _take(tracked, manager, position, Retried(tracked.process, f"retry:{event.originator_version}"))
        case ProcessResolved():
            tracked.round += 1
            tracked.state = tracked.step = tracked.due_at = tracked.fired_at = tracked.cause = None
            tracked.pending, tracked.open, tracked.attempts = (), (), 0


def _reacted(tracked: Tracked, manager: ProcessManager, position: int, event: ProcessReacted) -> None:
    made = next((one for one in tracked.pending if one.trigger == event.trigger), None)
    tracked.pending = tuple(one for one in tracked.pending if one.trigger != event.trigger)
    opened = enumerate(event.intents, 1)
    tracked.open += tuple(OpenIntent(event.originator_version, number, intent) for number, intent in opened)
    step = tracked.step if made is None else made.step
    fits = tracked.state is not None and event.trigger == tracked.due_key  # else it was resolved, or has another time
    if event.due_at is not None and fits:
        tracked.fired_at = event.due_at
        _evolve(tracked, manager, position, Due(tracked.process, event.trigger, event.due_at))
        step = tracked.step
    if event.attention is not None and step == tracked.step:  # else it has gone on meanwhile
        tracked.cause = event.attention


def _answered(
    tracked: Tracked, manager: ProcessManager, position: int, event: ProcessAnswered, answered: OpenIntent
) -> None:
    tracked.open = tuple(one for one in tracked.open if one is not answered)
    tracked.last_answer = event.outcome if event.rule is None else event.rule
    tracked.attempts = 0 if event.outcome == "accepted" else tracked.attempts + 1
    try:
        intent = intent_of(manager, answered.intent)
    except ValueError as error:
        raise FoldError(f"{tracked.process}: {error}") from error
    trigger = Answered(
        tracked.process,
        f"answer:{event.reaction}:{event.number}",
        intent,
        event.outcome,
        event.rule,
        {figure.name: figure.value for figure in event.figures},
        event.at,
    )
    _take(tracked, manager, position, trigger)


def _take(tracked: Tracked, manager: ProcessManager, position: int, trigger: Trigger) -> None:
    """Fold a trigger into the state, and keep the reaction if it is one. A resolved process waits to begin again."""
    begins = isinstance(trigger, Happened) and type(trigger.event) in manager.begins
    if tracked.state is None and not begins:
        return
    if begins:  # it waits anew, also where it waits for the same time: no reaction from before may end this timer
        tracked.due_at = tracked.fired_at = None
    _evolve(tracked, manager, position, trigger)
    made = reaction(manager, tracked.state, trigger)
    if made is None:
        return
    if len(tracked.pending) < MOST_PENDING:
        tracked.pending += (made,)
    else:
        tracked.cause = TOO_MANY_REACTIONS


def _evolve(tracked: Tracked, manager: ProcessManager, position: int, trigger: Trigger) -> None:
    state = manager.evolve(tracked.state, trigger)
    if state.step != tracked.step:
        tracked.cause = None
    tracked.state, tracked.step = state, state.step
    due = None if state.step in manager.ends else manager.due(state)
    if due is not None and due == tracked.fired_at:
        due = None
    else:
        tracked.fired_at = None
    if due != tracked.due_at:
        tracked.due_at, tracked.timer = due, position


def reaction(manager: ProcessManager, state: Any, trigger: Trigger) -> PendingReaction | None:
    """Return the reaction as it is recorded, or None if it is nothing. Raises `FoldError`.

    The reaction to a due time is recorded even if it is nothing, because the event ends the timer.
    """
    made: Reaction = manager.react(state, trigger)
    if len(made.intents) > MOST_INTENTS:
        raise FoldError(f"{trigger.process}: {len(made.intents)} intents at {trigger.key}, of {MOST_INTENTS} at most")
    due_at = trigger.at if isinstance(trigger, Due) else None
    if made.is_nothing and due_at is None:
        return None
    try:
        intents = tuple(recorded(manager, intent) for intent in made.intents)
    except ValueError as error:
        raise FoldError(f"{trigger.process}: {error}") from error
    return PendingReaction(trigger.key, state.step, intents, made.attention, due_at)


def reaction_when_due(manager: ProcessManager, tracked: Tracked) -> PendingReaction:
    """Return the reaction to the due time of a process that has one. Raises `FoldError`."""
    assert tracked.due_at is not None
    trigger = Due(tracked.process, tracked.due_key, tracked.due_at)
    made = reaction(manager, manager.evolve(tracked.state, trigger), trigger)
    assert made is not None
    return made


def _status(tracked: Tracked, manager: ProcessManager) -> Status:
    if tracked.cause is not None:
        return "attention"
    if tracked.pending or tracked.open:
        return "working"
    return "done" if tracked.step is None or tracked.step in manager.ends else "waiting"


def state_of(manager: ProcessManager, value: Any) -> Any:
    """Return the state of a manager from its JSON value."""
    return None if value is None else msgspec.convert(value, manager.state)
