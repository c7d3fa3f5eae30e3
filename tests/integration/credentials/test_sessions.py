"""Sessions: rotation, reuse, idle and absolute ends, races of threads, and clocks that step back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.rotation import Lifetimes
from eventstore.credentials.sessions import Refreshed, Refused, Sessions
from tests.support.credentials import NOON, MovedClock

ADA, LOG = "prsn_ada", 1
HOURS = Lifetimes(timedelta(hours=2), timedelta(hours=5))

Pool = ConnectionPool[Connection[Any]]


@pytest.fixture
def sessions(pool: Pool, clock: MovedClock) -> Sessions:
    return Sessions(pool, LOG, clock, HOURS)


def opened(sessions: Sessions, session: str = "sess_1", person: str = ADA, version: int = 1) -> str:
    begun = sessions.open(session, person, version)
    assert begun is not None
    return begun.token.reveal()


def refreshed(sessions: Sessions, token: str) -> str:
    result = sessions.refresh(token)
    assert isinstance(result, Refreshed), result
    return result.token.reveal()


def refused(sessions: Sessions, token: str) -> tuple[str, bool]:
    result = sessions.refresh(token)
    assert isinstance(result, Refused), result
    return result.reason, result.ended_now


def test_a_token_is_replaced_each_time_it_is_used(sessions: Sessions, clock: MovedClock) -> None:
    first = opened(sessions)
    clock.move(hours=1)
    result = sessions.refresh(first)
    assert isinstance(result, Refreshed)
    assert (result.session, result.person, result.version) == ("sess_1", ADA, 1)
    assert (result.idle_end, result.ends_at) == (NOON + timedelta(hours=3), NOON + timedelta(hours=5))
    assert refreshed(sessions, result.token.reveal()) not in (first, result.token.reveal())


def test_a_token_that_is_used_twice_ends_its_session_and_no_other(sessions: Sessions) -> None:
    first, other = opened(sessions), opened(sessions, "sess_2")
    second = refreshed(sessions, first)
    assert refused(sessions, first) == ("reused", True)
    assert refused(sessions, first) == ("ended", False), "it ended once"
    assert refused(sessions, second) == ("ended", False), "whoever holds the newest token is out, too"
    refreshed(sessions, other)
    assert [(one.session, one.ended_why) for one in sessions.of(ADA)] == [("sess_1", "reused"), ("sess_2", None)]


def test_the_idle_and_the_absolute_end(sessions: Sessions, clock: MovedClock) -> None:
    token, idle = opened(sessions), opened(sessions, "sess_2")
    clock.move(hours=2, microseconds=-1)
    token = refreshed(sessions, token)
    clock.move(microseconds=1)
    assert refused(sessions, idle) == ("expired", True)
    clock.move(hours=1)
    token = refreshed(sessions, token)
    clock.move(hours=2, microseconds=-1)
    token = refreshed(sessions, token)
    clock.move(microseconds=1)
    assert clock.now == NOON + timedelta(hours=5)
    assert refused(sessions, token) == ("expired", True)


def test_what_was_found_expired_stays_so_when_the_clock_steps_back(sessions: Sessions, clock: MovedClock) -> None:
    token = opened(sessions)
    clock.move(hours=2)
    assert refused(sessions, token) == ("expired", True)
    clock.move(hours=-1)
    assert refused(sessions, token) == ("ended", False)


def test_a_clock_that_steps_back_after_the_issue_ends_nothing(sessions: Sessions, clock: MovedClock) -> None:
    token = opened(sessions)
    clock.move(days=-400)
    token = refreshed(sessions, token)
    assert sessions.end("sess_1", "signed out")
    clock.move(days=400)
    assert refused(sessions, token) == ("ended", False)


def test_a_used_token_stays_used_when_the_clock_steps_back(sessions: Sessions, clock: MovedClock) -> None:
    token = opened(sessions)
    clock.move(hours=1)
    refreshed(sessions, token)
    clock.move(hours=-2)
    assert refused(sessions, token) == ("reused", True)


def test_nobody_has_an_unknown_token(sessions: Sessions) -> None:
    opened(sessions)
    for token in ("", "dbr_x", "dbr_" + "A" * 43, "x" * 1_000_000, "\ud800", "a\0b"):
        assert refused(sessions, token) == ("unknown", False)
        assert sessions.find(token) is None


def test_a_session_is_opened_once(sessions: Sessions) -> None:
    token = opened(sessions)
    assert sessions.open("sess_1", "prsn_bob", 7) is None
    found = sessions.find(token)
    assert found is not None
    assert (found.session, found.person, found.version) == ("sess_1", ADA, 1)


def test_all_sessions_of_a_person_end_before_a_version(sessions: Sessions) -> None:
    for number in range(1, 5):
        opened(sessions, f"sess_{number}", version=number)
    opened(sessions, "sess_bob", "prsn_bob")
    assert sorted(sessions.end_all(ADA, 4, but="sess_2")) == ["sess_1", "sess_3"]
    assert sessions.end_all(ADA, 4, but="sess_2") == []
    assert {one.session for one in sessions.of(ADA) if one.ended_at is None} == {"sess_2", "sess_4"}
    assert [one.ended_at for one in sessions.of("prsn_bob")] == [None]


def test_a_session_from_before_an_event_that_ended_all_is_not_refreshed(sessions: Sessions) -> None:
    """The process that was to end it has ended before it did."""
    token = opened(sessions, version=3)
    result = sessions.refresh(token, not_before_version=3)
    assert isinstance(result, Refreshed)
    ended = sessions.refresh(result.token.reveal(), not_before_version=4)
    assert ended == Refused("ended", "sess_1", ADA, ended_now=True)
    assert refused(sessions, result.token.reveal()) == ("ended", False)


def test_a_session_is_ended_once(sessions: Sessions) -> None:
    opened(sessions)
    assert sessions.end("sess_1", "signed out")
    assert not sessions.end("sess_1", "revoked")
    assert not sessions.end("sess_none", "revoked")
    [session] = sessions.of(ADA)
    assert (session.ended_why, session.ended_at) == ("signed out", NOON)


def test_a_token_that_two_clients_use_at_once_is_replaced_once_and_ends_the_session(sessions: Sessions) -> None:
    for number in range(30):
        token, start = opened(sessions, f"sess_{number}"), Barrier(4)

        def use(token: str = token, start: Barrier = start) -> Refreshed | Refused:
            start.wait(30)
            return sessions.refresh(token)

        with ThreadPoolExecutor(4) as threads:
            results = [one.result() for one in [threads.submit(use) for _ in range(4)]]
        won = [one for one in results if isinstance(one, Refreshed)]
        lost = [one for one in results if isinstance(one, Refused)]
        assert len(won) == 1
        assert sorted(one.reason for one in lost if one.ended_now) == ["reused"], "the session ended once"
        assert {one.reason for one in lost} <= {"reused", "ended"}
        assert refused(sessions, won[0].token.reveal()) == ("ended", False)


def test_a_session_that_ends_while_it_is_refreshed_has_ended(sessions: Sessions) -> None:
    for number in range(30):
        token, start = opened(sessions, f"sess_{number}"), Barrier(2)

        def use(token: str = token, start: Barrier = start) -> Refreshed | Refused:
            start.wait(30)
            return sessions.refresh(token)

        def end(number: int = number, start: Barrier = start) -> bool:
            start.wait(30)
            return sessions.end(f"sess_{number}", "revoked")

        with ThreadPoolExecutor(2) as threads:
            used, ended = threads.submit(use), threads.submit(end)
            result = used.result()
            assert ended.result()
        newest = result.token.reveal() if isinstance(result, Refreshed) else token
        assert refused(sessions, newest) == ("ended", False)


NUMBERS = count(1)
STEPS = st.lists(st.tuples(st.integers(0, 10), st.integers(-200, 200)), min_size=1, max_size=12)


@settings(max_examples=40)
@given(history=STEPS)
def test_in_any_history_each_token_is_replaced_once(connections: Pool, history: list[tuple[int, int]]) -> None:
    """As the property of the pure decision, with the database: tokens in any order, the clock by minutes to and fro."""
    clock = MovedClock()
    sessions = Sessions(connections, LOG, clock, HOURS)
    tokens, replaced, over = [opened(sessions, f"sess_history_{next(NUMBERS)}")], set[int](), False
    for chosen, minutes in history:
        clock.move(minutes=minutes)
        number = chosen % len(tokens)
        result = sessions.refresh(tokens[number])
        if isinstance(result, Refreshed):
            assert not over
            assert number not in replaced
            assert result.idle_end <= result.ends_at
            replaced.add(number)
            tokens.append(result.token.reveal())
        else:
            assert result.ended_now is not over, "whatever is refused ends the session, once"
            over = True
    assert replaced == set(range(len(tokens) - 1)), "only the newest token is replaced"
