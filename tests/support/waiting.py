"""To wait for what running processes do, but never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_SECONDS = 0.005


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return when it holds. A test that waits for ever would not say what for."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not come about within {seconds} seconds"
        time.sleep(PAUSE_SECONDS)
