"""APIs, projectors and the database are killed under load. All answers stay true, and nothing else is in the log."""

from __future__ import annotations

import random
import signal

import pytest

from tests.faults.checker import Book, check, reads_are_of_one_position
from tests.faults.clients import load, open_accounts
from tests.faults.histories import History
from tests.faults.readers import reading
from tests.faults.world import World
from tests.support.waiting import wait_until

SHORT, LONG = 3, 40
"""The number of kills in the suite, and in a soak."""


def kills(seed: int, times: int, world: World) -> None:
    choose = random.Random(seed)
    one, two = world.api(), world.api()
    projector = world.projector()
    accounts = open_accounts(one, 6, "4.00")
    with (
        load([one, two], accounts, clients=8, seed=seed) as history,
        reading([one, two], history, readers=1) as readings,
    ):
        for _ in range(times):
            world.grow(choose.randint(30, 400))
            victim = choose.choice([one, two, projector])
            victim.kill()
            grow_or_not = victim is projector or choose.random() < 0.5
            if grow_or_not:
                world.grow(choose.randint(10, 100))
            victim.start()
        world.grow(100)
        wait_until(lambda: len(readings) > 0, "a read")
        wait_until(lambda: any(call.status == 422 for call in history.answered), "a refusal")
        wait_until(lambda: _outcomes_of_atomic(history) == {True, False}, "atomic batches, some accepted, some refused")
    check(world, history)
    reads_are_of_one_position(Book.of(world), readings)
    assert history.failures, "no request failed: the test shows nothing"


def _outcomes_of_atomic(history: History) -> set[bool]:
    """Whether the atomic batches that were answered so far were accepted."""
    return {call.accepted for call in history.answered if call.atomic}


@pytest.mark.parametrize("seed", [1])
def test_apis_and_projectors_are_killed(world: World, seed: int) -> None:
    kills(seed, SHORT, world)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 110))
def test_apis_and_projectors_are_killed_for_long(world: World, seed: int) -> None:
    kills(seed, LONG, world)


def crashes(seed: int, times: int, world: World) -> None:
    choose = random.Random(seed)
    one, two = world.api(), world.api()
    world.projector()
    accounts = open_accounts(one, 6, "4.00")
    world.wait_until_folded()  # a projector without a database at its start ends with a message
    with (
        load([one, two], accounts, clients=8, seed=seed) as history,
        reading([one, two], history, readers=1) as readings,
    ):
        for _ in range(times):
            world.grow(choose.randint(30, 400))
            answered = len(history.answered)
            world.kill_postgres()
            world.start_postgres()
            for api in (one, two):
                api.wait_until_ready()
            wait_until(lambda answered=answered: len(history.answered) > answered + 20, "answers again")  # type: ignore[misc]
        world.grow(100)
        wait_until(lambda: len(readings) > 0, "a read")
        wait_until(lambda: any(call.status == 422 for call in history.answered), "a refusal")
    check(world, history, marked=False)
    reads_are_of_one_position(Book.of(world), readings, crashes=True)


@pytest.mark.parametrize("seed", [2])
def test_the_database_is_killed_and_recovers(world: World, seed: int) -> None:
    crashes(seed, 2, world)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(200, 205))
def test_the_database_is_killed_for_long(world: World, seed: int) -> None:
    crashes(seed, 15, world)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_on_the_same_accounts_answer_every_command(world: World, processes: int) -> None:
    """Eight clients use two accounts and the cash account. Every command is answered at the first request."""
    apis = world.apis(processes)
    world.projector()
    accounts = open_accounts(apis[0], 2, "4.00")
    with load(apis, accounts, clients=8, seed=3, most=40) as history:
        pass
    assert len(history.answered) == 8 * 40
    assert history.failures == [], "a request failed because of contention"
    check(world, history)


def test_every_answer_of_an_api_that_was_paused_is_right(world: World) -> None:
    """The API is stopped with cached states and continued when all of them are out of date. Its answers are right."""
    sleeper, other = world.api(), world.api()
    world.projector()
    accounts = open_accounts(sleeper, 4, "4.00")
    with load([sleeper], accounts, clients=2, seed=4, most=20) as history:
        pass
    sleeper.pause()
    with load([other], accounts, clients=4, seed=5, most=60) as meanwhile:
        pass
    sleeper.signal(signal.SIGCONT)
    with load([sleeper, other], accounts, clients=4, seed=6, most=40) as after:
        pass
    assert sum(len(answered.answered) for answered in (history, meanwhile, after)) == 2 * 20 + 4 * 60 + 4 * 40
    check(world, history, meanwhile, after)
