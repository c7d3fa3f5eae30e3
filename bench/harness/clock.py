"""Measures the speed of the processor while a scenario runs. On a shared machine it changes from minute to minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import thread_time

TURNS = 20_000
"""Turns of the loop. They take about a millisecond."""
EVERY_SECONDS = 0.5


@contextmanager
def watched() -> Iterator[list[float]]:
    """Measure one fixed loop at the beginning, every half second and at the end. Yields milliseconds of CPU time."""
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
    """Milliseconds of CPU time of the loop. Waiting for the processor or the interpreter is not counted."""
    began = thread_time()
    total = 0
    for turn in range(TURNS):
        total += turn & 3
    return (thread_time() - began) * 1000
