"""Output on a terminal without some characters: they are escaped, JSON stays JSON, and there is no traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import orjson
import pytest

from tests.integration.workers.running import PATIENCE_SECONDS, environment
from tests.support.ledger import ledger_on
from tests.support.postgres import Server

NAME = "Jiří 𝄞 Müller"
TERMINALS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "the C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
SHOWN = {
    "ascii": r"Ji\u0159\u00ed \ud834\udd1e M\u00fcller",
    "latin-1": r"Ji\u0159í \ud834\udd1e Müller",
    "the C locale": r"Ji\u0159\u00ed \ud834\udd1e M\u00fcller",
}


@pytest.fixture(scope="module")
def account(postgres18: Server) -> Iterator[tuple[str, dict[str, str]]]:
    """An account with a name of such characters, and the settings of its database."""
    with postgres18.database() as database, ledger_on(database) as ledger:
        yield ledger.account(name=NAME), environment(database)


def run(*arguments: str, env: dict[str, str]) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "workers.cli", *arguments],
        env=env,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def assert_is_only_the_line_of_the_access_log(err: bytes) -> None:
    [line] = err.splitlines()
    assert orjson.loads(line)["event"] == "operator.action"


@pytest.mark.parametrize("terminal", TERMINALS)
def test_events_are_printed_on_any_terminal(account: tuple[str, dict[str, str]], terminal: str) -> None:
    stream, env = account
    code, out, err = run("events", stream, env=env | TERMINALS[terminal])
    assert code == 0
    assert_is_only_the_line_of_the_access_log(err)
    assert SHOWN[terminal] in out.decode("latin-1")


def test_json_stays_json(account: tuple[str, dict[str, str]]) -> None:
    stream, env = account
    code, out, err = run("events", stream, "--json", env=env | TERMINALS["ascii"])
    assert code == 0
    assert_is_only_the_line_of_the_access_log(err)
    (opened,) = orjson.loads(out)
    assert opened["data"]["name"] == NAME


def test_an_argument_that_is_no_text_in_the_locale_is_one_message(account: tuple[str, dict[str, str]]) -> None:
    code, _, err = run("events", "müller", env=account[1] | TERMINALS["the C locale"])
    assert code == 3
    assert b"the locale does not know" in err
    assert b"LANG=C.UTF-8" in err
    assert b"Traceback" not in err
