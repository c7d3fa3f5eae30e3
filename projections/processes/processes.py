"""Processes as they are now, with what their worker has to do: table, projection, reporting view, queries.

`fold` of this folder says what a row means. The projection groups the events of a page by process, loads the rows,
folds the events into them and writes them back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
from psycopg import Connection

from domain.process_manager import ProcessManager
from domain.registry import MANAGERS
from projections.engine.columns import code, flag, index, json_value, moment, number, read_table
from projections.engine.listing import Listed, Listing, readable
from projections.engine.projection import FoldCache, Projection, RecordedEvent
from projections.engine.reporting import View
from projections.engine.rows import copy_rows
from projections.engine.writing import Row, copy_lines, copy_target, in_order, loaded, updates
from projections.processes.fold import PROCESS_EVENTS, OpenIntent, PendingReaction, Status, Tracked, advance, state_of

# Table.

TABLE = read_table(
    "processes",
    "One row a process: work that takes time, as it is now.",
    code("process", "Public id; also the name of its stream in the log.", key=True),
    code("manager", "The process manager."),
    code("stream", "What it is about: the stream of the event that began it."),
    code("status", "waiting (for an event or a time), working, attention (of an operator), or done."),
    code("step", "Where it is, in the words of its manager. NULL once an operator resolved it.", optional=True),
    moment("since", "Since when status and step are as they are, UTC."),
    moment("due_at", "When it wants to be woken, UTC. NULL if it waits for no time.", optional=True),
    code("last_answer", "accepted, or the rule that refused its last command. NULL before.", optional=True),
    code("cause", "Why it needs attention. NULL if it needs none.", optional=True),
    number("attempts", "Commands that were refused since the last that was accepted.", bits=32),
    flag("work", "Whether its worker has something to record or to send."),
    json_value("state", "The state of its manager. JSON null once an operator resolved it."),
    json_value("pending", "Reactions that are not on its stream yet, oldest first."),
    json_value("open", "Intents that are on its stream and were not answered, oldest first."),
    number("timer", "Position at which due_at was set."),
    moment("fired_at", "The due time that was recorded last, until it is given another.", optional=True),
    number("round", "How often an operator resolved it.", bits=32),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of the event that began it."),
    moment("began_at", "When that event was recorded, UTC."),
    number("last_position", "Position in the log of the last event that concerned it."),
    moment("last_at", "When that event was recorded, UTC."),
    index("processes_in_order", "position"),
    index("processes_of_stream", "stream", "position"),
    index("processes_in_status", "status", "position"),
    index("processes_of_manager", "manager", "position"),
    index("processes_to_work", "process", where="work"),
    index("processes_due", "due_at", "process", where="due_at IS NOT NULL"),
)

_TARGET = copy_target(TABLE)
_COLUMNS = tuple(column.name for column in TABLE.columns if column.name != "process")
_MOMENTS = ("due_at", "fired_at")
CHUNK = 1_000
"""Rows that are loaded and changed at a time: it bounds the memory of a page."""

# Fold.


class Concerned(NamedTuple):
    """An event and the manager of the process that it concerns; None on the process's own stream."""

    manager: ProcessManager | None
    event: RecordedEvent


def _fold(managers: tuple[ProcessManager, ...], events: Sequence[RecordedEvent]) -> dict[str, list[Concerned]]:
    """The events of each process, in log order."""
    by_type: dict[type[Any], list[ProcessManager]] = {}
    for manager in managers:
        for kind in (*manager.begins, *manager.concerns):
            by_type.setdefault(kind, []).append(manager)
    of_process: dict[str, list[Concerned]] = {}
    for one in events:
        if isinstance(one.event, PROCESS_EVENTS):
            of_process.setdefault(one.event.originator_id, []).append(Concerned(None, one))
        for manager in by_type.get(type(one.event), ()):
            process = manager.process_of(one.event)
            if process is not None:
                of_process.setdefault(process, []).append(Concerned(manager, one))
    return of_process


def folded(
    managers: Sequence[ProcessManager], tracked: Tracked | None, process: str, events: Iterable[Concerned]
) -> Tracked | None:
    """The process after these events."""
    named = {manager.name: manager for manager in managers}
    for manager, one in events:
        found = manager or (named.get(tracked.manager) if tracked is not None else None)
        if found is not None:
            tracked = advance(tracked, process, found, one)
    return tracked


def _write(
    managers: tuple[ProcessManager, ...],
    connection: Connection[Any],
    of_process: dict[str, list[Concerned]],
    cache: FoldCache,
) -> None:
    named = {manager.name: manager for manager in managers}
    processes = list(of_process)
    for first in range(0, len(processes), CHUNK):
        chunk = processes[first : first + CHUNK]
        before = loaded(connection, TABLE, _COLUMNS, chunk)
        begun: list[Row] = []
        changed: dict[str, Row] = {}
        for process in chunk:
            row = before.get(process)
            tracked = None if row is None else tracked_of(process, row, named)
            after = folded(managers, tracked, process, of_process[process])
            if after is not None and row is None:
                begun.append(row_of(after))
            elif after is not None:
                changed[process] = row_of(after)
        copy_rows(connection, _TARGET, copy_lines(TABLE, map(in_order(TABLE), begun)))
        for update in updates(TABLE, changed):
            update.run(connection)


def row_of(tracked: Tracked) -> Row:
    """The row of a process. Points in time and JSON are text, as the engine writes them."""
    row: Row = msgspec.structs.asdict(tracked)
    for name in ("state", "pending", "open"):
        row[name] = msgspec.json.encode(row[name]).decode()
    for name in _MOMENTS:
        row[name] = None if row[name] is None else row[name].isoformat()
    row["work"] = bool(tracked.pending or tracked.open)
    return row


def tracked_of(process: str, row: Row, managers: Mapping[str, ProcessManager]) -> Tracked:
    """The process of a row. Its points in time are text. The state is None if the program does not know the manager."""
    values = {name: value for name, value in row.items() if name != "work"} | {"process": process}
    manager = managers.get(row["manager"])
    values["state"] = None if manager is None else state_of(manager, row["state"])
    values["pending"] = msgspec.convert(row["pending"], tuple[PendingReaction, ...])
    values["open"] = msgspec.convert(row["open"], tuple[OpenIntent, ...])
    for name in _MOMENTS:
        if row[name] is not None:
            values[name] = datetime.fromisoformat(row[name])
    return Tracked(**values)


def version_of(managers: Sequence[ProcessManager]) -> int:
    """The version of the fold. It changes with the managers, their versions and the shapes of their states.

    A manager that is new has to see the events from before it, so the table must be rebuilt.
    """
    shapes = [[one.name, one.version, _without_words(msgspec.json.schema(one.state))] for one in managers]
    return crc32(msgspec.json.encode(shapes, order="deterministic"))


def _without_words(schema: Any) -> Any:
    """A JSON schema without what is only for people: a docstring that changes does not change the rows."""
    if isinstance(schema, dict):
        return {name: _without_words(value) for name, value in schema.items() if name not in ("title", "description")}
    return [_without_words(one) for one in schema] if isinstance(schema, list) else schema


SHOWN = (
    "process", "manager", "stream", "status", "step", "since", "due_at", "last_answer", "cause", "attempts", "state",
    "began_at", "position", "last_position", "last_at",
)  # fmt: skip


def processes_of(managers: tuple[ProcessManager, ...]) -> Projection:
    """The projection of the processes of these managers."""
    kinds = dict.fromkeys(kind for manager in managers for kind in (*manager.begins, *manager.concerns))
    return Projection(
        name="processes",
        area="processes",
        events=(*PROCESS_EVENTS, *kinds),
        read_tables=(TABLE,),
        reports=(View(TABLE, "One row a process: work that takes time, as it is now.", SHOWN),),
        fold=partial(_fold, managers),
        write=partial(_write, managers),
        version=version_of(managers),
    )


PROCESSES = processes_of(MANAGERS)

# Queries.


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process as it is now."""

    process: str
    manager: str
    stream: str
    status: Status
    step: str | None
    since: datetime
    due_at: datetime | None
    last_answer: str | None
    cause: str | None
    attempts: int
    state: Any
    version: int
    position: int
    began_at: datetime


PROCESS_LIST = Listing(readable(TABLE), ProcessRow, filters=("process", "manager", "status", "stream"))


def process(connection: Connection[Any], process: str) -> ProcessRow | None:
    """One process by its id."""
    return PROCESS_LIST.one(connection, process=process)


def processes(
    connection: Connection[Any],
    *,
    manager: str | None = None,
    status: str | None = None,
    stream: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[ProcessRow, int]:
    """Processes in the order in which they began; `after` and `cursor` are positions."""
    filters = {"manager": manager, "status": status, "stream": stream, "after": after}
    return PROCESS_LIST.read(connection, filters, limit, cursor=cursor)
