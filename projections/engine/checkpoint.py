"""Checkpoints: how far each projection has folded the log, and the compare-and-set that moves them.

A checkpoint has a position, the epoch of the log and a digest of the event at that position. It moves in the
transaction that writes the tables, and only from the value that the runner has read. So a page is applied exactly once,
also with several runners: a second one waits for the row, finds another value, and rolls back.

A rebuild replaces tables without moving the position. It counts up `rebuilds`, which the compare-and-set compares too.

Each schema with folded tables has its own checkpoints: `read`, and `read_next`, where a rebuild folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from psycopg import Connection

from eventstore.log.read import UnknownLogError
from eventstore.postgres.arrays import int4_array, text_array

LIVE: Final = "read"
"""The schema of the tables that are read."""
NEXT: Final = "read_next"
"""The schema of the tables that a rebuild folds beside them."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The position that a projection has reached: the end of a unit, or 0."""

    position: int
    epoch: int
    digest: bytes  # SHA-256 over the event at `position`; empty at 0
    rebuilds: int  # in `read`: how often the tables were replaced; in `read_next`: a number of that rebuild alone


@dataclass(frozen=True, slots=True)
class ProjectionError:
    """The reason why a projection stopped. `position` is that of the event that cannot be folded."""

    position: int
    stream: str
    type: str
    message: str

    def __str__(self) -> str:
        return f"at position {self.position}, {self.type} on {self.stream}: {self.message}"


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """The status of a projection in the database. `checkpoint` is None before its tables are made."""

    projection: str
    checkpoint: Checkpoint | None
    same_event: bool  # whether the event at the checkpoint's position is the one that was folded
    error: ProjectionError | None
    rebuild_until: int | None  # from this position on its tables are complete again; None if they are complete

    def refusal(self, epoch: int) -> str | None:
        """The reason why folding must not continue, or None. `epoch` is that of the log."""
        if self.checkpoint is None:
            return f"{self.projection} has not begun: run daybook migrate, and let a projector run (daybook work)"
        again = f"rebuild it: daybook rebuild {self.projection}"
        if not self.same_event:
            return (
                f"{self.projection} was folded up to position {self.checkpoint.position}, but the log has another "
                f"event there, or none: its history was replaced; {again}"
            )
        if self.checkpoint.epoch != epoch:
            return (
                f"{self.projection} was folded in epoch {self.checkpoint.epoch} and the log is in epoch {epoch}: the "
                f"log was restored from a dump since; {again}"
            )
        return None


@dataclass(frozen=True, slots=True)
class LogState:
    """The head of the log and the status of projections, in one snapshot."""

    log_number: int
    epoch: int
    head: int
    statuses: tuple[ProjectionStatus, ...]


# recorded_at as seconds, because its text depends on the session's time zone.
_DIGEST = """
sha256(convert_to(concat_ws(E'\\x1f', e.position, e.stream, e.version, e.type, extract(epoch FROM e.recorded_at)),
       'UTF8') || e.payload || e.metadata)
"""


@cache
def _state(schema: str) -> str:
    return f"""
SELECT l.log, l.epoch, l.position, n.name, c.position, c.epoch, c.digest, c.rebuilds,
       c.digest IS NOT DISTINCT FROM CASE c.position WHEN 0 THEN ''::bytea ELSE (
           SELECT {_DIGEST} FROM log.events e WHERE e.log = l.log AND e.position = c.position
       ) END,
       c.rebuild_until, x.position, x.stream, x.type, x.message
  FROM log.logs l CROSS JOIN unnest(%s::text[]) WITH ORDINALITY AS n(name, i)
  LEFT JOIN {schema}.checkpoints c ON c.projection = n.name AND c.log = l.log
  LEFT JOIN {schema}.projection_errors x ON x.projection = n.name AND x.log = l.log
 WHERE l.name = %s ORDER BY n.i
"""  # noqa: S608 - the schema is a constant


@cache
def _move(schema: str) -> str:
    return f"""
UPDATE {schema}.checkpoints c
   SET position = e.position, digest = {_DIGEST}, updated_at = clock_timestamp(),
       rebuild_until = CASE WHEN c.rebuild_until > e.position THEN c.rebuild_until END
  FROM log.events e, unnest(%(names)s::text[], %(rebuilds)s::integer[]) AS p(projection, rebuilds)
 WHERE e.log = %(log)s AND e.position = %(upto)s AND c.log = e.log
   AND c.projection = p.projection AND c.rebuilds = p.rebuilds
   AND c.position = %(position)s AND c.epoch = %(epoch)s AND c.digest = %(digest)s
RETURNING c.digest
"""  # noqa: S608 - the schema is a constant


@cache
def _hold(schema: str) -> str:
    return f"""
SELECT position, epoch, digest, rebuilds FROM {schema}.checkpoints WHERE projection = %s AND log = %s FOR UPDATE
"""  # noqa: S608 - the schema is a constant


@cache
def _record_error(schema: str) -> str:
    return f"""
INSERT INTO {schema}.projection_errors (projection, log, position, stream, type, message)
VALUES (%(projection)s, %(log)s, %(position)s, %(stream)s, %(type)s, %(message)s)
ON CONFLICT (projection, log) DO UPDATE
   SET position = excluded.position, stream = excluded.stream, type = excluded.type, message = excluded.message,
       stopped_at = excluded.stopped_at
"""  # noqa: S608 - the schema is a constant


_FOLDED = """
SELECT CASE count(*) WHEN %s THEN min(position) ELSE 0 END FROM read.checkpoints WHERE projection = ANY (%s::text[])
"""


def read_state(connection: Connection[Any], log: str, projections: Sequence[str], schema: str = LIVE) -> LogState:
    """The status of these projections, in the given order. Raises `UnknownLogError`."""
    rows = connection.execute(_state(schema).encode(), (text_array(projections), log), binary=True).fetchall()
    if not rows:
        raise UnknownLogError(f"there is no log named {log!r}: has this database been migrated and the log created?")
    statuses = tuple(
        ProjectionStatus(
            name,
            None if position is None else Checkpoint(position, epoch, bytes(digest), rebuilds),
            same_event,
            None if error[0] is None else ProjectionError(*error),
            rebuild_until,
        )
        for _, _, _, name, position, epoch, digest, rebuilds, same_event, rebuild_until, *error in rows
    )
    number, epoch, head = rows[0][:3]
    return LogState(number, epoch, head, statuses)


def folded(connection: Connection[Any], *projections: str) -> int:
    """The position up to which all these projections are folded, as a reader sees it; 0 if one has not begun."""
    row = connection.execute(_FOLDED, (len(projections), text_array(projections))).fetchone()
    return 0 if row is None else int(row[0])


def unit_end(connection: Connection[Any], log_number: int, position: int) -> int | None:
    """The end of the unit that the event at `position` is in; None where there is no event."""
    row = connection.execute(
        "SELECT unit_end FROM log.events WHERE log = %s AND position = %s", (log_number, position)
    ).fetchone()
    return None if row is None else int(row[0])


def move_checkpoints(
    connection: Connection[Any], log_number: int, at: Mapping[str, Checkpoint], upto: int, schema: str = LIVE
) -> dict[str, Checkpoint] | None:
    """Move the checkpoints of these projections, which stand at one position, to the end of a unit.

    Returns the new checkpoints, or None if any of them is no longer as `at` has it. To be called first in the
    transaction that writes the tables: the rows stay locked, so a rival waits here before it has done any work. After
    None the transaction must be rolled back.
    """
    first = next(iter(at.values()))
    parameters = {
        "log": log_number,
        "upto": upto,
        "names": text_array(list(at)),
        "rebuilds": int4_array([checkpoint.rebuilds for checkpoint in at.values()]),
        "position": first.position,
        "epoch": first.epoch,
        "digest": first.digest,
    }
    rows = connection.execute(_move(schema).encode(), parameters, binary=True).fetchall()
    if len(rows) != len(at):
        return None
    digest = bytes(rows[0][0])
    return {name: Checkpoint(upto, first.epoch, digest, checkpoint.rebuilds) for name, checkpoint in at.items()}


def hold_checkpoint(
    connection: Connection[Any], log_number: int, projection: str, at: Checkpoint, schema: str = LIVE
) -> bool:
    """Lock a checkpoint until the transaction ends; whether it is at `at`."""
    return lock_checkpoint(connection, log_number, projection, schema) == at


def lock_checkpoint(
    connection: Connection[Any], log_number: int, projection: str, schema: str = LIVE
) -> Checkpoint | None:
    """Lock a checkpoint until the transaction ends, and return it; None where there is none."""
    row = connection.execute(_hold(schema).encode(), (projection, log_number), binary=True).fetchone()
    return None if row is None else Checkpoint(row[0], row[1], bytes(row[2]), row[3])


def record_error(
    connection: Connection[Any], log_number: int, projection: str, error: ProjectionError, schema: str = LIVE
) -> None:
    """Record that a projection stopped."""
    parameters = {
        "projection": projection,
        "log": log_number,
        "position": error.position,
        "stream": error.stream,
        "type": error.type,
        "message": error.message.replace("\x00", "\ufffd"),
    }
    connection.execute(_record_error(schema).encode(), parameters)


def clear_error(connection: Connection[Any], log_number: int, projection: str, schema: str = LIVE) -> None:
    """Delete the record that a projection stopped."""
    statement = f"DELETE FROM {schema}.projection_errors WHERE projection = %s AND log = %s"  # noqa: S608 - a constant
    connection.execute(statement.encode(), (projection, log_number))
