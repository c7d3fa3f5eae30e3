"""Runs the `daybook` command as a process, and waits for its effects."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import Any

import psycopg

from tests.support.forking import can_fork, run_forked
from tests.support.ledger import MASTER_KEY
from tests.support.postgres import Database
from workers.settings import Settings

CZECH_BANK = Path(__file__).parents[2] / "fixtures" / "czech-bank"
KEY = base64.b64encode(MASTER_KEY).decode()
PATIENCE_SECONDS, STOP_SECONDS = 120.0, 30.0
"""A process that runs longer is killed, so that the test fails instead of hanging. Then the time to stop."""
PAGE_SECONDS = 600.0
"""The same for a page that starts the program several times. On a busy machine each start takes 20 seconds."""


def settings_of(database: Database) -> Settings:
    """The settings of every process on this database."""
    return Settings(database_url=database.url, master_key=KEY)


def environment(database: Database | None = None, **more: str) -> dict[str, str]:
    """The environment of a process."""
    given = {} if database is None else {"DATABASE_URL": database.url, "DAYBOOK_MASTER_KEY": KEY}
    return {**os.environ, **given, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", **more}


def daybook(*arguments: str, env: dict[str, str], copy: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, of this program or of a copy in another folder."""
    usual = environment()
    if copy is None and can_fork(env, usual):
        return run_forked(arguments, env, usual, PATIENCE_SECONDS)
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", *arguments],
        cwd=copy,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@contextmanager
def started(
    *arguments: str, env: dict[str, str], copy: Path | None = None, patience: float = PATIENCE_SECONDS
) -> Iterator[subprocess.Popen[str]]:
    """A running command, of this program or of a copy in another folder. It is killed after `patience` seconds.

    At the end it gets SIGTERM, so that it stops its children; then it is killed.
    """
    command = [sys.executable, "-m", "workers.cli", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=copy, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        watchdog = Timer(patience, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The output of the process up to a line with this text. Fails with all output if the process ends before."""
    assert process.stdout is not None
    message = ""
    for line in process.stdout:
        message += line
        if text in line:
            return message
    raise AssertionError(f"the process ended without {text!r} in its output: {message}")


def wait_for_position(connection: psycopg.Connection[Any], position: int, process: subprocess.Popen[str]) -> None:
    """Wait until the log `main` has this position. `process` writes it."""
    while True:
        row = connection.execute("SELECT position FROM log.logs WHERE name = 'main'").fetchone()
        if row is not None and row[0] >= position:
            return
        assert process.poll() is None, f"the process ended with {process.returncode} before position {position}"
