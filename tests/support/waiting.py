"""Waits for effects of running processes, with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_SECONDS = 0.005


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until a condition holds. After the time limit the test fails with the reason."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not occur within {seconds} seconds"
        time.sleep(PAUSE_SECONDS)
