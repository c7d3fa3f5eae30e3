"""What tests of running processes need: a free port, and to wait, but never for ever."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

PAUSE_SECONDS = 0.005


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return when it holds. A test that waits for ever would not say what for."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not come about within {seconds} seconds"
        time.sleep(PAUSE_SECONDS)


def free_port() -> int:
    """A TCP port on which nothing listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    assert isinstance(number, int)
    return number
