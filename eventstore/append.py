"""The append: a group of decided commands, one call of ``log.append``, one flush.

The SQL beside the migrations argues why it is sound. Here a group is laid out as the arrays that function takes, and
its answer is read back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, NamedTuple

from psycopg import Connection

from eventstore.arrays import bool_array, bytea_array, int2_array, int4_array, int8_array, text_array

JSON, OPAQUE = 0, 1
"""Encodings of payload and metadata."""

MOST_EVENTS_PER_UNIT = 10_000


class Verdict(IntEnum):
    """What the append made of a command."""

    IN = 0
    CONFLICT = 1  # a stream it rests on has moved
    DUPLICATE = 2  # its key is there already


class UnitTooLargeError(ValueError):
    """More events than one unit may have."""


class Read(NamedTuple):
    """A stream a command rests on. `commuting`: entries appended since then do not matter to it."""

    stream: str
    base: int
    commuting: bool = False


class NewEvent(NamedTuple):
    """An event to append. `commutes`: it is an entry to a stream read as commuting."""

    stream: str
    type: str
    payload: bytes
    commutes: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What `log.commands` keeps of a command; None there where nothing is to be kept."""

    outcome: int
    status: int
    rule: str | None
    result: bytes
    request_hash: bytes
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class DecidedCommand:
    """One command of a group: what it rests on, what it appends, what is kept of it."""

    actor: str
    key: str
    reads: Sequence[Read]  # every stream its events are on is among them
    events: Sequence[NewEvent]
    metadata: bytes
    record: Record | None


@dataclass(frozen=True, slots=True)
class Appended:
    """One command's answer from the append."""

    verdict: Verdict
    decided_position: int
    first_position: int | None
    last_position: int | None


@dataclass(frozen=True, slots=True)
class GroupAppended:
    """A group's answer. `actual` maps each stream of the group that had moved to its true version before the append."""

    epoch: int
    recorded_at: datetime
    commands: list[Appended]
    head: int  # after the append
    actual: dict[str, int] = field(default_factory=dict)


_APPEND = """
SELECT head, epoch, recorded_at, verdicts, actual
  FROM log.append(%s, %s::smallint, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
                  %s, %s)
"""


def append(
    connection: Connection[Any],
    log: int,
    commands: Sequence[DecidedCommand],
    *,
    commuting_types: Sequence[str] = (),
    encoding: int = JSON,
) -> GroupAppended:
    """Append a group. One conflict or duplicate does not touch its neighbours, unless they rest on it.

    The bases of one stream must agree within the group, but that a commuting read may know of a later version than an
    exact one; then the exact one holds. Raises `UnitTooLargeError`, and `psycopg.Error` where the database fails: if
    that error broke the connection it is unknown whether the group went in.
    """
    layout = _Layout()
    for number, command in enumerate(commands, 1):
        if len(command.events) > MOST_EVENTS_PER_UNIT:
            raise UnitTooLargeError(f"{len(command.events)} events; a unit has at most {MOST_EVENTS_PER_UNIT}")
        layout.add(number, command)
    row = connection.execute(
        _APPEND, (log, encoding, text_array(commuting_types), *layout.parameters()), prepare=True, binary=True
    ).fetchone()
    assert row is not None
    head, epoch, recorded_at, verdicts, actual = row
    if actual is None:
        moved = {}
    else:
        moved = {
            stream: version
            for stream, base, version in zip(layout.index, layout.bases, actual, strict=True)
            if version != base
        }
    answers = []
    for number, command in enumerate(commands):
        verdict = Verdict.IN if verdicts is None else Verdict(verdicts[number])
        count = len(command.events) if verdict is Verdict.IN else 0
        answers.append(Appended(verdict, head, head + 1 if count else None, head + count if count else None))
        head += count
    return GroupAppended(epoch, recorded_at, answers, head, moved)


class _Layout:
    """The group as columns; positions in arrays count from 1, as SQL does."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.bases: list[int] = []
        self._exact: list[bool] = []
        self._commands: list[DecidedCommand] = []
        self._r_command: list[int] = []
        self._r_stream: list[int] = []
        self._r_commuting: list[bool] = []
        self._e_command: list[int] = []
        self._e_stream: list[int] = []
        self._e_commutes: list[bool] = []
        self._e_name: list[str] = []
        self._e_type: list[str] = []
        self._e_payload: list[bytes] = []
        self._e_metadata: list[bytes] = []

    def add(self, number: int, command: DecidedCommand) -> None:
        self._commands.append(command)
        for read in command.reads:
            self._r_command.append(number)
            self._r_stream.append(self._stream(read))
            self._r_commuting.append(read.commuting)
        for event in command.events:
            self._e_command.append(number)
            self._e_stream.append(self.index[event.stream])
            self._e_commutes.append(event.commutes)
            self._e_name.append(event.stream)
            self._e_type.append(event.type)
            self._e_payload.append(event.payload)
            self._e_metadata.append(command.metadata)

    def _stream(self, read: Read) -> int:
        number = self.index.get(read.stream)
        if number is None:
            self.index[read.stream] = number = len(self.bases) + 1
            self.bases.append(read.base)
            self._exact.append(not read.commuting)
        elif not read.commuting and not self._exact[number - 1]:
            self.bases[number - 1] = read.base
            self._exact[number - 1] = True
        return number

    def parameters(self) -> tuple[Any, ...]:
        commands = self._commands
        records = [command.record or _NOTHING for command in commands]
        return (
            text_array([command.actor for command in commands]),
            text_array([command.key for command in commands]),
            bytea_array([record.request_hash for record in records]),
            int2_array([record.outcome for record in records]),
            int2_array([record.status for record in records]),
            text_array([record.rule for record in records]),
            bytea_array([record.result for record in records]),
            text_array([record.origin for record in records]),
            bool_array([command.record is not None for command in commands]),
            int4_array([len(command.events) for command in commands]),
            text_array(list(self.index)),
            int8_array(self.bases),
            int4_array(self._r_command),
            int4_array(self._r_stream),
            bool_array(self._r_commuting),
            int4_array(self._e_command),
            int4_array(self._e_stream),
            bool_array(self._e_commutes),
            text_array(self._e_name),
            text_array(self._e_type),
            bytea_array(self._e_payload),
            bytea_array(self._e_metadata),
        )


_NOTHING = Record(0, 0, None, b"", b"")
