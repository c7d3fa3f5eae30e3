"""A projection: a name, the events it folds, its tables and views, and two functions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from psycopg import Connection
from sqlalchemy import Table

from domain.registry import PREFIXES
from domain.subjects import SubjectErased
from projections.engine import ddl
from projections.engine.erasure import personal_text
from projections.engine.reporting import View


class RecordedEvent(NamedTuple):
    """A decoded event with its position in the log. Its stream and version are in the event."""

    position: int
    recorded_at: str  # UTC, as PostgreSQL writes it, beginning with the day: folds pass it on, so it is not parsed
    event: Any


class FoldError(ValueError):
    """Events cannot be folded into these tables. The message names the row."""


class FoldCache(dict[str, Any]):
    """Values that `write` of one projection keeps for its next call, so that it need not read them from the tables.

    The engine empties it whenever the tables may have changed otherwise: after a rollback, a lost compare-and-set, a
    rebuild. So it has values of the tables at the checkpoint, or nothing. `write` keeps it within `MOST`.
    """

    MOST = 500_000
    """Keys. Two projections keep 330 bytes together of each account (tracemalloc): 165 MB at the most."""

    def bound(self) -> None:
        """Drop everything if there are too many keys."""
        if len(self) > self.MOST:
            self.clear()


@dataclass(frozen=True)
class StreamFold:
    """How a projection can also be folded from single streams: the events of each in order, of different ones in any.

    So partitions of a topic can be folded by several workers (ADR 0036). No row is made of two streams, and none has
    text of people: erasing a person is an event of a stream of its own.
    """

    events: tuple[type[Any], ...]
    fold: Callable[[Sequence[RecordedEvent]], Any]  # makes what `Projection.write` takes


@dataclass(frozen=True)
class Projection:
    """One projection.

    `fold` sums up recorded events, in log order, without looking at the tables. It is pure, and runs in another thread
    while the page before is written. `write` brings its result into the projection's tables. It does not qualify their
    names: `search_path` says where they are. The result must not depend on how the log was cut into calls. Both raise
    (`FoldError` or anything else) if an event cannot be folded. Then the call changes nothing. Neither sees the event
    that a person was erased: the engine erases the text that the tables declare.
    """

    name: str
    area: str  # the folder below `projections` that it is in
    events: tuple[type[Any], ...]  # classes of `domain`; no other event is handed to it
    read_tables: tuple[Table, ...]
    reports: tuple[View, ...]
    fold: Callable[[Sequence[RecordedEvent]], Any]
    write: Callable[[Connection[Any], Any, FoldCache], None]
    version: int = 1  # raised when the meaning of the fold changes: tables of an older one must be rebuilt
    obsolete_indexes: tuple[str, ...] = ()  # that earlier versions made; `prepare` drops them
    per_stream: StreamFold | None = None  # None: it needs the order of the whole log

    def __post_init__(self) -> None:
        """Raises `ValueError` for text of people in a projection that is folded from single streams."""
        if self.per_stream is not None and self.personal:
            raise ValueError(f"{self.name} has text of people: it cannot be folded from single streams")

    @cached_property
    def personal(self) -> tuple[Table, ...]:
        """Its tables with text of people."""
        return tuple(table for table in self.read_tables if personal_text(table) is not None)

    @cached_property
    def read_events(self) -> tuple[type[Any], ...]:
        """The events that are read for it: its own, and that a person was erased if it has text of people."""
        return (*self.events, SubjectErased) if self.personal else self.events

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of the streams that are read for it: those of the aggregates that declare the events."""
        return tuple(sorted({PREFIXES[event] for event in self.read_events}))

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The names of its tables, unqualified."""
        return tuple(str(table.name) for table in self.read_tables)  # a plain string, not a subclass

    @cached_property
    def schema(self) -> str:
        """The SQL that makes its tables, indexes and comments, unqualified."""
        return ddl.create_tables(self.read_tables)

    @cached_property
    def reporting(self) -> str:
        """The SQL of its reporting views, qualified; it may be run again at any time."""
        return "\n".join(view.sql() for view in self.reports)

    @cached_property
    def reporting_digest(self) -> str:
        """Changes whenever the statements of its reporting views do."""
        return hashlib.sha256(self.reporting.encode()).hexdigest()

    @cached_property
    def views(self) -> tuple[str, ...]:
        """The names of its reporting views, unqualified."""
        return tuple(view.name for view in self.reports)

    @cached_property
    def columns(self) -> frozenset[str]:
        """Its tables in the form that decides whether they have changed (`ddl.normalised`)."""
        return ddl.normalised(self.read_tables)

    @cached_property
    def shape(self) -> str:
        """Changes whenever the columns of its tables or the meaning of the fold do."""
        return f"{self.version}:{ddl.digest(self.columns)}"
