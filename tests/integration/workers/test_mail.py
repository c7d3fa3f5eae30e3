"""`daybook mail` as a process: what it needs, what it says, and that it goes on after a kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest

from bench.harness.tables import begin_read_tables
from eventstore.log.answers import Outcome
from tests.integration.workers.running import daybook, environment, read_until, started
from tests.samples.people.person import registered
from tests.support.ledger import executed, executor_on
from tests.support.postgres import Database
from tests.support.waiting import wait_until

SENT = "was sent at attempt 1"


@pytest.mark.slow
def test_a_registration_becomes_a_file_also_after_a_kill(database18: Database, tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    env = environment(database18, DAYBOOK_MAIL_FOLDER=str(folder))
    with executor_on(database18) as executor:
        begin_read_tables(database18)
        with started("work", env=env), started("work", "--processes", env=env):
            assert executed(executor, registered()).outcome is Outcome.ACCEPTED
            with started("mail", env=env) as process:
                message = read_until(process, SENT)
                os.kill(process.pid, signal.SIGKILL)
            assert f"into the folder {folder}" in message
            assert "prsn_ada@example.com" not in message
            assert executed(executor, registered("prsn_bob")).outcome is Outcome.ACCEPTED
            with started("mail", env=env):
                wait_until(lambda: statuses(database18).count("sent") == 2, "both are sent")
    assert len(list(folder.glob("*.eml"))) == 2


def statuses(database: Database) -> list[str]:
    with psycopg.connect(database.url) as connection:
        return [status for (status,) in connection.execute("SELECT status FROM read.mails").fetchall()]


def test_without_a_server_and_a_folder_it_says_what_to_set(database18: Database) -> None:
    done = daybook("mail", env=environment(database18))
    assert done.returncode == 3
    assert "DAYBOOK_SMTP_URL is not set: set it to the mail server, or set DAYBOOK_MAIL_FOLDER" in " ".join(
        (done.stdout + done.stderr).split()
    )
