"""Proves that the tables are the fold of the log: folds each again up to its checkpoint and compares row by row.

The new fold goes into temporary tables of the same names, by the same code, in one snapshot of the database. Projectors
go on meanwhile. It needs disk for a second copy of the tables, and memory for a page.

A projection that is behind the head has missing rows, and one that stopped stays behind: both are findings. A projector
may be a moment behind while commands come in, so the check waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import Connection, IsolationLevel
from sqlalchemy import Table

from eventstore.log.codec import Codec
from eventstore.log.read import read_head
from eventstore.postgres.arrays import text_array
from projections.engine.checkpoint import LogState, read_state, unit_end
from projections.engine.ddl import primary_key, quoted
from projections.engine.explain import explain
from projections.engine.pages import PageReader, write_part
from projections.engine.projection import FoldCache, FoldError, Projection
from projections.engine.runner import PAGE, TRANSIENT
from projections.engine.session import fold_into, plan_freely
from projections.engine.tables import NotPreparedError, ShapeError, outdated_among

SAMPLE = 5
"""Keys of differing rows that a finding names."""

Progress = Callable[[int, int], None]
"""Gets the position of the new fold, and the position to reach."""


PATIENCE_SECONDS: Final = 5.0
"""How long projections may take to reach the head at which the check began."""
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class TableFinding:
    """A table differs from a new fold of the log. A row that differs counts as missing and as unexpected."""

    projection: str
    table: str
    missing: int  # rows of the new fold that the table does not have
    unexpected: int  # rows of the table that the new fold does not have
    sample: tuple[str, ...]  # primary keys of some of them

    def __str__(self) -> str:
        keys = f", for example {'; '.join(self.sample)}" if self.sample else ""
        return (
            f"read.{self.table} differs from a fresh fold of the log: {self.missing} rows are missing or changed, "
            f"{self.unexpected} are not as they should be{keys}; rebuild it: daybook rebuild {self.projection}"
        )


@dataclass(frozen=True, slots=True)
class CheckpointFinding:
    """A projection cannot be compared. The message says why."""

    projection: str
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class StatusFinding:
    """The rows of a projection end before the log. The message says why."""

    projection: str
    position: int
    message: str

    def __str__(self) -> str:
        return self.message


TablesFinding: TypeAlias = TableFinding | CheckpointFinding | StatusFinding


@dataclass(frozen=True, slots=True)
class TablesReport:
    """The result of the comparison: positions, rows and findings."""

    head: int
    positions: dict[str, int]
    tables: dict[str, int]  # the number of rows of each table that was compared
    findings: tuple[TablesFinding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def rows_ok(self) -> bool:
        """Whether the rows are right as far as they go: the only findings are projections that are behind."""
        return all(isinstance(finding, StatusFinding) for finding in self.findings)


def verify_tables(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    projections: Sequence[Projection],
    *,
    progress: Progress = lambda position, upto: None,
    due: int | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
    others: Sequence[Projection] = (),
) -> TablesReport:
    """Fold these projections again and compare.

    `others` are projections that may have tables and are not compared.

    Each must have come to position `due`, by default the head of this moment, and gets `patience_seconds` for it.

    The connection must not be in a transaction, and must be allowed to create temporary tables. A value that the codec
    returns as `Erased` must be erased in the tables too: text that remains after its key was erased is a finding.
    """
    if missing := _without_frame(connection):
        return _not_made(connection, log, projections, missing)
    due = read_head(connection, log).position if due is None else due
    _wait_for(connection, log, [projection.name for projection in projections], due, patience_seconds)
    existing = _existing(connection, projections)
    before = connection.isolation_level
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction(force_rollback=True):  # the temporary tables end with it
            _lock_tables(connection, existing)
            fold_into(connection, "pg_temp", local=True)
            return _verify(connection, log, codec, projections, others, due, progress)
    finally:
        connection.isolation_level = before


def _lock_tables(connection: Connection[Any], tables: Sequence[str]) -> None:
    """Keep rebuilds from replacing these tables until the end of the transaction, whose snapshot begins after this.

    A snapshot from before a swap would not see all rows of the new tables.
    """
    if tables:
        connection.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS SHARE MODE".encode())


def _existing(connection: Connection[Any], projections: Sequence[Projection]) -> list[str]:
    tables = text_array([f"read.{table}" for projection in projections for table in projection.tables])
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS t(name) WHERE to_regclass(name) IS NOT NULL", (tables,)
    )
    return [name for (name,) in rows]


_FRAME: Final = ("checkpoints", "projections", "reports", "projection_errors", "partitions")


def _without_frame(connection: Connection[Any]) -> list[str]:
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS t(name) WHERE to_regclass('read.' || name) IS NULL", (list(_FRAME),)
    )
    return [name for (name,) in rows]


def _not_made(
    connection: Connection[Any], log: str, projections: Sequence[Projection], missing: Sequence[str]
) -> TablesReport:
    why = f"the read tables are not there (read.{', read.'.join(missing)}): make them with daybook migrate"
    findings = tuple(CheckpointFinding(projection.name, f"{projection.name}: {why}") for projection in projections)
    return TablesReport(read_head(connection, log).position, {}, {}, findings)


def _wait_for(connection: Connection[Any], log: str, names: Sequence[str], due: int, patience_seconds: float) -> None:
    """Wait until the projections that are not stopped reach a position, at most for the given time."""
    deadline = time.monotonic() + patience_seconds
    while True:
        state = read_state(connection, log, names)
        behind = [
            status
            for status in state.statuses
            if status.checkpoint is not None
            and status.checkpoint.position < due
            and status.error is None
            and status.refusal(state.epoch) is None
        ]
        if not behind or time.monotonic() >= deadline:
            return
        time.sleep(_POLL_SECONDS)


def _verify(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    projections: Sequence[Projection],
    others: Sequence[Projection],
    due: int,
    progress: Progress,
) -> TablesReport:
    state = read_state(connection, log, [projection.name for projection in projections])
    findings: list[TablesFinding] = [
        CheckpointFinding(name, message) for name, message in _unusable(connection, projections)
    ]
    findings += _misplaced(connection, state)
    findings += _unknown_rows(connection, state.log_number, [projection.name for projection in projections], others)
    incomparable = {finding.projection for finding in findings}
    findings += _too_early(state, due, incomparable)
    targets = {
        status.projection: status.checkpoint.position
        for status in state.statuses
        if status.checkpoint is not None and status.projection not in incomparable
    }
    comparable = [projection for projection in projections if projection.name in targets]
    for projection in comparable:
        connection.execute(projection.schema.encode())
    broken = _fold_afresh(connection, PageReader(state.log_number, codec), comparable, targets, progress)
    findings += broken
    plan_freely(connection)
    tables: dict[str, int] = {}
    for projection in comparable:
        if projection.name in {finding.projection for finding in broken}:
            continue
        for table in projection.read_tables:
            rows, finding = _compare(connection, projection.name, table)
            if rows is not None:
                tables[str(table.name)] = rows
            if finding is not None:
                findings.append(finding)
    return TablesReport(state.head, targets, tables, tuple(findings))


def _too_early(state: LogState, due: int, incomparable: set[str]) -> list[TablesFinding]:
    """Findings for projections that stopped or are behind the head."""
    findings: list[TablesFinding] = []
    for status in state.statuses:
        name = status.projection
        position = 0 if status.checkpoint is None else status.checkpoint.position
        if status.error is not None:
            message = (
                f"{name} stopped {status.error}; it stands at {position} of {state.head}; once the cause is gone, "
                f"run daybook rebuild {name}"
            )
            findings.append(StatusFinding(name, position, message))
        elif name not in incomparable and position < due:
            message = (
                f"{name} stands at {position} of {due}: {due - position} events are not folded; start daybook work, "
                f"or run daybook rebuild {name}"
            )
            findings.append(StatusFinding(name, position, message))
    return findings


_UNKNOWN_ROWS = """
SELECT format('read.%%s has a row of %%s, log %%s', t.name, t.projection, t.log)
  FROM (SELECT 'checkpoints' AS name, projection, log FROM read.checkpoints
        UNION ALL SELECT 'projection_errors', projection, log FROM read.projection_errors
        UNION ALL SELECT 'projections', projection, %(log)s FROM read.projections
        UNION ALL SELECT DISTINCT 'partitions', projection, 0 FROM read.partitions  -- where there is no log
        UNION ALL SELECT 'reports', projection, %(log)s FROM read.reports) t
 WHERE t.projection <> ALL (%(names)s) OR t.log <> %(log)s ORDER BY 1
"""


def _unknown_rows(
    connection: Connection[Any], log_number: int, names: Sequence[str], others: Sequence[Projection]
) -> list[TablesFinding]:
    """Findings for rows of unknown projections or logs, and for projections without a row in `read.projections`."""
    known = sorted({*names, *(projection.name for projection in others)})
    rows = connection.execute(_UNKNOWN_ROWS, {"log": log_number, "names": known})
    findings: list[TablesFinding] = [
        CheckpointFinding("", f"{what}, which this Daybook does not know; delete it") for (what,) in rows
    ]
    made = {name for (name,) in connection.execute("SELECT projection FROM read.projections")}
    for name in names:
        if name not in made:
            message = f"read.projections does not say of which version the tables of {name} are: daybook rebuild {name}"
            findings.append(CheckpointFinding(name, message))
    return findings


def _unusable(connection: Connection[Any], projections: Sequence[Projection]) -> Iterator[tuple[str, str]]:
    """The projections without tables or with tables of another version, each with what to do."""
    missing: tuple[str, ...] = ()
    try:
        outdated = outdated_among(connection, projections)
    except NotPreparedError as error:
        missing = error.projections
        outdated = outdated_among(connection, [one for one in projections if one.name not in missing])
    yield from ((name, str(NotPreparedError([name]))) for name in missing)
    yield from ((name, str(ShapeError([name]))) for name in outdated)


def _misplaced(connection: Connection[Any], state: LogState) -> list[TablesFinding]:
    """Findings for checkpoints that do not fit the log: ahead of it, on another event, or within a unit."""
    findings: list[TablesFinding] = []
    for status in state.statuses:
        message = status.refusal(state.epoch)
        if message is None and status.checkpoint is not None and status.checkpoint.position > 0:
            end = unit_end(connection, state.log_number, status.checkpoint.position)
            if end != status.checkpoint.position:
                message = (
                    f"{status.projection} stands at {status.checkpoint.position}, within a unit that ends at "
                    f"{end}; rebuild it: daybook rebuild {status.projection}"
                )
        if message is not None:
            findings.append(CheckpointFinding(status.projection, message))
    return findings


def _fold_afresh(
    connection: Connection[Any],
    pages: PageReader,
    projections: Sequence[Projection],
    targets: dict[str, int],
    progress: Progress,
) -> list[CheckpointFinding]:
    """Fold each projection up to its target. An event that cannot be folded is a finding and ends that projection."""
    broken: list[CheckpointFinding] = []
    caches = {projection.name: FoldCache() for projection in projections}
    position, last = 0, max(targets.values(), default=0)
    active = [projection for projection in projections if targets[projection.name] > 0]
    while active:
        upto = min(targets[projection.name] for projection in active)
        page = pages.read(connection, position, min(upto - position, PAGE), active)
        assert page is not None, "the log ends before a checkpoint that was found to be in it"
        for projection in list(active):
            try:
                part = page.parts[projection.name]
                if part.broken is not None:
                    raise FoldError(str(part.broken))
                if part.events:
                    with connection.transaction():
                        write_part(connection, projection, part, caches[projection.name])
            except TRANSIENT:
                raise
            except Exception as error:
                message = f"{projection.name} cannot be folded afresh after position {position}: {explain(error)}"
                broken.append(CheckpointFinding(projection.name, message))
                active.remove(projection)
        position = page.upto
        active = [projection for projection in active if targets[projection.name] > position]
        progress(position, last)
    return broken


# Rows are compared as text, so that every type compares and NULL equals NULL. Columns are named, because a table of an
# earlier version may have another order. The key is that of the declaration: the live table may have lost its own.
_COMPARE = """
WITH live AS (SELECT {key} AS key, ROW({columns})::text AS row FROM read.{table} t),
     fresh AS (SELECT {key} AS key, ROW({columns})::text AS row FROM pg_temp.{table} t),
     missing AS MATERIALIZED (SELECT * FROM fresh EXCEPT ALL SELECT * FROM live),
     unexpected AS MATERIALIZED (SELECT * FROM live EXCEPT ALL SELECT * FROM fresh)
SELECT (SELECT count(*) FROM live), (SELECT count(*) FROM missing), (SELECT count(*) FROM unexpected),
       ARRAY(SELECT key FROM (SELECT key FROM missing UNION SELECT key FROM unexpected) k ORDER BY key LIMIT {sample})
"""


def _compare(connection: Connection[Any], projection: str, table: Table) -> tuple[int | None, TablesFinding | None]:
    """The number of rows of the live table (None if they cannot be read), and the finding if it differs."""
    columns = [f"t.{quoted(column.name)}" for column in table.columns]
    key = ", ".join(f"t.{quoted(name)}::text" for name in primary_key(table))
    query = _COMPARE.format(
        key=f"concat_ws(' ', {key})", columns=", ".join(columns), table=quoted(table.name), sample=SAMPLE
    )
    try:
        with connection.transaction():
            row = connection.execute(query.encode(), prepare=False).fetchone()
    except TRANSIENT:
        raise
    except psycopg.Error as error:
        message = f"read.{table.name} cannot be compared: {explain(error)}; rebuild it: daybook rebuild {projection}"
        return None, CheckpointFinding(projection, message)
    assert row is not None, "an aggregate has a row"
    rows, missing, unexpected, sample = row
    if missing == unexpected == 0:
        return rows, None
    return rows, TableFinding(projection, str(table.name), missing, unexpected, tuple(sample))
