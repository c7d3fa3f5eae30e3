"""Runs PostgreSQL in a temporary folder, with the settings that Daybook ships. It is stopped at the end by its pid."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

import psycopg
from pydantic import SecretStr

from bench.harness.tables import make_read_tables
from migrations import runner
from workers.embedded import EmbeddedPostgres
from workers.settings import API_ROLE, AUDIT_ROLE, PROJECTOR_ROLE, READ_OWNER_ROLE, Settings
from workers.urls import with_role

Flush = Literal["disk", "1 ms"]
"""`1 ms`: `commit_delay` simulates a disk whose flush takes that long, for all sessions of the server."""
FLUSHES: tuple[Flush, ...] = ("disk", "1 ms")
MASTER_KEY = base64.b64encode(bytes(32)).decode()
"""The key that seals invented names."""
_FLUSH_SETTINGS = {"disk": (0, 5), "1 ms": (1000, 0)}  # commit_delay, commit_siblings


@dataclass(frozen=True)
class Database:
    """A separate database for one scenario."""

    name: str
    url: str

    @property
    def api_url(self) -> str:
        """The URL for the role of the API."""
        return with_role(self.url, API_ROLE)

    @property
    def projector_url(self) -> str:
        """The URL for the role of the projectors."""
        return with_role(self.url, PROJECTOR_ROLE)

    @property
    def read_owner_url(self) -> str:
        """The URL for the owner of the read tables."""
        return with_role(self.url, READ_OWNER_ROLE)

    @property
    def audit_url(self) -> str:
        """The URL for the role of auditors."""
        return with_role(self.url, AUDIT_ROLE)

    @property
    def settings(self) -> Settings:
        """Daybook's settings for this database."""
        return Settings(database_url=self.url, master_key=SecretStr(MASTER_KEY))


@dataclass
class Server:
    """A running server."""

    postgres: EmbeddedPostgres
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[Database]:
        """Create a database and drop it at the end. `migrated`: with the log and the read tables."""
        name = f"bench_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        database = Database(name, self.url_of(name))
        try:
            if migrated:
                runner.upgrade(database.url)
                make_read_tables(database)
            yield database
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def url_of(self, database: str) -> str:
        """The superuser's URL of a database of this server."""
        return self.postgres.url.replace("/daybook?", f"/{database}?", 1)

    def flush(self, flush: Flush) -> None:
        """Set the cost of a flush from now on, in every session."""
        delay, siblings = _FLUSH_SETTINGS[flush]
        self.execute(f"ALTER SYSTEM SET commit_delay = {delay}")
        self.execute(f"ALTER SYSTEM SET commit_siblings = {siblings}")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the superuser, outside any transaction."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running_server(parent: Path | None = None) -> Iterator[Server]:
    """Run a server in a folder below `parent`, which must be on the disk to be measured."""
    folder = Path(tempfile.mkdtemp(prefix="daybook-bench-", dir=parent))
    folder.chmod(0o711)  # the system user of the server needs access to folders below
    try:
        with EmbeddedPostgres(folder / "postgres") as postgres:
            yield Server(postgres, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
