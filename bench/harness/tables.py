"""Read tables of a temporary database. Their owner makes them, and the projector sets their checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from psycopg import Connection

from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.engine.projection import Projection
from projections.engine.tables import begin, prepare
from projections.registry import PROJECTIONS

_RESTART = """
INSERT INTO read.checkpoints (projection, log, position, epoch, digest) VALUES (%s, %s, 0, %s, '')
ON CONFLICT (projection, log) DO UPDATE
   SET position = 0, epoch = excluded.epoch, digest = '', rebuilds = checkpoints.rebuilds + 1
"""


class Database(Protocol):
    """A database with the URLs of two roles."""

    @property
    def projector_url(self) -> str: ...
    @property
    def read_owner_url(self) -> str: ...


@contextmanager
def read_owner(database: Database) -> Iterator[Connection[Any]]:
    """Connect as the owner of the read tables."""
    with connect(database.read_owner_url, application_name="read-owner") as connection:
        yield connection


def make_read_tables(database: Database, projections: Sequence[Projection] = PROJECTIONS) -> None:
    """Make missing tables, as `daybook migrate` does."""
    with read_owner(database) as owner:
        prepare(owner, projections)


def begin_read_tables(database: Database, log: str = "main", projections: Sequence[Projection] = PROJECTIONS) -> None:
    """Make missing tables and start the projections at position 0, as `migrate` and a projector do."""
    make_read_tables(database, projections)
    with connect(database.projector_url, application_name="begin") as projector:
        begin(projector, log, projections)


def empty_read_tables(database: Database, log: str = "main", projections: Sequence[Projection] = PROJECTIONS) -> None:
    """Empty the tables and set the checkpoints to 0, so that they are folded again. Missing tables are made first."""
    make_read_tables(database, projections)
    with connect(database.projector_url, application_name="head") as projector:
        head = read_head(projector, log)
    tables = [f"read.{table}" for projection in projections for table in projection.tables]
    with read_owner(database) as owner, owner.transaction():
        for name in sorted(projection.name for projection in projections):
            owner.execute(_RESTART, (name, head.log_number, head.epoch))
            owner.execute(
                "DELETE FROM read.projection_errors WHERE projection = %s AND log = %s", (name, head.log_number)
            )
        owner.execute(f"TRUNCATE {', '.join(tables)}".encode())
