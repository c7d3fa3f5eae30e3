"""Proof that the tables are what the log says: each folded afresh, up to its checkpoint, and compared row by row.

The fresh fold goes into temporary tables of the same name, by the same code, within one snapshot of the database. So
projectors may go on meanwhile; disk is needed for a second copy of the tables, memory only for a page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, IsolationLevel

from eventstore.codec import Codec
from projections.checkpoint import LogState, read_state
from projections.engine import PAGE, TRANSIENT
from projections.explain import explain
from projections.pages import PageReader
from projections.projection import FoldError, Memory, Projection
from projections.session import fold_into, plan_freely
from projections.tables import ShapeError, outdated_among

SAMPLE = 5
"""Keys of differing rows that a finding names."""

Progress = Callable[[int, int], None]
"""Is told how far the fresh fold is, and how far it has to go."""


@dataclass(frozen=True, slots=True)
class TableFinding:
    """A table that is not what a fresh fold makes of the log. A row that differs counts as missing and unexpected."""

    projection: str
    table: str
    missing: int  # rows of the fresh fold that the table does not have
    unexpected: int  # rows of the table that the fresh fold does not have
    sample: tuple[str, ...]  # primary keys of some of them


@dataclass(frozen=True, slots=True)
class CheckpointFinding:
    """A projection that cannot be compared; the message says why."""

    projection: str
    message: str


@dataclass(frozen=True, slots=True)
class TablesReport:
    """What was compared, up to which position each, and what was found."""

    head: int
    positions: dict[str, int]
    tables: dict[str, int]  # compared, with their number of rows
    findings: tuple[TableFinding | CheckpointFinding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify_tables(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    projections: Sequence[Projection],
    *,
    progress: Progress = lambda position, upto: None,
) -> TablesReport:
    """Fold these projections afresh and compare.

    The connection is in no transaction, may create temporary tables and is otherwise left as it was. What the codec
    returns as `Erased` must be erased in the tables too: text that outlived its key is a finding.
    """
    before = connection.isolation_level
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction(force_rollback=True):  # the temporary tables go with it
            fold_into(connection, "pg_temp", local=True)
            return _verify(connection, log, codec, projections, progress)
    finally:
        connection.isolation_level = before


def _verify(
    connection: Connection[Any], log: str, codec: Codec, projections: Sequence[Projection], progress: Progress
) -> TablesReport:
    state = read_state(connection, log, [projection.name for projection in projections])
    findings: list[TableFinding | CheckpointFinding] = [
        CheckpointFinding(name, str(ShapeError([name]))) for name in outdated_among(connection, projections)
    ]
    findings += _misplaced(connection, state)
    incomparable = {finding.projection for finding in findings}
    targets = {
        standing.projection: standing.checkpoint.position
        for standing in state.standings
        if standing.checkpoint is not None and standing.projection not in incomparable
    }
    comparable = [projection for projection in projections if projection.name in targets]
    for projection in comparable:
        connection.execute(projection.schema.encode())
    broken = _fold_afresh(connection, PageReader(state.log, codec), comparable, targets, progress)
    findings += broken
    plan_freely(connection)
    tables: dict[str, int] = {}
    for projection in comparable:
        if projection.name in {finding.projection for finding in broken}:
            continue
        for table in projection.tables:
            tables[table], finding = _compare(connection, projection.name, table)
            if finding is not None:
                findings.append(finding)
    return TablesReport(state.head, targets, tables, tuple(findings))


def _misplaced(connection: Connection[Any], state: LogState) -> list[TableFinding | CheckpointFinding]:
    """Checkpoints that do not fit the log: ahead of it, on another event, within a unit."""
    findings: list[TableFinding | CheckpointFinding] = []
    for standing in state.standings:
        message = standing.refusal(state.epoch)
        if message is None and standing.checkpoint is not None and standing.checkpoint.position > 0:
            row = connection.execute(
                "SELECT unit_end FROM log.events WHERE log = %s AND position = %s",
                (state.log, standing.checkpoint.position),
            ).fetchone()
            if row is None or row[0] != standing.checkpoint.position:
                end = row and row[0]
                message = f"stands at {standing.checkpoint.position}, within a unit that ends at {end}"
        if message is not None:
            findings.append(CheckpointFinding(standing.projection, message))
    return findings


def _fold_afresh(
    connection: Connection[Any],
    pages: PageReader,
    projections: Sequence[Projection],
    targets: dict[str, int],
    progress: Progress,
) -> list[CheckpointFinding]:
    """Fold each up to its target. What cannot be folded is a finding and ends that projection's part."""
    broken: list[CheckpointFinding] = []
    memories = {projection.name: Memory() for projection in projections}
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
                if part.error is not None:
                    raise part.error
                if part.facts:
                    with connection.transaction():
                        projection.write(connection, part.result, memories[projection.name])
            except TRANSIENT:
                raise
            except Exception as error:
                message = f"cannot be folded afresh after position {position}: {explain(error)}"
                broken.append(CheckpointFinding(projection.name, message))
                active.remove(projection)
        position = page.upto
        active = [projection for projection in active if targets[projection.name] > position]
        progress(position, last)
    return broken


# A row as text, so that every type compares and NULL equals NULL. The key is of the live table's primary key.
_COMPARE = """
WITH live AS (SELECT {key} AS key, t::text AS row FROM read.{table} t),
     fresh AS (SELECT {key} AS key, t::text AS row FROM pg_temp.{table} t),
     missing AS MATERIALIZED (SELECT * FROM fresh EXCEPT ALL SELECT * FROM live),
     unexpected AS MATERIALIZED (SELECT * FROM live EXCEPT ALL SELECT * FROM fresh)
SELECT (SELECT count(*) FROM live), (SELECT count(*) FROM missing), (SELECT count(*) FROM unexpected),
       ARRAY(SELECT key FROM (SELECT key FROM missing UNION SELECT key FROM unexpected) k ORDER BY key LIMIT {sample})
"""

_KEY = """
SELECT string_agg(format('t.%%I::text', a.attname), ' || '' '' || ' ORDER BY array_position(i.indkey, a.attnum))
  FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
 WHERE i.indisprimary AND i.indrelid = %s::regclass
"""


def _compare(connection: Connection[Any], projection: str, table: str) -> tuple[int, TableFinding | None]:
    """Rows in the live table, and how it differs from the fresh one."""
    found = connection.execute(_KEY, (f"read.{table}",)).fetchone()
    assert found is not None, f"{table} has no primary key"
    assert found[0] is not None, f"{table} has no primary key"
    query = _COMPARE.format(key=found[0], table=table, sample=SAMPLE)
    row = connection.execute(query.encode(), prepare=False).fetchone()
    assert row is not None, "an aggregate has a row"
    rows, missing, unexpected, sample = row
    if missing == unexpected == 0:
        return rows, None
    return rows, TableFinding(projection, table, missing, unexpected, tuple(sample))
