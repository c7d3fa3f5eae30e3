"""Long batches whose API or worker is killed: the next one goes on, and each item has one effect."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import perf_counter
from typing import Any

import httpx
import psycopg
import pytest

from tests.faults import gates
from tests.faults.clients import open_accounts, token
from tests.faults.world import Api, World
from tests.support.ledger import assert_sound
from tests.support.waiting import wait_until
from workers.verify.schema import SCHEMA

CENT = {"amount": "0.01", "currency": "EUR"}
PART = 600
"""Items of a part: more than a group of the executor has."""
SENDER = token("command")


def deposits(accounts: Sequence[str], number: int) -> list[dict[str, Any]]:
    """Items that deposit a cent each."""
    return [
        {"key": f"item-{n}", "path": f"/v1/accounts/{accounts[n % len(accounts)]}/deposits", "body": CENT}
        for n in range(number)
    ]


def opened(api: Api, items: int, key: str = "long") -> str:
    """A long batch. With the key of one that is there, it is that one."""
    sent = httpx.post(
        f"{api.url}/v1/long-batches", json={"items": items}, headers={**SENDER, "Idempotency-Key": key}, timeout=60
    )
    assert sent.status_code == 201, sent.text
    batch: str = sent.json()["batch"]
    return batch


def send_part(api: Api, batch: str, part: int, items: Sequence[Any]) -> httpx.Response:
    return httpx.post(f"{api.url}/v1/long-batches/{batch}/parts/{part}", json=items, headers=SENDER, timeout=60)


def send(api: Api, batch: str, items: Sequence[Any]) -> None:
    """Send all parts. Those that came are answered again."""
    for part, start in enumerate(range(0, len(items), PART), 1):
        answer = send_part(api, batch, part, items[start : start + PART])
        assert answer.status_code == 201, answer.text


def finish(world: World, batch: str) -> None:
    """Wait until the batch has finished, by its stream."""

    def finished() -> bool:
        with psycopg.connect(world.database.url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM log.events WHERE log = 1 AND stream = %s AND type = 'long_batch.finished.v1'",
                (batch,),
            ).fetchone()
        return row == (1,)

    messages = [process.log for process in world.processes if process.arguments == ("batches",)]
    wait_until(finished, f"the end of {batch}; see {messages}")


def check(world: World, batch: str, items: Sequence[Any]) -> None:
    """Each item has one effect, its counts are right, nothing is left beside the log, and the log is sound."""
    with psycopg.connect(world.database.url) as connection:
        deposited = connection.execute(
            "SELECT count(*), count(DISTINCT metadata->>'key') FROM log.events_as_json"
            " WHERE type = 'transaction.posted.v1' AND metadata->>'correlation' = %s",
            (batch,),
        ).fetchone()
        counts = connection.execute(
            "SELECT payload->>'accepted', payload->>'unrecorded' FROM log.events_as_json"
            " WHERE stream = %s AND type = 'long_batch.finished.v1'",
            (batch,),
        ).fetchall()
        parts = connection.execute(
            "SELECT count(*) FROM log.events WHERE stream = %s AND type = 'long_batch.part_done.v1'", (batch,)
        ).fetchone()
    assert deposited == (len(items), len(items))
    assert counts == [(str(len(items)), "0")]
    assert parts == (-(-len(items) // PART),)
    wait_until(lambda: _spooled(world) == 0, "an empty spool")
    assert_sound(world.database)
    world.fold()
    report = world.verified()
    broken = {check.name for check in report.checks if not check.ok} - {SCHEMA}  # gates change log.append
    assert (broken, report.tables.findings) == (set(), ()), report.as_json()


def _spooled(world: World) -> int:
    with psycopg.connect(world.database.url) as connection:
        row = connection.execute("SELECT count(*) FROM batches.parts").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("gate", ["before the keys are looked up", "before it returns"])
@pytest.mark.parametrize("appends", [0, 1, 2, 3])
def test_the_worker_is_killed_in_any_of_its_appends(world: World, gate: str, appends: int) -> None:
    """Some are groups of items, some are what became of a part. A second worker carries out the rest, once."""
    api = world.api()
    items = deposits(open_accounts(api, 4, "5.00"), 2 * PART)
    batch = opened(api, len(items))
    send(api, batch, items)
    gates.install(world.database)
    with gates.closed(world.database, gate) as closed:
        worker = world.batch_worker()
        closed.wait_for_append()
        for _ in range(appends):
            closed.let_one_through()
            closed.wait_for_append()
        worker.kill()
        closed.open()
    world.batch_worker()
    finish(world, batch)
    check(world, batch, items)


def test_two_workers_carry_out_several_batches(world: World) -> None:
    api = world.api()
    accounts = open_accounts(api, 4, "5.00")
    items = deposits(accounts, 4 * PART)
    workers = [world.batch_worker(), world.batch_worker()]
    batches = [opened(api, PART, f"long-{number}") for number in range(4)]
    for number, batch in enumerate(batches):
        assert send_part(api, batch, 1, items[number * PART : (number + 1) * PART]).status_code == 201
    workers[0].pause()
    with psycopg.connect(world.database.url, autocommit=True) as connection:
        connection.execute(  # a paused worker keeps its lock until the server ends its silent session
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'daybook-batches-lock'"
        )
    for batch in batches:
        finish(world, batch)
    for number, batch in enumerate(batches):
        check(world, batch, items[number * PART : (number + 1) * PART])


@pytest.mark.parametrize("gate", ["before the keys are looked up", "before it returns"])
def test_the_api_is_killed_while_it_takes_a_part(world: World, gate: str) -> None:
    """Its body is beside the log, and its event is not, or its answer is lost. Another API takes it again."""
    api, other = world.apis(2)
    items = deposits(open_accounts(api, 4, "5.00"), 2 * PART)
    batch = opened(api, len(items))
    world.batch_worker()
    gates.install(world.database)
    with ThreadPoolExecutor(1) as pool, gates.closed(world.database, gate) as closed:
        unanswered = pool.submit(send_part, api, batch, 1, items[:PART])
        closed.wait_for_append()  # that of the trial, which appends nothing
        closed.let_one_through()
        closed.wait_for_append()
        assert _spooled(world) == 1
        api.kill()
        with pytest.raises(httpx.HTTPError):
            unanswered.result()
        closed.open()
    assert opened(other, len(items)) == batch, "the key finds the batch that was opened"
    send(other, batch, items)
    finish(world, batch)
    check(world, batch, items)
    send(other, batch, items)
    check(world, batch, items)


RUNS, TRANSFERS = 5, 20_000


def transfers(accounts: Sequence[str], name: str) -> list[dict[str, Any]]:
    """Items that move a cent each."""
    number = len(accounts)
    bodies = (
        {"source": accounts[n % number], "target": accounts[(n * 7 + 3) % number], **CENT} for n in range(TRANSFERS)
    )
    return [
        {"key": f"item-of-{name}-{n}", "path": "/v1/transfers", "body": body}
        for n, body in enumerate(body for body in bodies if body["source"] != body["target"])
    ]


@pytest.mark.soak
def test_a_long_batch_is_about_as_fast_as_batches_in_requests(world: World) -> None:
    """It prints the medians: items a second from the first byte that is sent to the last effect."""
    api = world.api()
    accounts = open_accounts(api, 64, "500.00")
    world.batch_worker()
    in_requests, in_background = [], []
    for run in range(-1, RUNS):  # the first is a warm-up
        items = transfers(accounts, f"requests-{run}")
        began = perf_counter()
        for start in range(0, len(items), 10_000):
            headers = {**SENDER, "Idempotency-Key": f"requests-{run}-{start}"}
            sent = httpx.post(f"{api.url}/v1/batches", json=items[start : start + 10_000], headers=headers, timeout=120)
            assert {answer["status"] for answer in sent.json()} == {201}
        in_requests.append(len(items) / (perf_counter() - began))
        items = transfers(accounts, f"long-{run}")
        began = perf_counter()
        batch = opened(api, len(items), f"long-{run}")
        for part, start in enumerate(range(0, len(items), 1_000), 1):
            assert send_part(api, batch, part, items[start : start + 1_000]).status_code == 201
        finish(world, batch)
        in_background.append(len(items) / (perf_counter() - began))
    requests, background = median(in_requests[1:]), median(in_background[1:])
    print(f"in requests {requests:,.0f} items/s {in_requests[1:]}, long batch {background:,.0f} {in_background[1:]}")
    assert background > requests / 3
