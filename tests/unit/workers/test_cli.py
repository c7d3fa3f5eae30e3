"""The reference page of the command line matches the commands. Garbage is collected after the imports only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_the_reference_matches_the_commands() -> None:
    command = [sys.executable, "-m", "typer", "workers.cli", "utils", "docs", "--name", "daybook"]
    message = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert PAGE.read_text().strip() == message.strip(), "the page is not up to date: run make reference"


def test_garbage_is_collected_after_the_imports_only() -> None:
    code = "import gc, workers.cli; print(gc.isenabled(), gc.get_freeze_count(), gc.get_stats()[0]['collections'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    enabled, frozen, collections = done.stdout.split()
    assert enabled == "True"
    assert int(frozen) > 100_000
    assert int(collections) < 100
