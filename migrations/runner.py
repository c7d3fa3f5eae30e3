"""Bring a database to the schema this code was written for: the only way the schema is ever changed.

    upgrade(url)  ->  "0001"

All of an upgrade is one transaction, so a database is at one revision or at the next, never between. It holds an
advisory lock meanwhile: of two processes that start together one migrates, the other waits and finds it done.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from migrations import MigrationError

HERE = Path(__file__).parent
VERSION_TABLE = "daybook_schema_version"
VERSION_SCHEMA = "public"
MINIMUM_SERVER_VERSION = 150000  # PostgreSQL 15, as the server's server_version_num counts
LOCK_KEY = 0x6461_7962_6F6F_6B  # "daybook" in ASCII; advisory locks share one number space per database
LOCK_WAIT_SECONDS = 120


def head() -> str:
    """The newest revision this code knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "migrations/versions holds no revision"
    return revision


def current(database_url: str) -> str | None:
    """The revision the database is at, None if it was never migrated."""
    with closing(_Database(database_url)) as database:
        return _revision(database.connection)


def upgrade(database_url: str) -> str:
    """Apply what is missing, as the owner of the database, and return the revision it is at then.

    Raises `MigrationError` if the server or this code is too old, if a lock is not to be had, or if a statement fails;
    the database is then as it was before.
    """
    with closing(_Database(database_url)) as database:
        try:
            with database.connection.begin():
                return _upgrade(database.connection)
        except OperationalError as error:
            if isinstance(error.orig, LockNotAvailable):
                raise MigrationError(
                    f"another session of the database kept a lock for {LOCK_WAIT_SECONDS} s, so nothing was migrated: "
                    f"end it, or try again"
                ) from error
            raise


def _upgrade(connection: Connection) -> str:
    _check_server(connection)
    _lock(connection)
    _check_known(connection)
    config = _config()
    config.attributes["connection"] = connection  # read by env.py
    command.upgrade(config, "head")
    revision = _revision(connection)
    assert revision is not None
    return revision


class _Database:
    """One connection and the engine it came from, closed together."""

    def __init__(self, database_url: str) -> None:
        url = make_url(database_url).set(drivername="postgresql+psycopg")
        self._engine = create_engine(url, poolclass=NullPool)
        self.connection = self._engine.connect()

    def close(self) -> None:
        self.connection.close()
        self._engine.dispose()


def _config() -> Config:
    config = Config()  # no alembic.ini: what there is to configure is here
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "version_table_schema": VERSION_SCHEMA}
    )
    return context.get_current_revision()


def _check_server(connection: Connection) -> None:
    number = int(connection.execute(text("SELECT current_setting('server_version_num')")).scalar_one())
    if number < MINIMUM_SERVER_VERSION:
        raise MigrationError(
            f"the server is PostgreSQL {number // 10000}, and Daybook needs {MINIMUM_SERVER_VERSION // 10000} or later"
        )


def _lock(connection: Connection) -> None:
    """Take the lock until the end of the transaction; the same patience then holds for the tables' locks.

    It is a lock of this database. Roles belong to the server, so the SQL that creates them must tolerate that the
    migration of another database did so in the same moment.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})


def _check_known(connection: Connection) -> None:
    revision = _revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise MigrationError(
            f"the database is at schema revision {revision} and this Daybook knows none after {head()}: "
            f"a newer Daybook migrated it, run that one"
        )
