"""Makes new tables beside the live ones, and swaps them, as the read owner.

The new tables are made in the schema `read_next`, where a rebuild folds. The swap is one transaction. It locks the live
checkpoint, lets the rebuild fold the new tables to exactly that position, moves the old tables to `read_old`, the new
ones to `read`, makes the reporting views show the new ones, and drops the old ones. Views keep their identity, so views
of users that depend on them stay. Either all of it happens or nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import Connection

from eventstore.postgres.arrays import text_array
from projections.engine.checkpoint import LIVE, NEXT, Checkpoint, clear_error, lock_checkpoint
from projections.engine.projection import Projection
from projections.engine.tables import TablesBusyError, changing_tables, record_reports, record_shape

SWAP_LOCK_SECONDS = 0.2
"""How long a try of a swap waits for readers of the tables. New readers wait meanwhile, too. It is shorter than the
server's `deadlock_timeout` of 1 second. So if a reader and a swap wait for each other, the swap lets go first, and the
reader never gets an error."""
SWAP_SECONDS = 60.0
"""How long a swap is tried."""
SWAP_PAUSE_SECONDS = 0.5
"""The pause between two tries, in which waiting readers and the projector go on."""
MOST_NAMED = 20
"""Most dependent views that a message names."""

_BEGIN = """
INSERT INTO read_next.checkpoints (projection, log, position, epoch, digest, rebuilds) VALUES (%s, %s, 0, %s, '', %s)
ON CONFLICT (projection, log) DO UPDATE
   SET position = 0, epoch = excluded.epoch, digest = '', rebuilds = excluded.rebuilds
"""
_TAKE_OVER = """
INSERT INTO read.checkpoints (projection, log, position, epoch, digest, rebuilds)
SELECT projection, log, position, epoch, digest, 1 FROM read_next.checkpoints WHERE projection = %s AND log = %s
ON CONFLICT (projection, log) DO UPDATE
   SET position = excluded.position, epoch = excluded.epoch, digest = excluded.digest, updated_at = clock_timestamp(),
       rebuild_until = NULL, rebuilds = checkpoints.rebuilds + 1
"""
_DEPENDENTS = """
WITH RECURSIVE dependents AS (
    SELECT to_regclass(name)::oid AS relation, NULL::text AS name FROM unnest(%s::text[]) AS r(name)
    UNION
    SELECT v.ev_class, coalesce(v.ev_class::regclass::text, pg_describe_object(d.classid, d.objid, d.objsubid))
      FROM dependents x
      JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = x.relation AND d.deptype = 'n'
      LEFT JOIN pg_rewrite v ON d.classid = 'pg_rewrite'::regclass AND v.oid = d.objid
)
SELECT DISTINCT name FROM dependents
 WHERE name IS NOT NULL AND coalesce(relation, 0::oid) <> ALL (ARRAY(
           SELECT to_regclass(r.name)::oid FROM unnest(%s::text[]) AS r(name) WHERE to_regclass(r.name) IS NOT NULL))
 ORDER BY name LIMIT %s
"""


_OWN = """
SELECT n.name FROM unnest(%s::text[]) WITH ORDINALITY AS n(name, i)
  JOIN pg_class c ON c.oid = to_regclass(n.name) AND pg_has_role(c.relowner, 'MEMBER') ORDER BY n.i
"""

_NOT_REPLACED = (
    psycopg.errors.InvalidTableDefinition,  # a column is gone, or has another name or type
    psycopg.errors.WrongObjectType,  # it is not a view
    psycopg.errors.InsufficientPrivilege,  # it belongs to another role: the owner of the schema may drop it
)


class DependentViewsError(RuntimeError):
    """Tables or reporting views cannot be replaced, because other views depend on them. The message names these."""

    def __init__(self, projection: str, dependents: Sequence[str], reason: str) -> None:
        self.dependents = tuple(dependents)
        super().__init__(
            f"the tables of {projection} were not replaced, because {', '.join(dependents)} would not fit any more "
            f"({reason}): save their definitions, drop them, run daybook rebuild {projection}, and make them again"
        )


class SupersededError(RuntimeError):
    """Another rebuild of the same projection has begun."""

    def __init__(self, projection: str) -> None:
        super().__init__(
            f"another rebuild of {projection} has begun and takes the place of this one, which has changed nothing"
        )


def make_next(
    connection: Connection[Any], log_number: int, epoch: int, projections: Sequence[Projection], number: int
) -> None:
    """Make empty tables in `read_next`, at position 0. Tables that an earlier rebuild left there are dropped.

    `number` belongs to this rebuild alone. Raises `TablesBusyError`.
    """
    with changing_tables(connection):
        connection.execute("SET LOCAL search_path = read_next")
        for projection in _in_order(projections):
            connection.execute(_BEGIN, (projection.name, log_number, epoch, number))
            clear_error(connection, log_number, projection.name, NEXT)
            _drop_next(connection, projection)
            connection.execute(projection.schema.encode())


def discard_next(connection: Connection[Any], log_number: int, projections: Sequence[Projection], number: int) -> None:
    """Drop those tables in `read_next` that still belong to this rebuild."""
    with changing_tables(connection):
        for projection in _in_order(projections):
            at = lock_checkpoint(connection, log_number, projection.name, NEXT)
            if at is not None and at.rebuilds == number:
                _forget_next(connection, projection.name, log_number)
                _drop_next(connection, projection)


def swap(connection: Connection[Any], log_number: int, projection: Projection, reach: Callable[[], Checkpoint]) -> None:
    """Replace the live tables of a projection by the new ones.

    `reach` is called while the live checkpoint is locked. It folds the new tables to that position and returns their
    checkpoint; if it raises, nothing changes. Readers wait for a moment at the end. If other sessions read for longer,
    the swap is tried again. Raises `TablesBusyError`, `DependentViewsError`, `SupersededError`.
    """
    deadline = time.monotonic() + SWAP_SECONDS
    while True:
        try:
            _try_swap(connection, log_number, projection, reach)
        except (TablesBusyError, psycopg.errors.DeadlockDetected) as error:
            if time.monotonic() >= deadline:
                raise TablesBusyError(SWAP_SECONDS) from error
            time.sleep(SWAP_PAUSE_SECONDS)
        else:
            return


def _try_swap(
    connection: Connection[Any], log_number: int, projection: Projection, reach: Callable[[], Checkpoint]
) -> None:
    with changing_tables(connection):
        # The checkpoint first and then the tables, like a runner: so the two cannot deadlock.
        lock_checkpoint(connection, log_number, projection.name)
        _keep_vacuum_away(connection, projection)
        reached = reach()
        if lock_checkpoint(connection, log_number, projection.name, NEXT) != reached:
            raise SupersededError(projection.name)
        connection.execute(_TAKE_OVER, (projection.name, log_number))
        clear_error(connection, log_number, projection.name)
        _forget_next(connection, projection.name, log_number)
        record_shape(connection, projection)
        record_reports(connection, projection)
        connection.execute(f"SET LOCAL lock_timeout = '{SWAP_LOCK_SECONDS}s'".encode())
        _exchange(connection, projection)


def _keep_vacuum_away(connection: Connection[Any], projection: Projection) -> None:
    """Lock the old and the new tables against autovacuum until the end of the transaction. Readers and folds go on.

    PostgreSQL cancels an autovacuum for a session that waits for `deadlock_timeout`, 1 second. A try of the exchange
    waits for less, so it would wait in vain until the autovacuum ends.
    """
    names = [f"{schema}.{table}" for schema in (LIVE, NEXT) for table in projection.tables]
    _lock(connection, names, "SHARE UPDATE EXCLUSIVE")


def _lock(connection: Connection[Any], names: Sequence[str], mode: str) -> None:
    """Lock those of these relations that exist, in this order. Relations of another owner are left out."""
    rows = connection.execute(_OWN, (text_array(names),)).fetchall()
    if rows:
        connection.execute(f"LOCK TABLE {', '.join(name for (name,) in rows)} IN {mode} MODE".encode())


def _exchange(connection: Connection[Any], projection: Projection) -> None:
    """Exchange the tables. Readers of them wait until the end of the transaction.

    The views are locked first, and with them the tables they show. Readers of reports lock in the same order, so that
    a swap and a reader do not wait for each other.
    """
    _lock(connection, [f"reporting.{view}" for view in projection.views], "ACCESS EXCLUSIVE")
    moves = [
        *(f"ALTER TABLE IF EXISTS read.{table} SET SCHEMA read_old" for table in projection.tables),
        *(f"ALTER TABLE read_next.{table} SET SCHEMA read" for table in projection.tables),
    ]
    connection.execute("; ".join(moves).encode())
    _replace_views(connection, projection)
    old = [f"read_old.{table}" for table in projection.tables]
    try:
        with connection.transaction():
            connection.execute(f"DROP TABLE IF EXISTS {', '.join(old)}".encode())
    except psycopg.errors.DependentObjectsStillExist as error:
        reason = "they read the tables themselves, not the reporting views"
        raise DependentViewsError(projection.name, _dependents(connection, old), reason) from error


def _replace_views(connection: Connection[Any], projection: Projection) -> None:
    """Make the reporting views show the new tables. A view that PostgreSQL does not replace is dropped if possible."""
    try:
        with connection.transaction():
            connection.execute(projection.reporting.encode())
        return
    except _NOT_REPLACED as error:
        reason = str(error.diag.message_primary)
    views = [f"reporting.{view}" for view in projection.views]
    if dependents := _dependents(connection, views):
        raise DependentViewsError(projection.name, dependents, reason)
    connection.execute(f"DROP VIEW IF EXISTS {', '.join(views)}".encode())
    connection.execute(projection.reporting.encode())


def _dependents(connection: Connection[Any], relations: Sequence[str]) -> list[str]:
    """Other relations that depend on these, directly or not."""
    names = text_array(relations)
    return [name for (name,) in connection.execute(_DEPENDENTS, (names, names, MOST_NAMED))]


def _drop_next(connection: Connection[Any], projection: Projection) -> None:
    tables = ", ".join(f"read_next.{table}" for table in projection.tables)
    connection.execute(f"DROP TABLE IF EXISTS {tables} CASCADE".encode())


def _forget_next(connection: Connection[Any], projection: str, log_number: int) -> None:
    connection.execute("DELETE FROM read_next.checkpoints WHERE projection = %s AND log = %s", (projection, log_number))
    clear_error(connection, log_number, projection, NEXT)


def _in_order(projections: Sequence[Projection]) -> list[Projection]:
    """The names in one order, so that two sessions lock rows in the same order."""
    return sorted(projections, key=lambda projection: projection.name)
