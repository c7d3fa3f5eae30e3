"""The API, its backend or the database is killed between any two statements of an append, or at its commit.

A command without an answer may be in the log or not. A retry with its key has one effect and one answer.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from tests.faults import gates
from tests.faults.checker import check
from tests.faults.clients import deposit, load, open_account, open_accounts, opening, post, token
from tests.faults.messages import Matches, a_key_to_keep, an_append, line, the_answer_to_an_append
from tests.faults.proxy import Turns, Verdict, Way, proxied
from tests.faults.world import World
from tests.support.waiting import wait_until

HEADERS = {"Authorization": "Bearer secret-of-command"}


def balance(world: World, account: str) -> int:
    with psycopg.connect(world.database.url) as connection:
        row = connection.execute(
            "SELECT sum((payload->>'amount')::numeric * CASE type WHEN 'account.credited.v1' THEN 1 ELSE -1 END)"
            " FROM log.events_as_json WHERE stream = %s AND type LIKE 'account.%%ed.v1' AND payload ? 'amount'",
            (account,),
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("gate", gates.GATES)
def test_the_api_is_killed_while_its_append_is_under_way(world: World, gate: str) -> None:
    """The backend goes on and commits the append. A retry gets its answer and changes nothing."""
    api, other = world.api(), world.api()
    (account,) = open_accounts(api, 1, "5.00")
    gates.install(world.database)
    before = world.head()
    with ThreadPoolExecutor(2) as pool, gates.closed(world.database, gate) as closed:
        unanswered = pool.submit(deposit, api, account, "the-one")
        closed.wait_for_append()
        api.kill()
        with pytest.raises(httpx.HTTPError):
            unanswered.result()
        retried = pool.submit(deposit, other, account, "the-one")
        closed.open()
        answer = retried.result()
    assert answer.status_code == 201, answer.text
    again = deposit(other, account, "the-one")
    assert (again.content, again.headers["Idempotency-Replayed"]) == (answer.content, "true")
    wait_until(lambda: world.head() == before + 3, "one unit and no other")
    assert balance(world, account) == 600
    check(world)


@pytest.mark.parametrize("gate", gates.GATES)
def test_the_backend_is_killed_while_the_append_is_under_way(world: World, gate: str) -> None:
    """The API loses its connection, connects again and appends again: one effect and one answer."""
    api = world.api()
    (account,) = open_accounts(api, 1, "5.00")
    gates.install(world.database)
    before = world.head()
    with ThreadPoolExecutor(1) as pool, gates.closed(world.database, gate) as closed:
        answer = pool.submit(deposit, api, account, "the-one")
        first = closed.wait_for_append()
        world.superuser().execute("SELECT pg_terminate_backend(%s)", (first,))
        wait_until(lambda: closed.waiting() not in (first, None), "the second append at the gate")
        closed.open()
        answered = answer.result()
    assert answered.status_code == 201, answered.text
    assert "Idempotency-Replayed" not in answered.headers, "its client had no answer before"
    assert world.head() == before + 3
    assert balance(world, account) == 600
    check(world)


@pytest.mark.parametrize("held", [a_key_to_keep, an_append], ids=["before the key is kept", "before the append"])
def test_the_api_is_killed_around_storing_the_key_of_a_new_person(world: World, held: Matches) -> None:
    """The person may have a key and no account yet. The retry uses this key, and the name can be read."""
    body = opening("somebody-new")
    with line(world) as slow, ThreadPoolExecutor(1) as pool:
        api, other = world.api(through=slow.url), world.api()
        before = world.head()
        with slow.held(held) as message:
            unanswered = pool.submit(post, api, "/v1/accounts", body, "open-it")
            message.wait_until_held()
            api.kill()
            with pytest.raises(httpx.HTTPError):
                unanswered.result()
            message.release("swallow")
        assert world.head() == before
        account = open_account(other, "open-it", body)
    check(world)
    answered = httpx.get(f"{other.url}/v1/accounts/{account}", headers=token("report"), timeout=30)
    assert answered.json()["name"] == "somebody-new"


@pytest.mark.parametrize("gate", gates.soaked(gates.GATES, "before the events are inserted", "before it returns"))
def test_the_database_is_killed_while_the_append_is_under_way(world: World, gate: str) -> None:
    """After the recovery, an append without a commit has left nothing, and no position is missing."""
    api = world.api()
    (account,) = open_accounts(api, 1, "5.00")
    gates.install(world.database)
    before = world.head()
    with ThreadPoolExecutor(1) as pool:
        with gates.closed(world.database, gate) as closed:
            answer = pool.submit(deposit, api, account, "the-one")
            closed.wait_for_append()
            world.kill_postgres()
        world.start_postgres()
        answered = answer.result()
    if answered.status_code == 503:  # the server was away for longer than the API retries
        api.wait_until_ready()
        answered = deposit(api, account, "the-one")
    assert answered.status_code == 201, answered.text
    assert world.head() == before + 3
    assert balance(world, account) == 600
    check(world)


def test_the_acknowledgement_of_a_commit_is_lost(world: World) -> None:
    """The reply of the database is dropped and the connection cut. The API looks up the key and finds the commit."""
    with line(world) as lossy:
        api = world.api(through=lossy.url)
        (account,) = open_accounts(api, 1, "5.00")
        before = world.head()
        with ThreadPoolExecutor(1) as pool, lossy.held(the_answer_to_an_append) as acknowledgement:
            answer = pool.submit(deposit, api, account, "the-one")
            acknowledgement.wait_until_held()
            wait_until(lambda: world.head() > before, "the commit")
            acknowledgement.release("swallow")
            answered = answer.result()
        assert answered.status_code == 201, answered.text
        assert "Idempotency-Replayed" not in answered.headers
        assert world.head() == before + 3, "once"
        assert deposit(api, account, "the-one").content == answered.content
    assert balance(world, account) == 600
    check(world)


def test_connections_cut_at_any_message(world: World) -> None:
    """Each connection is cut in the middle of a random message. The clients retry until they are answered."""
    socket_file = world.server.postgres.data_dir / ".s.PGSQL.5432"
    turns = Turns(8, lambda random, way: random.randint(50, 400) // (1 if way == "to the client" else 3))
    cut: set[int] = set()
    armed = False

    def judge(connection: int, way: Way, kind: bytes, content: bytes) -> Verdict:
        if armed and connection not in cut and turns.come(connection, way):
            cut.add(connection)
            return "cut"
        return "pass"

    with proxied(socket_file, judge) as proxy:
        api = world.api(through=proxy.url(world.database.name))
        world.projector(through=proxy.url(world.database.name))
        accounts = open_accounts(api, 4, "50.00")
        world.wait_until_folded()  # a projector that loses its database at its start ends with a message
        armed = True
        with load([api], accounts, clients=4, seed=7) as history:
            wait_until(lambda: len(cut) >= 8 and len(history.answered) >= 100, "eight cuts and a hundred answers")
        armed = False
        check(world, history, marked=False)


def test_twenty_clients_with_one_key_on_two_processes(world: World) -> None:
    one, two = world.api(), world.api()
    (account,) = open_accounts(one, 1, "5.00")
    before = world.head()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: deposit((one, two)[n % 2], account, "the-same"), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1, (
        "exactly one of them was the first"
    )
    assert world.head() == before + 3
    check(world, marked=False)  # the first command need not be the first one answered
