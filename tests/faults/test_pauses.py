"""Pauses: a process stops while it holds the head, connections stall, or a clock is set back."""

from __future__ import annotations

import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event, Lock

import httpx
import psycopg
import pytest

from tests.faults.checker import check
from tests.faults.clients import deposit, load, open_accounts
from tests.faults.contention import HOLDS_THE_HEAD, WAITS_FOR_THE_HEAD, connection_exists, last_attempt
from tests.faults.messages import line
from tests.faults.proxy import Turns, Verdict, Way, proxied
from tests.faults.world import World
from tests.faults.wrong_clock import FILE
from tests.support.waiting import wait_until

STALL_SECONDS = 1.5
FEW, MANY = 8, 60
"""The number of stalls in the suite, and in a soak."""


@pytest.mark.parametrize("end", ["continued", "killed", pytest.param("left", marks=pytest.mark.soak)])
def test_a_process_stopped_while_it_holds_the_head(world: World, end: str) -> None:
    """The process is stopped in a last attempt, which holds the head. Other commands wait and are answered.

    `left`: the process stays stopped until the server ends its transaction.
    """
    with line(world) as slow, ThreadPoolExecutor(2) as pool:
        one, two = world.api(through=slow.url), world.api()
        (account,) = open_accounts(two, 1, "5.00")
        with last_attempt(slow, partial(pool.submit, deposit, one, account, "mine"), two, account) as (mine, _):
            one.pause()
        wait_until(lambda: connection_exists(world, HOLDS_THE_HEAD), "a transaction that holds the head")
        others = pool.submit(deposit, two, account, "others")
        wait_until(lambda: connection_exists(world, WAITS_FOR_THE_HEAD), "an append that waits for the head")
        if end == "continued":
            one.signal(signal.SIGCONT)
            assert mine.result().status_code == 201
        elif end == "killed":
            one.kill()
            with pytest.raises(httpx.HTTPError):
                mine.result()
        if end == "left":
            wait_until(lambda: not connection_exists(world, HOLDS_THE_HEAD), "the end of its transaction", seconds=90)
            assert deposit(two, account, "others").status_code == 201
            one.signal(signal.SIGCONT)
            with suppress(httpx.HTTPError):
                mine.result()
            one.wait_until_ready()
            assert deposit(one, account, "mine").status_code == 201
        else:
            assert others.result().status_code == 201
            assert deposit(two, account, "mine").status_code == 201
        answered = deposit(two, account, "last").json()
        assert answered["balances"][account]["balance"] == "10.00", (
            "the five euros, two deposits in between, mine, the other one, and the last"
        )
        check(world)


def stalls(world: World, seed: int, most: int) -> None:
    """Connections of an API and of a projector stall in the middle of their work, and then go on."""
    # Shorter intervals on the way to the server, because most messages go to the client.
    turns = Turns(seed, lambda random, way: random.randint(50, 250) // (1 if way == "to the client" else 3))
    stalled: Counter[Way] = Counter()
    counting, over = Lock(), Event()

    def is_due(connection: int, way: Way) -> bool:
        with counting:  # each direction of each connection has a thread
            due = not over.is_set() and stalled[way] < most // 2 and turns.come(connection, way)
            stalled[way] += due  # the same number in each direction
        return due

    def judge(connection: int, way: Way, kind: bytes, content: bytes) -> Verdict:
        if is_due(connection, way):
            over.wait(STALL_SECONDS)  # the fault: everything else goes on meanwhile
        return "pass"

    over.set()
    with proxied(world.server.postgres.data_dir / ".s.PGSQL.5432", judge) as proxy:
        one, two = world.api(through=proxy.url(world.database.name)), world.api()
        world.projector(through=proxy.url(world.database.name))
        accounts = open_accounts(two, 3, "4.00")
        over.clear()
        with load([one, two], accounts, clients=6, seed=seed) as history:
            wait_until(lambda: stalled.total() >= most, f"{most} stalls", seconds=300)
            world.grow(60)
        over.set()
        check(world, history)
    assert set(stalled.values()) == {most // 2}, f"not the same number in each direction: {stalled}"
    assert not history.failures, "a stalled connection is not lost"


@pytest.mark.parametrize("seed", [41])
def test_connections_stall_and_go_on(world: World, seed: int) -> None:
    stalls(world, seed, FEW)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(300, 303))
def test_connections_stall_and_go_on_for_long(world: World, seed: int) -> None:
    stalls(world, seed, MANY)


def times_set_back(world: World) -> int:
    """How often an event was decided at a time long before that of the event before it."""
    with psycopg.connect(world.database.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM (SELECT metadata->>'decided_at' AS at, lag(metadata->>'decided_at') OVER"
            " (ORDER BY position) AS before FROM log.events_as_json) e"
            " WHERE before::timestamptz - at::timestamptz > interval '30 minutes'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_the_clock_of_a_process_steps_back(world: World, tmp_path: Path) -> None:
    """The clocks of two processes differ by hours, and one jumps. Recorded times follow the clock of the database."""
    file = tmp_path / "wrong-by"

    def set_to(seconds: int) -> None:
        (tmp_path / "next").write_text(str(seconds))
        (tmp_path / "next").replace(file)

    set_to(0)
    wrong = world.api(start=False)
    wrong.module, wrong.env[FILE] = "tests.faults.wrong_clock", str(file)
    wrong.start()
    right = world.api()
    world.projector()
    accounts = open_accounts(wrong, 3, "4.00")
    with load([wrong, right], accounts, clients=4, seed=42) as history:
        for seconds in (0, 3_600, -3_600, 600, -7_200):
            set_to(seconds)
            world.grow(60)
        wait_until(lambda: times_set_back(world) > 5, "commands that are decided by a clock that was set back")
    check(world, history)  # also checks that recorded times never fall
