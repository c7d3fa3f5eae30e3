"""The tree of what a command caused: its unit, the reactions of processes to it, and the units of their intents.

Each unit has one cause, and it lies before it in the log, so the tree has no cycle. What a process recorded is the only
source: the trigger of a reaction names an event, an answer, a due time or a retry, and an answer names its intent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from psycopg import Connection

from domain.processes.process import ProcessAnswered, ProcessReacted, ProcessRetried
from domain.refusals import CommandRefused
from domain.registry import MANAGERS
from eventstore.log.codec import Codec
from eventstore.log.read import Recorded, read_stream, read_unit
from projections.replay.steps import PAGE, decoded, members_of

MOST_UNITS = 500
"""Most units of a tree."""
MOST_DEPTH = 60
"""Most units below each other. JSON nests twice as deep."""
MOST_EVENTS = 1_000
"""Most events of one unit that are shown."""
MOST_OF_PROCESS = 10_000
"""Most events of one process that are searched."""


@dataclass(slots=True)
class Unit:
    """A command with its events, and the units that it caused, in order of the log. `cut` says what is left out."""

    events: list[Recorded]
    data: list[Any]
    because: str | None  # what caused it: the trigger of a reaction, or the intent that it answers
    caused: list[Unit] = field(default_factory=list)
    cut: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The unit and what is below it as JSON values."""
        first, told = self.events[0], orjson.loads(self.events[0].metadata)
        refusal = next((one for one in self.data if isinstance(one, CommandRefused)), None)
        return {
            "position": first.position,
            "unit_end": first.unit_end,
            "recorded_at": first.recorded_at,
            "command": told["command"],
            "actor": told["actor"]["id"],
            "key": told.get("key"),
            "correlation": told["correlation"],
            "because": self.because,
            "rule": None if refusal is None else refusal.rule,
            "events": [
                {
                    "position": row.position,
                    "stream": row.stream,
                    "version": row.version,
                    "type": row.type,
                    "data": members_of(event),
                }
                for row, event in zip(self.events, self.data, strict=True)
            ],
            "cut": self.cut,
            "caused": [one.as_json() for one in self.caused],
        }


@dataclass(slots=True)
class Causes:
    """Builds trees of one log. It keeps what it has read of each process."""

    connection: Connection[Any]
    log_number: int
    codec: Codec
    _processes: dict[str, tuple[list[tuple[Recorded, Any]], bool]] = field(default_factory=dict)

    def tree(self, position: int) -> Unit | None:
        """The tree of the unit with this position; None where the log has none. Raises `CodecError`."""
        root = self._unit(position, None)
        waiting = deque([] if root is None else [(root, 1)])
        units, seen = 1, {root.events[0].unit_end} if root else set()
        while waiting:
            unit, depth = waiting.popleft()
            for recorded, because in self._caused_by(unit):
                if recorded.unit_end in seen:
                    continue
                if depth == MOST_DEPTH:
                    unit.cut = f"What is more than {MOST_DEPTH} units below the command is left out."
                    break
                if units == MOST_UNITS:
                    unit.cut = f"A tree has {MOST_UNITS} units at most; the others are left out."
                    break
                seen.add(recorded.unit_end)
                child = self._unit(recorded.position, because)
                assert child is not None, "its event was read"
                unit.caused.append(child)
                waiting.append((child, depth + 1))
                units += 1
        return root

    def _unit(self, position: int, because: str | None) -> Unit | None:
        events = read_unit(self.connection, self.log_number, position, MOST_EVENTS)
        if not events:
            return None
        unit = Unit(events, decoded(self.codec, events), because)
        if events[-1].position < events[-1].unit_end:
            unit.cut = f"The unit goes on to position {events[-1].unit_end}; {MOST_EVENTS} events are shown."
        return unit

    def _caused_by(self, unit: Unit) -> list[tuple[Recorded, str]]:
        """The events of processes that this unit caused, each with how, in order of the log."""
        caused: dict[int, tuple[Recorded, str]] = {}
        for row, event in zip(unit.events, unit.data, strict=True):
            for process in _processes_of(row.stream, event):
                stream, whole = self._process(process)
                for other, reply in stream:
                    if other.position > row.position and (because := link(row, event, process, reply)) is not None:
                        caused[other.position] = (other, because)
                if not whole:
                    unit.cut = f"{process} has more than {MOST_OF_PROCESS} events; later ones are not searched."
        return [caused[position] for position in sorted(caused)]

    def _process(self, process: str) -> tuple[list[tuple[Recorded, Any]], bool]:
        """The events of a process, and whether these are all."""
        if process not in self._processes:
            rows: list[Recorded] = []
            while len(rows) < MOST_OF_PROCESS:
                after = rows[-1].version if rows else 0
                page = read_stream(self.connection, self.log_number, process, after=after, limit=PAGE)
                rows += page
                if len(page) < PAGE:
                    break
            whole = len(rows) < MOST_OF_PROCESS
            self._processes[process] = list(zip(rows, decoded(self.codec, rows), strict=True)), whole
        return self._processes[process]


def _processes_of(stream: str, event: Any) -> Iterator[str]:
    """The processes that an event is of, or concerns."""
    if isinstance(event, ProcessReacted | ProcessAnswered | ProcessRetried):
        yield stream
    for manager in MANAGERS:
        process = manager.process_of(event)
        if process is not None:
            yield process


def link(row: Recorded, event: Any, process: str, reply: Any) -> str | None:
    """How an event of a process follows from an event of a unit; None if it does not."""
    if isinstance(reply, ProcessReacted):
        triggers = {f"event:{row.position}", f"due:{row.position}"}
        if isinstance(event, ProcessAnswered) and row.stream == process:
            triggers.add(f"answer:{event.reaction}:{event.number}")
        if isinstance(event, ProcessRetried):
            triggers.add(f"retry:{row.version}")
        return f"{reply.manager}, {reply.trigger}" if reply.trigger in triggers else None
    answers = isinstance(reply, ProcessAnswered) and isinstance(event, ProcessReacted) and row.stream == process
    if answers and reply.reaction == row.version:
        return f"{event.manager}, intent {reply.number} of reaction {reply.reaction}"
    return None
