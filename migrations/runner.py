"""Migrates a database to the schema of this code. The schema is changed in no other way.

    upgrade(url)  ->  "0006"

An upgrade is one transaction, so a database is at one revision or at the next. It takes a lock: if two processes start
together, one migrates, and the other waits and has nothing to do.

Each version runs once. Roles, owners and rights (`migrations/rights`) are set at each upgrade, because a dump does not
contain the roles of its server, and everything that is restored belongs to the role that restored it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from eventstore.postgres.connect import connect, sentence_of
from migrations import MigrationError
from migrations.sql import execute_file

HERE = Path(__file__).parent
RIGHTS = HERE / "rights"
VERSION_TABLE = "daybook_schema_version"
VERSION_SCHEMA = "public"
MINIMUM_SERVER_VERSION = 150000  # PostgreSQL 15, in the form of server_version_num
LOCK_KEY = 0x6461_7962_6F6F_6B  # "daybook" in ASCII; all advisory locks of a database share one number space
LOCK_WAIT_SECONDS = 120
STATEMENT_SECONDS = 6 * 3600.0
"""The time limit of a statement of a migration, which may read the whole log."""

T = TypeVar("T")

Report = Callable[[str], None]
"""Receives sentences for the operator."""


def head() -> str:
    """The newest revision of this code."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "migrations/versions holds no revision"
    return revision


def current(database_url: str) -> str | None:
    """The revision of the database; None if it was never migrated. Raises as `upgrade`."""
    return _with_database(database_url, _revision)


def upgrade(database_url: str, report: Report = lambda sentence: None) -> str:
    """Apply missing versions, set roles, owners and rights, and return the new revision of the database.

    The login owns the database, or is a superuser. `report` receives warnings. Raises `MigrationError` if the database
    cannot be reached, if the server or this code is too old, if a lock is not granted in time, or if a statement fails.
    The database is then unchanged.
    """

    def migrate(connection: Connection) -> str:
        with connection.begin():
            _driver(connection).add_notice_handler(lambda notice: _pass_on(notice, report))
            return _upgrade(connection)

    return _with_database(database_url, migrate)


def rights(database_url: str) -> dict[str, str]:
    """Owner and access list of each object of Daybook, by kind and name. It shows what an upgrade changed."""
    with connect(database_url, application_name="daybook-migrate") as connection:
        return dict(connection.execute((RIGHTS / "listed.sql").read_bytes()).fetchall())


def _upgrade(connection: Connection) -> str:
    _check_server(connection)
    _lock(connection)
    _check_known(connection)
    driver = _driver(connection)
    execute_file(driver, RIGHTS / "01_roles.sql")
    execute_file(driver, RIGHTS / "02_owners.sql")  # needed after a restore, because the versions act as the owners
    config = _config()
    config.attributes["connection"] = connection  # read by env.py
    command.upgrade(config, "head")
    execute_file(driver, RIGHTS / "02_owners.sql")
    execute_file(driver, RIGHTS / "03_grants.sql")
    revision = _revision(connection)
    assert revision is not None
    return revision


def _pass_on(notice: psycopg.errors.Diagnostic, report: Report) -> None:
    if notice.severity_nonlocalized == "WARNING" and notice.message_primary is not None:
        report(notice.message_primary)


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _with_database(database_url: str, work: Callable[[Connection], T]) -> T:
    """The result of `work` with a connection. Raises `MigrationError` for every error of the database."""

    def open_connection() -> psycopg.Connection[Any]:
        made = connect(database_url, application_name="daybook-migrate", statement_seconds=STATEMENT_SECONDS)
        made.autocommit = False
        return made

    engine = create_engine("postgresql+psycopg://", creator=open_connection, poolclass=NullPool)
    try:
        with closing(engine.connect()) as connection:
            return work(connection)
    except (DBAPIError, psycopg.Error) as error:
        raise MigrationError(_explain(error.orig if isinstance(error, DBAPIError) else error)) from error
    finally:
        engine.dispose()


def _explain(error: BaseException | None) -> str:
    if isinstance(error, LockNotAvailable):
        return (
            f"another session of the database kept a lock for {LOCK_WAIT_SECONDS} s, so nothing was migrated: end it, "
            f"or try again"
        )
    return sentence_of(error)


def _config() -> Config:
    config = Config()  # there is no alembic.ini: all configuration is here
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
    """Take the lock until the end of the transaction. Its time limit also holds for locks of tables.

    It is a lock on the table of the revision, which only the owner may take. Before this table exists it is an advisory
    lock, which every login of the database could take. Roles belong to the server, so the SQL that creates them must
    tolerate that the migration of another database creates them at the same time.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'"))
    if _revision(connection) is None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
    if _revision(connection) is not None:  # it had a revision before, or another process has migrated it meanwhile
        connection.execute(text(f"LOCK TABLE {VERSION_SCHEMA}.{VERSION_TABLE} IN SHARE UPDATE EXCLUSIVE MODE"))


def _check_known(connection: Connection) -> None:
    revision = _revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise MigrationError(
            f"the database is at schema revision {revision} and this Daybook knows none after {head()}: "
            f"a newer Daybook migrated it, run that one"
        )
