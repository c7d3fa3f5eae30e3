"""Sealers of a test database, whose clock a test moves, and the tree as a stranger computes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import Connection

from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from eventstore.proof.store import StoredCheckpoint, last_checkpoint
from tests.support.postgres import Database
from workers.proof.sealer import Counts, Sealer, signers_of
from workers.settings import SEALER_ROLE
from workers.urls import with_role

ORIGIN: Final = "daybook.example/main"
KEY: Final = b"k" * 32
PACE: Final = timedelta(seconds=10)
HEADS_PACE: Final = 3 * PACE
BEGIN: Final = datetime(2026, 11, 30, 12, tzinfo=UTC)
WINDOW: Final = 7
"""Small, so that windows end within units and tiles."""


@dataclass
class Sealing:
    """A sealer and its connection. `now` is its clock."""

    connection: Connection[Any]
    log_number: int
    keys: Sequence[bytes] = (KEY,)
    origin: str = ORIGIN
    window: int = WINDOW
    heads_window: int = WINDOW
    few: int = 0
    now: datetime = BEGIN
    counts: Counts = field(default_factory=Counts)

    def sealer(self) -> Sealer:
        """A sealer that begins where the last one ended."""
        signers = signers_of(self.origin, self.keys)
        return Sealer(
            self.connection, "main", self.log_number, signers, lambda: self.now, PACE, HEADS_PACE, counts=self.counts,
            window=self.window, heads_window=self.heads_window, few=self.few,
        )  # fmt: skip

    def last(self) -> StoredCheckpoint | None:
        """The newest checkpoint."""
        return last_checkpoint(self.connection, self.log_number)


@contextmanager
def sealing_on(database: Database, **more: Any) -> Iterator[Sealing]:
    """Sealers that act as `daybook_sealer`."""
    with connect(with_role(database.url, SEALER_ROLE), application_name="test-sealer") as connection:
        yield Sealing(connection, read_head(connection, "main").log_number, **more)
