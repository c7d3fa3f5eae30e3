"""Runs SQL files without placeholders or escapes, so `%` and `:` mean the same as in psql."""

from __future__ import annotations

from pathlib import Path

import psycopg
from sqlalchemy import Connection

from migrations import MigrationError


def execute_files(connection: Connection, folder: Path) -> None:
    """Execute every `*.sql` of `folder` in the order of names, in the transaction of the connection.

    Raises `MigrationError` with file and line. The files must not commit, because an upgrade is one transaction.
    """
    files = sorted(folder.glob("*.sql"))
    if not files:
        raise MigrationError(f"{folder} holds no SQL file: the installation is incomplete")
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    for file in files:
        execute_file(driver, file)
    driver.execute("RESET ROLE")  # a file may set an owner as role; the version table has another owner


def execute_file(driver: psycopg.Connection, file: Path) -> None:
    """Execute a SQL file in the transaction of the connection. Raises `MigrationError` with file and line."""
    script = file.read_text(encoding="utf-8")
    try:
        # Bytes without parameters are sent unchanged, many statements in one message. Do not use text() or a cursor
        # with parameters here: SQLAlchemy would treat `:name` as a placeholder, and psycopg `%`.
        driver.execute(script.encode())
    except psycopg.Error as error:
        place = file.name
        if error.diag.statement_position is not None:
            place += f":{script.count(chr(10), 0, int(error.diag.statement_position) - 1) + 1}"
        raise MigrationError(f"{file.parent.name}/{place}: {error.diag.message_primary or error}") from error
