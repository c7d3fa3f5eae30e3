"""The next step for commands without an answer: each row of the table, and every path ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.executor.attempts import MOST_ATTEMPTS, MOST_RECONNECTS, OPTIMISTIC_ATTEMPTS, Attempts, Result, Step

FINAL = {Step.DONE, Step.GIVE_UP, Step.FAIL, Step.SEPARATE}
OF_AN_ATTEMPT = sorted(set(Result) - {Result.CONNECTED, Result.AWAY}, key=lambda result: result.value)
OF_A_RECONNECTION = [Result.CONNECTED, Result.AWAY]


def test_attempts_are_optimistic_first_then_lock_the_head_then_end() -> None:
    attempts = Attempts()
    steps = [attempts.next_attempt(), *(attempts.after(Result.CONFLICT) for _ in range(MOST_ATTEMPTS))]
    with_head = MOST_ATTEMPTS - OPTIMISTIC_ATTEMPTS
    assert steps == [Step.DECIDE] * OPTIMISTIC_ATTEMPTS + [Step.DECIDE_WITH_HEAD] * with_head + [Step.GIVE_UP]


@pytest.mark.parametrize("decided", range(MOST_ATTEMPTS))
def test_a_stream_that_exists_is_looked_up_once_in_the_same_attempt(decided: int) -> None:
    attempts = Attempts(decided)
    same = attempts.next_attempt()
    assert (attempts.after(Result.STREAM_EXISTS), attempts.look_up) == (same, True)
    assert attempts.after(Result.STREAM_EXISTS) is Step.SEPARATE


@pytest.mark.parametrize("decided", range(MOST_ATTEMPTS))
def test_a_lost_connection_does_not_count_as_an_attempt(decided: int) -> None:
    attempts = Attempts(decided)
    same = attempts.next_attempt()
    for _ in range(MOST_RECONNECTS):
        assert attempts.after(Result.LOST) is Step.RECONNECT
        assert attempts.after(Result.CONNECTED) is same
    assert attempts.after(Result.LOST) is Step.FAIL


def test_a_database_that_stays_read_only_fails_at_the_second_attempt() -> None:
    attempts = Attempts()
    assert [attempts.after(Result.READ_ONLY), attempts.after(Result.CONNECTED)] == [Step.RECONNECT, Step.DECIDE]
    assert attempts.after(Result.READ_ONLY) is Step.FAIL


@pytest.mark.parametrize(
    ("result", "step"),
    [
        (Result.ANSWERED, Step.DONE),
        (Result.UNABLE, Step.FAIL),
        (Result.ERROR, Step.SEPARATE),
        (Result.AWAY, Step.FAIL),
    ],
)
def test_other_results_end_the_attempts(result: Result, step: Step) -> None:
    assert Attempts().after(result) is step


@given(st.data())
def test_every_path_ends(data: st.DataObject) -> None:
    attempts = Attempts()
    step, steps = attempts.next_attempt(), 0
    while step not in FINAL:
        possible = OF_A_RECONNECTION if step is Step.RECONNECT else OF_AN_ATTEMPT
        step, steps = attempts.after(data.draw(st.sampled_from(possible))), steps + 1
    assert steps <= MOST_ATTEMPTS + 1 + 2 * MOST_RECONNECTS
