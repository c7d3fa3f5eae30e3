"""Refusals: each refused command is a fact of its own.

A refusal is the last event of the unit of its command, on a new stream. Nothing reads that stream to decide, so the
state is never looked up or cached. A failed expectation about a version is recorded too, with the rule
`EXPECTATION_FAILED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import Event, Value

REFUSAL = "refusal"
"""Prefix of the ids of refusals."""
EXPECTATION_FAILED = "expectation_failed"
"""The rule of a refusal because a stream was not at the version that the client expected."""


class CommandRefused(Event, frozen=True):
    """A command was refused. The event is the only one of its stream."""

    actor: str  # whose command it was
    key: str  # its idempotency key
    command: str  # its type
    rule: str  # a code of `domain.registry.RULES`, or `EXPECTATION_FAILED`
    figures: Mapping[str, Any]  # what explains the refusal; each value is a `domain.kernel.Figure`


class Refusal(Value, frozen=True):
    """The state of the stream of a refusal, which has exactly one event."""

    version: int
    event: CommandRefused


def evolve(state: Refusal | None, event: CommandRefused) -> Refusal:
    """Return the state after the only event of the stream."""
    return Refusal(event.originator_version, event)


def check(before: Refusal | None, events: Sequence[CommandRefused], decided: Decided) -> Iterator[Broken]:
    """Find a second event. `verify` compares a refusal with the record of its command by one query."""
    for event in events:
        if before is not None or event is not events[0]:
            yield Broken(event, f"{event.originator_id} is refused again; a refusal is one event")


def recorder(
    new_id: Callable[[str], str], name_of: Callable[[Any], str]
) -> Callable[[str, str, Any, str, Mapping[str, Any]], CommandRefused]:
    """Return a function that makes the event of a refusal on a new stream: actor, key, command, rule and figures.

    `name_of` returns the name under which a command is recorded.
    """

    def record(actor: str, key: str, command: Any, rule: str, figures: Mapping[str, Any]) -> CommandRefused:
        return CommandRefused(new_id(REFUSAL), 1, actor, key, name_of(command), rule, figures)

    return record


AGGREGATE = Aggregate(
    name="refusal",
    prefix=f"{REFUSAL}_",
    events=(EventType("command.refused.v1", CommandRefused),),
    evolve=evolve,
    written_once=True,
    check=check,
)
