"""How many requests a key may make within a minute, counted in this process by the package `limits`.

The package's own memory store reads the wall clock, which may step back, and starts a thread for each expiry. So the
store here is ours: a monotonic clock, no thread, a bound on memory. Each process of the API counts for itself.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final, NamedTuple

from limits import RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

MOST_COUNTED: Final = 10_000
"""Keys that are counted at a time. If there are more, the one that was first used longest ago is dropped."""


class Allowance(NamedTuple):
    """Whether a request may go on, how many more may in this minute, and the seconds until the next one begins."""

    allowed: bool
    left: int
    seconds: int


class Rates:
    """Counts requests by key. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._storage = _Storage(monotonic)
        self._limiter = FixedWindowRateLimiter(self._storage)

    def take(self, key: str, per_minute: int) -> Allowance:
        """Count one request of a key."""
        item = RateLimitItemPerMinute(per_minute)
        allowed = self._limiter.hit(item, key)
        window = self._limiter.get_window_stats(item, key)
        left = max(0, window.remaining)
        return Allowance(allowed, left, max(1, math.ceil(window.reset_time - self._monotonic())))


class _Storage(Storage):
    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._counted: OrderedDict[str, tuple[int, float]] = OrderedDict()  # (number, end of the window)
        self._lock = Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        now = self._monotonic()
        with self._lock:
            number, end = self._counted.get(key, (0, now))
            if now >= end:
                self._counted.pop(key, None)
                number, end = 0, now + expiry
            self._counted[key] = (number + amount, end)
            if len(self._counted) > MOST_COUNTED:
                self._counted.popitem(last=False)
        return number + amount

    def get(self, key: str) -> int:
        number, end = self._counted.get(key, (0, 0.0))
        return number if self._monotonic() < end else 0

    def get_expiry(self, key: str) -> float:
        _, end = self._counted.get(key, (0, self._monotonic()))
        return end

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        with self._lock:
            number = len(self._counted)
            self._counted.clear()
        return number

    def clear(self, key: str) -> None:
        with self._lock:
            self._counted.pop(key, None)
