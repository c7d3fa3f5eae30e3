"""`DAYBOOK_LOG_LEVEL` is the lowest level of written messages in every kind of process."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workers.running import CZECH_BANK, PATIENCE_SECONDS, daybook, environment
from tests.support.ledger import ledger_on
from tests.support.postgres import Database

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
PROBE = """
import logging
{process}
print(*(logging.getLogger(name).getEffectiveLevel() for name in ("projections.engine.runner", "api.app", "asyncio")))
logging.getLogger("projections.engine.runner").error("a projection stopped")
"""
PROCESSES = {
    "a command": "from workers.cli.common import settings_of_process; settings_of_process()",
    "an API process, which uvicorn may have started": "from workers.serve import application; application()",
}


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("level", LEVELS)
def test_each_process_writes_messages_of_daybook_from_that_level_on(process: str, level: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(process=PROCESSES[process])],
        env=environment(DAYBOOK_LOG_LEVEL=level, DAYBOOK_CPU="any"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    daybook_level = LEVELS[level]
    assert done.stdout.split() == [str(daybook_level), str(daybook_level), str(max(daybook_level, LEVELS["warning"]))]
    assert done.stderr == "ERROR: a projection stopped\n"


@pytest.mark.parametrize("level", LEVELS)
def test_a_projector_writes_from_that_level_on(database18: Database, level: str) -> None:
    done = daybook("work", env=environment(database18, DAYBOOK_LOG="nowhere", DAYBOOK_LOG_LEVEL=level))
    assert done.returncode == 3
    message = "INFO: folding the log nowhere into the read tables" in done.stderr
    assert message == (LEVELS[level] <= LEVELS["info"])


def action(stderr: str) -> dict[str, Any]:
    """The only line of the access log. Its time and user are checked here and removed."""
    [line] = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    assert datetime.now(UTC) - datetime.fromisoformat(line.pop("at")) < timedelta(minutes=10)
    assert line.pop("user") == pwd.getpwuid(os.getuid()).pw_name
    assert line.pop("event") == "operator.action"
    assert isinstance(line, dict)
    return line


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("migrate", 0),
        ("drop-snapshots", 0),
        ("forget-origins", 0),
        ("forget-reads", 0),
        ("forget-deliveries", 0),
        ("restored", 3),
        ("rebuild", 3),
    ],
)
def test_an_action_of_an_owner_is_a_line_at_any_level(database18: Database, command: str, code: int) -> None:
    nowhere = {} if command == "migrate" else {"DAYBOOK_LOG": "nowhere"}
    done = daybook(command, env=environment(database18, DAYBOOK_LOG_LEVEL="error", **nowhere))
    assert done.returncode == code, done.stderr
    assert action(done.stderr) == {
        "command": command,
        "log": nowhere.get("DAYBOOK_LOG", "main"),
        "outcome": "failed" if code else "done",
    }


@pytest.mark.parametrize("command", ["events", "replay"])
def test_a_stream_that_was_read_is_a_line_that_names_it(database18: Database, command: str) -> None:
    with ledger_on(database18) as ledger:
        account = ledger.account(100)
    env = environment(database18, DAYBOOK_LOG_LEVEL="error")
    done = daybook(command, account, env=env)
    assert done.returncode == 0, done.stderr
    assert action(done.stderr) == {"command": command, "log": "main", "outcome": "done", "ids": {"stream": account}}
    done = daybook(command, "x" * 200, env=env)
    assert done.returncode == 3
    assert action(done.stderr) == {"command": command, "log": "main", "outcome": "failed", "ids": {"stream": "x" * 100}}


def test_a_replay_of_the_whole_log_reads_no_personal_data_and_is_no_line(database18: Database) -> None:
    with ledger_on(database18) as ledger:
        ledger.account(100)
    done = daybook("replay", env=environment(database18))
    assert (done.returncode, done.stderr) == (0, "")


def test_an_import_is_a_line_whether_it_succeeds_or_not(database18: Database, tmp_path: Path) -> None:
    env = environment(database18, DAYBOOK_LOG_LEVEL="error")
    for folder, codes, outcome in ((CZECH_BANK, (0, 1), "done"), (tmp_path, (3,), "failed")):
        done = daybook("import", "czech-bank", str(folder), "--json", env=env)
        assert done.returncode in codes, done.stderr
        assert action(done.stderr) == {"command": "import czech-bank", "log": "main", "outcome": outcome}
