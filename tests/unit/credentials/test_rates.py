"""The rate of a key: so many requests a minute, counted on a clock that never steps back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from eventstore.credentials import rates
from eventstore.credentials.rates import Allowance, Rates


class Seconds:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_last_request_within_the_rate_is_allowed_and_the_next_one_waits() -> None:
    seconds = Seconds()
    counted = Rates(seconds)
    assert [counted.take("key_1", 3) for _ in range(4)] == [
        Allowance(True, 2, 60),
        Allowance(True, 1, 60),
        Allowance(True, 0, 60),
        Allowance(False, 0, 60),
    ]
    assert counted.take("key_2", 3).allowed, "each key has a count of its own"
    seconds.now += 59.5
    assert counted.take("key_1", 3) == Allowance(False, 0, 1)
    seconds.now += 0.5
    assert counted.take("key_1", 3) == Allowance(True, 2, 60)


def test_many_threads_get_exactly_the_rate() -> None:
    counted = Rates(Seconds())
    with ThreadPoolExecutor(8) as threads:
        allowed = list(threads.map(lambda _: counted.take("key", 100).allowed, range(400)))
    assert sum(allowed) == 100


def test_memory_is_bounded() -> None:
    counted = Rates(Seconds())
    for number in range(rates.MOST_COUNTED + 10):
        counted.take(f"key_{number}", 5)
    assert counted._storage.reset() == rates.MOST_COUNTED
