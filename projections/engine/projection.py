"""What a projection is to the engine: a name, the events it folds, its tables and views, and two functions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from psycopg import Connection
from sqlalchemy import Table

from projections.engine import ddl
from projections.engine.reporting import View


class RecordedEvent(NamedTuple):
    """A decoded event and where it stands in the log; its stream and version are in the event."""

    position: int
    recorded_at: str  # as PostgreSQL writes it, UTC: folds only pass it on, and a datetime would be made to be unmade
    event: Any


class FoldError(ValueError):
    """Events that cannot be folded into these tables; the message says which row stands in the way."""


class FoldCache(dict[str, Any]):
    """What `write` of one projection wants to find again in its next call, so as not to ask the tables for it.

    The engine empties it whenever the tables may have changed without this call: after a rollback, a lost race, a
    reset. So it is a part of the tables at the checkpoint, or nothing. `write` keeps it within `MOST`.
    """

    MOST = 500_000
    """Keys. Two projections keep 330 bytes together of each account (tracemalloc): 165 MB at the most."""

    def bound(self) -> None:
        """Forget everything rather than grow without end."""
        if len(self) > self.MOST:
            self.clear()


@dataclass(frozen=True)
class Projection:
    """One projection.

    `fold` sums up recorded events, in log order, without looking at the tables. It is pure, and runs in another thread
    while the page before is written. `write` brings its result into the projection's tables. It does not qualify their
    names: `search_path` says where they are. The result must not depend on how the log was cut into calls. Both raise
    (`FoldError` or anything else) where an event cannot be folded; then nothing of the call remains.
    """

    name: str
    area: str  # the folder below `projections` that it is in
    events: tuple[type[Any], ...]  # classes of `domain`; no other event is read for it or handed to it
    read_tables: tuple[Table, ...]
    reports: tuple[View, ...]
    fold: Callable[[Sequence[RecordedEvent]], Any]
    write: Callable[[Connection[Any], Any, FoldCache], None]
    version: int = 1  # raised when the meaning of the fold changes: tables of an older one must be rebuilt
    obsolete_indexes: tuple[str, ...] = ()  # that earlier versions made; `prepare` drops them

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
