"""The page about transfer orders: its commands are executed as written, with a worker of processes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS, environment, read_until, started
from tests.support.service import TOKENS, Service

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "transfer-orders.md"


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
    order, transactions, cancelled = map(orjson.loads, done.stdout.splitlines())
    assert (order["status"], order["held"], order["fee"], order["paid"]) == ("executed", "101.50", "1.50", "100.00")
    by_kind = {one["kind"]: one for one in transactions["items"]}
    transfer, fee = by_kind["capture"], by_kind["fee"]
    assert (transfer["transaction"], fee["transaction"]) == (order["transaction"], order["fee_transaction"])
    assert (transfer["parent"], transfer["relation"]) == (order["transfer_order"], "transfer_order")
    assert (fee["parent"], fee["relation"]) == (order["transaction"], "fee")
    assert {transfer["reference"], fee["reference"]} == {"rent-7"}
    assert cancelled["status"] == "cancelled"
