"""A database that cannot be used is tried again with growing pauses, few messages, and a final limit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

import psycopg
import pytest

from projections.engine import outage as module
from projections.engine.outage import DatabaseAwayError, Outage

REFUSED = psycopg.OperationalError("connection refused")


class Clock:
    """A clock that advances only during waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "monotonic", lambda: made.now)
    return made


def outage(clock: Clock, seconds: float) -> Outage:
    stop = Event()
    stop.wait = clock.wait  # type: ignore[method-assign,assignment]
    return Outage(stop, seconds)


def failing(one: Outage, times: int) -> Callable[[], None]:
    def fail() -> None:
        for _ in range(times):
            one.failed(REFUSED)

    return fail


def test_pauses_double_up_to_a_bound(clock: Clock) -> None:
    failing(outage(clock, 3600), 8)()
    assert clock.waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_the_wait_ends_at_the_limit_with_a_reason(clock: Clock) -> None:
    began = clock.now
    with pytest.raises(DatabaseAwayError, match="tried for 60 seconds and still cannot be used: OperationalError"):
        failing(outage(clock, 60), 100)()
    assert clock.now - began == pytest.approx(60)


def test_a_process_without_a_wait_fails_at_once(clock: Clock) -> None:
    with pytest.raises(DatabaseAwayError):
        outage(clock, 0).failed(REFUSED)
    assert clock.waits == []


def test_messages_are_few_and_name_the_reason(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    one = outage(clock, 3600)
    while clock.now < 1300:
        one.failed(REFUSED)
    assert 10 <= len(caplog.messages) <= 11  # one message every 30 seconds, for 300 seconds
    assert caplog.messages[0] == (
        "the database cannot be used for 0 seconds now, and is tried again for 3600 in all: "
        "OperationalError: connection refused"
    )
    one.ended()
    assert caplog.messages[-1].startswith("the database can be used again after 30")
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_success_restarts_the_count(clock: Clock) -> None:
    one = outage(clock, 60)
    for _ in range(3):
        while clock.waits[-1:] != [5.0]:
            one.failed(REFUSED)
        one.ended()
        one.ended()
        clock.waits.clear()
    one.failed(REFUSED)
    assert clock.waits == [0.1]
