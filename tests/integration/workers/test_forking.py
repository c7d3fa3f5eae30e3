"""A command that tests fork does what the same command does when it is started from nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.integration.workers.running import PATIENCE_SECONDS, environment
from tests.support.forking import can_fork, run_forked


def words(text: str) -> list[str]:
    """The words, with one name for the program, which is another one where it is started as a module."""
    return text.replace("python -m workers.cli", "daybook").split()


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [(("verify", "--help"), {}), (("verfy",), {}), (("verify",), {"DAYBOOK_PORT": "many"})],
    ids=["done", "a wrong command line", "a wrong setting"],
)
def test_a_fork_is_the_command(arguments: tuple[str, ...], settings: dict[str, str]) -> None:
    usual, env = environment(), environment(None, **settings)
    command = [sys.executable, "-m", "workers.cli", *arguments]
    started = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    before = dict(os.environ)
    forked = run_forked(arguments, env, usual, PATIENCE_SECONDS)
    assert forked.returncode == started.returncode
    assert words(forked.stdout) == words(started.stdout)
    assert words(forked.stderr) == words(started.stderr)
    assert dict(os.environ) == before


def test_what_decides_how_the_program_is_imported_is_never_forked() -> None:
    usual = environment()
    assert can_fork(environment(DAYBOOK_PORT="1", DATABASE_URL="x"), usual)
    assert not can_fork(environment(LANG="C"), usual)
    assert not can_fork({name: value for name, value in usual.items() if name != "COLUMNS"}, usual)


def test_a_command_does_not_wait_for_the_routes_of_the_api() -> None:
    """Only the API and the commands by topic need them, and they take most of the time of an import."""
    program = "import sys, workers.cli.main; print(sorted({'api.app', 'api.registry'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
