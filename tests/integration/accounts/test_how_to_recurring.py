"""The page about recurring payments: its commands are executed as written, with a worker of processes."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS, environment, read_until, started
from tests.support.service import TOKENS, Service

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "recurring-payments.md"


def test_the_commands_of_the_page_do_what_it_says(service18: Service, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "tokens.txt").write_text(f"operator {TOKENS['operator']}\n")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    with started("work", "--processes", env=environment(service18.database)) as worker:
        read_until(worker, "carrying on the processes of log main")
        done = subprocess.run(
            [
                "/bin/bash",
                "-euo",
                "pipefail",
                "-c",
                blocks.replace("http://127.0.0.1:8100", str(service18.http.base_url)),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    _, runs, made, payment, calendar, paused, changed, resumed, listed, policy = map(
        orjson.loads, done.stdout.splitlines()
    )
    begun, rent, _ = (
        answer for answer in map(orjson.loads, done.stderr.splitlines()) if "due_on" in answer and "payment" in answer
    )
    today = datetime.now(UTC).date()
    assert begun["due_on"] in {str(today), str(today - timedelta(days=1))}, "midnight may have passed"
    [run], [transaction] = runs["items"], made["items"]
    assert (run["number"], run["outcome"], run["due_on"]) == (1, "done", begun["due_on"])
    assert transaction["transaction"] == run["transaction"]
    assert transaction["relation"] == "recurring"
    assert (transaction["description"], transaction["metadata"]) == ("Piano lessons", {"k_symbol": "SIPO"})
    assert (payment["number"], payment["strikes"], payment["transaction"]) == (2, 0, run["transaction"])
    assert str(rent["due_on"])[5:7] == "04", "the end of April, or the business day before it"
    assert calendar["holidays"] == 2
    assert (paused["status"], paused["due_on"]) == ("paused", None)
    assert (changed["status"], resumed["status"]) == ("paused", "active")
    assert resumed["due_on"] == rent["due_on"]
    [cancelled] = listed["items"]
    assert (cancelled["payment"], cancelled["amount"], cancelled["due_on"]) == (rent["payment"], "870.00", None)
    assert policy["holidays"] == [f"{today.year + 1}-12-25", f"{today.year + 1}-12-26"]
