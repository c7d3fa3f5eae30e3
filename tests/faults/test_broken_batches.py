"""Batches are interrupted, partly refused, or never answered. Sent again, each item has one effect and one answer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from api.commands.windows import WINDOW
from tests.faults import gates
from tests.faults.checker import check
from tests.faults.clients import ask, ask_all, open_accounts, opening, token
from tests.faults.histories import ATOMIC, Answer, Call, History
from tests.faults.messages import line, the_answer_to_an_append
from tests.faults.world import Api, World
from tests.support.metrics import scrape
from tests.support.waiting import wait_until
from workers.ports import free_port

CENT = {"amount": "0.01", "currency": "EUR"}
QUEUE = 2 * WINDOW + WINDOW // 4
"""Space for two windows of batches, but not for three."""


def deposits(name: str, accounts: Sequence[str], windows: int, by: str = "command") -> list[Call]:
    """Deposits that fill this number of windows of a batch."""
    number = len(accounts)
    paths = [f"/v1/accounts/{accounts[n % number]}/deposits" for n in range(windows * WINDOW)]
    return [Call(f"{name}-{n}", path, CENT, by) for n, path in enumerate(paths)]


def send(api: Api, calls: Sequence[Call]) -> list[Answer]:
    """Send calls as one batch and return their answers."""
    with httpx.Client(base_url=api.url, timeout=60) as http:
        return ask_all(http, calls)


def batches(world: World) -> dict[str, list[str]]:
    """The accepted keys of each batch, by the correlation of their events."""
    with psycopg.connect(world.database.url) as connection:
        rows = connection.execute(
            "SELECT e.metadata->>'correlation', array_agg(c.key) FROM log.commands c JOIN log.events_as_json e"
            " ON e.position = c.last_position WHERE e.metadata->>'correlation' LIKE 'batch%'"
            " GROUP BY 1 ORDER BY min(e.position)"
        ).fetchall()
    return dict(rows)


@pytest.mark.parametrize("gate", ["before the keys are looked up", "before it returns"])
def test_the_api_is_killed_with_half_a_batch_in(world: World, gate: str) -> None:
    """The batch is sent again to another API while its last group is still appended: every item has one effect.

    Items that the first request appended are answered as replays, and no others.
    """
    api, other = world.apis(2)
    calls = deposits("item", open_accounts(api, 4, "5.00"), windows=6)
    gates.install(world.database)
    with ThreadPoolExecutor(2) as pool, gates.closed(world.database, gate) as closed:
        unanswered = pool.submit(send, api, calls)
        closed.wait_for_append()
        closed.let_one_through()
        closed.wait_for_append()
        api.kill()
        with pytest.raises(httpx.HTTPError):
            unanswered.result()
        again = pool.submit(send, other, calls)
        closed.open()
        answers = again.result()
    assert {answer.status for answer in answers} == {201}
    first, second = batches(world).values()
    assert WINDOW <= len(first) < len(calls), "either nothing or all of it is in the log"
    replayed = {call.key for call in calls if call.answers[0].replayed}
    assert replayed == set(first)
    assert set(second) == {call.key for call in calls} - replayed
    assert all(answer.replayed for answer in send(other, calls))
    check(world, History(calls))


@pytest.mark.parametrize("lost", ["on its way to the API", "with the API"])
def test_the_acknowledgement_of_an_atomic_batch_is_lost(world: World, lost: str) -> None:
    """The whole batch is committed and no client is answered. Each retry gets the same answer; there is one effect."""
    with line(world) as lossy, ThreadPoolExecutor(1) as pool:
        api, other = world.api(through=lossy.url), world.api()
        one, two = open_accounts(api, 2, "5.00")
        sent: list[tuple[str, object]] = [
            ("/v1/transfers", {"source": one, "target": two, **CENT}),
            ("/v1/accounts", opening("in-the-batch")),
            (f"/v1/accounts/{one}/withdrawals", CENT),
            (f"/v1/accounts/{two}/freeze", {"reason": "a test"}),
        ]
        call = Call("all-of-it", ATOMIC, [{"path": path, "body": body} for path, body in sent])
        before = world.head()
        with (
            httpx.Client(base_url=api.url, timeout=60) as first,
            httpx.Client(base_url=other.url, timeout=60) as second,
            lossy.held(the_answer_to_an_append) as acknowledgement,
        ):
            unanswered = pool.submit(ask, first, call)
            acknowledgement.wait_until_held()
            wait_until(lambda: world.head() > before, "the commit")
            after = world.head()
            if lost == "with the API":
                api.kill()
                acknowledgement.release()
                with pytest.raises(httpx.HTTPError):
                    unanswered.result()
            else:
                acknowledgement.release("swallow")
                unanswered.result()
                assert not call.answers[0].replayed, "its client has had no answer before"
            for _ in range(2):
                ask(second, call)
                assert call.answers[-1].replayed
    assert (call.status, world.head()) == (201, after)
    check(world, History([call]))


def waiting(api: Api) -> int:
    """The number of commands in the queue of an API."""
    waiting: int = httpx.get(f"{api.url}/v1/health/ready", timeout=30).json()["waiting"]
    return waiting


def turned_away(metrics: int) -> int:
    """How many commands found the queue of an API full, by its metrics."""
    return int(scrape(metrics).of("daybook_commands_turned_away_total", reason="queue_full"))


def test_the_queue_is_full_in_the_middle_of_a_batch(world: World) -> None:
    """Items without a place in the queue are refused and have no effect. A retry is accepted once, alone or in a
    batch.

    The batch waits for the items that it has queued itself. The batch of another principal takes the place of its
    second window.
    """
    metrics = free_port()
    api = world.api(DAYBOOK_QUEUE_LIMIT=str(QUEUE), DAYBOOK_METRICS_PORT=str(metrics))
    accounts = open_accounts(api, 4, "5.00")
    held, *calls = deposits("item", accounts, windows=4)
    theirs = deposits("theirs", accounts, windows=1, by="operator")
    gates.install(world.database)
    with ThreadPoolExecutor(3) as pool, gates.closed(world.database, "before it returns") as closed:
        sent = [pool.submit(send, api, [held])]
        closed.wait_for_append()  # from now on the executor takes nothing from its queue
        sent.append(pool.submit(send, api, theirs))
        wait_until(lambda: waiting(api) == WINDOW, "the other batch in the queue")
        answered = pool.submit(send, api, calls)
        wait_until(lambda: turned_away(metrics) == 2 * WINDOW, "the second and the third window, without a place")
        assert waiting(api) == 2 * WINDOW, "the first window is in the queue"
        closed.open()
        statuses = [answer.status for answer in answered.result()]
        assert {answer.status for one in sent for answer in one.result()} == {201}
    assert [set(statuses[start : start + WINDOW]) for start in range(0, len(statuses), WINDOW)] == [
        {201},
        {503},
        {503},
        {201},
    ]
    alone, *rest = [call for call in calls if not call.answers]
    with httpx.Client(base_url=api.url, timeout=60) as http:
        ask(http, alone)
    for start in range(0, len(rest), WINDOW):
        send(api, rest[start : start + WINDOW])
    assert {(call.status, call.answers[0].replayed) for call in calls} == {(201, False)}, (
        "an item that was refused was not in the log"
    )
    check(world, History([held, *calls, *theirs]))


def test_the_api_is_killed_with_half_a_recorded_batch_in(world: World) -> None:
    """The batch tells which items are in. Sent again, it is the same batch, and all of its items are accepted."""
    api, other = world.apis(2)
    calls = deposits("item", open_accounts(api, 4, "5.00"), windows=6)
    items = [{"key": call.key, "path": call.path, "body": call.body} for call in calls]
    headers = {**token("command"), "Idempotency-Key": "recorded"}

    def post(to: Api) -> httpx.Response:
        return httpx.post(f"{to.url}/v1/batches", json=items, headers=headers, timeout=60)

    def get(path: str) -> Any:
        return httpx.get(f"{other.url}/v1/{path}", headers=headers, timeout=60).json()

    def outcomes() -> dict[str, int]:
        batch = get("commands/recorded")["answer"]["batch"]
        found: dict[str, int] = get(f"batches/{batch}")["outcomes"]
        return {outcome: count for outcome, count in found.items() if count}

    gates.install(world.database)
    with ThreadPoolExecutor(1) as pool, gates.closed(world.database, "before the keys are looked up") as closed:
        unanswered = pool.submit(post, api)
        closed.wait_for_append()
        closed.let_one_through()  # the batch is recorded
        closed.wait_for_append()
        assert outcomes() == {"not_recorded": len(items)}
        closed.let_one_through()
        closed.wait_for_append()
        api.kill()
        with pytest.raises(httpx.HTTPError):
            unanswered.result()
    half = outcomes()
    assert WINDOW <= half["accepted"] < len(items)
    assert half["not_recorded"] == len(items) - half["accepted"]
    again = post(other)
    assert {answer["status"] for answer in again.json()} == {201}
    assert sum("replayed" in answer for answer in again.json()) >= half["accepted"]
    assert outcomes() == {"accepted": len(items)}
    [batch] = batches(world)
    assert again.headers["Daybook-Batch"] == batch, "the items of both attempts name one batch"
