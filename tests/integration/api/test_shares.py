"""One principal uses its whole share of a limit, and another one is still accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

import httpx
import pytest

from api.services import Limits
from tests.integration.api.test_batches import send
from tests.integration.api.test_reads_that_wait import held_back
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service, service_on
from tests.support.waiting import wait_until

MOST = 4
SHARE = 2


@pytest.fixture(scope="module")
def shared(postgres18: Server) -> Iterator[Service]:
    limits = Limits(batches=MOST, followers=MOST, waiting=MOST, principal_share=SHARE / MOST, wait_seconds=60)
    with postgres18.database() as database, service_on(database, limits=limits) as service:
        yield service


def assert_refused(response: httpx.Response, message: str) -> None:
    problem = response.json()
    assert (response.status_code, problem["code"], problem["figures"]) == (429, "too_many", {"most": SHARE}), problem
    assert problem["detail"] == f"{SHARE} {message}, the most allowed for one principal."
    assert response.headers["Retry-After"]


def test_batches(shared: Service) -> None:
    refused: list[httpx.Response] = []

    def another_is_refused() -> bool:
        refused.append(send(shared, b"[]"))
        return refused[-1].status_code == 429

    def second() -> Iterator[bytes]:
        yield b"["
        wait_until(another_is_refused, "a refusal of the third batch")
        assert send(shared, b"[]", role="operator").status_code == 200, "another principal is accepted"
        yield b"]"

    def first() -> Iterator[bytes]:
        yield b"["
        assert send(shared, second()).status_code == 200
        yield b"]"

    assert send(shared, first()).status_code == 200
    assert_refused(refused[-1], "batches are under way for the-command")
    assert send(shared, b"[]").status_code == 200, "the places are free again"


def test_reads_that_wait(shared: Service) -> None:
    with ThreadPoolExecutor(SHARE + 2) as pool:
        with held_back(shared):
            account = shared.account("1.00")
            reads = [pool.submit(shared.get, f"accounts/{account}") for _ in range(SHARE + 1)]
            refused = next(as_completed(reads, timeout=30)).result()
            assert_refused(refused, "reads wait for their min_position for the-report")
            other = pool.submit(shared.get, f"accounts/{account}", role="operator")
        assert other.result().status_code == 200, "the read of another principal waited"
        assert sorted(one.result().status_code for one in reads) == [200] * SHARE + [429]


def test_followers(shared: Service) -> None:
    async def follow(client: httpx.AsyncClient, role: str) -> httpx.Response:
        """The answer that has begun, or its refusal."""
        headers = {"Authorization": f"Bearer {TOKENS[role]}"}
        response = await client.send(client.build_request("GET", "/v1/log/follow", headers=headers), stream=True)
        if response.status_code != 200:
            await response.aread()
        return response

    async def run() -> None:
        async with httpx.AsyncClient(base_url=shared.http.base_url, timeout=30) as client:
            followers = [await follow(client, "audit") for _ in range(SHARE)]
            assert [one.status_code for one in followers] == [200] * SHARE
            assert_refused(await follow(client, "audit"), "clients follow the log for the-audit")
            followers.append(await follow(client, "operator"))
            assert followers[-1].status_code == 200, "another principal is accepted"
            for one in followers:
                await one.aclose()

    asyncio.run(run())
