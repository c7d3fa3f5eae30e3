"""Runs the `daybook` command as a process, and waits for its effects."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer

import psycopg

from tests.support.forking import can_fork, run_forked
from tests.support.ledger import MASTER_KEY
from tests.support.postgres import Database
from tests.support.waiting import wait_until
from workers.settings import Settings

CZECH_BANK = Path(__file__).parents[2] / "fixtures" / "czech-bank"
KEY = base64.b64encode(MASTER_KEY).decode()
PATIENCE_SECONDS, STOP_SECONDS = 600.0, 30.0
"""A process that runs longer is killed, so that the test fails instead of hanging. Then the time to stop.

A page may start the program several times, and on a busy machine each start takes 20 seconds.
"""
_HOLD = 4711
"""Names the lock that holds an append."""
_WAITING = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


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
def started(*arguments: str, env: dict[str, str], copy: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A running command, of this program or of a copy in another folder. It is killed after `PATIENCE_SECONDS`.

    At the end it gets SIGTERM, so that it stops its children; then it is killed.
    """
    command = [sys.executable, "-m", "workers.cli", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=copy, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
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
    """The output of the process up to a line with this text. Fails with all output if the process ends before."""
    assert process.stdout is not None
    message = ""
    for line in process.stdout:
        message += line
        if text in line:
            return message
    raise AssertionError(f"the process ended without {text!r} in its output: {message}")


@contextmanager
def held_at(database: Database, position: int) -> Iterator[Callable[[], bool]]:
    """The append that reaches this position waits until the block ends, however fast its process is.

    Returns a function that tells whether one waits.
    """
    with psycopg.connect(database.url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (_HOLD,))
        holder.execute(
            "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS"
            f" 'BEGIN PERFORM pg_advisory_xact_lock({_HOLD}); RETURN NEW; END'"
        )
        holder.execute(
            "CREATE TRIGGER hold BEFORE UPDATE ON log.logs FOR EACH ROW"
            f" WHEN (NEW.position >= {position}) EXECUTE FUNCTION public.hold()"
        )
        yield lambda: holder.execute(_WAITING).fetchone() == (1,)
        holder.execute("SELECT pg_advisory_unlock(%s)", (_HOLD,))
        holder.execute("DROP FUNCTION public.hold() CASCADE")  # it waits for the end of the append


def wait_until_held(process: subprocess.Popen[str], is_held: Callable[[], bool]) -> None:
    """Wait until an append of this process is held."""
    wait_until(lambda: is_held() or process.poll() is not None, "an append that is held", PATIENCE_SECONDS)
    assert process.poll() is None, f"the process ended with {process.returncode} before that"
