"""A command conflicts and is decided again, until it holds the head, while connections are lost and processes killed.

Only its last attempt has a transaction of several statements with a COMMIT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import httpx
import orjson
import pytest

from tests.faults import gates
from tests.faults.checker import check
from tests.faults.clients import EURO, ask_all, deposit, open_accounts
from tests.faults.contention import HOLDS_THE_HEAD, WAITS_FOR_THE_HEAD, connection_exists, last_attempt
from tests.faults.messages import Line, Matches, a_commit, an_append, committed, line, ready_within_a_transaction
from tests.faults.world import Api, World
from tests.support.ledger import balances
from tests.support.waiting import wait_until

AROUND_THE_COMMIT: dict[str, Matches] = {
    "appended": ready_within_a_transaction,
    "COMMIT": a_commit,
    "committed": committed,
}
"""The messages between the append of a last attempt and its end. From `committed` on it is in the log."""


def once(world: World, account: str, answer: httpx.Response, *apis: Api) -> None:
    """All three deposits have one effect each, and a repeated request gets the first answer again."""
    assert answer.status_code == 201, answer.text
    for api in apis:
        again = deposit(api, account, f"mine-{account}")
        assert (again.status_code, again.content) == (201, answer.content)
        assert again.headers["Idempotency-Replayed"] == "true"
    assert balances(world.database)[account] == 500 + 3 * 100
    check(world)


def test_the_connection_is_lost_around_the_commit_of_a_last_attempt(world: World) -> None:
    """The API cannot know whether the append is committed. It appends again with the key and answers its client."""
    with line(world) as slow, ThreadPoolExecutor(1) as pool:
        one, two = world.api(through=slow.url), world.api()
        accounts = open_accounts(two, len(AROUND_THE_COMMIT), "5.00")
        before = world.head()
        for account, (name, lost) in zip(accounts, AROUND_THE_COMMIT.items(), strict=True):
            post = partial(pool.submit, deposit, one, account, f"mine-{account}")
            with last_attempt(slow, post, two, account) as (mine, attempt):
                with slow.held(lost) as message:
                    attempt.release()
                    message.wait_until_held()
                    assert connection_exists(world, HOLDS_THE_HEAD) == (name != "committed")
                    assert not mine.done(), "no answer before the result is known"
                    message.release("swallow")
                answer = mine.result()
            assert "Idempotency-Replayed" not in answer.headers, "its client had no answer before"
            once(world, account, answer, one, two)
        assert world.head() == before + len(accounts) * 3 * 3


@pytest.mark.parametrize("at", AROUND_THE_COMMIT)
def test_the_api_is_killed_around_the_commit_of_its_last_attempt(world: World, at: str) -> None:
    """A retry on another API gets the answer as a replay if the append was committed, and is the first one otherwise.

    `COMMIT`: the API is killed after it sent the COMMIT. The COMMIT arrives later, while the retry waits for the head.
    """
    with line(world) as slow, ThreadPoolExecutor(2) as pool:
        one, two = world.api(through=slow.url), world.api()
        (account,) = open_accounts(two, 1, "5.00")
        before = world.head()
        with (
            last_attempt(slow, partial(pool.submit, deposit, one, account, f"mine-{account}"), two, account) as (
                mine,
                attempt,
            ),
            slow.held(AROUND_THE_COMMIT[at]) as message,
        ):
            attempt.release()
            message.wait_until_held()
            one.kill()
            with pytest.raises(httpx.HTTPError):
                mine.result()
            retried = pool.submit(deposit, two, account, f"mine-{account}")
            if at == "COMMIT":
                wait_until(lambda: connection_exists(world, WAITS_FOR_THE_HEAD), "a retry that waits for the head")
            message.release()
            answer = retried.result()
        assert answer.headers.get("Idempotency-Replayed") == (None if at == "appended" else "true")
        once(world, account, answer, two)
        assert world.head() == before + 3 * 3


Results = dict[str, tuple[str, bool]]
"""For each account in a batch, the position of its deposit, and whether the answer is a replay."""


def both(api: Api, *accounts: str) -> Results:
    """Deposit one euro on each account, in one batch, which is one group. Return the results."""
    calls = [api.history.call(f"mine-{account}", f"/v1/accounts/{account}/deposits", EURO) for account in accounts]
    with httpx.Client(base_url=api.url, timeout=60) as http:
        answers = ask_all(http, calls)
    assert [answer.status for answer in answers] == [201] * len(accounts), answers
    return {
        account: (orjson.loads(answer.body)["position"], answer.replayed)
        for account, answer in zip(accounts, answers, strict=True)
    }


@contextmanager
def in_a_conflict(
    world: World, slow: Line, gate: str, post: Callable[[], Future[Results]], other: Api, moved: str
) -> Iterator[tuple[Future[Results], gates.Gate]]:
    """A request over a slow line. Its append finds that the account `moved` has changed, and stops at the gate."""
    with gates.closed(world.database, gate) as closed:
        with slow.held(an_append) as append:
            posted = post()
            append.wait_until_held()
            assert deposit(other, moved, f"between-{gate}").status_code == 201
        yield posted, closed


def test_the_backend_is_killed_in_a_conflict(world: World) -> None:
    """The whole group is rolled back, also its valid commands. The API executes all of it again."""
    with line(world) as slow, ThreadPoolExecutor(1) as pool:
        one, two = world.api(through=slow.url), world.api()
        accounts = open_accounts(two, 2 * len(gates.IN_A_CONFLICT), "5.00")
        gates.install(world.database)
        before = world.head()
        for number, gate in enumerate(gates.IN_A_CONFLICT):
            moved, other = accounts[2 * number : 2 * number + 2]
            post = partial(pool.submit, both, one, moved, other)
            with in_a_conflict(world, slow, gate, post, two, moved) as (posted, closed):
                world.superuser().execute("SELECT pg_terminate_backend(%s)", (closed.wait_for_append(),))
                answers = posted.result()
            assert not any(replayed for _, replayed in answers.values()), "their client had no answer before"
            assert both(two, moved, other) == {account: (position, True) for account, (position, _) in answers.items()}
            assert world.head() == before + (number + 1) * 3 * 3
            held = balances(world.database)
            assert (held[moved], held[other]) == (700, 600)
        check(world)


@pytest.mark.parametrize("gate", gates.soaked(gates.IN_A_CONFLICT, "before a command is compared with the taint"))
def test_the_api_is_killed_in_a_conflict(world: World, gate: str) -> None:
    """The valid commands of the group are committed without the API, the others are not. A retry shows which."""
    with line(world) as slow, ThreadPoolExecutor(2) as pool:
        one, two = world.api(through=slow.url), world.api()
        moved, other = open_accounts(two, 2, "5.00")
        gates.install(world.database)
        before = world.head()
        post = partial(pool.submit, both, one, moved, other)
        with in_a_conflict(world, slow, gate, post, two, moved) as (posted, closed):
            closed.wait_for_append()
            one.kill()
            with pytest.raises(httpx.HTTPError):
                posted.result()
            retried = pool.submit(both, two, moved, other)
            closed.open()
            answers = retried.result()
        assert {account: replayed for account, (_, replayed) in answers.items()} == {moved: False, other: True}
        assert both(two, moved, other) == {account: (position, True) for account, (position, _) in answers.items()}
        assert world.head() == before + 3 * 3
        held = balances(world.database)
        assert (held[moved], held[other]) == (700, 600)
        check(world)
