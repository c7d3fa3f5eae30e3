"""`DAYBOOK_LOG_LEVEL`: the least severe message that is written, in every kind of process."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.workers.running import PATIENCE_SECONDS, daybook, environment
from tests.support.postgres import Database

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
PROBE = """
import logging
{process}
print(*(logging.getLogger(name).getEffectiveLevel() for name in ("projections.engine", "api.app", "asyncio")))
logging.getLogger("projections.engine").error("a projection stopped")
"""
PROCESSES = {
    "a command": "from workers.cli import _settings; _settings()",
    "an API process, which uvicorn may have started": "from workers.serve import application; application()",
}


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("level", LEVELS)
def test_each_process_writes_our_messages_from_that_level_on(process: str, level: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(process=PROCESSES[process])],
        env=environment(DAYBOOK_LOG_LEVEL=level, DAYBOOK_CPU="any"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    ours = LEVELS[level]
    assert done.stdout.split() == [str(ours), str(ours), str(max(ours, LEVELS["warning"]))]
    assert done.stderr == "ERROR: a projection stopped\n"


@pytest.mark.parametrize("level", LEVELS)
def test_a_projector_writes_from_that_level_on(database18: Database, level: str) -> None:
    done = daybook("work", env=environment(database18, DAYBOOK_LOG="nowhere", DAYBOOK_LOG_LEVEL=level))
    assert done.returncode == 3
    said = "INFO: folding the log nowhere into the read tables" in done.stderr
    assert said == (LEVELS[level] <= LEVELS["info"])


@pytest.mark.parametrize(
    ("command", "code"), [("migrate", 0), ("drop-snapshots", 0), ("forget-origins", 0), ("restored", 3), ("rebuild", 3)]
)
def test_what_an_owner_does_is_a_line_whatever_the_level(database18: Database, command: str, code: int) -> None:
    nowhere = {} if command == "migrate" else {"DAYBOOK_LOG": "nowhere"}
    done = daybook(command, env=environment(database18, DAYBOOK_LOG_LEVEL="error", **nowhere))
    assert done.returncode == code, done.stderr
    [line] = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert datetime.now(UTC) - datetime.fromisoformat(line.pop("at")) < timedelta(minutes=10)
    assert line == {
        "event": "operator.action",
        "command": command,
        "log": nowhere.get("DAYBOOK_LOG", "main"),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "outcome": "failed" if code else "done",
    }
