"""Forced races between processes: one changes an account while another decides, or both use the same key."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep
from typing import Any

import httpx
import orjson
import psycopg
import pytest

from tests.faults.checker import check
from tests.faults.clients import (
    EURO,
    answer_of,
    ask,
    deposit,
    load,
    open_account,
    open_accounts,
    opening,
    post,
    token,
)
from tests.faults.histories import Call
from tests.faults.messages import an_append, line
from tests.faults.world import CASH, FEES, Api, World
from tests.support.waiting import PAUSE_SECONDS, wait_until


def test_old_keys_sent_late_in_reverse_order_to_another_process_get_their_first_answers(world: World) -> None:
    """Many old calls are repeated at once, last first, on a process that never saw them: same answers, no effect."""
    one, two = world.apis(2)
    accounts = open_accounts(one, 4, "4.00")
    with load([one, two], accounts, clients=4, seed=31, most=40) as history:
        pass
    one.kill()
    with load([two], accounts, clients=2, seed=32, most=20) as later:
        pass
    three = world.api()
    before = world.head()
    with httpx.Client(base_url=two.url, timeout=30) as old, httpx.Client(base_url=three.url, timeout=30) as new:

        def again(number: int, call: Call) -> None:
            for http in (new, old) if number % 2 else (old, new):
                answer = answer_of(ask(http, call))
                while answer.status == 429:  # too many concurrent batches of one principal
                    sleep(PAUSE_SECONDS)
                    answer = answer_of(ask(http, call))
                assert answer.replayed, (answer, call)

        with ThreadPoolExecutor(6) as pool:
            answered = [pool.submit(again, n, call) for n, call in enumerate(reversed([*history.calls, *later.calls]))]
        for answer in answered:
            answer.result()
        other = Call(
            history.calls[0].key, f"/v1/accounts/{accounts[0]}/deposits", {"amount": "9.99", "currency": "EUR"}
        )
        reused = ask(new, other)
        assert (reused.status_code, reused.json()["code"]) == (409, "key_reused")
    assert world.head() == before
    check(world, history, later)


def test_a_delayed_first_request_gets_the_answer_of_its_retry(world: World) -> None:
    """The first request of a command is held before its append. Its client retries on another API and sends other
    commands. Then the first append arrives."""
    with line(world) as slow:
        one, two = world.api(through=slow.url), world.api()
        (account,) = open_accounts(two, 1, "5.00")
        with ThreadPoolExecutor(1) as pool, slow.held(an_append) as first:
            late = pool.submit(deposit, one, account, "the-one")
            first.wait_until_held()
            answered = deposit(two, account, "the-one")
            for key in ("another", "one-more"):
                assert deposit(two, account, key).status_code == 201
            head = world.head()
            first.release()
            assert late.result().content == answered.content
            assert late.result().headers["Idempotency-Replayed"] == "true"
        assert (answered.status_code, world.head()) == (201, head)
        check(world)


def test_a_stale_cache_refuses_nothing_that_another_made_possible(world: World) -> None:
    """One process has an old state of an account, because another process deposited money, froze and unfroze it."""
    one, two = world.apis(2)
    (account,) = open_accounts(one, 1, "5.00")
    assert deposit(one, account, "so that it is cached").status_code == 201
    ten, twelve = ({"amount": amount, "currency": "EUR"} for amount in ("10.00", "12.00"))
    withdrawals, state = f"/v1/accounts/{account}/withdrawals", {"reason": "a test"}
    assert post(two, f"/v1/accounts/{account}/deposits", ten, "more").status_code == 201
    assert post(one, withdrawals, twelve, "possible now").status_code == 201
    assert operate(two, f"{account}/freeze", "freeze", state) == (200, "")
    assert operate(one, f"{account}/deposits", "while frozen", EURO) == (422, "account_frozen")
    assert operate(two, f"{account}/unfreeze", "unfreeze", state) == (200, "")
    assert operate(one, f"{account}/deposits", "after it", EURO) == (201, "")
    assert post(two, withdrawals, EURO, "all but nothing").status_code == 201
    assert post(one, withdrawals, twelve, "too much").status_code == 422
    check(world)


def operate(api: Api, path: str, key: str, body: dict[str, Any]) -> tuple[int, str]:
    """Send a command of an operator. Return the status, and the code of a refusal."""
    response = post(api, f"/v1/accounts/{path}", body, key, by="operator")
    return response.status_code, response.json().get("code", "")


WHY = {"reason": "a test"}

RACES = [
    ("{funded}/fees", EURO, f"{FEES}/close", "account_closed", "balance_not_zero"),
    ("{empty}/deposits", EURO, "{empty}/close", "account_closed", "balance_not_zero"),
    ("{funded}/deposits", EURO, f"{CASH}/freeze", "account_frozen", ""),
]
"""An entry, a change of state, and the rule that refuses each one if the other came first."""


@pytest.mark.parametrize("first", ["entry", "change"])
def test_entries_race_with_changes_of_state(world: World, first: str) -> None:
    """Both are decided on an open account. The append of one is held until another process has appended the other."""
    with line(world) as slow:
        held, free = world.api(through=slow.url), world.api()
        (funded,), empty = open_accounts(free, 1, "5.00"), open_account(free, "open-empty", opening("empty"))
        for api in (
            free,
            held,
        ):  # only the other command of the race changes accounts after the cache of `held` is filled
            assert operate(api, f"{funded}/withdrawals", f"warm-{api.port}", EURO)[0] == 201
        for number, (entry, body, change, entry_refused, change_refused) in enumerate(RACES):
            entering = (entry.format(funded=funded, empty=empty), f"entry-{number}", body)
            changing = (change.format(funded=funded, empty=empty), f"change-{number}", WHY)
            quick, slower = (entering, changing) if first == "entry" else (changing, entering)
            refused = change_refused if first == "entry" else entry_refused
            with ThreadPoolExecutor(1) as pool, slow.held(an_append) as append:
                late = pool.submit(operate, held, *slower)
                append.wait_until_held()
                assert operate(free, *quick)[0] in (200, 201)
                append.release()
                assert late.result() == ((422, refused) if refused else (200, ""))
        check(world)


def follow(api: Api, seen: list[tuple[int, str]], stop: Event) -> None:
    """Read all events of `GET log/follow`. After a lost connection, continue from the last id."""
    while not stop.is_set():
        headers = token("audit") | ({"Last-Event-ID": f"main.1.{seen[-1][0]}"} if seen else {})
        try:
            with httpx.stream("GET", f"{api.url}/v1/log/follow", headers=headers, timeout=15) as stream:
                assert stream.status_code == 200, stream.read()
                for id, data in _events(stream.iter_lines()):
                    if stop.is_set():
                        return
                    if data is not None:
                        assert data["position"] == int(id.rsplit(".", 1)[1]), data
                        seen.append((data["position"], data["type"]))
        except httpx.HTTPError:
            stop.wait(0.02)


def _events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    id = ""
    for message in lines:
        if message.startswith("id: "):
            id = message.removeprefix("id: ")
        elif message.startswith("data: "):
            yield id, orjson.loads(message.removeprefix("data: "))
        elif message.startswith(":"):
            yield id, None


def test_a_live_tail_from_two_processes_while_writers_race(world: World) -> None:
    """Each follower sees the whole log once, in order, even if its process is killed."""
    one, two = world.apis(2)
    accounts = open_accounts(one, 4, "4.00")
    tails: list[list[tuple[int, str]]] = [[], []]
    stop = Event()
    with ThreadPoolExecutor(2) as pool:
        following = [pool.submit(follow, api, seen, stop) for api, seen in zip((one, two), tails, strict=True)]
        try:
            with load([one, two], accounts, clients=6, seed=33) as history:
                wait_until(lambda: len(tails[1]) > 300, "a tail")
                two.kill()
                two.start()
                world.grow(300)
            wait_until(lambda: all(seen and seen[-1][0] >= world.head() for seen in tails), "followers at the head")
        finally:
            stop.set()  # the followers notice at the next heartbeat
        assert deposit(one, accounts[0], "so that followers get an event").status_code in (201, 422)
        for follower in following:
            follower.result()
    with psycopg.connect(world.database.url) as connection:
        log = connection.execute("SELECT position, type FROM log.events ORDER BY position").fetchall()
    for seen in tails:
        assert seen == log[: len(seen)], "in order, with no event missing or repeated"
    check(world, history)
