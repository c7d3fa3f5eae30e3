"""What a projection is to the engine: a name, the events it folds, its tables, and one function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import Connection


class Fact(NamedTuple):
    """A decoded event and where it stands in the log; its stream and version are in the event."""

    position: int
    recorded_at: datetime
    event: Any


class FoldError(ValueError):
    """Events that cannot be folded into these tables; the message says which row stands in the way."""


Apply = Callable[[Connection[Any], Sequence[Fact]], None]
"""Folds the facts, in log order, into the room's tables, whose names are not qualified: `search_path` says where they
are. It keeps nothing in memory between calls, must not depend on how the log was cut into calls, and raises
(`FoldError` or anything else) where a fact cannot be folded; then nothing of the call remains."""


@dataclass(frozen=True)
class Projection:
    """One room. `version` is raised when the fold changes its meaning: tables of an older one must be rebuilt."""

    name: str
    events: tuple[type[Any], ...]  # classes of `domain`; nothing else is read for it or handed to it
    tables: tuple[str, ...]
    apply: Apply
    folder: Path  # where its SQL is
    version: int = 1

    @cached_property
    def schema(self) -> str:
        """The SQL that makes its tables and indexes, unqualified."""
        return (self.folder / "schema.sql").read_text()

    @cached_property
    def reporting(self) -> str:
        """The SQL of its reporting views, qualified; may be run again at any time."""
        return (self.folder / "reporting.sql").read_text()

    @cached_property
    def shape(self) -> str:
        """Changes whenever the tables or the meaning of the fold do."""
        return f"{self.version}:{hashlib.sha256(self.schema.encode()).hexdigest()[:16]}"
