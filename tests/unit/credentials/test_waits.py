"""Waits grow with failures up to a bound, are forgotten after a day, and survive a clock that steps back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.credentials.waits import (
    ADDRESS,
    CODE,
    FORGOTTEN_AFTER,
    LOCKOUT_FAILURES,
    PERSON,
    Failures,
    Waits,
    locks_out,
    remaining,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (3, 0), (4, 1), (5, 2), (6, 4), (13, 512), (14, 900), (15, 900), (10**9, 900)],
)
def test_the_wait_doubles_after_the_free_failures_up_to_the_bound(failures: int, seconds: float) -> None:
    assert PERSON.seconds(failures) == seconds


@given(st.sampled_from([PERSON, ADDRESS, CODE]), st.integers(0, 10**6))
def test_a_wait_never_falls_with_more_failures_and_has_a_bound(waits: Waits, failures: int) -> None:
    assert 0 <= waits.seconds(failures) <= waits.seconds(failures + 1) <= waits.most


def test_the_next_attempt_is_allowed_when_the_wait_is_over() -> None:
    failures = Failures(6, NOW)  # four seconds
    assert remaining(PERSON, failures, NOW + 3.9 * SECOND) == pytest.approx(0.1)
    assert remaining(PERSON, failures, NOW + 4 * SECOND) == 0
    assert remaining(PERSON, None, NOW) == 0


def test_a_counter_is_forgotten_after_a_day() -> None:
    slow = Waits(free=0, first=3 * 86_400.0, most=3 * 86_400.0)
    failures = Failures(1, NOW)
    assert remaining(slow, failures, NOW + FORGOTTEN_AFTER - SECOND) > 0
    assert remaining(slow, failures, NOW + FORGOTTEN_AFTER) == 0


@given(st.integers(0, 40), st.timedeltas(timedelta(0), timedelta(days=4000)))
def test_after_a_clock_stepped_back_nobody_waits_longer_than_the_bound(number: int, step: timedelta) -> None:
    assert remaining(PERSON, Failures(number, NOW), NOW - step) == PERSON.seconds(number)


def test_a_lockout_is_due_at_the_tenth_failure_and_each_tenth_after_it() -> None:
    assert LOCKOUT_FAILURES == 10
    assert [number for number in range(31) if locks_out(number)] == [10, 20, 30]
