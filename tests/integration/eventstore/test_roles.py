"""Nobody but the owner writes the log: each role tries."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from tests.support.postgres import Database

STATEMENTS = {
    "insert": "INSERT INTO log.{table} DEFAULT VALUES",
    "update": "UPDATE log.{table} SET {column} = {column}",
    "delete": "DELETE FROM log.{table}",
    "truncate": "TRUNCATE log.{table}",
    "alter": "ALTER TABLE log.{table} ADD COLUMN x int",
    "drop": "DROP TABLE log.{table}",
}
ROLES = ("api", "projector", "reader")
TABLES = {
    "logs": "epoch",
    "events": "payload",
    "commands": "status",
    "subject_keys": "sealed_key",
    "master_keys": "status",
    "sealing_versions": "after_position",
    "snapshots": "state",
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", ROLES)
def test_no_role_changes_the_log(database: Database, role: str, table: str) -> None:
    with psycopg.connect(getattr(database, f"{role}_url"), autocommit=True) as connection:
        for statement in STATEMENTS.values():
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement.format(table=table, column=TABLES[table]).encode())


@pytest.mark.parametrize("role", ["projector", "reader"])
def test_only_the_api_may_append(database: Database, role: str) -> None:
    with psycopg.connect(getattr(database, f"{role}_url"), autocommit=True) as connection:
        for call in (
            "log.lock_head(1)",
            "log.create_log('x')",
            "log.keep_subject_keys(1, 1::smallint, '{}', '{}')",
            "log.keep_master_key('')",
            "log.keep_snapshots(1, '', '{}', '{}', '{}')",
        ):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(f"SELECT {call}".encode())
        appends = connection.execute(
            "SELECT has_function_privilege(p.oid, 'EXECUTE') FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
            " WHERE proname = 'append' AND nspname = 'log'"
        ).fetchone()
        assert appends == (False,)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_forget_origins_or_make_schemas(database: Database, role: str) -> None:
    with psycopg.connect(getattr(database, f"{role}_url"), autocommit=True) as connection:
        for statement in ("SELECT log.forget_origins(now())", "CREATE SCHEMA mine", "CREATE TABLE log.mine ()"):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement.encode())


def test_the_reader_sees_reports_and_not_the_log(database: Database) -> None:
    with psycopg.connect(database.reader_url, autocommit=True) as connection:
        for table in ("log.events", "log.commands", "log.subject_keys", "read.checkpoints"):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(f"SELECT * FROM {table}".encode())


def test_a_function_cannot_be_led_astray_by_the_search_path(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE nspname = 'log' AND prosecdef"
            " AND NOT ('search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}')))"
        )
        assert rows.fetchall() == []
