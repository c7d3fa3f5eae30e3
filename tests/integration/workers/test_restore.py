"""Restores into an empty server as in the how-to, databases of the previous revision, and refusals of migrate."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from eventstore.log.answers import Outcome
from migrations import runner
from tests.integration.workers.running import PATIENCE_SECONDS, daybook, environment
from tests.support.before import as_it_was
from tests.support.ledger import executor_on, ledger_on, submission, transfer
from tests.support.postgres import Database, Server, running_server
from tests.support.waiting import wait_until
from workers import cli
from workers.embedded import wheel_bin_dir

ROOT = Path(__file__).parents[3]
ROLES = re.findall(
    r"'(daybook_\w+)'", (ROOT / "migrations/rights/01_roles.sql").read_text(encoding="utf-8").split("LOOP")[0]
)
HOW_TO = ROOT / "docs" / "howto" / "backup-and-restore.md"


def run_how_to(folder: Path, source: Database, target: Database) -> subprocess.CompletedProcess[str]:
    """The shell blocks of the how-to, in order."""
    script = "\n".join(re.findall(r"```sh\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL))
    programs = folder / "programs"
    programs.mkdir()
    command = programs / "daybook"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m workers.cli "$@"\n')
    command.chmod(0o755)
    (folder / "workers").symlink_to(ROOT / "workers")
    path = os.pathsep.join([str(programs), str(wheel_bin_dir()), os.environ["PATH"]])
    env = environment(source, NEW_DATABASE_URL=target.url, PATH=path, PYTHONPATH=str(ROOT))
    return subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_the_how_to_restores_into_an_empty_server(postgres18: Server, tmp_path: Path) -> None:
    with postgres18.database() as source, running_server(18) as virgin, virgin.database(migrated=False) as target:
        assert daybook("migrate", env=environment(source)).returncode == 0
        with ledger_on(source) as ledger:
            one, two = ledger.account(10_000), ledger.account()
            ledger.accepted(transfer(one, two, 250))
        done = run_how_to(tmp_path, source, target)
        assert done.returncode == 0, done.stdout + done.stderr
        message = " ".join(done.stdout.split())
        assert "Owners or rights were not those of this version; they are repaired" in message
        assert "is in epoch 2" in message
        with psycopg.connect(target.url) as restored:
            names = restored.execute("SELECT name FROM reporting.accounts WHERE account = %s", (one,)).fetchone()
            assert names == ("Ada Lovelace",)
        with ledger_on(target) as ledger:  # the ledger goes on
            ledger.accepted(transfer(one, two, 250))
        replay = daybook("replay", two, env=environment(target))
        assert orjson.loads(replay.stdout)["balance"] == "5.00"
        assert daybook("migrate", env=environment(target)).stdout.splitlines() == [
            f"The database is at revision {runner.head()}."
        ], "a second run has nothing to repair"


def test_a_restore_with_errors_about_roles_is_repaired_too(postgres18: Server, tmp_path: Path) -> None:
    with postgres18.database() as source, running_server(18) as virgin, virgin.database(migrated=False) as target:
        assert daybook("migrate", env=environment(source)).returncode == 0
        dump = str(tmp_path / "daybook.dump")
        program = wheel_bin_dir()
        subprocess.run([program / "pg_dump", "--format=custom", f"--file={dump}", source.url], check=True)
        restored = subprocess.run(
            [program / "pg_restore", f"--dbname={target.url}", dump], capture_output=True, text=True, check=False
        )
        assert 'role "daybook_owner" does not exist' in restored.stderr
        assert daybook("migrate", env=environment(target)).returncode == 0
        assert runner.rights(target.url) | {"database": ""} == runner.rights(source.url) | {"database": ""}


def test_a_database_of_the_previous_revision_is_migrated(empty_database: Database) -> None:
    as_it_was(empty_database)
    done = daybook("migrate", env=environment(empty_database))
    assert done.returncode == 0, done.stderr
    assert f"revision {runner.head()}" in done.stdout
    with psycopg.connect(empty_database.url) as superuser:
        owners = superuser.execute(
            "SELECT DISTINCT n.nspname, c.relowner::regrole::text FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE n.nspname IN ('log', 'library', 'read', 'reporting') ORDER BY 1"
        ).fetchall()
        assert owners == [
            ("library", "daybook_owner"),
            ("log", "daybook_owner"),
            ("read", "daybook_read_owner"),
            ("reporting", "daybook_read_owner"),
        ]
        defaults = superuser.execute(
            "SELECT count(*) FROM pg_default_acl, aclexplode(defaclacl) a"
            " WHERE a.grantee::regrole::text LIKE 'daybook%' AND a.grantee <> defaclrole"
        ).fetchone()
        assert defaults == (0,), "no rights are granted by default any more"
    rebuilt = daybook("rebuild", env=environment(empty_database))
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    verified = daybook("verify", "--json", env=environment(empty_database))
    assert verified.returncode == 0, verified.stdout
    with psycopg.connect(empty_database.url) as superuser:
        (one,), (two,) = superuser.execute(
            "SELECT account FROM read.accounts WHERE status = 'open' AND type = 'checking'"
        ).fetchall()
    with executor_on(empty_database) as executor:
        (answer,) = executor.execute([submission(transfer(one, two, 1))])
        assert answer.outcome is Outcome.ACCEPTED


def test_foreign_code_in_the_read_schema_is_named_and_nothing_is_migrated(
    empty_database: Database,
) -> None:
    as_it_was(empty_database)
    with psycopg.connect(empty_database.url) as projector:
        projector.execute("SET ROLE daybook_projector")
        projector.execute("CREATE FUNCTION read.forge() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    done = daybook("migrate", env=environment(empty_database))
    assert done.returncode == 3
    assert "there is a function read.forge(), and Daybook makes none there" in " ".join(done.stderr.split())
    assert runner.current(empty_database.url) == "0005"


def test_a_rebuild_does_not_run_foreign_code_on_its_tables(empty_database: Database) -> None:
    assert daybook("migrate", env=environment(empty_database)).returncode == 0
    with psycopg.connect(empty_database.url) as read_owner:
        read_owner.execute("SET ROLE daybook_read_owner")
        read_owner.execute(
            "CREATE FUNCTION read_next.forge() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RESET ROLE; CREATE TABLE public.forged (); RETURN NEW; END'"
        )
        read_owner.execute(
            "CREATE TRIGGER forge BEFORE INSERT ON read_next.checkpoints"
            " FOR EACH ROW EXECUTE FUNCTION read_next.forge()"
        )
    env = {name: value for name, value in environment(empty_database).items() if "READ_OWNER" not in name}
    done = daybook("rebuild", env=env)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "read_next.forge()" in " ".join(done.stderr.split())
    with psycopg.connect(empty_database.url) as superuser:
        assert superuser.execute("SELECT to_regclass('public.forged')").fetchone() == (None,)


# Logins that migrate, and the messages if they cannot.


@pytest.mark.parametrize("version", [15, 18])
def test_migrate_needs_no_right_to_create_roles_that_exist(version: int) -> None:
    with running_server(version) as server, psycopg.connect(server.postgres.url, autocommit=True) as dba:
        for role in ROLES:
            dba.execute(f"CREATE ROLE {role} NOLOGIN".encode())
        dba.execute("CREATE ROLE tenant LOGIN IN ROLE daybook_owner, daybook_read_owner")
        dba.execute("CREATE DATABASE rented OWNER tenant")
        database = Database("rented", tenants(server), version)
        done = daybook("migrate", env=environment(database))
        assert done.returncode == 0, done.stderr
        assert daybook("migrate", env=environment(database)).returncode == 0


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("DROP ROLE daybook_audit", "the server has no role daybook_audit, and tenant may not create it"),
        ("REVOKE daybook_read_owner FROM tenant", "GRANT daybook_read_owner TO tenant"),
    ],
)
def test_a_missing_role_or_right_is_one_message(missing: str, message: str) -> None:
    with running_server(18) as server, psycopg.connect(server.postgres.url, autocommit=True) as dba:
        for role in ROLES:
            dba.execute(f"CREATE ROLE {role} NOLOGIN".encode())
        dba.execute("CREATE ROLE tenant LOGIN IN ROLE daybook_owner, daybook_read_owner")
        dba.execute("CREATE DATABASE rented OWNER tenant")
        dba.execute(missing.encode())
        one_sentence(daybook("migrate", env=environment(Database("rented", tenants(server), 18))), message)


def test_a_login_that_could_take_all_connections_is_named() -> None:
    with (
        running_server(18) as server,
        server.database() as database,
        psycopg.connect(database.url, autocommit=True) as dba,
    ):
        dba.execute("CREATE ROLE tableau LOGIN IN ROLE daybook_reader")
        message = daybook("migrate", env=environment(database)).stdout
        assert "login tableau reads reports and may take all connections" in " ".join(message.split())
        dba.execute("ALTER ROLE tableau CONNECTION LIMIT 20")
        assert "tableau" not in daybook("migrate", env=environment(database)).stdout


def tenants(server: Server) -> str:
    """The URL of the database `rented`, for its owner."""
    return server.postgres.url.replace("//postgres@", "//tenant@").replace("/daybook?", "/rented?")


def one_sentence(done: subprocess.CompletedProcess[str], message: str) -> None:
    """Exit code 3, this message and no traceback."""
    assert done.returncode == 3, done.stdout + done.stderr
    is_one_sentence(done.stderr, message)


def is_one_sentence(stderr: str, message: str) -> None:
    text = " ".join(stderr.split())
    assert message in text
    assert text.count("daybook: ") == 1
    assert "Traceback" not in text
    assert len(text) < 500


COMMANDS: dict[str, tuple[str, ...]] = {
    "migrate": (),
    "work": (),
    "up": (),
    "verify": (),
    "replay": (),
    "rebuild": (),
    "events": ("acct_x",),
    "restored": (),
    "forget-origins": (),
    "forget-reads": (),
    "forget-deliveries": (),
    "drop-snapshots": (),
    "import": ("czech-bank", str(ROOT / "tests" / "fixtures" / "czech-bank")),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_cannot_be_reached_is_one_message_of_each_command(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("DAYBOOK_MASTER_KEY", KEY)
    monkeypatch.setenv("DAYBOOK_DATABASE_WAIT_SECONDS", "0")
    monkeypatch.setattr(sys, "argv", ["daybook", command, *COMMANDS[command]])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert ended.value.code == 3
    away = "the database was tried for 0 seconds and still cannot be used"
    is_one_sentence(capsys.readouterr().err, away if command == "work" else "the database cannot be reached")


KEY = "A" * 43 + "="


@pytest.mark.parametrize("command", ["migrate", "verify", "work"])
def test_a_database_that_does_not_exist_is_one_message(postgres18: Server, command: str) -> None:
    url = postgres18.postgres.url.replace("/daybook?", "/dreams?")
    env = environment() | {"DATABASE_URL": url, "DAYBOOK_MASTER_KEY": KEY}
    one_sentence(daybook(command, env=env), 'database "dreams" does not exist')


def asks_for_a_password(url: str) -> bool:
    """Whether the server refuses this login. A server reads its rules again some time after it was asked to."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as refused:
        return "password authentication failed" in str(refused)
    return False


def test_a_wrong_password_is_one_message() -> None:
    with running_server(18) as server:
        given: dict[str, Any] = conninfo_to_dict(server.postgres.url)
        hba = server.postgres.data_dir / "pg_hba.conf"
        with psycopg.connect(server.postgres.url, autocommit=True) as superuser:
            superuser.execute("CREATE ROLE ada LOGIN PASSWORD 'right'")
            hba.write_text("local all ada scram-sha-256\n" + hba.read_text())
            superuser.execute("SELECT pg_reload_conf()")
        url = f"postgresql://ada:wrong@/daybook?host={given['host']}&port={given['port']}"
        wait_until(lambda: asks_for_a_password(url), "the file of rules is read again")
        env = environment() | {"DATABASE_URL": url, "DAYBOOK_MASTER_KEY": KEY}
        done = daybook("migrate", env=env)
        one_sentence(done, "password authentication failed")
        assert "wrong" not in done.stderr
