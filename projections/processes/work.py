"""What a worker reads: processes with something to record or to send, and those whose time has come; and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from psycopg import Connection
from sqlalchemy import DateTime

from domain.process_manager import ProcessManager
from projections.engine.ddl import quoted
from projections.processes.fold import Status, Tracked
from projections.processes.processes import TABLE, tracked_of

_COLUMNS = tuple(column.name for column in TABLE.columns)
_SELECT = "SELECT {} FROM read.processes".format(  # noqa: S608 - declared names
    ", ".join(f"{quoted(c.name)}{'::text' if isinstance(c.type, DateTime) else ''}" for c in TABLE.columns)
)
_TO_DO = f"""
{_SELECT}
 WHERE work AND manager = ANY (%s) AND process > %s ORDER BY process LIMIT %s
"""
_DUE = f"""
{_SELECT}
 WHERE manager = ANY (%s) AND due_at <= %s AND (due_at, process) > (%s, %s) ORDER BY due_at, process LIMIT %s
"""
_NEXT_DUE = "SELECT min(due_at) FROM read.processes WHERE due_at > %s"
_COUNTS = """
SELECT manager, status, count(*) FROM read.processes WHERE status = ANY (%s) GROUP BY manager, status ORDER BY 1, 2
"""
_TIMERS = """
SELECT count(*), count(*) FILTER (WHERE due_at <= %s), min(due_at) FROM read.processes WHERE due_at IS NOT NULL
"""

OPEN: tuple[Status, ...] = tuple(status for status in get_args(Status) if status != "done")
"""The statuses of processes that are not done. Those that are done grow without end, so nothing counts them."""

Managers = Mapping[str, ProcessManager]
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def to_do(connection: Connection[Any], managers: Managers, after: str, limit: int) -> list[Tracked]:
    """Processes of these managers with something to record or to send, in the order of their ids, after this one."""
    return _processes(connection.execute(_TO_DO.encode(), (list(managers), after, limit)).fetchall(), managers)


def due(
    connection: Connection[Any], managers: Managers, now: datetime, after: Tracked | None, limit: int
) -> list[Tracked]:
    """Processes whose time has come, the longest due first, after this one."""
    since = (_BEGINNING, "") if after is None else (after.due_at, after.process)
    return _processes(connection.execute(_DUE.encode(), (list(managers), now, *since, limit)).fetchall(), managers)


def next_due(connection: Connection[Any], now: datetime) -> datetime | None:
    """The next due time after now."""
    row = connection.execute(_NEXT_DUE, (now,)).fetchone()
    return None if row is None else row[0]


def _processes(rows: Sequence[Sequence[Any]], managers: Managers) -> list[Tracked]:
    named = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    return [tracked_of(row["process"], row, managers) for row in named]


@dataclass(frozen=True, slots=True)
class ManagerCount:
    """How many processes of a manager have a status."""

    manager: str
    status: str
    processes: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many processes are not done, how many timers there are and are due, and how late the oldest of these is."""

    processes: tuple[ManagerCount, ...]
    timers: int
    timers_due: int
    late_seconds: float


def counts(connection: Connection[Any], now: datetime) -> Counts:
    """Count the processes that are not done, and timers."""
    listed = tuple(ManagerCount(*row) for row in connection.execute(_COUNTS, (list(OPEN),)).fetchall())
    row = connection.execute(_TIMERS, (now,)).fetchone()
    timers, due_now, oldest = (0, 0, None) if row is None else row
    late = 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0)
    return Counts(listed, timers, due_now, late)
