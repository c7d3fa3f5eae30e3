"""Pages of the documentation whose shell blocks are executed as written, on a running service."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from tests.support.service import TOKENS, Service
from tests.support.waiting import stay_within_the_day

HOW_TO: Final = Path(__file__).parents[2] / "docs" / "howto"
OF_MAKE_RUN: Final = "http://127.0.0.1:8100"
"""Where the pages find the API."""
PATIENCE_SECONDS = 120.0
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def text_of(page: str) -> str:
    """The text of a page, with its lines joined."""
    return " ".join((HOW_TO / page).read_text(encoding="utf-8").split())


def executed(page: str, service: Service, folder: Path, **variables: str) -> list[Any]:
    """Execute the shell blocks of a page in an empty folder that has the tokens. Returns each JSON line, in order.

    What a block reads a value from is printed too. Fails with all that was printed if a command fails.
    """
    return _answers(_run(page, service, folder, variables, stderr=subprocess.STDOUT).stdout)


def shown(page: str, service: Service, folder: Path) -> tuple[list[Any], list[Any]]:
    """Execute the shell blocks of a page as `executed` does. Returns the JSON lines of its output and of its errors.

    The pages print to the errors what only sets the scene, and what a block reads a value from.
    """
    done = _run(page, service, folder, {}, stderr=subprocess.PIPE)
    return _answers(done.stdout), _answers(done.stderr)


def _run(
    page: str, service: Service, folder: Path, variables: Mapping[str, str], *, stderr: int
) -> subprocess.CompletedProcess[str]:
    stay_within_the_day()
    (folder / "var").mkdir()
    (folder / "var" / "tokens.txt").write_text(f"operator {TOKENS['operator']}\n")
    blocks = "\n".join(_BLOCK.findall((HOW_TO / page).read_text(encoding="utf-8")))
    assert OF_MAKE_RUN in blocks, f"{page} does not say where the API is"
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", blocks.replace(OF_MAKE_RUN, str(service.http.base_url))],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr or ''}"
    return done


def _answers(printed: str) -> list[Any]:
    return [orjson.loads(line) for line in printed.splitlines() if line.startswith(("{", "["))]


def codes(answers: list[Any]) -> list[str]:
    """The problems among the answers, in order."""
    return [one["code"] for one in answers if "code" in one]
