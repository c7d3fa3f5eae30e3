"""Migrations: the same result once, twice, or by two processes at once, on every supported server."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.pool import NullPool

from bench.harness.tables import begin_read_tables
from domain.kernel import ERASED, UNREADABLE
from domain.registry import CATALOGUE
from eventstore.keys.master_keys import MasterKeyError
from eventstore.keys.sealing import Sealer
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.codec import Codec
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from migrations import MigrationError, runner
from migrations.sql import execute_file, execute_files
from tests.samples import store
from tests.samples.registry import EVENTS
from tests.support.postgres import Database, running_server


def tables(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') "
            "ORDER BY 1, 2"
        ).fetchall()


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    with create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool).begin() as connection:
        yield connection


def test_an_empty_database_is_migrated_to_the_head(empty_database: Database) -> None:
    assert runner.current(empty_database.url) is None
    assert runner.upgrade(empty_database.url) == runner.head()
    assert runner.current(empty_database.url) == runner.head()
    assert {schema for schema, _ in tables(empty_database.url)} >= {"log", "public"}


@pytest.mark.parametrize("version", [15, 18])
def test_the_owner_of_the_database_who_may_create_roles_can_migrate(version: int) -> None:
    """As on a hosted server: there is no superuser, and the roles of Daybook do not exist before."""
    with running_server(version) as server, psycopg.connect(server.postgres.url, autocommit=True) as superuser:
        superuser.execute("CREATE ROLE tenant LOGIN CREATEROLE PASSWORD 'secret'")
        superuser.execute("CREATE DATABASE rented OWNER tenant")
        rented = make_url(server.postgres.url).set(username="tenant", password="secret", database="rented")
        database = Database("rented", rented.render_as_string(hide_password=False), version)
        assert runner.upgrade(database.url) == runner.head()
        assert runner.upgrade(database.url) == runner.head()
        with psycopg.connect(database.url) as tenant:
            tenant.execute("SELECT log.create_log('main')")
        begin_read_tables(database)
        with connect(database.api_url, application_name="api") as api:
            assert read_head(api, "main").position == 0


def test_a_second_upgrade_changes_nothing(database: Database) -> None:
    before = tables(database.url)
    assert runner.upgrade(database.url) == runner.head()
    assert tables(database.url) == before


def test_two_concurrent_upgrades_migrate_once(empty_database: Database) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        both = [processes.submit(runner.upgrade, empty_database.url) for _ in range(2)]
        assert [one.result(timeout=60) for one in both] == [runner.head()] * 2


def test_a_failed_upgrade_leaves_the_database_unchanged(empty_database: Database) -> None:
    with psycopg.connect(empty_database.url) as connection:
        connection.execute("CREATE SCHEMA log")  # conflicts with 0001
    with pytest.raises(MigrationError, match="log"):
        runner.upgrade(empty_database.url)
    assert tables(empty_database.url) == []
    assert runner.current(empty_database.url) is None


def test_a_database_of_a_newer_daybook_is_refused(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE public.daybook_schema_version SET version_num = '9999'")
    with pytest.raises(MigrationError, match="at schema revision 9999 and this Daybook knows none after"):
        runner.upgrade(database.url)


def test_a_lock_that_is_not_released_is_an_error(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOCK_WAIT_SECONDS", 0.05)
    with psycopg.connect(empty_database.url) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (runner.LOCK_KEY,))
        with pytest.raises(MigrationError, match="kept a lock"):
            runner.upgrade(empty_database.url)


def test_an_old_server_is_refused(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MINIMUM_SERVER_VERSION", 990000)
    with pytest.raises(MigrationError, match=rf"the server is PostgreSQL {empty_database.version}, and .* needs 99"):
        runner.upgrade(empty_database.url)


def test_the_log_is_never_dropped() -> None:
    first = ScriptDirectory.from_config(runner._config()).get_revision("0001")
    assert first is not None
    with pytest.raises(MigrationError, match="never"):
        first.module.downgrade()


def test_sql_files_run_in_the_order_of_their_names_without_placeholders(
    empty_database: Database, tmp_path: Path
) -> None:
    (tmp_path / "020.sql").write_text("INSERT INTO written VALUES ('100 %s :name %(x)s');\nSELECT 'a'::text;")
    (tmp_path / "010.sql").write_text("CREATE TABLE written (line text);")
    with transaction(empty_database.url) as connection:
        execute_files(connection, tmp_path)
        assert connection.exec_driver_sql("SELECT line FROM written").scalar_one() == "100 %s :name %(x)s"


def test_an_error_names_its_file_and_line(empty_database: Database, tmp_path: Path) -> None:
    (tmp_path / "010_bad.sql").write_text("SELECT 1;\n\nSELECT nowhere\nFROM pg_class;\n")
    with (
        transaction(empty_database.url) as connection,
        pytest.raises(MigrationError, match=r'010_bad\.sql:3: column "nowhere" does not exist'),
    ):
        execute_files(connection, tmp_path)


def test_a_folder_without_sql_is_an_incomplete_installation(empty_database: Database, tmp_path: Path) -> None:
    with (
        transaction(empty_database.url) as connection,
        pytest.raises(MigrationError, match="incomplete"),
    ):
        execute_files(connection, tmp_path)


def test_a_database_from_before_master_keys_were_recorded_is_migrated(empty_database: Database) -> None:
    """Its keys get the master key that the first process records, and old sealed values still open."""
    master = store.MASTER_KEY
    old = next(sample for sample in EVENTS if sample.type == "account.opened.v1")
    with transaction(empty_database.url) as connection:
        execute_file(runner._driver(connection), runner.RIGHTS / "01_roles.sql")
        config = runner._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
    with psycopg.connect(empty_database.url, autocommit=True) as owner:
        owner.execute("SELECT log.create_log('main')")
        owner.execute("INSERT INTO log.subject_keys (log, subject, sealed_key) VALUES (1, 'aaa', 'junk')")
        for subject, key in store.SUBJECT_KEYS.items():
            owner.execute(
                "INSERT INTO log.subject_keys (log, subject, sealed_key) VALUES (1, %s, %s)",
                (subject, bytes.fromhex(key)),
            )
        owner.execute("UPDATE log.logs SET position = 7")
        runner.upgrade(empty_database.url)
        assert owner.execute("SELECT DISTINCT master_key FROM log.subject_keys").fetchall() == [(1,)]
        assert owner.execute("SELECT * FROM log.eras ORDER BY name").fetchall() == [
            (1, "codes", 7),
            (1, "command.refused", 7),
            (1, "metadata.key", 7),
            (1, "sealing.2", 7),
        ]
        assert owner.execute("SELECT count(*) FROM log.master_keys").fetchone() == (0,)

    def started(keys: Any, master_key: bytes, *, writes: bool = False) -> Codec:
        sealer = Sealer(SubjectKeys(keys, 1), master_key)
        sealer.master_keys.check(record=writes)
        return Codec(CATALOGUE, sealer, ERASED, UNREADABLE)

    with connect(empty_database.projector_url, application_name="projector") as keys:
        with pytest.raises(MasterKeyError, match=f"none of {1 + len(store.SUBJECT_KEYS)} keys of people"):
            started(keys, bytes(32))
        codec = started(keys, master)
        payload = old.payload.encode()
        assert codec.decode(old.type, payload, old.stream, old.version).name == old.means["name"]
    with connect(empty_database.api_url, application_name="api") as keys:
        with pytest.raises(MasterKeyError, match=f"none of {1 + len(store.SUBJECT_KEYS)} keys of people"):
            started(keys, bytes(32), writes=True)
        started(keys, master, writes=True)
        with pytest.raises(MasterKeyError, match="this database is used with the master key"):
            started(keys, bytes(32), writes=True)
