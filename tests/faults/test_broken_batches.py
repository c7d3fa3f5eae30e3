"""Batches broken off, refused in part, or never answered: sent again, every item has one effect and one answer."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from api.commands.batches import WINDOW
from tests.faults import gates
from tests.faults.checker import check
from tests.faults.clients import ask, ask_all, open_accounts, opening
from tests.faults.histories import ATOMIC, Answer, Call, History
from tests.faults.messages import line, the_answer_to_an_append
from tests.faults.world import Api, World
from tests.support.waiting import wait_until

CENT = {"amount": "0.01", "currency": "EUR"}
QUEUE = 2 * WINDOW + WINDOW // 4
"""Room for two windows of batches and not for three."""


def deposits(name: str, accounts: Sequence[str], windows: int, by: str = "command") -> list[Call]:
    """Items that fill so many windows of a batch."""
    number = len(accounts)
    paths = [f"/v1/accounts/{accounts[n % number]}/deposits" for n in range(windows * WINDOW)]
    return [Call(f"{name}-{n}", path, CENT, by) for n, path in enumerate(paths)]


def send(api: Api, calls: Sequence[Call]) -> list[Answer]:
    """As one batch: what each is told."""
    with httpx.Client(base_url=api.url, timeout=60) as http:
        return ask_all(http, calls)


def batches(world: World) -> dict[str, list[str]]:
    """The keys that went in with each batch, by what their events name as correlation."""
    with psycopg.connect(world.database.url) as connection:
        rows = connection.execute(
            "SELECT e.metadata->>'correlation', array_agg(c.key) FROM log.commands c JOIN log.events_as_json e"
            " ON e.position = c.last_position WHERE e.metadata->>'correlation' LIKE 'batch%'"
            " GROUP BY 1 ORDER BY min(e.position)"
        ).fetchall()
    return dict(rows)


@pytest.mark.parametrize("gate", ["before the keys are looked up", "before it returns"])
def test_the_api_is_killed_with_half_a_batch_in(world: World, gate: str) -> None:
    """The batch is sent again elsewhere while what is left of the first is still going in: every item has one effect.

    What the first had brought in is answered as a replay, and nothing else is.
    """
    api, other = world.apis(2)
    calls = deposits("item", open_accounts(api, 4, "5.00"), windows=6)
    gates.put_in(world.database)
    with ThreadPoolExecutor(2) as pool, gates.closed(world.database, gate) as closed:
        unanswered = pool.submit(send, api, calls)
        closed.wait_for_somebody()
        closed.let_one_through()
        closed.wait_for_somebody()
        api.kill()
        with pytest.raises(httpx.HTTPError):
            unanswered.result()
        again = pool.submit(send, other, calls)
        closed.open()
        answers = again.result()
    assert {answer.status for answer in answers} == {201}
    first, second = batches(world).values()
    assert WINDOW <= len(first) < len(calls), "it is in as a whole, or not at all"
    replayed = {call.key for call in calls if call.answers[0].replayed}
    assert replayed == set(first)
    assert set(second) == {call.key for call in calls} - replayed
    assert all(answer.replayed for answer in send(other, calls))
    check(world, History(calls))


@pytest.mark.parametrize("lost", ["on its way to the API", "with the API"])
def test_the_acknowledgement_of_an_atomic_batch_is_lost(world: World, lost: str) -> None:
    """All of it is committed and nobody is told. Whoever asks again has the one answer, and there is one effect."""
    with line(world) as lossy, ThreadPoolExecutor(1) as pool:
        api, other = world.api(through=lossy.url), world.api()
        one, two = open_accounts(api, 2, "5.00")
        asked: list[tuple[str, object]] = [
            ("/v1/transfers", {"source": one, "target": two, **CENT}),
            ("/v1/accounts", opening("in-the-batch")),
            (f"/v1/accounts/{one}/withdrawals", CENT),
            (f"/v1/accounts/{two}/freeze", {"reason": "the test wishes so"}),
        ]
        call = Call("all-of-it", ATOMIC, [{"path": path, "body": body} for path, body in asked])
        before = world.head()
        with (
            httpx.Client(base_url=api.url, timeout=60) as first,
            httpx.Client(base_url=other.url, timeout=60) as second,
            lossy.held(the_answer_to_an_append) as acknowledgement,
        ):
            unanswered = pool.submit(ask, first, call)
            acknowledgement.wait_for_it()
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
    """How many commands are in its queue."""
    waiting: int = httpx.get(f"{api.url}/v1/health/ready", timeout=30).json()["waiting"]
    return waiting


def test_the_queue_is_full_in_the_middle_of_a_batch(world: World) -> None:
    """What has no place is told so, item by item, and is not in; asked again, alone or in a batch, it goes in, once.

    The batch waits for what it has queued itself; somebody else's batch is what takes the place of its second window.
    """
    api = world.api(DAYBOOK_QUEUE_LIMIT=str(QUEUE))
    accounts = open_accounts(api, 4, "5.00")
    held, *calls = deposits("item", accounts, windows=4)
    theirs = deposits("theirs", accounts, windows=1, by="operator")
    gates.put_in(world.database)
    with ThreadPoolExecutor(3) as pool, gates.closed(world.database, "before it returns") as closed:
        sent = [pool.submit(send, api, [held])]
        closed.wait_for_somebody()  # from now on the executor takes nothing from its queue
        sent.append(pool.submit(send, api, theirs))
        wait_until(lambda: waiting(api) == WINDOW, "the other batch in the queue")
        answered = pool.submit(send, api, calls)
        wait_until(lambda: waiting(api) >= 2 * WINDOW, "the first window in the queue")
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
    assert {(call.status, call.answers[0].replayed) for call in calls} == {(201, False)}, "who was refused was not in"
    check(world, History([held, *calls, *theirs]))
