"""The page about describing and closing accounts: its commands are executed as written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS
from tests.support.service import TOKENS, Service

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "describe-and-close-accounts.md"


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
    deposited, named, listed, refused, closed, reopened, _ = map(orjson.loads, done.stdout.splitlines())
    assert {one["outcome"] for one in (deposited, named, closed, reopened)} == {"accepted"}
    [account] = listed["items"]
    assert (account["name"], account["metadata"]) == ("Ada King", {"branch": "13"})
    assert refused["code"] == "balance_not_zero"
    assert sorted(one["balance"] for one in closed["balances"].values()) == ["0.00", "80.00"]
    assert (closed["status"], reopened["status"]) == ("closed", "open")
