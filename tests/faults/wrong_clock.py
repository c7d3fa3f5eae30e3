"""`daybook` as it is, but for its clock: a file says how many seconds it is wrong."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from domain.ids import TAIL, fresh_id, tails
from workers import cli, runtime

FILE = "CLOCK_IS_WRONG_BY"
"""The variable that names the file."""


def wrong_by() -> int:
    """Seconds."""
    return int(Path(os.environ[FILE]).read_text())


def now() -> datetime:
    """Instead of `runtime.now`."""
    return datetime.now(UTC) + timedelta(seconds=wrong_by())


def new_id(prefix: str) -> str:
    """Instead of `runtime.new_id`: the time that an id begins with is wrong too."""
    return fresh_id(prefix, time.time_ns() // 1_000_000 + wrong_by() * 1_000, tails(os.urandom(TAIL))[0])


if __name__ == "__main__":
    runtime.now, runtime.new_id = now, new_id
    cli.main()
