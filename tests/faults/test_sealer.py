"""A sealer as a process: killed, stopped, two at once, cut off, and without its key. The tree is that of the log."""

from __future__ import annotations

import os
import signal
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from eventstore.log.leaf import leaf_hash
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from eventstore.proof.checkpoints import open_checkpoint
from eventstore.proof.notes import parse_verifier
from eventstore.proof.store import last_checkpoint, read_keys, read_leaves, read_tree
from tests.faults.world import Process
from tests.integration.workers.running import STOP_SECONDS, daybook, environment
from tests.support.ledger import Ledger, deposit, ledger_on
from tests.support.merkle import naive_root
from tests.support.postgres import Database, Server
from tests.support.sealing import KEY, ORIGIN
from tests.support.waiting import wait_until
from workers.verify.tree import check_tree

OTHER_KEY = b64encode(b"2" * 32).decode()
WORKS = "sealing the log main"
"""In the messages of the sealer that has the lock."""


def settings(**more: str) -> dict[str, str]:
    return {
        "DAYBOOK_PROOF_KEY": b64encode(KEY).decode(),
        "DAYBOOK_PROOF_ORIGIN": ORIGIN,
        "DAYBOOK_PROOF_SECONDS": "0.1",
        **more,
    }


@dataclass
class Sealed:
    """A ledger, and sealers on its database."""

    database: Database
    ledger: Ledger
    folder: Path
    reading: Connection[Any]
    processes: list[Process] = field(default_factory=list)

    def sealer(self, **more: str) -> Process:
        """Start a sealer."""
        env = environment(self.database, **settings(**more))
        made = Process(("seal",), env, self.folder / f"sealer-{len(self.processes)}.log")
        self.processes.append(made)
        made.start()
        return made

    def works(self, sealer: Process) -> None:
        """Wait until this sealer is the one that seals."""
        wait_until(lambda: WORKS in sealer.messages(), "a sealer that works")

    def append(self, number: int = 20) -> None:
        """Append some events."""
        account = self.ledger.account()
        for _ in range(number):
            self.ledger.accepted(deposit(account, 100))

    def signed(self) -> int:
        """The size of the newest checkpoint."""
        last = last_checkpoint(self.reading, 1)
        return 0 if last is None else last.size

    def wait_until_signed(self) -> None:
        """Wait until all that is on the log now is in a checkpoint."""
        head = read_head(self.reading, "main").position
        wait_until(lambda: self.signed() >= head, f"a checkpoint up to {head}, after {self.signed()}")

    def assert_sound(self) -> None:
        """The newest checkpoint is what a stranger computes, and the tree has the heads that were signed."""
        last = last_checkpoint(self.reading, 1)
        assert last is not None
        known = [parse_verifier(key.verifier) for key in read_keys(self.reading, 1)]
        head = open_checkpoint(last.note.encode(), ORIGIN, known).checkpoint
        leaves = read_leaves(self.reading, 1, 0, head.size)
        assert head.root == naive_root([leaf_hash(leaf) for leaf in leaves])
        assert check_tree(self.reading, 1).findings == ()


@contextmanager
def sealed_on(database: Database, folder: Path) -> Iterator[Sealed]:
    with ledger_on(database) as ledger, connect(database.url, application_name="test") as reading:
        made = Sealed(database, ledger, folder, reading)
        try:
            yield made
        finally:
            for process in made.processes:
                process.kill()


@pytest.fixture
def sealed(database18: Database, tmp_path: Path) -> Iterator[Sealed]:
    with sealed_on(database18, tmp_path) as made:
        yield made


def one_waits(sealed: Sealed) -> bool:
    """Whether a sealer has looked for the lock, and does nothing else."""
    row = sealed.reading.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'daybook-sealer'"
        " AND datname = current_database() AND query LIKE '%advisory%'"
    ).fetchone()
    assert row is not None
    return bool(row[0])


def test_a_sealer_that_is_killed_is_gone_on_from(sealed: Sealed) -> None:
    for _ in range(4):
        sealer = sealed.sealer()
        sealed.works(sealer)
        before = sealed.signed()
        sealed.append()
        wait_until(lambda before=before: grown(sealed) > before, "leaves that are added")  # type: ignore[misc]
        sealer.kill()
        sealed.append()
    sealed.sealer()
    sealed.wait_until_signed()
    sealed.assert_sound()


def grown(sealed: Sealed) -> int:
    """The leaves of the tree. A sealer that is killed now may not have signed them."""
    tree = read_tree(sealed.reading, 1)
    return 0 if tree is None else tree.size


def test_of_two_sealers_one_seals_and_the_other_takes_over(sealed: Sealed) -> None:
    first = sealed.sealer()
    sealed.works(first)
    second = sealed.sealer(DAYBOOK_PROOF_KEY=OTHER_KEY)
    wait_until(lambda: one_waits(sealed), "a sealer that waits")
    sealed.append()
    sealed.wait_until_signed()
    assert WORKS not in second.messages()
    assert len(read_keys(sealed.reading, 1)) == 1, "the key of the one that waits is not noted"
    first.kill()
    sealed.append()
    sealed.wait_until_signed()
    sealed.works(second)
    assert len(read_keys(sealed.reading, 1)) == 2
    sealed.assert_sound()


def test_a_session_that_is_ended_is_made_again(sealed: Sealed) -> None:
    sealer = sealed.sealer()
    sealed.works(sealer)
    for _ in range(3):
        with psycopg.connect(sealed.database.url) as superuser:
            ended = superuser.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'daybook-sealer' AND datname = current_database()"
            ).fetchall()
        assert ended
        sealed.append()
        sealed.wait_until_signed()
    assert sealer.running is not None
    assert sealer.running.poll() is None
    assert "Traceback" not in sealer.messages()
    sealed.assert_sound()


def test_a_database_that_is_away_is_waited_for(durable: Server, tmp_path: Path) -> None:
    with durable.database() as database:
        with sealed_on(database, tmp_path) as before:
            sealer = before.sealer()
            before.works(sealer)
            before.append()
            before.wait_until_signed()
            before.processes.clear()  # it goes on
        try:
            durable.postgres.stop()
            wait_until(lambda: "the database cannot be used" in sealer.messages(), "a message of the sealer")
        finally:
            durable.postgres.start()
        with sealed_on(database, tmp_path) as after:
            after.processes.append(sealer)
            after.append()
            after.wait_until_signed()
            after.assert_sound()
        assert "the database can be used again after" in sealer.messages()
        assert "Traceback" not in sealer.messages()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_sealer_that_is_told_to_stop_ends_well(sealed: Sealed, number: signal.Signals) -> None:
    works = sealed.sealer()
    sealed.works(works)
    waits = sealed.sealer()
    wait_until(lambda: one_waits(sealed), "a sealer that waits")
    sealed.append()
    for sealer in (waits, works):
        assert sealer.running is not None
        os.kill(sealer.running.pid, number)
        assert sealer.running.wait(STOP_SECONDS) == 0, sealer.messages()
        assert "Traceback" not in sealer.messages()


@pytest.mark.parametrize(("more", "says"), [
    ({"DAYBOOK_PROOF_KEY": ""}, "there is no key to sign checkpoints with: set DAYBOOK_PROOF_KEY"),
    ({"DAYBOOK_PROOF_KEY": "c2hvcnQ="}, "32 bytes"),
    ({"DAYBOOK_PROOF_KEY_FILE": "no-such-file"}, "both set"),
    ({"DAYBOOK_PROOF_KEY": "", "DAYBOOK_PROOF_KEY_FILE": "no-such-file"}, "no-such-file"),
    ({"DAYBOOK_PROOF_ORIGIN": "a b"}, "DAYBOOK_PROOF_ORIGIN"),
    ({"DAYBOOK_LOG": "nowhere"}, "nowhere"),
])  # fmt: skip
def test_what_is_missing_or_wrong_is_one_sentence(database18: Database, more: dict[str, str], says: str) -> None:
    env = {name: value for name, value in environment(database18, **settings(**more)).items() if value}
    done = daybook("seal", env=env)
    assert done.returncode == 3
    assert says in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_a_log_that_was_changed_ends_the_process_with_a_sentence(sealed: Sealed) -> None:
    sealer = sealed.sealer()
    sealed.append()
    sealed.wait_until_signed()
    sealer.kill()
    with psycopg.connect(sealed.database.url) as superuser:
        superuser.execute("UPDATE log.commands SET status = 200 WHERE last_position = %s", (sealed.signed(),))
    sealed.append()
    done = daybook("seal", env=environment(sealed.database, **settings()))
    assert done.returncode == 3
    assert f"the event at position {sealed.signed()} is not the one that was sealed" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
