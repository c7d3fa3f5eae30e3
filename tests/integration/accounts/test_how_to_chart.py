"""The page about the chart of accounts: its commands are executed as written, on what `daybook up` starts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS, environment, read_until, started
from tests.support.postgres import server_folder
from workers.ports import free_port

PAGE: Final = Path(__file__).parents[3] / "docs" / "howto" / "chart-of-accounts.md"
REFUSED: Final = ["kind_not_allowed", "node_has_accounts"]
"""What the page shows to be refused, in order."""


def test_the_commands_of_the_page_do_what_the_page_says() -> None:
    port = free_port()
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    with server_folder() as folder:
        env = environment(DAYBOOK_DATA_DIR=str(folder / "var"), DAYBOOK_PORT=str(port), COLUMNS="120")
        with started("up", env=env) as process:
            read_until(process, "Ctrl-C")
            done = subprocess.run(
                ["/bin/bash", "-euo", "pipefail", "-c", commands.replace(":8100", f":{port}")],
                cwd=folder,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            process.terminate()
            process.wait()
    assert done.returncode == 0, done.stdout
    answered: list[dict[str, Any]] = [
        orjson.loads(line) for line in done.stdout.splitlines() if line.startswith("{") and line.endswith("}")
    ]
    assert [one["code"] for one in answered if "code" in one] == REFUSED, done.stdout
    now, then = [one["items"] for one in answered if "positions" in one]
    assert then == []
    totals = {one["node"]: one["total"] for one in now if one["total"] != "0.00"}
    owed, income = dict.fromkeys(("2000", "2100", "2110"), "97.50"), dict.fromkeys(("4000", "4100"), "2.50")
    assert totals == {**dict.fromkeys(("1000", "1100"), "100.00"), **owed, **income}
    assert len(answered[-1]["items"]) == 1
