"""The page about reconciliation: its commands are executed as written, beside a real worker."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS, environment, read_until, started
from tests.support.postgres import Server
from tests.support.service import TOKENS, service_on
from workers.clock_and_ids import now

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "reconcile.md"


def test_the_commands_of_the_page_do_what_it_says(postgres18: Server, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "tokens.txt").write_text(f"operator {TOKENS['operator']}\n")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    with (
        postgres18.database() as database,
        service_on(database, now=now()) as service,
        started("work", "--processes", env=environment(database)) as worker,
    ):
        read_until(worker, "carrying on the processes of log main")
        done = subprocess.run(
            [
                "/bin/bash",
                "-euo",
                "pipefail",
                "-c",
                blocks.replace("http://127.0.0.1:8100", str(service.http.base_url)),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answers = list(map(orjson.loads, done.stdout.splitlines()))
        finished, left, entries, summary, undone, withdrawn, again, closed, reopened = answers[3:]
        lines = service.get(f"reconciliations/{finished['reconciliation']}/lines", role="audit").json()["items"]
    assert (finished["matched_lines"]["count"], finished["unmatched_lines"]["count"]) == (2, 2)
    assert [line["amount"] for line in left["items"]] == ["10.00", "-1.50"]
    assert [entry["amount"] for entry in entries["items"]] == ["9.90"]
    assert (summary["difference"], summary["explained"]["unmatched_entries"]) == ("-1.40", "-9.90")
    assert {one["outcome"] for one in (undone, withdrawn, closed, reopened)} == {"accepted"}
    assert (undone["status"], again["matched_lines"]["count"]) == ("undone", 3)
    assert (closed["status"], closed["lines_left"], reopened["status"]) == ("closed", 1, "open")
    assert [(line["line"], line["rule"]) for line in lines] == [
        (1, "reference"),
        (2, "reference_sum"),
        (3, None),
        (4, "amount_date"),
    ]
