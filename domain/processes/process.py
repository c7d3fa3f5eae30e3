"""The aggregate process: what a process intends, what became of it, and what operators did about it.

A process manager says what is intended (`domain.process_manager`). A worker records it here before it sends anything.
Then it sends what is recorded (`CarryOut`), and the unit of the command has the answer too. An intent can be carried
out only while it is open: it was recorded, and neither answered nor dropped. So a worker that wakes up late changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec.structs import replace

from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.kernel import (
    Accepted,
    Command,
    Context,
    Decision,
    Event,
    Forbidden,
    Personal,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.permissions import OPERATORS, PROCESSES
from domain.process_manager import PROCESS, Fact, RecordedIntent

MOST_OPEN = 250
"""Most open intents of a process. A reaction that would exceed it is recorded without its intents, for attention."""

TOO_MANY_INTENTS = "too_many_intents"

# Events


class ProcessReacted(Event, frozen=True):
    """The process reacted to a trigger: it intends these commands and questions, in this order."""

    manager: str
    stream: str  # what the process is about
    trigger: str  # key of the trigger
    due_at: datetime | None  # where the trigger is a due time
    round: int  # how often the process was resolved before
    intents: tuple[RecordedIntent, ...]
    attention: str | None  # code of the reason why an operator has to look


class AnswerFigure(Value, frozen=True):
    """A figure that the answer to a question has."""

    name: str
    value: Fact


class ProcessAnswered(Event, frozen=True):
    """An intent was answered. `reaction` is the version of the event that has the intent, `number` counts from 1.

    It is in the unit of the command that was carried out or refused.
    """

    reaction: int
    number: int
    outcome: Literal["accepted", "refused"]
    rule: str | None
    figures: tuple[AnswerFigure, ...]  # of the answer to a question
    at: datetime


class ProcessRetried(Event, frozen=True):
    """An operator asked the process to try again."""

    operator: str
    reason: Personal


class ProcessResolved(Event, frozen=True):
    """An operator ended the process. What it intended and was not carried out is dropped."""

    operator: str
    reason: Personal


ProcessEvent = ProcessReacted | ProcessAnswered | ProcessRetried | ProcessResolved

# State


class OpenIntent(Value, frozen=True):
    """An intent that was recorded, and neither answered nor dropped."""

    reaction: int
    number: int


class Process(Value, frozen=True):
    """A process at a version of its stream."""

    version: int
    id: str
    manager: str
    stream: str
    open: tuple[OpenIntent, ...]
    attention: str | None
    round: int = 0  # how often it was resolved
    resolved: bool = False  # whether it was, and has not reacted since

    def has_open(self, reaction: int, number: int) -> bool:
        """Return whether this intent is open."""
        return OpenIntent(reaction, number) in self.open


def evolve(state: Process | None, event: ProcessEvent) -> Process:
    """Return the process after the event. Raises ValueError if the stream does not begin with `ProcessReacted`."""
    version = event.originator_version
    if isinstance(event, ProcessReacted):
        opened = tuple(OpenIntent(version, number) for number in range(1, len(event.intents) + 1))
        if state is None:
            return Process(version, event.originator_id, event.manager, event.stream, opened, event.attention)
        attention = event.attention or state.attention
        return replace(state, version=version, open=state.open + opened, attention=attention, resolved=False)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with ProcessReacted")
    match event:
        case ProcessAnswered():
            answered = OpenIntent(event.reaction, event.number)
            return replace(state, version=version, open=tuple(one for one in state.open if one != answered))
        case ProcessRetried():
            return replace(state, version=version, attention=None)
        case ProcessResolved():
            return replace(state, version=version, open=(), attention=None, round=state.round + 1, resolved=True)


# Commands


class _OnOneProcess(Value, frozen=True):
    process: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.process,)


class RecordReaction(_OnOneProcess, frozen=True):
    """Record what a process intends after a trigger."""

    manager: str
    stream: str
    trigger: str
    due_at: datetime | None
    round: int
    intents: tuple[RecordedIntent, ...]
    attention: str | None


class RecordFigures(_OnOneProcess, frozen=True):
    """Record the answer to a question."""

    reaction: int
    number: int
    figures: tuple[AnswerFigure, ...]


class RetryProcess(_OnOneProcess, frozen=True):
    """Ask a process that needs attention to try again."""

    reason: Personal


class ResolveProcess(_OnOneProcess, frozen=True):
    """End a process. What it intended and was not carried out is dropped."""

    reason: Personal


class CarryOut(Value, frozen=True):
    """A command that a process intends. Its unit has the answer to the intent, also where it is refused.

    It is refused unless the intent is open. What would be unknown or forbidden is refused too, so that it is recorded.
    """

    process: str
    reaction: int
    number: int
    command: Command

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.process, *self.command.streams)))


# Rules

RULES: dict[str, str] = {
    "process_calm": "Process {process} needs no attention; only a process that needs it can be retried.",
    "process_resolved": "Process {process} was resolved; what it intended before is dropped.",
    "intent_closed": "Intent {number} of reaction {reaction} of process {process} was answered or dropped.",
    "intent_impossible": "The intent cannot be carried out: {why}",
}

# Decisions


def record_reaction(command: RecordReaction, states: States, context: Context) -> Decision:
    process = found(states, command.process, Process)
    refusal = _refuse_round(command.process, process, command.round)
    if refusal is not None:
        return refusal
    many = len(process.open if process else ()) + len(command.intents) > MOST_OPEN
    event = ProcessReacted(
        originator_id=command.process,
        originator_version=process.version + 1 if process else 1,
        manager=command.manager,
        stream=command.stream,
        trigger=command.trigger,
        due_at=command.due_at,
        round=command.round,
        intents=() if many else command.intents,
        attention=TOO_MANY_INTENTS if many else command.attention,
    )
    return Accepted((event,), {"process": command.process})


def record_figures(command: RecordFigures, states: States, context: Context) -> Decision:
    process = found(states, command.process, Process)
    if process is None or not process.has_open(command.reaction, command.number):
        return _closed(command.process, command.reaction, command.number)
    answered = _answer(process, command, context, "accepted", figures=command.figures)
    return Accepted((answered,), {"process": command.process})


def retry(command: RetryProcess, states: States, context: Context) -> Decision:
    process = found(states, command.process, Process)
    if process is None:
        return Unknown("process", command.process)
    refusal = _refuse_retry(process)
    if refusal is not None:
        return refusal
    event = ProcessRetried(command.process, process.version + 1, context.principal.id, command.reason)
    return Accepted((event,), {"process": command.process})


def resolve(command: ResolveProcess, states: States, context: Context) -> Decision:
    process = found(states, command.process, Process)
    if process is None:
        return Unknown("process", command.process)
    refusal = _refuse_resolved(process)
    if refusal is not None:
        return refusal
    event = ProcessResolved(command.process, process.version + 1, context.principal.id, command.reason)
    return Accepted((event,), {"process": command.process})


def carry_out(
    command: CarryOut, states: States, context: Context, decide: Callable[[Any, States, Context], Decision]
) -> Decision:
    """Decide the command of an open intent, and record the answer in its unit."""
    process = found(states, command.process, Process)
    if process is None or not process.has_open(command.reaction, command.number):
        return _closed(command.process, command.reaction, command.number)
    decision = decide(command.command, states, context)
    if isinstance(decision, Unknown):
        decision = _impossible(decision, f"There is no {decision.kind} {decision.id}.")
    elif isinstance(decision, Forbidden):
        decision = _impossible(decision, decision.why)
    if isinstance(decision, Accepted):
        return replace(decision, events=(*decision.events, _answer(process, command, context, "accepted")))
    if isinstance(decision, Refused):
        answer = _answer(process, command, context, "refused", decision.rule)
        return replace(decision, events=(*decision.events, answer))
    return decision


def _impossible(decision: Unknown | Forbidden, why: str) -> Refused:
    return Refused("intent_impossible", {"why": why}, decision.commuting)


def _answer(
    process: Process,
    intent: CarryOut | RecordFigures,
    context: Context,
    outcome: Literal["accepted", "refused"],
    rule: str | None = None,
    figures: tuple[AnswerFigure, ...] = (),
) -> ProcessAnswered:
    return ProcessAnswered(
        originator_id=process.id,
        originator_version=process.version + 1,
        reaction=intent.reaction,
        number=intent.number,
        outcome=outcome,
        rule=rule,
        figures=figures,
        at=context.decided_at,
    )


def _closed(process: str, reaction: int, number: int) -> Refused:
    return Refused("intent_closed", {"process": process, "reaction": reaction, "number": number})


# Check


def check(before: Process | None, events: Sequence[ProcessEvent], decided: Decided) -> Iterator[Broken]:
    """Find a reaction from before a resolution, an answer to an intent that is not open, and a needless retry."""
    process = before
    for event in events:
        refusal: Refused | None = None
        if isinstance(event, ProcessReacted):
            refusal = _refuse_round(event.originator_id, process, event.round)
            if process is not None and (event.manager, event.stream) != (process.manager, process.stream):
                about = f"{process.id} is a process of {process.manager} about {process.stream}"
                yield Broken(event, f"{about}, not of {event.manager} about {event.stream}")
        elif process is not None:
            refusal = _refuse_change(process, event)
        if isinstance(event, ProcessAnswered) and (event.rule is None) is not (event.outcome == "accepted"):
            yield Broken(event, f"an intent of {event.originator_id} is {event.outcome} by the rule {event.rule}")
        if refusal is not None:
            yield refused(event, refusal, RULES)
        process = evolve(process, event)


def _refuse_change(process: Process, event: ProcessEvent) -> Refused | None:
    match event:
        case ProcessAnswered():
            open = process.has_open(event.reaction, event.number)
            return None if open else _closed(process.id, event.reaction, event.number)
        case ProcessRetried():
            return _refuse_retry(process)
        case ProcessResolved():
            return _refuse_resolved(process)
    return None


def _refuse_round(id: str, process: Process | None, round: int) -> Refused | None:
    return None if round == (process.round if process else 0) else Refused("process_resolved", {"process": id})


def _refuse_retry(process: Process) -> Refused | None:
    return Refused("process_calm", {"process": process.id}) if process.attention is None else None


def _refuse_resolved(process: Process) -> Refused | None:
    return Refused("process_resolved", {"process": process.id}) if process.resolved else None


AGGREGATE = Aggregate(
    name="process",
    prefix=f"{PROCESS}_",
    events=(
        EventType("process.reacted.v1", ProcessReacted),
        EventType("process.answered.v1", ProcessAnswered),
        EventType(name="process.retried.v1", event=ProcessRetried, subject="operator", personal=("reason",)),
        EventType(name="process.resolved.v1", event=ProcessResolved, subject="operator", personal=("reason",)),
    ),
    evolve=evolve,
    decisions={
        RecordReaction: record_reaction,
        RecordFigures: record_figures,
        RetryProcess: retry,
        ResolveProcess: resolve,
    },
    rules=RULES,
    may={
        RecordReaction: PROCESSES,
        RecordFigures: PROCESSES,
        RetryProcess: OPERATORS,
        ResolveProcess: OPERATORS,
    },
    check=check,
)
