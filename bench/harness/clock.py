"""How fast the processor itself is while a scenario runs: on a shared machine that changes from minute to minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import thread_time

TURNS = 20_000
"""Of the loop: a millisecond, more or less."""
EVERY_SECONDS = 0.5


@contextmanager
def watched() -> Iterator[list[float]]:
    """Milliseconds of CPU time that one fixed loop took, at the beginning, every half second, and at the end."""
    samples = [loop_ms()]
    stop = Event()

    def watch() -> None:
        while not stop.wait(EVERY_SECONDS):
            samples.append(loop_ms())

    thread = Thread(target=watch, name="clock", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()
        samples.append(loop_ms())


def loop_ms() -> float:
    """Milliseconds of CPU time for the loop: waiting for a turn, or for the interpreter, is not counted."""
    began = thread_time()
    total = 0
    for turn in range(TURNS):
        total += turn & 3
    return (thread_time() - began) * 1000
