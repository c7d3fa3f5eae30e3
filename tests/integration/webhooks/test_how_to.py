"""The page about webhooks: its commands are executed as written, and its receiver receives."""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event

import orjson

from eventstore.postgres.connect import connect
from tests.integration.workers.running import PATIENCE_SECONDS
from tests.samples.people.person import active
from tests.support.memory_ledger import new_id
from tests.support.service import TOKENS, Service
from tests.support.webhooks import service_worker
from workers.ports import free_port

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "webhooks.md"


def test_the_commands_of_the_page_do_what_it_says(service18: Service, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "tokens.txt").write_text(f"operator {TOKENS['operator']}\n")
    page, person = PAGE.read_text(encoding="utf-8"), new_id("prsn")
    for command in active(person):
        service18.executed(command)
    [receiver] = re.findall(r"```python title=\"receiver.py\"\n(.*?)```", page, re.DOTALL)
    (tmp_path / "receiver.py").write_text(receiver)
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    blocks = blocks.replace("http://127.0.0.1:8100", str(service18.http.base_url)).replace("8200", str(free_port()))
    stop = Event()

    def idle(pause: timedelta | None) -> None:
        stop.wait(0.01)

    with (
        ThreadPoolExecutor(1) as pool,
        connect(service18.database.query_url, application_name="webhooks", read_only=True) as reads,
        service_worker(service18, reads) as worker,
    ):
        running = pool.submit(worker.run, stop, idle, 0.01)
        try:
            done = subprocess.run(
                ["/bin/bash", "-euo", "pipefail", "-c", f"trap 'kill $! || true' EXIT\n{blocks}"],
                cwd=tmp_path,
                env={**os.environ, "PERSON": person},
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
        finally:
            stop.set()
        running.result()
    assert done.returncode == 0, done.stdout + done.stderr
    opened, printed, deliveries, progress, active_ones, *changes = done.stdout.splitlines()
    account = orjson.loads(opened)["account"]
    assert printed.split()[1:] == ["account.opened.v1", account, "1"]
    assert orjson.loads(progress)["taken_to"] >= int(printed.split()[0])
    [delivery] = orjson.loads(deliveries)["items"]
    assert (delivery["event"], delivery["status"], delivery["error"]) == (int(printed.split()[0]), 204, None)
    assert [one["contact"] for one in orjson.loads(active_ones)["items"]] == [person]
    assert [line for line in changes if line.startswith("whsec_")], "the new secret is shown"
    statuses = [orjson.loads(line)["status"] for line in changes if line.startswith("{")]
    assert statuses == ["paused", "active", "active", "active", "removed"]
