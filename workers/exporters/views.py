"""Writes reporting views as files, all as of one moment.

Everything is read in one transaction, so the files have one snapshot. Each projection states the position that it has
folded there: `manifest.json` has it, and is written last. Rows are streamed, so memory does not grow with them.

Columns with texts of people are left out unless they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, Protocol

import orjson
from psycopg import Connection, sql

from eventstore.log.read import read_head, read_uuid
from projections.engine.checkpoint import read_state
from projections.engine.erasure import personal_text
from projections.engine.projection import Projection
from projections.engine.reporting import Shown, View
from projections.registry import PROJECTIONS
from workers.databases import one_moment
from workers.exporters.files import new_file

if TYPE_CHECKING:
    import pyarrow as pa

FileFormat = Literal["csv", "parquet"]
MANIFEST: Final = "manifest.json"
BATCH: Final = 10_000
"""Rows of one group of a Parquet file, which are in memory together."""
DIGITS, DECIMALS = 38, 6
"""Digits of a decimal number in Parquet, and how many of them are decimals: rates have six, amounts at most three."""

_TYPES = """
SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""
_COLUMN = re.compile(r'\b([to])\."?(\w+)')


class ViewsError(ValueError):
    """The views cannot be exported. The message says why."""


@dataclass(frozen=True, slots=True)
class ExportedView:
    """What was written of one view."""

    view: str
    projection: str
    position: int  # up to which the projection was folded
    rows: int
    file: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportedViews:
    """What was written."""

    log: str
    uuid: str
    epoch: int
    head: int
    position: int  # the lowest one of the views: a later export after it misses nothing
    after: int | None
    personal: bool
    at: datetime
    views: tuple[ExportedView, ...]

    def as_json(self) -> dict[str, Any]:
        """The documented `--json` form, which is also the manifest."""
        return asdict(self)


Progress = Callable[[str, int], None]
"""Gets the name of a view and how many of its rows are written."""


def all_views() -> dict[str, tuple[Projection, View]]:
    """Each reporting view by its name, with its projection."""
    return {view.name: (projection, view) for projection in PROJECTIONS for view in projection.reports}


def personal_columns(view: View) -> frozenset[str]:
    """The columns with texts of people, as their tables declare them."""
    tables = {"t": view.table, "o": view.joined}
    found = set()
    for column in view.shown:
        for alias, name in _COLUMN.findall(column.sql):
            table = tables[alias]
            declared = None if table is None else personal_text(table)
            if declared is not None and name in declared.texts:
                found.add(column.name)
    return frozenset(found)


def export_views(
    connection: Connection[Any],
    log: str,
    folder: Path,
    format: FileFormat,
    at: datetime,
    *,
    names: Iterable[str] = (),
    after: int | None = None,
    personal: bool = False,
    progress: Progress = lambda view, rows: None,
) -> ExportedViews:
    """Write the views with these names, or all, into a folder that is empty or new. `connection` is of an auditor.

    With `after`, only rows that changed after that position. Raises `ViewsError`, `UnknownLogError`.
    """
    chosen = _chosen(names)
    write = _writer(format)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ViewsError(f"{folder} is not empty: choose another folder for each export")
    with one_moment(connection):
        head = read_head(connection, log)
        if after is not None and after > head.position:
            raise ViewsError(f"--after {after} is after the head of the log, {head.position}")
        positions = _positions(connection, log, dict.fromkeys(projection.name for projection, _ in chosen.values()))
        done = []
        for name, (projection, view) in chosen.items():
            hidden = frozenset() if personal else personal_columns(view)
            columns = [column for column in view.shown if column.name not in hidden]
            file = f"{name}.{format}"
            with new_file(folder / file) as out:
                rows = write(connection, view, columns, after, out, progress)
            written = tuple(column.name for column in columns)
            done.append(ExportedView(name, projection.name, positions[projection.name], rows, file, written))
        report = ExportedViews(
            log=log,
            uuid=str(read_uuid(connection, head.log_number)),
            epoch=head.epoch,
            head=head.position,
            position=min(view.position for view in done),
            after=after,
            personal=personal,
            at=at,
            views=tuple(done),
        )
    with new_file(folder / MANIFEST) as out:
        out.write(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z) + b"\n")
    return report


def _chosen(names: Iterable[str]) -> dict[str, tuple[Projection, View]]:
    known = all_views()
    wanted = list(dict.fromkeys(names)) or list(known)
    if unknown := sorted(set(wanted) - known.keys()):
        raise ViewsError(f"there is no view {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return {name: known[name] for name in wanted}


def _positions(connection: Connection[Any], log: str, projections: Iterable[str]) -> dict[str, int]:
    """How far each projection is folded. Raises `ViewsError` for one whose tables do not say what the log says."""
    state = read_state(connection, log, tuple(projections))
    positions = {}
    for status in state.statuses:
        refusal = status.refusal(state.epoch)
        if refusal is None and status.rebuild_until is not None:
            refusal = (
                f"{status.projection} is being folded anew, and is complete from position {status.rebuild_until} on: "
                "export it then"
            )
        if refusal is not None:
            raise ViewsError(refusal)
        assert status.checkpoint is not None, "it has begun"
        positions[status.projection] = status.checkpoint.position
    return positions


class _Write(Protocol):
    """Writes the rows of a view, and returns their number."""

    def __call__(
        self,
        connection: Connection[Any],
        view: View,
        columns: Sequence[Shown],
        after: int | None,
        out: BinaryIO,
        progress: Progress,
    ) -> int: ...


def _writer(format: FileFormat) -> _Write:
    if format == "csv":
        return _write_csv
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ViewsError(
            "Parquet needs pyarrow, which is not installed: pip install 'daybook[parquet]', or use --format csv"
        ) from None
    return _write_parquet


def _select(view: View, items: Iterable[sql.Composable], after: int | None) -> sql.Composed:
    where = sql.SQL("") if after is None else sql.SQL(" WHERE last_position > {}").format(sql.Literal(after))
    source = sql.Identifier("reporting", view.name)
    return sql.SQL("SELECT {} FROM {}{}").format(sql.SQL(", ").join(items), source, where)


def _write_csv(
    connection: Connection[Any],
    view: View,
    columns: Sequence[Shown],
    after: int | None,
    out: BinaryIO,
    progress: Progress,
) -> int:
    """Write the rows as the server writes them: decimals as they are, times in UTC, an empty cell for NULL."""
    select = _select(view, [sql.Identifier(column.name) for column in columns], after)
    copy = sql.SQL("COPY ({}) TO STDOUT WITH (FORMAT csv, HEADER)").format(select)
    rows = -1  # the first part is the header
    with connection.cursor() as cursor:
        with cursor.copy(copy) as parts:
            for part in parts:
                out.write(part)
                rows += 1  # the server sends one part a row
                if rows % BATCH == 0:
                    progress(view.name, rows)
        progress(view.name, cursor.rowcount)
        return cursor.rowcount


def _write_parquet(
    connection: Connection[Any],
    view: View,
    columns: Sequence[Shown],
    after: int | None,
    out: BinaryIO,
    progress: Progress,
) -> int:
    """Write the rows in groups. Decimals stay decimals, times are in UTC, JSON is text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = dict(connection.execute(_TYPES, (f"reporting.{view.name}",)).fetchall())
    arrow = {
        "text": pa.string(),
        "json": pa.string(),
        "jsonb": pa.string(),
        "boolean": pa.bool_(),
        "smallint": pa.int16(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "date": pa.date32(),
        "numeric": pa.decimal128(DIGITS, DECIMALS),
        "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema(
        [pa.field(c.name, arrow[types[c.name]], metadata={"comment": c.comment}) for c in columns],
        metadata={"comment": view.comment},
    )
    json = ("json", "jsonb")
    items = [sql.SQL("{}::text" if types[c.name] in json else "{}").format(sql.Identifier(c.name)) for c in columns]
    rows = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in _batches(connection, _select(view, items, after)):
            writer.write_batch(_record_batch(schema, batch))
            rows += len(batch)
            progress(view.name, rows)
    return rows


def _record_batch(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    import pyarrow as pa

    values = zip(*rows, strict=True)
    arrays = [pa.array(column, type=field.type) for column, field in zip(values, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _batches(connection: Connection[Any], statement: sql.Composed) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a statement, a batch at a time, by a cursor of the server."""
    with connection.cursor(name="rows", binary=True) as cursor:
        cursor.execute(statement)
        while batch := cursor.fetchmany(BATCH):
            yield batch
