"""Declared read models: a table with one row a stream, and one pure function per event type, ``(row, event) → row``.

A function gets the row before the event, with three values of the event: `version` (of the stream), `last_position`
and `last_at` (the time of recording, as text). It returns the row after the event. It may read these three values and
the columns that `RowFold.reads` names, because no other column is loaded. Columns that a function does not set stay as
they are.

The engine folds a page at once. It groups events by stream, applies the functions in memory, inserts the rows that
began in this page with one COPY, and updates the others with one statement for each set of columns that changed.

`RowFold` is also how a read model with SQL of its own says what its rows mean. A test holds its SQL equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeAlias

from psycopg import Connection
from sqlalchemy import Table

from domain.subjects import SubjectErased
from projections.engine.ddl import primary_key
from projections.engine.erasure import personal_text, without_text
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.reporting import View
from projections.engine.rows import copy_rows
from projections.engine.writing import Row, Update, copy_lines, copy_target, in_order, loaded, updates

Step: TypeAlias = Callable[[Row, Any], Row]
"""A row and an event → the row after it. Pure: it changes neither."""

Details: TypeAlias = Callable[[Row, Any], Iterable[tuple[Any, ...]]]
"""The row after an event, and the event → rows of a table beside it, which are inserted and never change.

A row of such a table is a tuple, in the order in which the table declares its columns: there can be many.
"""

Beside: TypeAlias = Mapping[Table, Mapping[type[Any], Details]]
"""Tables beside that of the rows, and what makes their rows of which events."""

CHUNK = 2_000
"""Rows that are loaded and changed at a time where functions read columns: it bounds the memory of a page."""


def _own_stream(event: Any) -> tuple[str, ...]:
    return (event.originator_id,)


@dataclass(frozen=True)
class RowFold:
    """How events become the rows of one table. `starts` has the events that begin a row, `changes` the others.

    A read model with SQL of its own may have an event in both: it begins a row that is not there, and changes another.
    """

    table: Table
    starts: Mapping[type[Any], Step]
    changes: Mapping[type[Any], Step] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    rows_of: Callable[[Any], Iterable[str]] = _own_stream  # the keys of the rows that an event concerns

    @cached_property
    def steps(self) -> dict[type[Any], tuple[Step, bool]]:
        """The function of each event type, and whether it begins a row."""
        return {
            **{kind: (step, True) for kind, step in self.starts.items()},
            **{kind: (step, False) for kind, step in self.changes.items()},
        }

    @cached_property
    def key(self) -> str:
        """The column that has the stream's name."""
        [name] = primary_key(self.table)
        return name

    @cached_property
    def blank(self) -> dict[str, Any]:
        """A row before its first event: NULL wherever the table allows it."""
        return {column.name: None for column in self.table.columns if column.nullable}

    def rows(self, events: Iterable[RecordedEvent]) -> dict[str, Row]:
        """The rows after these events, which begin with the first of the log: the pure form of the table."""
        rows: dict[str, Row] = {}
        for recorded in events:
            if isinstance(recorded.event, SubjectErased):
                self._erase(rows, recorded)
                continue
            kind = type(recorded.event)
            step, starts = self.step(recorded.event)
            for key in dict.fromkeys(self.rows_of(recorded.event)):
                if kind in self.starts and kind in self.changes:
                    starts = key not in rows
                    step = (self.starts if starts else self.changes)[kind]
                if starts != (key not in rows):
                    raise _misplaced(key, recorded.event, starts)
                row = {**self.blank, self.key: key} if starts else rows[key]
                rows[key] = _after(step, key, row, recorded)
        names = [column.name for column in self.table.columns]
        return {key: {name: row[name] for name in names} for key, row in rows.items()}

    def _erase(self, rows: dict[str, Row], erased: RecordedEvent) -> None:
        """Erase the text of a person from the rows."""
        personal = personal_text(self.table)
        if personal is not None:
            position, at, event = erased
            of_person = [key for key, row in rows.items() if row[personal.subject] == event.subject]
            rows.update({key: without_text(self.table, rows[key], position, at) for key in of_person})

    def step(self, event: Any) -> tuple[Step, bool]:
        """The function of an event, and whether it begins a row. Raises `FoldError` for an event without a function."""
        found = self.steps.get(type(event))
        if found is None:
            raise _unknown(event)
        return found


def _after(step: Step, key: str, row: Row, recorded: RecordedEvent) -> Row:
    """The row after an event. This module made the row before, so it may change it."""
    position, at, event = recorded
    if event.originator_id == key:
        row["version"] = event.originator_version
    row["last_position"] = position
    row["last_at"] = at
    return step(row, event)


def _unknown(event: Any) -> FoldError:
    return FoldError(f"{type(event).__name__} is none of its events")


def _misplaced(key: str, event: Any, starts: bool) -> FoldError:
    name = type(event).__name__
    return FoldError(
        f"{key} has events before its {name}" if starts else f"{key} was never begun, and {name} changes it"
    )


@dataclass(slots=True)
class Page:
    """The result of a page. Whatever needs no row of the table is encoded for the server already."""

    begun: list[str]  # lines for COPY
    updates: list[Update]
    details: list[list[str]]  # lines for COPY, of each table beside the rows
    pending: dict[str, list[RecordedEvent]]  # events of rows that must be loaded first


def declared(
    name: str,
    rows: RowFold,
    *,
    area: str,
    reports: tuple[View, ...],
    details: Beside | None = None,
    version: int = 1,
    obsolete_indexes: tuple[str, ...] = (),
) -> Projection:
    """A projection whose rows are folded as `rows` says. `details` are tables whose rows are inserted beside them.

    Raises `ValueError` if rows are loaded first (`reads`) and an event that changes a row makes details: the row after
    the event is not known in time. Raises it too if an event both begins and changes a row.
    """
    beside = dict(details or {})
    if rows.starts.keys() & rows.changes.keys():
        raise ValueError(f"{name}: an event both begins and changes a row")
    if rows.reads and any(kind in rows.changes for makers in beside.values() for kind in makers):
        raise ValueError(f"{name}: an event that changes a row cannot make details while functions read columns")
    return Projection(
        name=name,
        area=area,
        events=tuple(rows.steps),
        read_tables=(rows.table, *beside),
        reports=reports,
        fold=partial(_fold, rows, beside),
        write=partial(_write, rows, tuple(beside)),
        version=version,
        obsolete_indexes=obsolete_indexes,
    )


def _fold(model: RowFold, beside: Beside, events: Sequence[RecordedEvent]) -> Page:
    begun: dict[str, Row] = {}
    changed: dict[str, Row] = {}
    pending: dict[str, list[RecordedEvent]] = {}
    inserted: list[list[tuple[Any, ...]]] = [[] for _ in beside]
    tables = list(zip(inserted, beside.values(), strict=True))
    kinds = {
        kind: (step, starts, [(rows, makers[kind]) for rows, makers in tables if kind in makers])
        for kind, (step, starts) in model.steps.items()
    }
    for recorded in events:
        event = recorded.event
        key = event.originator_id
        found = kinds.get(type(event))
        if found is None:
            raise _unknown(event)
        step, starts, details = found
        row = begun.get(key)
        rows = begun
        if starts:
            if row is not None or key in changed or key in pending:
                raise _misplaced(key, event, starts)
            row = {**model.blank, model.key: key}
        elif row is None:
            if model.reads:
                pending.setdefault(key, []).append(recorded)
                continue
            row = changed.get(key) or {}
            rows = changed
        rows[key] = row = _after(step, key, row, recorded)
        for made, make in details:
            made.extend(make(row, event))
    return Page(
        copy_lines(model.table, map(in_order(model.table), begun.values())),
        updates(model.table, changed),
        [copy_lines(table, rows) for table, rows in zip(beside, inserted, strict=True)],
        pending,
    )


def _write(
    model: RowFold, beside: tuple[Table, ...], connection: Connection[Any], page: Page, cache: FoldCache
) -> None:
    """Raises `FoldError` for events of a row that never began."""
    copy_rows(connection, copy_target(model.table), page.begun)
    for table, lines in zip(beside, page.details, strict=True):
        copy_rows(connection, copy_target(table), lines)
    for update in page.updates:
        update.run(connection)
    keys = list(page.pending)
    for first in range(0, len(keys), CHUNK):
        rows = loaded(connection, model.table, model.reads, keys[first : first + CHUNK])
        read = {key: dict(row) for key, row in rows.items()}
        for key in keys[first : first + CHUNK]:
            for recorded in page.pending[key]:
                step, starts = model.step(recorded.event)
                if key not in rows:
                    raise _misplaced(key, recorded.event, starts)
                rows[key] = _after(step, key, rows[key], recorded)
        changed = {
            key: {name: value for name, value in row.items() if name not in read[key] or value is not read[key][name]}
            for key, row in rows.items()
        }
        for update in updates(model.table, changed):
            update.run(connection)
