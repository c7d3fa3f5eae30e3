"""What tests of running processes need: a free port, and to wait, but never for ever."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress

PAUSE_SECONDS = 0.005
LOWEST_PORT, PORTS = 10_000, 20_000


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return when it holds. A test that waits for ever would not say what for."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not come about within {seconds} seconds"
        time.sleep(PAUSE_SECONDS)


def free_port() -> int:
    """A TCP port on which nothing listens, and below those that the system gives to whoever connects."""
    for _ in range(100):
        number = LOWEST_PORT + secrets.randbelow(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number
    raise AssertionError("no port is free: 100 were tried")
