"""Failed attempts: waits per name and per address, guesses at once, success, and clocks that step back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.attempts import Attempts, Begun, Subject, Waiting, name_key
from eventstore.credentials.waits import ADDRESS, PERSON
from tests.support.credentials import MovedClock
from tests.support.postgres import Database

LOG = 1
NAME_KEY = name_key(bytes(32))
ADA = Subject("person", "prsn_ada")
HOME, OFFICE = Subject("address", "192.0.2.1"), Subject("address", "2001:db8::/64")


@pytest.fixture
def attempts(pool: ConnectionPool[Connection[Any]], clock: MovedClock) -> Attempts:
    return Attempts(pool, LOG, NAME_KEY, clock)


def fail(attempts: Attempts, clock: MovedClock, times: int, *subjects: Subject) -> Begun:
    """So many failures, each as soon as it is allowed."""
    begun = Begun(0)
    for _ in range(times):
        result = attempts.begin(subjects)
        if isinstance(result, Waiting):
            clock.move(seconds=result.seconds)
            result = attempts.begin(subjects)
        assert isinstance(result, Begun), result
        begun = result
    return begun


def test_an_attempt_that_was_not_made_counts_for_nothing(attempts: Attempts) -> None:
    """And ends no count of others: what was not compared was not right either."""
    subjects = [Subject("person", "prsn_1"), Subject("address", "192.0.2.1")]
    for _ in range(PERSON.free):
        assert isinstance(attempts.begin(subjects), Begun)
    for _ in range(3):
        begun = attempts.begin(subjects)
        assert isinstance(begun, Begun)
        assert begun.failures == PERSON.free + 1
        attempts.not_made(subjects)
    assert isinstance(attempts.begin(subjects), Begun)
    assert isinstance(attempts.begin(subjects), Waiting)


def test_after_three_failures_the_next_attempt_waits_and_the_waits_double(
    attempts: Attempts, clock: MovedClock
) -> None:
    assert fail(attempts, clock, 4, ADA, HOME) == Begun(4)
    for seconds in (1, 2, 4, 8):
        assert attempts.begin([ADA, HOME]) == Waiting(seconds, "person")
        clock.move(seconds=seconds, microseconds=-1)
        assert isinstance(attempts.begin([ADA, HOME]), Waiting)
        clock.move(microseconds=1)
        assert isinstance(attempts.begin([ADA, HOME]), Begun)


def test_an_attempt_that_came_too_early_counts_for_nothing(attempts: Attempts, clock: MovedClock) -> None:
    fail(attempts, clock, 4, ADA, HOME)
    for _ in range(50):
        assert attempts.begin([ADA, OFFICE]) == Waiting(1, "person")
    clock.move(seconds=1)
    assert attempts.begin([ADA, OFFICE]) == Begun(5)


def test_a_right_password_ends_the_count_of_the_name_and_not_that_of_the_address(
    attempts: Attempts, clock: MovedClock
) -> None:
    """Whoever has an account of their own could otherwise guess at others without ever waiting."""
    for number in range(ADDRESS.free):
        fail(attempts, clock, 1, attempts.of_name(None, f"name {number}"), HOME)
    assert isinstance(attempts.begin([ADA, HOME]), Begun)
    attempts.succeeded([ADA, HOME])
    assert isinstance(attempts.begin([ADA, HOME]), Begun)
    assert attempts.begin([attempts.of_name(None, "next"), HOME]) == Waiting(1, "address")
    assert isinstance(attempts.begin([ADA, OFFICE]), Begun)


def test_success_takes_the_attempt_back(attempts: Attempts, database: Database) -> None:
    attempts.begin([ADA, HOME])
    attempts.succeeded([ADA, HOME])
    with psycopg.connect(database.url) as superuser:
        assert superuser.execute("SELECT failures FROM credentials.attempts").fetchall() == [(0,), (0,)]


def test_an_attempt_that_was_not_made_is_not_counted_and_failures_before_it_are(
    attempts: Attempts, clock: MovedClock
) -> None:
    fail(attempts, clock, PERSON.free, ADA, HOME)
    for _ in range(50):
        assert attempts.begin([ADA, HOME]) == Begun(PERSON.free + 1)
        attempts.not_made([ADA, HOME])
    assert attempts.begin([ADA, HOME]) == Begun(PERSON.free + 1)
    assert attempts.begin([ADA, HOME]) == Waiting(1, "person")


def test_a_name_that_nobody_has_waits_like_one_that_somebody_has(attempts: Attempts, clock: MovedClock) -> None:
    nobody = attempts.of_name(None, "Grace@Example.org")
    assert nobody == attempts.of_name(None, "grace@example.org")
    assert "grace" not in nobody.subject.casefold()
    assert sha256(b"grace@example.org").hexdigest() not in nobody.subject, "who has the table cannot try names"
    assert attempts.of_name("prsn_ada", "grace@example.org") == ADA
    fail(attempts, clock, 4, nobody)
    assert attempts.begin([nobody]) == Waiting(1, "person")


def test_many_guesses_at_once_are_as_slow_as_one_after_the_other(attempts: Attempts, clock: MovedClock) -> None:
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: attempts.begin([ADA, HOME]), range(60)))
    assert sorted(one.failures for one in results if isinstance(one, Begun)) == [1, 2, 3, 4]
    assert {one for one in results if isinstance(one, Waiting)} == {Waiting(1, "person")}


def test_an_attempt_is_counted_also_while_another_one_succeeds(attempts: Attempts) -> None:
    """A regression: a success removed the row that an attempt had just found, and was about to count."""

    def right() -> Begun | Waiting:
        result = attempts.begin([ADA])
        if isinstance(result, Begun):
            attempts.succeeded([ADA])
        return result

    with ThreadPoolExecutor(4) as threads:
        results = [one.result() for one in [threads.submit(right) for _ in range(300)]]
    assert min(one.failures for one in results if isinstance(one, Begun)) == 1


def test_attempts_with_the_same_subjects_do_not_wait_for_each_other(attempts: Attempts) -> None:
    """Two rows are locked in one order, whichever order the caller names them in."""
    with ThreadPoolExecutor(8) as threads:
        for one in [
            threads.submit(attempts.begin, pair) for _ in range(40) for pair in ([HOME, OFFICE], [OFFICE, HOME])
        ]:
            one.result()


def test_the_tenth_failure_is_a_lockout(attempts: Attempts, clock: MovedClock) -> None:
    assert not fail(attempts, clock, 9, ADA).locks_out
    assert fail(attempts, clock, 1, ADA).locks_out
    assert not fail(attempts, clock, 9, ADA).locks_out
    assert fail(attempts, clock, 1, ADA).locks_out


def test_after_a_clock_stepped_back_nobody_waits_longer_than_before(attempts: Attempts, clock: MovedClock) -> None:
    fail(attempts, clock, 5, ADA)
    clock.move(days=-300)
    assert attempts.begin([ADA]) == Waiting(2, "person")
    clock.move(seconds=1)
    assert attempts.begin([ADA]) == Waiting(1, "person")
    clock.move(seconds=1)
    assert isinstance(attempts.begin([ADA]), Begun)


def test_a_day_without_failures_forgets_them(attempts: Attempts, clock: MovedClock) -> None:
    fail(attempts, clock, 13, ADA)
    assert attempts.begin([ADA]) == Waiting(512, "person")
    clock.move(days=1)
    assert attempts.begin([ADA]) == Begun(1)
    assert PERSON.most == 900
