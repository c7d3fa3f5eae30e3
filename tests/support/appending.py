"""Appends one group at a time, with named types. The executor does the same with plain tuples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import Connection

from eventstore.log.append import AppendBatch, Appender, GroupAppended, NewEvents, Verdict


class Read(NamedTuple):
    """A stream that a command reads."""

    stream: str
    base: int | None
    commuting: bool = False


class NewEvent(NamedTuple):
    """An event to append."""

    stream: str
    type: str
    payload: bytes
    commutes: bool = False


class Record(NamedTuple):
    """The record of a command."""

    outcome: int
    code: int
    rule: str | None
    result: bytes
    request_hash: bytes
    origin: str | None = None


class DecidedCommand(NamedTuple):
    """One command of a group."""

    actor: str
    key: str
    reads: Sequence[Read]
    events: Sequence[NewEvent]
    metadata: bytes
    record: Record | None


@dataclass(frozen=True)
class Appended:
    """The answer of the append to one command."""

    verdict: Verdict
    decided_position: int
    first_position: int | None
    last_position: int | None


@dataclass(frozen=True)
class Group:
    """The answer of the append to a group, by command."""

    commands: list[Appended]
    actual: dict[str, int]


def append(
    connection: Connection[Any],
    log_number: int,
    commands: Iterable[DecidedCommand],
    *,
    commuting_types: Sequence[str] = (),
) -> Group:
    """Append a group and wait."""
    appender = Appender(connection, log_number, commuting_types)
    appender.send(batch_of(commands))
    answer = appender.receive()
    return Group(_by_command(answer), answer.actual)


def batch_of(commands: Iterable[DecidedCommand]) -> AppendBatch:
    """The append batch of a group."""
    commands = list(commands)
    events = [event for command in commands for event in command.events]
    return AppendBatch(
        senders=[(command.actor, command.key) for command in commands],
        records=[command.record for command in commands],
        metadata=[command.metadata for command in commands],
        reads=[command.reads for command in commands],
        counts=[len(command.events) for command in commands],
        events=NewEvents(
            streams=[event.stream for event in events],
            types=[event.type for event in events],
            payloads=[event.payload for event in events],
            commute=[event.commutes for event in events],
        ),
    )


def _by_command(answer: GroupAppended) -> list[Appended]:
    answers = []
    position = answer.before
    for verdict, events in zip(answer.verdicts or [0] * len(answer.counts), answer.counts, strict=True):
        there = verdict == 0 and events > 0
        last = position + events if there else None
        answers.append(Appended(Verdict(verdict), position, position + 1 if there else None, last))
        position = last or position
    return answers
