"""`daybook` with a wrong clock. A file contains the difference in seconds."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from domain.ids import TAIL, fresh_id, tails
from workers import cli, clock_and_ids

FILE = "CLOCK_IS_WRONG_BY"
"""The environment variable with the path of the file."""


def wrong_by() -> int:
    """The difference in seconds."""
    return int(Path(os.environ[FILE]).read_text())


def now() -> datetime:
    """Replaces `clock_and_ids.now`."""
    return datetime.now(UTC) + timedelta(seconds=wrong_by())


def new_id(prefix: str) -> str:
    """Replaces `clock_and_ids.new_id`, so that the time in an id is wrong too."""
    return fresh_id(prefix, time.time_ns() // 1_000_000 + wrong_by() * 1_000, tails(os.urandom(TAIL))[0])


if __name__ == "__main__":
    clock_and_ids.now, clock_and_ids.new_id = now, new_id
    cli.main()
