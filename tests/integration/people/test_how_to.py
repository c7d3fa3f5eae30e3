"""The pages about people: their commands are executed as written, one after the other, on what `daybook up` starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from tests.integration.workers.running import PATIENCE_SECONDS, environment, read_until, started
from tests.support.postgres import server_folder
from workers.ports import free_port

ROOT: Final = Path(__file__).parents[3]
PAGES: Final = ("people.md", "administer-people.md", "api-keys.md")
REFUSED: Final = ["code_needed", "unknown", "approval_by_self", "forbidden"]
"""The problems of what the pages show to be refused, in order."""


def walk_through() -> str:
    """The shell blocks of the pages, in order."""
    pages = [(ROOT / "docs" / "howto" / name).read_text(encoding="utf-8") for name in PAGES]
    return "\n".join(re.findall(r"```sh\n(.*?)```", "\n".join(pages), re.DOTALL))


def answers(printed: str) -> list[dict[str, Any]]:
    """The answers of the API among the lines that were printed, each once."""
    lines = dict.fromkeys(line for line in printed.splitlines() if line.startswith('{"') and line.endswith("}"))
    return [orjson.loads(line) for line in lines]


def test_the_commands_of_the_pages_do_what_the_pages_say() -> None:
    port = free_port()
    with server_folder() as folder:
        env = environment(DAYBOOK_DATA_DIR=str(folder / "var"), DAYBOOK_PORT=str(port), COLUMNS="120")
        binaries = folder / ".venv" / "bin"
        binaries.mkdir(parents=True)
        for name, command in {"daybook": "-m workers.cli ", "python": ""}.items():
            program = binaries / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command}"$@"\n')
            program.chmod(0o755)
        with started("up", env=env) as process:
            read_until(process, "Ctrl-C")
            done = subprocess.run(
                ["/bin/bash", "-euo", "pipefail", "-c", walk_through().replace(":8100", f":{port}")],
                cwd=folder,
                env={**env, "PYTHONPATH": os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            process.terminate()
            process.wait()
    assert done.returncode == 0, done.stdout
    answered = answers(done.stdout)
    assert [one["code"] for one in answered if "code" in one] == REFUSED, done.stdout
    assert done.stdout.count("is an administrator.") == 2
    withheld = [one["withheld"] for one in answered if one.get("withheld")]
    assert withheld == [["administrator"], ["administrator"]]
    [ada] = [one["person"] for one in answered if one.get("role") == "customer"]
    assert [one["person"] for one in answered if "approval" in one and "role" in one] == [ada], "appointed by two"
    [eve] = [one["person"] for one in answered if one.get("status") == "suspended"]
    of_eve = [one["status"] for one in answered if one.get("person") == eve]
    assert of_eve == ["pending", "suspended", "pending"]
    assert "person.role_granted.v1" in done.stdout
    [keys] = [one["items"] for one in answered if "items" in one and "prefix" in str(one)]
    assert sorted(key["works"] for key in keys) == [False, True]
