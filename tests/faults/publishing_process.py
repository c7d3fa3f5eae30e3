"""A publisher in a process of its own, which ends or stops itself at a chosen step: `python -m` with three arguments.

The arguments are the step, how many times it passes before, and the signal.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from threading import Event

from workers.kafka.publishing.process import publish_until
from workers.settings import load

PAUSED_SECONDS = 1.0
"""A publisher that is silent for this long is replaced; in production it is 15 seconds."""


def main(step: str, passes: int, number: int) -> None:
    """Publish, and send this process the signal at the step."""
    left = passes

    def on_step(name: str) -> None:
        nonlocal left
        if name == step:
            if left == 0:
                print("now", flush=True)
                os.kill(os.getpid(), number)
            left -= 1

    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    publish_until(load(), "log", stop, paused_seconds=PAUSED_SECONDS, on_step=on_step)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
