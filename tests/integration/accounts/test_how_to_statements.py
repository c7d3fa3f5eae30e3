"""The page about balances and statements: its commands are executed as written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS
from tests.support.service import TOKENS, Service
from tests.support.waiting import stay_within_the_day

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "statements.md"


def test_the_commands_of_the_page_do_what_it_says(service18: Service, tmp_path: Path) -> None:
    stay_within_the_day()
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
    *balances, today, months, statement = map(orjson.loads, done.stdout.splitlines())
    assert [one["balance"] for one in balances] == ["67.50", "80.00", "0.00", "0.00"]
    assert (today["summary"]["lowest"], today["summary"]["highest"], today["summary"]["entries"]) == (
        "0.00",
        "80.00",
        2,
    )
    assert (months["every"], months["summary"]["closing"]) == ("month", "67.50")
    assert [(line["kind"], line["amount"], line["balance"]) for line in statement["items"]] == [
        ("deposit", "80.00", "80.00"),
        ("transfer", "-12.50", "67.50"),
    ]
    assert (tmp_path / "statement.csv").read_text().splitlines()[-1].startswith("closing,")
    assert (tmp_path / "statement.pdf").read_bytes().startswith(b"%PDF-")
    assert "camt.053.001.08" in (tmp_path / "statement.xml").read_text()
