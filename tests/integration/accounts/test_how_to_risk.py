"""The page about risk rules: its commands are executed as written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS
from tests.support.service import TOKENS, Service

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "risk-rules.md"


def test_the_commands_of_the_page_do_what_it_says(service18: Service, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "tokens.txt").write_text(f"operator {TOKENS['operator']}\n")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", blocks.replace("http://127.0.0.1:8100", str(service18.http.base_url))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    _, on, one, two, three, blocked, changed, found, rules, versions, off = map(orjson.loads, done.stdout.splitlines())
    assert {answer["outcome"] for answer in (on, one, two, three, changed, off)} == {"accepted"}
    [waiting] = [answer for answer in map(orjson.loads, done.stderr.splitlines()) if "awaits" in answer]
    assert blocked["code"] == "risk_blocked"
    assert (waiting["status"], waiting["awaits"]) == ("pending", "review")
    scores = [
        (item["action"], item["score"], [factor["rule"] for factor in item["factors"]]) for item in found["items"]
    ]
    assert scores == [
        ("monitor", 20, ["young"]),
        ("monitor", 25, ["hourly"]),
        ("block", 85, ["hourly", "daily", "young"]),
        ("verify", 60, ["daily", "young"]),
    ]
    assert (rules["on"], rules["hourly"]) == (True, None)
    assert [version["on"] for version in versions["items"]][-2:] == [True, True]
