"""Waits for effects of running processes, with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

PAUSE_SECONDS = 0.005
WAIT_SECONDS = 180.0
"""What comes within a second on a quiet machine may need a minute where programs of others run too."""
LONGEST_SECONDS = 120
"""The slowest of the tests that need one day takes less than that."""


def wait_until(holds: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until a condition holds. After the time limit the test fails with the reason."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not occur within {seconds} seconds"
        time.sleep(PAUSE_SECONDS)


def stay_within_the_day() -> None:
    """Begin after midnight (UTC) if it is near, for a test that compares days of the clock of the machine."""

    def is_far() -> bool:
        soon = datetime.now(UTC) + timedelta(seconds=LONGEST_SECONDS)
        return soon.date() == datetime.now(UTC).date()

    wait_until(is_far, "the next day", 2 * LONGEST_SECONDS)
