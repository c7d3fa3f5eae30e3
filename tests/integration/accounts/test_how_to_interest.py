"""The page about interest: its commands are executed as written, beside a real worker."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS, environment, read_until, started
from tests.support.answers import accepted
from tests.support.postgres import Server
from tests.support.service import TOKENS, service_on
from workers.clock_and_ids import now

ROOT = Path(__file__).parents[3]
SERVER = "http://127.0.0.1:8100"
PAGE = ROOT / "docs" / "howto" / "interest.md"


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
        paying = {"type": "interest", "currency": "EUR", "name": "interest"}
        accepted(service.post("accounts", paying, role="operator"))
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", blocks.replace(SERVER, str(service.http.base_url))],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    moved, agreed, credited, entries, changed, interest, attention = map(orjson.loads, done.stdout.splitlines())
    assert {one["outcome"] for one in (moved, agreed, changed)} == {"accepted"}
    [month] = credited["items"]
    assert (month["first_day"], month["amount"], month["carried"]) == (month["last_day"], "1.00", 0)
    assert month["balances"] == [{"day": month["first_day"], "balance": "10000.00"}]
    assert [one["amount"] for one in entries["items"]] == ["10000.00", "1.00"]
    assert entries["items"][1]["transaction"] == month["transaction"]
    assert (interest["status"], interest["rate"], interest["basis"], interest["carried"]) == ("active", "0.02", 360, 0)
    assert interest["last_day"] is not None
    assert attention["items"] == []
