"""Limits how many requests of a kind run at once. Others are refused; none waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.gateway.problems import Problem


class ConcurrencyLimit:
    """A limit within one event loop. One principal can use at most a share of it, so that others can use the rest."""

    def __init__(self, most: int, share: int, taken: str) -> None:
        """`share` is the limit of one principal. `taken` completes a sentence, as in "4 batches are under way"."""
        self._most = most
        self._share = share
        self._in_use = taken
        self._taken: Counter[str] = Counter()  # one entry for each principal, so it is bounded

    @contextmanager
    def one(self, principal: str) -> Iterator[None]:
        """Count one request while the context is open. Raises `Problem` at the limit."""
        if self._taken.total() >= self._most:
            raise Problem("busy", f"{self._most} {self._in_use}, the most allowed.")
        if self._taken[principal] >= self._share:
            detail = f"{self._share} {self._in_use} for {principal}, the most allowed for one principal."
            raise Problem("too_many", detail, most=self._share)
        self._taken[principal] += 1
        try:
            yield
        finally:
            self._taken[principal] -= 1
