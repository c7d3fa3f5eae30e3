"""What only so many may do at once: there is a place, or there is a refusal, and nobody waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.gateway.problems import Problem


class ConcurrencyLimit:
    """Places on one event loop. One principal has a share of them at most, so that another still finds one."""

    def __init__(self, most: int, share: int, taken: str) -> None:
        """`share`: of one principal; `taken`: ends a sentence about the places, as in "4 batches are under way"."""
        self._most = most
        self._share = share
        self._in_use = taken
        self._taken: Counter[str] = Counter()  # an entry for each principal that ever came: bounded

    @contextmanager
    def one(self, principal: str) -> Iterator[None]:
        """Take a place and give it back. Raises `Problem` where there is none."""
        if self._taken.total() >= self._most:
            raise Problem("busy", f"{self._most} {self._in_use}, as many as may.")
        if self._taken[principal] >= self._share:
            detail = f"{self._share} {self._in_use} for {principal}, as many as one principal may have."
            raise Problem("too_many", detail, most=self._share)
        self._taken[principal] += 1
        try:
            yield
        finally:
            self._taken[principal] -= 1
