"""Programs that are started again when they end, after a growing pause and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

FIRST_PAUSE_SECONDS = 1.0
MOST_RESTARTS = 5
"""In a row: with pauses of 1, 2, 4, 8 and 16 seconds. One more start would not repair a program that still ends."""
STEADY_SECONDS = 60.0
"""A program that ran for this long counts as one that ran well: the restarts before it are forgotten."""


class Running(Protocol):
    """A program: None as long as it runs, then how it ended."""

    def poll(self) -> int | None:
        """Its exit status."""


class Restarted:
    """One program, kept running. The caller has a loop of its own and calls `look` in each round."""

    def __init__(self, name: str, start: Callable[[], Running], say: Callable[[str], None]) -> None:
        """Start it."""
        self.name = name
        self._start = start
        self._say = say
        self._failures = 0
        self._again_at: float | None = None
        self.running = start()
        self._started_at = monotonic()

    def look(self) -> bool:
        """Start it again if it has ended and its pause is over. False: it ended once more than it is started again."""
        now = monotonic()
        if self._again_at is not None:
            if now >= self._again_at:
                self._again_at = None
                self.running = self._start()
                self._started_at = now
            return True
        status = self.running.poll()
        if status is None:
            return True
        if now - self._started_at >= STEADY_SECONDS:
            self._failures = 0
        if self._failures == MOST_RESTARTS:
            return False
        pause = FIRST_PAUSE_SECONDS * 2**self._failures
        self._failures += 1
        self._again_at = now + pause
        self._say(
            f"{self.name} ended with code {status}; it is started again in {pause:g} s "
            f"({self._failures} of {MOST_RESTARTS} times)."
        )
        return True
