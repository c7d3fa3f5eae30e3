"""The reference page of the command line matches the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_the_reference_matches_the_commands() -> None:
    command = [sys.executable, "-m", "typer", "workers.cli", "utils", "docs", "--name", "daybook"]
    message = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert PAGE.read_text().strip() == message.strip(), "the page is not up to date: run make reference"
