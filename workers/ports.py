"""Ports for servers on this machine."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

LOWEST_PORT, PORTS = 10_000, 20_000
_TRIES = 100
_given: set[int] = set()


def free_port() -> int:
    """A free TCP port of 127.0.0.1, below the ports that the system assigns to clients. It is never the same twice.

    A port looks free until somebody listens on it. So a process that needs several ports could get one of them twice.

    A client that tries again and again to reach a server that is down could be assigned the port of that server, and
    would be connected to itself. Then the server cannot start again.
    """
    for _ in range(_TRIES):
        number = LOWEST_PORT + secrets.randbelow(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", number))
            if number not in _given:
                _given.add(number)
                return number
    raise RuntimeError(f"no port is free: {_TRIES} were tried")
