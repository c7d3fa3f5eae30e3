"""A refusal with the states that it was decided on.

The record of a command has no request, so the streams are those that are recorded: the figures name them, the other
events of the unit are on them, and a policy declares the rule. The append has validated the decision at the position
before its unit, so the states are those at this position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.refusals import EXPECTATION_FAILED, CommandRefused
from domain.registry import AGGREGATES, aggregate_of, explain
from eventstore.log.codec import Codec
from eventstore.log.read import Recorded, read_unit, version_at
from projections.replay.causes import MOST_EVENTS
from projections.replay.steps import States, decoded, plain

MOST_STREAMS = 100
"""Most streams of a refusal whose states are shown."""


@dataclass(frozen=True, slots=True)
class DecidedOn:
    """A stream at the position of a decision. `state` is None if it did not exist."""

    stream: str
    version: int
    state: Any


@dataclass(frozen=True, slots=True)
class Explained:
    """A refused command: the rule's sentence with its figures, and the states."""

    refusal: str
    position: int
    recorded_at: datetime
    actor: str
    key: str
    command: str
    rule: str
    sentence: str
    figures: Any
    decided_position: int
    states: tuple[DecidedOn, ...]
    cut: str | None

    def as_json(self) -> dict[str, Any]:
        """The refusal as JSON values."""
        states = [{"stream": one.stream, "version": one.version, "state": one.state} for one in self.states]
        return {name: getattr(self, name) for name in self.__slots__} | {"states": states}


def explained(
    connection: Connection[Any], log_number: int, codec: Codec, position: int, budget: int | None = None
) -> Explained | None:
    """The refusal in the unit with this position; None if there is none. Raises `TooLongError`, `CodecError`."""
    unit = read_unit(connection, log_number, position, MOST_EVENTS)
    events = decoded(codec, unit)
    if not events or not isinstance(events[-1], CommandRefused):
        return None
    refusal: CommandRefused = events[-1]
    decided = unit[0].position - 1
    states = States(connection, log_number, codec, budget)
    named = list(dict.fromkeys(_streams(unit, refusal)))
    found = []
    for stream in named[:MOST_STREAMS]:
        version = version_at(connection, log_number, stream, decided)
        state = states.at(stream, version)
        found.append(DecidedOn(stream, version, None if state is None else plain(state)))
    return Explained(
        refusal=refusal.originator_id,
        position=unit[-1].position,
        recorded_at=unit[-1].recorded_at,
        actor=refusal.actor,
        key=refusal.key,
        command=refusal.command,
        rule=refusal.rule,
        sentence=sentence(refusal.rule, refusal.figures),
        figures=plain(refusal.figures),
        decided_position=decided,
        states=tuple(found),
        cut=None
        if len(named) <= MOST_STREAMS
        else f"The refusal names {len(named)} streams; the states of {MOST_STREAMS} are shown.",
    )


def sentence(rule: str, figures: Mapping[str, Any]) -> str:
    """The sentence of a refusal with its figures."""
    if rule != EXPECTATION_FAILED:
        return explain(rule, figures)
    expected, actual = figures["expected"], figures["actual"]
    return " ".join(
        f"{stream} is at version {actual[stream]}, not {version}."
        for stream, version in sorted(expected.items())
        if actual[stream] != version
    )


def _streams(unit: Sequence[Recorded], refusal: CommandRefused) -> Iterator[str]:
    yield from _named(refusal.figures)
    yield from (one.stream for one in unit[:-1])
    for aggregate in AGGREGATES:
        if aggregate.initial is not None and refusal.rule in aggregate.rules:
            yield aggregate.initial.originator_id


def _named(figures: Any) -> Iterator[str]:
    """The names of streams in figures, keys of objects among them."""
    if isinstance(figures, str):
        if aggregate_of(figures) is not None:
            yield figures
    elif isinstance(figures, Mapping):
        for name, value in figures.items():
            yield from _named(name)
            yield from _named(value)
    elif isinstance(figures, Sequence):
        for value in figures:
            yield from _named(value)
