"""The first minute of the README: its commands are executed as written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS, environment, read_until, started
from tests.support.postgres import server_folder
from workers.ports import free_port

ROOT = Path(__file__).parents[3]


def walk_through() -> str:
    """The shell blocks of the first sections, in order."""
    section = (ROOT / "README.md").read_text().split("## A first transfer in a minute")[1].split("## Real history")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def test_the_first_minute() -> None:
    port = free_port()
    with server_folder() as folder:
        env = environment(DAYBOOK_DATA_DIR=str(folder / "var"), DAYBOOK_PORT=str(port), COLUMNS="120")
        binaries = folder / ".venv" / "bin"
        binaries.mkdir(parents=True)
        command = binaries / "daybook"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m workers.cli "$@"\n')
        command.chmod(0o755)
        verifier = binaries / "daybook-verify"
        verifier.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m workers.daybook_verify "$@"\n')
        verifier.chmod(0o755)
        with started("up", env=env) as process:
            read_until(process, "Ctrl-C")
            done = subprocess.run(
                ["/bin/bash", "-euo", "pipefail", "-c", walk_through().replace(":8100", f":{port}")],
                cwd=folder,
                env={**env, "PYTHONPATH": os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])},
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            process.terminate()
            process.wait()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything that could be checked holds." in done.stdout
    deposit, first, again, refused, *audited = done.stdout.splitlines()
    payouts = [orjson.loads(line) for line in audited[-3:]]
    assert [(payout["key"], payout["status"]) for payout in payouts] == [
        ("payout-1", 201),
        ("payout-2", 201),
        ("payout-3", 422),
    ]
    assert '"outcome":"accepted"' in deposit
    assert again == first, "a retry gets the bytes of the first answer"
    assert '"code":"below_minimum"' in refused
    assert "87.70" in refused
    answered = "\n".join(audited)
    assert "account.opened" in answered
    assert "amount 100.00 EUR" in " ".join(answered.replace("│", " ").split())
    assert "finding" not in answered
    checked = [line for line in audited if line.startswith("│")]
    assert len(checked) > 1
    assert all("│ holds" in line for line in checked), answered
