"""Makes what projections need: tables, checkpoints, views for reporting tools.

Two roles do it. The read owner makes and replaces tables and views, and has no right on the log (`prepare`, and
`replacement` for a rebuild). The projector reads the log and changes rows (`begin`). So an attacker who takes over a
projector can write wrong rows, which `daybook verify` finds, but cannot place code that other roles run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from domain.money import EXPONENTS
from eventstore.log.read import read_head
from eventstore.postgres.arrays import int2_array, text_array
from projections.engine import ddl
from projections.engine.projection import Projection

_FRAME = (Path(__file__).parent / "frame.sql").read_text()
_GRANTS = (Path(__file__).parent / "grants.sql").read_text()
_LOCK = "LOCK TABLE read.checkpoints IN SHARE UPDATE EXCLUSIVE MODE"
"""One session at a time makes tables. Rows are read and written meanwhile, and no reader may take this lock."""
LOCK_SECONDS = 10
"""How long `prepare` waits for a table or a view. Later readers of it wait meanwhile."""
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
_BEGIN = """
INSERT INTO read.checkpoints (projection, log, position, epoch, digest)
SELECT projection, %s, 0, %s, '' FROM unnest(%s::text[]) AS p(projection) ORDER BY projection
ON CONFLICT (projection, log) DO NOTHING
"""


class ShapeError(RuntimeError):
    """Tables were made by another version of their projection. The message says what to do."""

    def __init__(self, projections: Sequence[str]) -> None:
        self.projections = tuple(projections)
        names = ", ".join(projections)
        again = f"daybook rebuild {' '.join(projections)}"
        super().__init__(f"the tables of {names} were made by another version of Daybook: rebuild them ({again})")


class AnotherLogError(RuntimeError):
    """The tables are folded from another log. The message says what to do."""

    def __init__(self, log: str, others: Sequence[str]) -> None:
        super().__init__(
            f"the read tables of this database are those of log {', '.join(others)}, not of {log}: a database has the "
            f"read tables of one log (set DAYBOOK_LOG to it, or give {log} a database of its own)"
        )


class FoldedElsewhereError(RuntimeError):
    """A projection is folded in another way already. The message says what to do."""


class NotPreparedError(RuntimeError):
    """A projection has no tables yet. The message says what to do."""

    def __init__(self, projections: Sequence[str]) -> None:
        self.projections = tuple(projections)
        super().__init__(f"{', '.join(projections)}: there are no tables yet; run daybook migrate")


class TablesBusyError(RuntimeError):
    """Another session kept a table or a view locked for too long. The message says what to do."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"another session has read or locked a read table or a reporting view for {seconds:g} s, so nothing was "
            f"changed: end it (the view pg_stat_activity shows it), or try again"
        )


def prepare(connection: Connection[Any], projections: Sequence[Projection]) -> None:
    """Create missing tables and views and set the rights, as the read owner. Existing tables keep their rows.

    A table of an earlier version is taken over if its columns are those of this version. If not, `ShapeError` is raised
    after the tables of the other projections are made. Raises `TablesBusyError`.
    """
    with changing_tables(connection):
        connection.execute(_CURRENCIES, (text_array(list(EXPONENTS)), int2_array(list(EXPONENTS.values()))))
        _take_over(connection, projections)
        made = _shapes(connection)
        outdated = _outdated(connection, made, projections)
        for projection in projections:
            if projection.name in outdated:
                continue
            if projection.name not in made:
                connection.execute(projection.schema.encode())
                record_shape(connection, projection)
        current = [projection for projection in projections if projection.name not in outdated]
        _index(connection, current)
        for projection in current:
            _report(connection, projection)
    if outdated:
        raise ShapeError(outdated)


def begin(connection: Connection[Any], log: str, projections: Sequence[Projection]) -> None:
    """Make checkpoints at position 0 for projections without one, as the projector.

    Raises `NotPreparedError` if there are no tables, `ShapeError` if they are of another version, `AnotherLogError` if
    they are of another log, `UnknownLogError` if the log does not exist, `FoldedElsewhereError` if this database folds
    one of them from a topic.
    """
    if outdated := outdated_among(connection, projections):
        raise ShapeError(outdated)
    _refuse_folded_from_topic(connection, projections)
    head = read_head(connection, log)
    refuse_another_log(connection, head.log_number, log)
    names = text_array([projection.name for projection in projections])
    rows = connection.execute(
        "SELECT p.name FROM unnest(%s::text[]) AS p(name)"
        " WHERE NOT EXISTS (SELECT FROM read.checkpoints c WHERE c.projection = p.name AND c.log = %s)",
        (names, head.log_number),
    ).fetchall()
    if rows:  # an insert of existing ones would wait for projectors that move them
        connection.execute(_BEGIN, (head.log_number, head.epoch, text_array([name for (name,) in rows])))


def _refuse_folded_from_topic(connection: Connection[Any], projections: Sequence[Projection]) -> None:
    rows = connection.execute(
        "SELECT DISTINCT projection FROM read.partitions WHERE projection = ANY (%s) ORDER BY 1",
        (text_array([projection.name for projection in projections]),),
    ).fetchall()
    if rows:
        names = ", ".join(name for (name,) in rows)
        raise FoldedElsewhereError(
            f"{names}: this database folds it from the topic of events (daybook work --from-events); fold only others "
            "here (DAYBOOK_PROJECTIONS), or take a database of its own"
        )


def outdated_among(connection: Connection[Any], projections: Sequence[Projection]) -> list[str]:
    """The projections whose tables another version made. Raises `NotPreparedError` if there are no tables."""
    try:
        made = _shapes(connection)
    except psycopg.errors.UndefinedTable:
        made = {}
    outdated = _outdated(connection, made, projections)
    if missing := [
        projection.name for projection in projections if projection.name not in made and projection.name not in outdated
    ]:
        raise NotPreparedError(missing)
    return outdated


def _outdated(connection: Connection[Any], made: Mapping[str, str], projections: Sequence[Projection]) -> list[str]:
    """The projections whose tables are of another or an unknown version."""
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'read'").fetchall()
    existing = {table for (table,) in rows}
    return [
        projection.name
        for projection in projections
        if (
            made[projection.name] != projection.shape
            if projection.name in made
            else not existing.isdisjoint(projection.tables)
        )
    ]


@contextmanager
def changing_tables(connection: Connection[Any]) -> Iterator[None]:
    """A transaction for making tables, one at a time. At its end all rights are granted again.

    Raises `TablesBusyError`.
    """
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
            connection.execute(_LOCK)
            connection.execute("SET LOCAL search_path = read")
            connection.execute(_FRAME.encode())
            yield
            connection.execute(_GRANTS.encode())
    except psycopg.errors.LockNotAvailable as error:
        raise TablesBusyError(LOCK_SECONDS) from error


def refuse_another_log(connection: Connection[Any], log_number: int, name: str) -> None:
    """Raise `AnotherLogError` if the read tables are folded from another log, as the projector.

    Rows do not name their log, so readers would take two logs in the same tables for one ledger.
    """
    others = connection.execute(
        "SELECT DISTINCT l.name FROM read.checkpoints c JOIN log.logs l USING (log) WHERE c.log <> %s ORDER BY 1",
        (log_number,),
    ).fetchall()
    if others:
        raise AnotherLogError(name, [other for (other,) in others])


def _shapes(connection: Connection[Any]) -> dict[str, str]:
    return dict(connection.execute("SELECT projection, shape FROM read.projections").fetchall())


def _report(connection: Connection[Any], projection: Projection) -> None:
    """Make the reporting views of a projection, if they differ from those of this version.

    Replacing a view blocks its readers, so unchanged views are skipped.
    """
    row = connection.execute(
        "SELECT bool_and(to_regclass(v.name) IS NOT NULL)"
        " AND EXISTS (SELECT FROM read.reports r WHERE r.projection = %s AND r.digest = %s)"
        " FROM unnest(%s::text[]) AS v(name)",
        (projection.name, projection.reporting_digest, text_array([f"reporting.{view}" for view in projection.views])),
    ).fetchone()
    if row is not None and row[0]:
        return
    connection.execute(projection.reporting.encode())
    record_reports(connection, projection)


def record_reports(connection: Connection[Any], projection: Projection) -> None:
    """Record that its reporting views are those of this version."""
    connection.execute(
        "INSERT INTO read.reports (projection, digest) VALUES (%s, %s)"
        " ON CONFLICT (projection) DO UPDATE SET digest = excluded.digest",
        (projection.name, projection.reporting_digest),
    )


def _take_over(connection: Connection[Any], projections: Sequence[Projection]) -> None:
    """Record this version's shape for tables with the same version and columns.

    Earlier versions made the digest of the text of the DDL, so a comment or the order of columns changed it.
    """
    live: dict[str, set[str]] = {}
    for table, line in connection.execute(ddl.LIVE_COLUMNS.encode()):
        live.setdefault(table, set()).add(line)
    made = _shapes(connection)
    for projection in projections:
        shape = made.get(projection.name)
        if shape is None or shape == projection.shape or shape.partition(":")[0] != str(projection.version):
            continue
        if frozenset().union(*(live.get(table, ()) for table in projection.tables)) == projection.columns:
            record_shape(connection, projection)


def _index(connection: Connection[Any], projections: Sequence[Projection]) -> None:
    """Create the indexes that are missing and drop the obsolete ones.

    Existing indexes are not named in a statement: even `IF NOT EXISTS` would wait for sessions that write the table.
    """
    rows = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'read'").fetchall()
    existing = {name for (name,) in rows}
    for projection in projections:
        for table in projection.read_tables:
            for index in ddl.indexes_of(table):
                if index.name not in existing:
                    connection.execute(ddl.create_index(table, index).encode())
    for projection in projections:  # last, because readers of the table wait from here to the end of the transaction
        for name in existing.intersection(projection.obsolete_indexes):
            connection.execute(f"DROP INDEX {name}".encode())


def record_shape(connection: Connection[Any], projection: Projection) -> None:
    """Record that its tables are of this version."""
    connection.execute(
        "INSERT INTO read.projections (projection, shape) VALUES (%s, %s)"
        " ON CONFLICT (projection) DO UPDATE SET shape = excluded.shape",
        (projection.name, projection.shape),
    )
