"""Pages of the documentation whose shell blocks are executed as written, on a running service."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import orjson

from tests.support.service import TOKENS, Service

HOW_TO: Final = Path(__file__).parents[2] / "docs" / "howto"
OF_MAKE_RUN: Final = "http://127.0.0.1:8100"
"""Where the pages find the API."""
PATIENCE_SECONDS = 60.0
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def text_of(page: str) -> str:
    """The text of a page, with its lines joined."""
    return " ".join((HOW_TO / page).read_text(encoding="utf-8").split())


def executed(page: str, service: Service, folder: Path, **variables: str) -> list[Any]:
    """Execute the shell blocks of a page in an empty folder that has the tokens. Returns each JSON line, in order.

    What a block reads a value from is printed too. Fails with all that was printed if a command fails.
    """
    (folder / "var").mkdir()
    (folder / "var" / "tokens.txt").write_text(f"operator {TOKENS['operator']}\n")
    blocks = "\n".join(_BLOCK.findall((HOW_TO / page).read_text(encoding="utf-8")))
    assert OF_MAKE_RUN in blocks, f"{page} does not say where the API is"
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", blocks.replace(OF_MAKE_RUN, str(service.http.base_url))],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return [orjson.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]


def codes(answers: list[Any]) -> list[str]:
    """The problems among the answers, in order."""
    return [one["code"] for one in answers if "code" in one]
