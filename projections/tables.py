"""Making what the rooms need: their tables, their checkpoints, the views for reporting tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.money import EXPONENTS
from eventstore.arrays import int2_array, text_array
from eventstore.read import read_head
from projections.projection import Projection

_FRAME = (Path(__file__).parent / "frame.sql").read_text()
_LOCK = 0x6461_7962_6F6F_6B01  # "daybook", 1: one process at a time prepares
_CURRENCIES = """
WITH known AS (
    SELECT currency, exponent, round(10::numeric ^ -exponent, exponent) AS minor_unit
      FROM unnest(%s::text[], %s::smallint[]) AS c(currency, exponent)
), foreign_rows AS (
    DELETE FROM read.currencies WHERE currency NOT IN (SELECT currency FROM known)
)
INSERT INTO read.currencies SELECT currency, exponent, minor_unit FROM known
ON CONFLICT (currency) DO UPDATE SET exponent = excluded.exponent, minor_unit = excluded.minor_unit
 WHERE (currencies.exponent, currencies.minor_unit) <> (excluded.exponent, excluded.minor_unit)
"""
_BEGIN_AT_ZERO = """
INSERT INTO read.checkpoints (projection, log, position, epoch, digest) VALUES (%s, %s, 0, %s, '')
ON CONFLICT (projection, log) DO {conflict}
"""
_RESTART = "UPDATE SET position = 0, epoch = excluded.epoch, digest = '', updated_at = clock_timestamp()"


class ShapeError(RuntimeError):
    """Tables were made by another version of their projection; the message says what to do."""

    def __init__(self, projections: Sequence[str]) -> None:
        names = ", ".join(projections)
        again = f"daybook rebuild {' '.join(projections)}"
        super().__init__(f"the tables of {names} were made by another version of Daybook: rebuild them ({again})")


class AnotherLogError(RuntimeError):
    """The tables are folded from another log; the message says what to do."""

    def __init__(self, log: str, others: Sequence[str]) -> None:
        super().__init__(
            f"the read tables of this database are those of log {', '.join(others)}, not of {log}: a database has the "
            f"read tables of one log (set DAYBOOK_LOG to it, or give {log} a database of its own)"
        )


def prepare(connection: Connection[Any], log: str, projections: Sequence[Projection]) -> None:
    """Create what is missing, as the role that owns the read schema; whatever is there stays as it is.

    Raises `ShapeError` where tables are of another version (those of the others are made all the same),
    `AnotherLogError` where they are another log's, `UnknownLogError` where there is no such log.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute("SET LOCAL search_path = read")
        connection.execute(_FRAME.encode())
        connection.execute(_CURRENCIES, (text_array(list(EXPONENTS)), int2_array(list(EXPONENTS.values()))))
        head = read_head(connection, log)
        _refuse_another_log(connection, head.log, log)
        rows = connection.execute("SELECT projection FROM read.checkpoints WHERE log = %s", (head.log,))
        begun = {name for (name,) in rows}
        made = _shapes(connection)
        outdated = _outdated(made, projections)
        for room in projections:
            if room.name in outdated:
                continue
            if room.name not in made:
                _create(connection, room)
            _report(connection, room)
            if room.name not in begun:  # to insert it all the same would wait for whoever is moving it
                connection.execute(_BEGIN_AT_ZERO.format(conflict="NOTHING"), (room.name, head.log, head.epoch))
    if outdated:
        raise ShapeError(outdated)


def outdated_among(connection: Connection[Any], projections: Sequence[Projection]) -> list[str]:
    """The names of those whose tables were made by another version of theirs."""
    return _outdated(_shapes(connection), projections)


def _outdated(made: Mapping[str, str], projections: Sequence[Projection]) -> list[str]:
    return [room.name for room in projections if made.get(room.name, room.shape) != room.shape]


def reset(
    connection: Connection[Any], log: str, projections: Sequence[Projection], *, anew: Set[str] = frozenset()
) -> None:
    """Empty the tables of these projections and set their checkpoints to 0, in one transaction.

    Tables of another version are dropped and made again, and those of the projections named `anew`, with their views.

    Raises `AnotherLogError` where they are another log's, `UnknownLogError` where there is no such log.
    A runner that folds them at this moment finishes its page first and then finds its checkpoint moved.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute("SET LOCAL search_path = read")
        connection.execute(_FRAME.encode())
        made = _shapes(connection)
        head = read_head(connection, log)
        _refuse_another_log(connection, head.log, log)
        for room in sorted(projections, key=lambda room: room.name):
            # The checkpoint's row first, the tables after it, as a runner does: no one waits for the other.
            connection.execute(_BEGIN_AT_ZERO.format(conflict=_RESTART), (room.name, head.log, head.epoch))
            connection.execute(
                "DELETE FROM read.projection_errors WHERE projection = %s AND log = %s", (room.name, head.log)
            )
            tables = ", ".join(room.tables)
            if made.get(room.name) == room.shape and room.name not in anew:
                connection.execute(f"TRUNCATE {tables}".encode())
                continue
            views = ", ".join(f"reporting.{view}" for view in room.views)
            connection.execute(f"DROP VIEW IF EXISTS {views} CASCADE".encode())
            connection.execute(f"DROP TABLE IF EXISTS {tables} CASCADE".encode())
            _create(connection, room)
            _report(connection, room)


def _refuse_another_log(connection: Connection[Any], log: int, name: str) -> None:
    """Rows do not say of which log they are: two logs in the same tables would be one ledger to every reader."""
    others = connection.execute(
        "SELECT DISTINCT l.name FROM read.checkpoints c JOIN log.logs l USING (log) WHERE c.log <> %s ORDER BY 1",
        (log,),
    ).fetchall()
    if others:
        raise AnotherLogError(name, [other for (other,) in others])


def _shapes(connection: Connection[Any]) -> dict[str, str]:
    return dict(connection.execute("SELECT projection, shape FROM read.rooms").fetchall())


def _report(connection: Connection[Any], room: Projection) -> None:
    """Make the reporting views of a room, where they are not as they should be.

    To make one again waits for whoever reads it, and whoever comes to read it waits for that: a restart must not do so.
    """
    row = connection.execute(
        "SELECT bool_and(to_regclass(v.name) IS NOT NULL)"
        " AND EXISTS (SELECT FROM read.reports r WHERE r.projection = %s AND r.digest = %s)"
        " FROM unnest(%s::text[]) AS v(name)",
        (room.name, room.reporting_digest, text_array([f"reporting.{view}" for view in room.views])),
    ).fetchone()
    if row is not None and row[0]:
        return
    connection.execute(room.reporting.encode())
    connection.execute(
        "INSERT INTO read.reports (projection, digest) VALUES (%s, %s)"
        " ON CONFLICT (projection) DO UPDATE SET digest = excluded.digest",
        (room.name, room.reporting_digest),
    )


def _create(connection: Connection[Any], room: Projection) -> None:
    connection.execute(room.schema.encode())
    connection.execute(
        "INSERT INTO read.rooms (projection, shape) VALUES (%s, %s)"
        " ON CONFLICT (projection) DO UPDATE SET shape = excluded.shape",
        (room.name, room.shape),
    )
