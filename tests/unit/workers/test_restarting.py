"""A program that ends is restarted after growing pauses, with messages, and a limited number of times."""

from __future__ import annotations

import pytest

from workers import restarting
from workers.restarting import MOST_RESTARTS, STEADY_SECONDS, Restarted


class Program:
    """A program whose end a test decides."""

    def __init__(self) -> None:
        self.status: int | None = None

    def poll(self) -> int | None:
        return self.status


class Bench:
    """The started programs, the messages, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.started: list[Program] = []
        self.message: list[str] = []

    def start(self) -> Program:
        self.started.append(Program())
        return self.started[-1]

    def run_until_started_again(self, restarted: Restarted) -> float:
        """The seconds until the program is started again."""
        began, before = self.now, len(self.started)
        while len(self.started) == before:
            assert restarted.look()
            self.now += 0.5
        return self.now - 0.5 - began


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(restarting, "monotonic", lambda: made.now)
    return made


def test_a_running_program_is_not_restarted(bench: Bench) -> None:
    restarted = Restarted("work", bench.start, bench.message.append)
    assert all(restarted.look() for _ in range(10))
    assert (len(bench.started), bench.message) == (1, [])


def test_restarts_end_after_growing_pauses(bench: Bench) -> None:
    restarted = Restarted("work", bench.start, bench.message.append)
    pauses = []
    for _ in range(MOST_RESTARTS):
        bench.started[-1].status = 3
        pauses.append(bench.run_until_started_again(restarted))
    assert pauses == [1, 2, 4, 8, 16]
    assert bench.message[0] == "work ended with code 3; it is started again in 1 s (1 of 5 times)."
    bench.started[-1].status = 3
    assert not restarted.look()
    assert len(bench.started) == 1 + MOST_RESTARTS


def test_the_count_restarts_after_a_long_run(bench: Bench) -> None:
    restarted = Restarted("work", bench.start, bench.message.append)
    for _ in range(3 * MOST_RESTARTS):
        bench.now += STEADY_SECONDS
        bench.started[-1].status = 1
        assert bench.run_until_started_again(restarted) == 1
