"""Starts programs again when they end, after a growing pause, a bounded number of times."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

FIRST_PAUSE_SECONDS = 1.0
MOST_RESTARTS = 5
"""Restarts in a row, with pauses of 1, 2, 4, 8 and 16 seconds. More would not repair a program that still ends."""
STEADY_SECONDS = 60.0
"""After a program ran for so long, its earlier restarts no longer count."""


class Running(Protocol):
    """A program that was started."""

    def poll(self) -> int | None:
        """The exit status; None as long as the program runs."""


class Restarted:
    """Keeps one program running. The caller has a loop of its own and calls `look` in each round."""

    def __init__(self, name: str, start: Callable[[], Running], say: Callable[[str], None]) -> None:
        """Start the program."""
        self.name = name
        self._start = start
        self._say = say
        self._failures = 0
        self._again_at: float | None = None
        self.running = start()
        self._started_at = monotonic()

    def look(self) -> bool:
        """Start the program again if it has ended and its pause is over. False after its last restart."""
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
