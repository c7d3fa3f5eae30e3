"""The page about settling merchants: its commands are executed as written, beside a real worker."""

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
SERVER = "http://127.0.0.1:8100"
PAGE = ROOT / "docs" / "howto" / "settle-merchants.md"


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
    refunded, agreed, settled, bank, attention, changed, paused, resumed, agreement = map(
        orjson.loads, done.stdout.splitlines()
    )
    assert {one["outcome"] for one in (refunded, agreed, changed, paused, resumed)} == {"accepted"}
    [settlement] = settled["items"]
    figures = ("status", "entries", "payments", "refunds", "fee_rate", "fee", "carried_gross", "net")
    assert [settlement[name] for name in figures] == ["paid", 3, "100.00", "10.00", "0.025", "2.50", "0.00", "87.50"]
    assert bank["balance"] == "87.50"
    assert attention["items"] == []
    assert (paused["status"], resumed["status"]) == ("paused", "active")
    assert (agreement["status"], agreement["fee_rate"]) == ("active", "0.02")
    assert agreement["last_day"] is not None
