"""Checkpoints: how far each projection has folded the log, and the compare-and-set that moves them.

A checkpoint names a position, the log's epoch and a digest of the event at that position. It moves in the transaction
that writes the tables, from exactly what this runner believed it to be. So pages are applied exactly once, whoever
else runs: a second runner waits on the row, finds it moved, and has lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from eventstore.log.read import UnknownLogError
from eventstore.postgres.arrays import text_array


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a projection stands: always the end of a unit, or 0."""

    position: int
    epoch: int
    digest: bytes  # SHA-256 over the event at `position`; empty at 0


@dataclass(frozen=True, slots=True)
class ProjectionError:
    """Why a projection does not go on. `position` is the event's that cannot be folded."""

    position: int
    stream: str
    type: str
    message: str

    def __str__(self) -> str:
        return f"at position {self.position}, {self.type} on {self.stream}: {self.message}"


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """A projection as the database has it. `checkpoint` is None before its tables were made."""

    projection: str
    checkpoint: Checkpoint | None
    same_event: bool  # whether the event at the checkpoint's position is the one that was folded
    error: ProjectionError | None
    rebuild_until: int | None  # the position from which on its tables are whole again; None: they are

    def refusal(self, epoch: int) -> str | None:
        """One sentence why folding must not go on from here, or None. `epoch` is the log's."""
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
    """The head of the log and how projections stand, seen at one moment."""

    log: int
    epoch: int
    head: int
    statuses: tuple[ProjectionStatus, ...]


# recorded_at as seconds, because its text depends on the session's time zone.
_DIGEST = """
sha256(convert_to(concat_ws(E'\\x1f', e.position, e.stream, e.version, e.type, extract(epoch FROM e.recorded_at)),
       'UTF8') || e.payload || e.metadata)
"""

_STATE = f"""
SELECT l.log, l.epoch, l.position, n.name, c.position, c.epoch, c.digest,
       c.digest IS NOT DISTINCT FROM CASE c.position WHEN 0 THEN ''::bytea ELSE (
           SELECT {_DIGEST} FROM log.events e WHERE e.log = l.log AND e.position = c.position
       ) END,
       c.rebuild_until, x.position, x.stream, x.type, x.message
  FROM log.logs l CROSS JOIN unnest(%s::text[]) WITH ORDINALITY AS n(name, i)
  LEFT JOIN read.checkpoints c ON c.projection = n.name AND c.log = l.log
  LEFT JOIN read.projection_errors x ON x.projection = n.name AND x.log = l.log
 WHERE l.name = %s ORDER BY n.i
"""  # noqa: S608 - nothing of a caller's is in it

_MOVE = f"""
UPDATE read.checkpoints c
   SET position = e.position, digest = {_DIGEST}, updated_at = clock_timestamp(),
       rebuild_until = CASE WHEN c.rebuild_until > e.position THEN c.rebuild_until END
  FROM log.events e
 WHERE e.log = %s AND e.position = %s AND c.log = e.log AND c.projection = ANY (%s)
   AND c.position = %s AND c.epoch = %s AND c.digest = %s
RETURNING c.digest
"""  # noqa: S608 - nothing of a caller's is in it

_REBUILDS = """
SELECT c.projection, c.position, c.rebuild_until, c.rebuilds
  FROM read.checkpoints c JOIN log.logs l ON l.log = c.log
 WHERE l.name = %s AND c.projection = ANY (%s) ORDER BY c.projection
"""

_HOLD = "SELECT position, epoch, digest FROM read.checkpoints WHERE projection = %s AND log = %s FOR UPDATE"

_RECORD_ERROR = """
INSERT INTO read.projection_errors (projection, log, position, stream, type, message) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (projection, log) DO UPDATE
   SET position = excluded.position, stream = excluded.stream, type = excluded.type, message = excluded.message,
       stopped_at = excluded.stopped_at
"""


def read_state(connection: Connection[Any], log: str, projections: Sequence[str]) -> LogState:
    """How these projections stand, in the order given. Raises `UnknownLogError`."""
    rows = connection.execute(_STATE, (text_array(projections), log), binary=True).fetchall()
    if not rows:
        raise UnknownLogError(f"there is no log named {log!r}: has this database been migrated and the log created?")
    statuses = tuple(
        ProjectionStatus(
            name,
            None if position is None else Checkpoint(position, epoch, bytes(digest)),
            same_event,
            None if error[0] is None else ProjectionError(*error),
            rebuild_until,
        )
        for _, _, _, name, position, epoch, digest, same_event, rebuild_until, *error in rows
    )
    number, epoch, head = rows[0][:3]
    return LogState(number, epoch, head, statuses)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """How often a projection was rebuilt. While it is being rebuilt `until` is the position it has to reach."""

    projection: str
    position: int
    until: int | None
    rebuilds: int


def read_rebuilds(connection: Connection[Any], log: str, projections: Sequence[str]) -> list[Rebuild]:
    """Of these projections, in the order of their names; none of one that has not begun."""
    rows = connection.execute(_REBUILDS, (log, text_array(projections)), binary=True).fetchall()
    return [Rebuild(*row) for row in rows]


def move_checkpoints(
    connection: Connection[Any], log: int, projections: Sequence[str], at: Checkpoint, upto: int
) -> Checkpoint | None:
    """Move these checkpoints from `at` to the end of a unit; None if any of them is no longer there.

    To be called first in the transaction that writes the tables: the rows stay locked, so a rival waits here before
    it has done any work. After None the transaction must be rolled back.
    """
    rows = connection.execute(
        _MOVE, (log, upto, text_array(projections), at.position, at.epoch, at.digest), binary=True
    ).fetchall()
    return Checkpoint(upto, at.epoch, bytes(rows[0][0])) if len(rows) == len(projections) else None


def hold_checkpoint(connection: Connection[Any], log: int, projection: str, at: Checkpoint) -> bool:
    """Lock a checkpoint until the transaction ends; whether it is at `at`."""
    row = connection.execute(_HOLD, (projection, log), binary=True).fetchone()
    return row is not None and Checkpoint(row[0], row[1], bytes(row[2])) == at


def record_error(connection: Connection[Any], log: int, projection: str, error: ProjectionError) -> None:
    """Leave word that a projection stopped."""
    connection.execute(
        _RECORD_ERROR,
        (projection, log, error.position, error.stream, error.type, error.message.replace("\x00", "\ufffd")),
    )


def clear_error(connection: Connection[Any], log: int, projection: str) -> None:
    """It goes on after all."""
    connection.execute("DELETE FROM read.projection_errors WHERE projection = %s AND log = %s", (projection, log))
