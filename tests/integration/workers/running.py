"""The `daybook` command as a process of its own, and how to wait for what it does."""

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
"""After which a process that does not do what a test waits for is killed, so that the test fails instead of hanging."""


def settings_of(database: Database) -> Settings:
    """The settings of every process on that database."""
    return Settings(database_url=database.url, master_key=KEY)


def environment(database: Database | None = None, **more: str) -> dict[str, str]:
    """What a process sees of the settings."""
    given = {} if database is None else {"DATABASE_URL": database.url, "DAYBOOK_MASTER_KEY": KEY}
    return {**os.environ, **given, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", **more}


def daybook(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    usual = environment()
    if can_fork(env, usual):
        return run_forked(arguments, env, usual, PATIENCE_SECONDS)
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@contextmanager
def started(*arguments: str, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A command that runs. At the end it is told to stop, as it stops what it has started; then it is killed."""
    command = [sys.executable, "-m", "workers.cli", *arguments]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watchdog = Timer(PATIENCE_SECONDS, process.kill)
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
    """What the process says, up to the line with that text. Fails with all of it if it ends before."""
    assert process.stdout is not None
    message = ""
    for line in process.stdout:
        message += line
        if text in line:
            return message
    raise AssertionError(f"the process ended without saying {text!r}: {message}")


def wait_for_position(connection: psycopg.Connection[Any], position: int, process: subprocess.Popen[str]) -> None:
    """Return once the log `main` has come that far; the process is the one that writes it."""
    while True:
        row = connection.execute("SELECT position FROM log.logs WHERE name = 'main'").fetchone()
        if row is not None and row[0] >= position:
            return
        assert process.poll() is None, f"the process ended with {process.returncode} before position {position}"
