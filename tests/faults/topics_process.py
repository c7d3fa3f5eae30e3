"""Executes commands by topic in a process of its own, which sends itself a signal at a step: `python -m` with both."""

from __future__ import annotations

import logging
import os
import signal
import sys
from threading import Event

from workers.kafka.commands.running import execute_until
from workers.settings import load

PAUSED_SECONDS = 1.0
"""A process that is silent for this long is replaced; in production it is 15 seconds."""


def main(step: str, number: int) -> None:
    """Execute, and send this process the signal the first time that it comes to the step."""
    passed = False

    def on_step(name: str) -> None:
        nonlocal passed
        if name == step and not passed:
            passed = True
            print("now", flush=True)
            os.kill(os.getpid(), number)

    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    execute_until(load(), stop, on_step=on_step, paused_seconds=PAUSED_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
