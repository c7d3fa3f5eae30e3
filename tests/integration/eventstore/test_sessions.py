"""Inherited settings must not matter: each connection sets the values that Daybook needs and checks the result."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from eventstore.postgres.connect import SESSION_SETTINGS, ReadOnlyError, SessionError, connect, pool_of
from projections.registry import PROJECTIONS
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import Database, Server
from tests.support.service import service_on
from workers.urls import with_role

OTHERWISE = {
    "client_encoding": "LATIN1",
    "TimeZone": "Pacific/Chatham",
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "search_path": "reporting",
    "row_security": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "exit_on_error": "on",
    "lock_timeout": "1h",
    "idle_session_timeout": "1h",
    "transaction_timeout": "1h",
    "synchronous_commit": "off",
    "statement_timeout": "1h",
    "idle_in_transaction_session_timeout": "1h",
}
"""Every setting that a connection sets, with another value."""


def alter(database: Database, settings: dict[str, str]) -> None:
    """Change the settings of the database, as far as this version of the server knows them."""
    with psycopg.connect(database.url, autocommit=True) as superuser:
        for name, value in settings.items():
            if superuser.execute("SELECT current_setting(%s, true)", (name,)).fetchone() != (None,):
                statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
                superuser.execute(
                    statement.format(sql.Identifier(database.name), sql.Identifier(name), sql.Literal(value))
                    if name != "search_path"
                    else sql.SQL("ALTER DATABASE {} SET search_path = reporting").format(sql.Identifier(database.name))
                )


@pytest.fixture
def misled(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database and an environment whose settings all differ from the expected ones."""
    alter(database, OTHERWISE)
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGTZ", "Pacific/Chatham")
    monkeypatch.setenv("PGDATESTYLE", "German")
    return database


def test_each_required_setting_is_tested() -> None:
    assert set(SESSION_SETTINGS) <= set(OTHERWISE)


def test_a_connection_has_the_required_settings_whatever_those_of_the_database_are(misled: Database) -> None:
    with connect(misled.api_url, application_name="test", statement_seconds=7) as connection:
        for name, value in SESSION_SETTINGS.items():
            found = connection.execute("SELECT current_setting(%s, true)", (name,)).fetchone()
            assert found in ((value,), (None,)), name
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert connection.execute("SHOW statement_timeout").fetchone() == ("7s",)
        assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("7s",)


def test_a_stronger_durability_setting_is_kept(database: Database) -> None:
    alter(database, {"synchronous_commit": "remote_apply"})
    with connect(database.api_url, application_name="test") as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("remote_apply",)


def test_texts_are_read_as_they_were_written_whatever_the_settings_of_the_database(misled: Database) -> None:
    """The whole way: command, log, fold, read, and the files of reporting tools."""
    with service_on(misled) as service:
        account = service.account("12.30", name="Jürgen Müller €")
        found = service.get(f"accounts/{account}")
        assert found.status_code == 200, found.text
        assert (found.json()["name"], found.json()["balance"]) == ("Jürgen Müller €", "12.30")
        entries = service.get(f"accounts/{account}/entries")
        assert entries.status_code == 200, entries.text
        assert entries.json()["items"][0]["recorded_at"].endswith("Z")
        assert service.get("lag").json()["events"] == 0
        assert {one["projection"] for one in service.get("lag").json()["projections"]} == {
            projection.name for projection in PROJECTIONS
        }
    with psycopg.connect(misled.url, client_encoding="UTF8") as superuser:
        superuser.execute("SET statement_timeout = 0")
        named = superuser.execute("SELECT name FROM read.accounts WHERE account = %s", (account,)).fetchone()
    assert named == ("Jürgen Müller €",)


def test_a_reading_connection_cannot_write(database: Database) -> None:
    single = connect(database.url, application_name="test", read_only=True)
    with single as connection, pytest.raises(ReadOnlyError):
        connection.execute("CREATE TABLE public.mine ()")
    pool = pool_of(database.url, application_name="test", most=1, wait_seconds=30, statement_seconds=30, read_only=True)
    with pool, pool.connection() as connection, pytest.raises(ReadOnlyError):
        connection.execute("CREATE TABLE public.mine ()")


def test_a_database_in_another_encoding_is_refused_with_one_message(server: Server) -> None:
    with psycopg.connect(server.postgres.url, autocommit=True) as superuser:
        superuser.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        try:
            url = server.postgres.url.replace("/daybook?", "/latin?")
            with pytest.raises(SessionError, match="encoded in LATIN1, and Daybook needs one in UTF8"):
                connect(url, application_name="test")
        finally:
            superuser.execute("DROP DATABASE latin")


def test_a_missing_role_is_reported_with_its_repair(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as superuser:
        superuser.execute("CREATE ROLE nobody_special LOGIN")
        try:
            mine = database.url.replace("//postgres@", "//nobody_special@")
            with pytest.raises(SessionError, match="GRANT daybook_api TO nobody_special"):
                connect(with_role(mine, "daybook_api"), application_name="test")
            with pytest.raises(SessionError, match=r"has no role daybook_dreamer.* run daybook migrate"):
                connect(with_role(database.url, "daybook_dreamer"), application_name="test")
        finally:
            superuser.execute("DROP ROLE nobody_special")


# Poolers.


def test_the_role_is_set_through_a_pooler_that_drops_options(database18: Database) -> None:
    with pgbouncer(database18, "session", drops="options,extra_float_digits") as url:
        with connect(with_role(url, "daybook_projector"), application_name="test") as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("daybook_projector",)
        with connect(url, application_name="test") as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("postgres",), "the pooler resets sessions"


def test_the_role_is_set_through_a_pooler_that_refuses_options(database18: Database) -> None:
    with (
        pgbouncer(database18, "session") as url,
        connect(with_role(url, "daybook_projector"), application_name="test") as connection,
    ):
        assert connection.execute("SELECT current_user").fetchone() == ("daybook_projector",)


def test_transaction_pooling_is_refused_with_a_message(database18: Database) -> None:
    refused = pytest.raises(SessionError, match=r"use session pooling \(pgbouncer: pool_mode = session\)")
    with pgbouncer(database18, "transaction") as url, refused:
        connect(with_role(url, "daybook_api"), application_name="test")
