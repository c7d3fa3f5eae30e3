"""What a projection is to the engine: a name, the events it folds, its tables, and two functions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import Connection


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


_FOLDER = Path(__file__).parents[1]
_VIEW = re.compile(r"CREATE OR REPLACE VIEW reporting\.(\S+)")


@dataclass(frozen=True)
class Projection:
    """One projection.

    `fold` sums up facts, in log order, without looking at the tables: pure, and run in another thread while the page
    before is written. `write` brings its result into the projection's tables. Their names are not qualified:
    `search_path` says where they are. The result must not depend on how the log was cut into calls. Both raise
    (`FoldError` or anything else) where an event cannot be folded; then nothing of the call remains.
    """

    name: str
    events: tuple[type[Any], ...]  # classes of `domain`; nothing else is read for it or handed to it
    tables: tuple[str, ...]
    fold: Callable[[Sequence[RecordedEvent]], Any]
    write: Callable[[Connection[Any], Any, FoldCache], None]
    folder: Path  # where its SQL is
    version: int = 1  # raised when the meaning of the fold changes: tables of an older one must be rebuilt

    @cached_property
    def area(self) -> str:
        """The area it belongs to: the folder below `projections` that it is in."""
        return self.folder.relative_to(_FOLDER).parts[0]

    @cached_property
    def schema(self) -> str:
        """The SQL that makes its tables and indexes, unqualified."""
        return (self.folder / "schema.sql").read_text()

    @cached_property
    def reporting(self) -> str:
        """The SQL of its reporting views, qualified; may be run again at any time."""
        return (self.folder / "reporting.sql").read_text()

    @cached_property
    def reporting_digest(self) -> str:
        """Changes whenever the statements of its reporting views do."""
        return hashlib.sha256(self.reporting.encode()).hexdigest()

    @cached_property
    def views(self) -> tuple[str, ...]:
        """The names of its reporting views, unqualified."""
        return tuple(_VIEW.findall(self.reporting))

    @cached_property
    def shape(self) -> str:
        """Changes whenever the tables or the meaning of the fold do."""
        return f"{self.version}:{hashlib.sha256(self.schema.encode()).hexdigest()[:16]}"
