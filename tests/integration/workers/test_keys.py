"""Master keys and keys of persons in the commands: another master key, damaged keys, and a rotation."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.harness.tables import begin_read_tables, read_owner
from domain.accounts.account.lifecycle import FreezeAccount
from eventstore.keys.master_keys import unwrap
from eventstore.keys.rotation import rotate
from eventstore.log.codec import Codec
from eventstore.postgres.connect import connect
from projections.engine.rebuild import Rebuilt, rebuild
from projections.registry import PROJECTIONS
from tests.integration.workers.running import CZECH_BANK, KEY, PATIENCE_SECONDS, daybook, environment, started
from tests.support.ledger import MASTER_KEY, codec_of, fold, ledger_on, transfer
from tests.support.postgres import Database, Server, server_folder
from tests.support.service import service_on
from tests.support.waiting import wait_until
from workers.ports import free_port
from workers.replay import Replayed, replay_log
from workers.verify import keys, verify
from workers.verify.keys import KEYS_OPEN
from workers.verify.report import Check, VerifyReport

ROOT = Path(__file__).parents[3]
HOW_TO = ROOT / "docs" / "howto" / "rotate-the-master-key.md"
ERASING = ROOT / "docs" / "howto" / "erase-a-person.md"
VERIFY = ROOT / "docs" / "reference" / "verify.md"
OTHER_KEY = base64.b64encode(b"o" * 32).decode()


@dataclass(frozen=True)
class Written:
    """A ledger of two persons with folded tables."""

    database: Database
    ada: str
    bob: str
    head: int

    def damage(self, statement: str) -> None:
        with psycopg.connect(self.database.url) as superuser:
            assert superuser.execute(statement.encode()).rowcount == 1

    def verified(self) -> VerifyReport:
        with self._audit() as (connection, codec):
            return verify(connection, "main", codec)

    def replayed(self) -> Replayed:
        with self._audit() as (connection, codec):
            return replay_log(connection, "main", codec)

    def rebuilt(self) -> Rebuilt:
        database = self.database
        with (
            connect(database.projector_url, application_name="rebuild") as connection,
            connect(database.projector_url, application_name="keys") as keys,
            read_owner(database) as owner,
        ):
            return rebuild(connection, "main", codec_of(keys, 1), PROJECTIONS, owner=owner)

    @contextmanager
    def _audit(self) -> Iterator[tuple[psycopg.Connection[Any], Codec]]:
        with (
            connect(self.database.audit_url, application_name="audit") as connection,
            connect(self.database.audit_url, application_name="keys") as keys,
        ):
            yield connection, codec_of(keys, 1)


@pytest.fixture
def written(postgres18: Server) -> Iterator[Written]:
    with postgres18.database() as database, ledger_on(database) as ledger:
        ada, bob = ledger.account(100, owner="ada"), ledger.account(100, owner="bob")
        ledger.accepted(transfer(ada, bob, 10))
        last = ledger.accepted(FreezeAccount(ada, "fraud")).last_position
        assert last is not None
        fold(database)
        yield Written(database, ada, bob, last)


def keys_check(report: VerifyReport) -> Check:
    """The findings of `verify` about keys and values. It must have no others."""
    assert report.tables.ok
    [check] = [check for check in report.checks if not check.ok]
    assert check.name == KEYS_OPEN
    return check


# ------------------------------------------------------------------ damage


@pytest.mark.parametrize("damage", ["UPDATE log.subject_keys SET sealed_key = 'junk'", "DELETE FROM log.subject_keys"])
def test_a_damaged_key_stops_nothing_and_is_reported(written: Written, damage: str) -> None:
    written.damage(f"{damage} WHERE subject = 'ada'")
    assert written.replayed().ok
    answered = daybook("events", written.ada, env=environment(written.database))
    assert (answered.returncode, answered.stdout.count("owner ada, name [unreadable]")) == (0, 1)
    rebuilt = written.rebuilt()
    assert (rebuilt.position, rebuilt.stopped) == (written.head, {})
    with psycopg.connect(written.database.url) as reading:
        rows: dict[str, str] = dict(
            reading.execute("SELECT owner, name FROM reporting.accounts WHERE type = 'checking'").fetchall()
        )
        assert rows == {"ada": "[unreadable]", "bob": "Ada Lovelace"}
        assert reading.execute("SELECT sum(debits), sum(credits) FROM read.trial_balance").fetchone() == (210, 210)
    check = keys_check(written.verified())
    what = [finding.what for finding in check.findings]
    lost = "DELETE" in damage
    assert check.offences == len(what) == (2 if lost else 3), "the key, the name and the reason"
    assert all("ada, whose key" in finding for finding in what)
    assert all("bob" not in finding for finding in what)


def test_a_damaged_value_stops_nothing_and_is_reported(written: Written) -> None:
    written.damage(
        "UPDATE log.events SET payload = convert_to(regexp_replace(convert_from(payload, 'UTF8'),"
        f" '\"reason\":\"2.', '\"reason\":\"2.x'), 'UTF8') WHERE position = {written.head}"
    )
    assert written.replayed().ok
    assert written.rebuilt().position == written.head
    [finding] = keys_check(written.verified()).findings
    assert finding.position == written.head
    assert f"reason of account.frozen.v1 at version 4 of {written.ada} does not open" in finding.what


def test_the_log_is_served_despite_a_damaged_key(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database) as service:
        service.account("1.00", owner="ada")
        service.account("1.00", owner="bob")
        with psycopg.connect(database.url) as superuser:
            superuser.execute("UPDATE log.subject_keys SET sealed_key = 'junk' WHERE subject = 'ada'")
        for codec in (service.services.codec, service.services.executor._codec):
            codec.forget_keys()
        page = service.get("log", role="audit", type="account.opened.v1")
        assert page.status_code == 200, page.text
        names = {event["data"]["owner"]: event["data"]["name"] for event in page.json()["events"]}
        assert (names["ada"], names["bob"]) == ("[unreadable]", "Ada Lovelace")
        account = {"type": "checking", "currency": "EUR", "name": "New"}
        refused = service.post("accounts", {**account, "owner": "ada"})
        assert refused.status_code == 503
        assert "nothing can be written about ada" in refused.json()["detail"]
        assert service.post("accounts", {**account, "owner": "bob"}).status_code == 201


def test_an_api_without_the_new_master_key_reports_it_and_uses_its_cached_keys(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database) as service:
        ada, bob = service.account("1.00", owner="ada"), service.account("1.00", owner="bob")
        with psycopg.connect(database.url, autocommit=True) as owner:
            behind = "SELECT count(*) FROM read.checkpoints c, log.logs l WHERE c.position < l.position"
            wait_until(lambda: owner.execute(behind).fetchone() == (0,), "the projector has all keys that it needs")
            rotate(owner, base64.b64decode(OTHER_KEY), MASTER_KEY)
        service.services.codec.forget_keys()
        account = {"type": "checking", "currency": "EUR", "owner": "cyd", "name": "New"}
        for refused in (service.get("log", role="audit"), service.post("accounts", account)):
            assert refused.status_code == 503, refused.text
            assert "which this database has retired" in refused.json()["detail"]
        money = {"source": ada, "target": bob, "amount": "0.50", "currency": "EUR"}
        assert service.post("transfers", money).status_code == 201


def test_a_value_in_the_old_sealing_is_found_after_the_recorded_position(written: Written) -> None:
    with psycopg.connect(written.database.url, autocommit=True) as superuser:
        superuser.execute("INSERT INTO log.eras VALUES (1, 'sealing.2', %s)", (written.head,))
        row = superuser.execute("SELECT sealed_key FROM log.subject_keys WHERE subject = 'ada'").fetchone()
        assert row is not None
        key = unwrap(AESGCM(MASTER_KEY), "ada", row[0])
        assert key is not None
        sealed = AESGCM(key).encrypt(bytes(12), b"old", b"account.frozen.v1\x1freason\x1fada")
        old = base64.urlsafe_b64encode(bytes(12) + sealed).decode()
        superuser.execute(
            "UPDATE log.events SET payload = convert_to(jsonb_set(convert_from(payload, 'UTF8')::jsonb, '{reason}',"
            " to_jsonb(%s::text))::text, 'UTF8') WHERE position = %s",
            (old, written.head),
        )
        written.rebuilt()
        assert superuser.execute("SELECT reason FROM read.accounts WHERE owner = 'ada'").fetchone() == ("old",)
        assert written.verified().ok, "it is at a position where values of version 1 are allowed"
        superuser.execute("UPDATE log.eras SET position = %s WHERE name = 'sealing.2'", (written.head - 1,))
    [finding] = keys_check(written.verified()).findings
    assert finding.position == written.head
    assert f"all after position {written.head - 1} should be by version 2" in finding.what


PERSONAL = ["account.opened.v1", "account.frozen.v1", "transaction.posted.v1"]
LEFT_OUT = (
    ("_SUBJECTS", "subject > %s", "subject <> 'bob'"),
    ("_EVENTS", "position > %s", "type <> 'account.frozen.v1'"),
)
"""Errors of the check: a statement, and a condition that leaves one row out."""


@pytest.mark.parametrize(("statement", "own", "more"), LEFT_OUT)
def test_a_key_or_an_event_that_the_check_left_out_is_a_finding(
    written: Written, monkeypatch: pytest.MonkeyPatch, statement: str, own: str, more: str
) -> None:
    whole = written.verified().check(KEYS_OPEN)
    assert (whole.ok, whole.counted) == (True, "keys and events that may hold personal data")
    with psycopg.connect(written.database.url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM log.subject_keys) + (SELECT count(*) FROM log.events WHERE type = ANY (%s))",
            (PERSONAL,),
        ).fetchone()
    assert row == (whole.covered,)
    monkeypatch.setattr(keys, statement, getattr(keys, statement).replace(own, f"{own} AND {more}"))
    [finding] = keys_check(written.verified()).findings
    assert finding.what == f"this check could look at only {whole.covered - 1} of {whole.covered} {whole.counted}"


# ------------------------------------------------------------------ another master key

PROCESSES = (
    ("serve",),
    ("work",),
    ("verify",),
    ("rebuild",),
    ("import", "czech-bank", "tests/fixtures/czech-bank"),
    ("rotate-master-key",),
)


@pytest.fixture(scope="module")
def used(postgres18: Server) -> Iterator[Database]:
    """A database that was used with the master key of the tests."""
    with postgres18.database() as database:
        with ledger_on(database) as ledger:
            ledger.account(100)
        begin_read_tables(database)
        yield database


@pytest.mark.parametrize("command", PROCESSES, ids=" ".join)
def test_a_process_with_another_master_key_is_refused(used: Database, command: tuple[str, ...]) -> None:
    with server_folder() as folder:
        env = environment(used, DAYBOOK_MASTER_KEY=OTHER_KEY, DAYBOOK_PORT=str(free_port()), DAYBOOK_AUTH="off")
        done = daybook(*command, env=env | {"DAYBOOK_DATA_DIR": str(folder)})
    message = " ".join(done.stderr.split())
    assert done.returncode == 3, done.stdout + done.stderr
    assert "this database is used with the master key" in message
    assert "set it to the key of this database" in message
    assert "Traceback" not in done.stderr
    assert OTHER_KEY not in done.stderr
    with psycopg.connect(used.url) as connection:
        assert connection.execute("SELECT count(*) FROM log.master_keys").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM log.subject_keys").fetchone() == (2,)


def test_migrate_needs_no_master_key(used: Database) -> None:
    env = {name: value for name, value in environment(used).items() if name != "DAYBOOK_MASTER_KEY"}
    assert daybook("migrate", env=env).returncode == 0


# ------------------------------------------------------------------ the how-to


def blocks() -> list[str]:
    """The shell blocks of the how-to: those of each step, and those of the embedded PostgreSQL."""
    return re.findall(r"```sh\n(.*?)```", HOW_TO.read_text(), re.DOTALL)


def shell(script: str, folder: Path, env: dict[str, str]) -> str:
    """The output of a shell with `daybook` in its path. It must succeed."""
    command = folder / "bin" / "daybook"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m workers.cli "$@"\n')
    command.chmod(0o755)
    paths = {"PATH": f"{command.parent}:{env['PATH']}", "PYTHONPATH": f"{ROOT}:{env.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**env, **paths},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_how_to_of_an_erasure(written: Written, tmp_path: Path) -> None:
    env = environment(written.database)
    erasing, reading, checking = re.findall(r"```sh\n(.*?)```", ERASING.read_text(), re.DOTALL)
    erasing, reading = (block.replace("customer-1", "ada") for block in (erasing, reading))
    answers = [shell(erasing, tmp_path, env).strip() for _ in range(2)]
    position = written.head + 1
    assert answers == [
        f"ada is erased: the key is destroyed, and event {position} says so.",
        f"ada was erased before, by event {position}. Nothing is changed.",
    ]
    assert "subject.erased.v1" in shell(reading, tmp_path, env)
    fold(written.database)
    shell(checking, tmp_path, env)
    assert "owner ada, name [erased]" in daybook("events", written.ada, env=env).stdout
    refused = daybook("erase-subject", "bob", "--key", "request 4711", env=env)
    assert (refused.returncode, "belongs to another request" in refused.stderr) == (3, True)


def test_the_how_to_of_a_rotation_with_all_processes_running(written: Written) -> None:
    make, move, drop, _ = blocks()
    database, port = written.database, str(free_port())
    url = f"http://127.0.0.1:{port}/v1"

    def open_account(owner: str) -> None:
        body = {"type": "checking", "currency": "EUR", "owner": owner, "name": f"The name of {owner}"}
        done = httpx.post(f"{url}/accounts", json=body, headers={"Idempotency-Key": f"open-{owner}"}, timeout=30)
        assert done.status_code == 201, done.text
        position = {"min_position": done.headers["Daybook-Position"]}
        found = httpx.get(f"{url}/accounts/{done.json()['account']}", params=position, timeout=30)
        assert found.json()["name"] == f"The name of {owner}"

    with server_folder() as folder:
        env = environment(database, DAYBOOK_PORT=port, DAYBOOK_AUTH="off", DAYBOOK_WAIT_SECONDS="30")
        env["DAYBOOK_DATA_DIR"] = str(folder)
        new = shell(f'{make}\necho "$NEW_KEY"', folder, env).strip()
        both = env | {"DAYBOOK_MASTER_KEY": new, "DAYBOOK_PREVIOUS_MASTER_KEY": KEY}
        with ExitStack() as running:
            for command in ("serve", "work"):
                running.enter_context(started(command, env=both))
            wait_until(lambda: _ready(url), "the API is ready", PATIENCE_SECONDS)
            open_account("before")
            moved = shell(f"OLD_KEY={KEY} NEW_KEY={new}\n{move}", folder, env)
            assert "4 keys are moved" in moved, "main, ada, bob and the new person"
            open_account("after")
        assert "offend" not in shell(drop, folder, both)
        with psycopg.connect(database.url) as connection:
            rows = connection.execute("SELECT subject, master_key FROM log.subject_keys").fetchall()
        assert {number for _, number in rows} == {2}
        refused = daybook("verify", env=env)
    assert refused.returncode == 3
    assert "which this database has retired" in " ".join(refused.stderr.split())


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_a_row_of_a_backup_from_before_a_rotation_is_restored_and_moved(written: Written) -> None:
    """As in docs/reference/verify.md, after two rotations."""
    database = written.database
    third = b"t" * 32
    present = environment(database, DAYBOOK_MASTER_KEY=base64.b64encode(third).decode())
    with psycopg.connect(database.url, autocommit=True) as owner:
        backup = owner.execute("SELECT sealed_key, master_key FROM log.subject_keys WHERE subject = 'ada'").fetchone()
        assert backup is not None
        rotate(owner, base64.b64decode(OTHER_KEY), MASTER_KEY)
        rotate(owner, third, base64.b64decode(OTHER_KEY))
        owner.execute("UPDATE log.subject_keys SET sealed_key = %s, master_key = %s WHERE subject = 'ada'", backup)
    found = daybook("verify", env=present)
    assert (found.returncode, "ada, whose key" in found.stdout) == (1, True), found.stdout + found.stderr
    [script] = re.findall(r"```sh\n(.*rotate-master-key)\n```", VERIFY.read_text())
    with server_folder() as folder:
        assert "1 keys are moved" in shell(script, folder, present | {"KEY_OF_THE_BACKUP": KEY})
    assert daybook("verify", env=present).returncode == 0


def test_the_how_to_of_a_rotation_with_the_embedded_postgresql() -> None:
    with server_folder() as folder:
        env = environment(DAYBOOK_PORT=str(free_port()))
        shell(
            f"daybook import czech-bank {CZECH_BANK} || test $? = 1", folder, env
        )  # the figures differ, because one key is known
        before = (folder / "var" / "master.key").read_text()
        assert "keys are moved" in shell(blocks()[-1], folder, env)
        assert (folder / "var" / "master.key").read_text() != before
        assert not (folder / "var" / "master.key.previous").exists()
        assert "main" in shell("daybook replay --json", folder, env)
