"""Run SQL files as they are written: no placeholders, no escapes, so `%` and `:` mean what they mean in psql."""

from __future__ import annotations

from pathlib import Path

import psycopg
from sqlalchemy import Connection

from migrations import MigrationError


def execute_files(connection: Connection, folder: Path) -> None:
    """Execute every `*.sql` of `folder` in the order of their names, in the connection's transaction.

    Raises `MigrationError` naming file and line. The files must not commit: an upgrade is all or nothing.
    """
    files = sorted(folder.glob("*.sql"))
    if not files:
        raise MigrationError(f"{folder} holds no SQL file: the installation is incomplete")
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    for file in files:
        execute_file(driver, file)
    driver.execute("RESET ROLE")  # a file may have become the owner of what it creates; the version table is not its


def execute_file(driver: psycopg.Connection, file: Path) -> None:
    """Execute one SQL file, in the connection's transaction. Raises `MigrationError` naming file and line."""
    script = file.read_text(encoding="utf-8")
    try:
        # Bytes without parameters go to the server untouched, many statements in one message. No use of text() or
        # of a cursor with parameters here: SQLAlchemy would read `:name`, psycopg `%`, as placeholders.
        driver.execute(script.encode())
    except psycopg.Error as error:
        place = file.name
        if error.diag.statement_position is not None:
            place += f":{script.count(chr(10), 0, int(error.diag.statement_position) - 1) + 1}"
        raise MigrationError(f"{file.parent.name}/{place}: {error.diag.message_primary or error}") from error
