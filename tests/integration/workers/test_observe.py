"""The page on metrics: its commands show the figures of both processes of `daybook up`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from projections.registry import PROJECTIONS
from tests.integration.workers.running import PATIENCE_SECONDS, environment, read_until, started
from tests.support.metrics import free_ports, is_served, parsed
from tests.support.postgres import server_folder
from tests.support.waiting import wait_until
from workers.up import _URLS

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "observe.md"
START = "DAYBOOK_METRICS_PORT=8110 .venv/bin/daybook up"


def test_the_commands_of_the_page() -> None:
    begun, asked = re.findall(r"```sh title=\"terminal \d\"\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert begun.strip() == START
    port = free_ports(1 + len(_URLS))  # that of the API, and those after it of the metrics of all processes
    first = port + 1
    with server_folder() as folder:
        env = environment(DAYBOOK_DATA_DIR=str(folder / "var"), DAYBOOK_PORT=str(port), DAYBOOK_METRICS_PORT=str(first))
        with started("up", env=env) as process:
            welcome = read_until(process, "Ctrl-C")
            wait_until(lambda: is_served(first + 1), "the metrics of the projector")
            script = asked.replace(":8110", f":{first}").replace(":8111", f":{first + 1}")
            done = subprocess.run(
                ["/bin/bash", "-euo", "pipefail", "-c", script],
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
    assert f"http://127.0.0.1:{first}/metrics; the projector on port {first + 1}" in welcome
    assert done.returncode == 0, done.stderr
    shown = parsed("\n".join(line for line in done.stdout.splitlines() if not line.startswith("#")))
    assert shown.total("daybook_commands_total") == 0
    lag = {dict(labels)["projection"] for name, labels in shown if name == "daybook_projection_lag_seconds"}
    assert lag == {one.name for one in PROJECTIONS}
