"""Real PostgreSQL servers for the tests, 15 and 18, and fresh migrated databases on them.

A server starts in about a second and belongs to one pytest process (with xdist: to one worker), whose end, by
`kill -9` too, is its end. Databases are copied from a migrated template, which takes some 50 ms.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Final

import psycopg

from migrations import runner
from workers.embedded import EmbeddedPostgres
from workers.urls import with_role

VERSIONS: Final = (15, 18)
TEMPLATE = "daybook_template"
FOLDER_PREFIX = "daybook-test-"

# Durability is what a test server does not need, unless the test is about it.
FAST = {"fsync": "off", "full_page_writes": "off"}
SMALL = {"shared_buffers": "128MB", "max_wal_size": "1GB"}


@dataclass(frozen=True)
class Database:
    """A migrated database of its own for one test."""

    name: str
    url: str
    """As the server's superuser, who owns the database."""
    version: int
    """The server's major version."""

    @property
    def api_url(self) -> str:
        """As the role of the API."""
        return with_role(self.url, "daybook_api")

    @property
    def query_url(self) -> str:
        """As the role of the API's reads."""
        return with_role(self.url, "daybook_query")

    @property
    def projector_url(self) -> str:
        """As the role of the projectors."""
        return with_role(self.url, "daybook_projector")

    @property
    def read_owner_url(self) -> str:
        """As the owner of the read tables."""
        return with_role(self.url, "daybook_read_owner")

    @property
    def audit_url(self) -> str:
        """As the role of auditors."""
        return with_role(self.url, "daybook_audit")

    @property
    def reader_url(self) -> str:
        """As the role of reporting tools."""
        return with_role(self.url, "daybook_reader")

    @property
    def credentials_url(self) -> str:
        """As the role of credentials."""
        return with_role(self.url, "daybook_credentials")


@dataclass
class Server:
    """A running server that hands out databases."""

    version: int
    postgres: EmbeddedPostgres
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @contextmanager
    def database(self, *, migrated: bool = True, like: Database | None = None) -> Iterator[Database]:
        """A fresh database, dropped afterwards even if connections to it are still open.

        `like`: a copy of this one, to which nobody may be connected.
        """
        name = f"test_{next(self._numbers)}"
        template = like.name if like else self._template if migrated else "template1"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        if template != "template1":  # a copy has all of its template but the rights on the database itself
            self._execute(f"REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC")
            self._execute(f"GRANT TEMPORARY ON DATABASE {name} TO daybook_audit")
        try:
            yield Database(name, self._url(name), self.version)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    @cached_property
    def _template(self) -> str:
        self._execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")  # of a migration that failed for the test before
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        runner.upgrade(self._url(TEMPLATE))
        return TEMPLATE

    def _url(self, database: str) -> str:
        return self.postgres.url.replace("/daybook?", f"/{database}?", 1)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running_server(version: int, *, durable: bool = False) -> Iterator[Server]:
    """A server of its own in a temporary folder; `durable`: with fsync, for tests that kill it."""
    with server_folder() as folder:
        settings = SMALL if durable else {**SMALL, **FAST}
        with EmbeddedPostgres(folder / "postgres", bin_dir=bin_dir(version), settings=settings) as postgres:
            yield Server(version, postgres)


@contextmanager
def server_folder() -> Iterator[Path]:
    """A temporary folder that the server's system user can enter, unlike pytest's own when we are root."""
    _remove_left_behind()
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bin_dir(version: int) -> Path | None:
    """Where the programs of that version are; None means the wheel's."""
    if version == 18:
        return None
    folder = Path(os.environ.get("POSTGRES15_BIN", "/usr/lib/postgresql/15/bin"))
    if not (folder / "postgres").exists():
        raise FileNotFoundError(
            f"the tests need PostgreSQL 15 and {folder} holds none: `make test` installs it on Debian when run as "
            f"root; elsewhere install it and set POSTGRES15_BIN to the folder of its programs"
        )
    return folder


def _remove_left_behind() -> None:
    """Remove the folders of test runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        pid = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
