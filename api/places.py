"""What only so many may do at once: there is a place, or there is a refusal, and nobody waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.problems import Problem


class Places:
    """Places on one event loop."""

    def __init__(self, most: int, taken: str) -> None:
        """`taken`: what is said of all of them, such as "batches are under way"."""
        self._most = most
        self._said = f"{most} {taken}, as many as may."
        self._taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place and give it back. Raises `Problem` where there is none."""
        if self._taken == self._most:
            raise Problem("busy", self._said)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
