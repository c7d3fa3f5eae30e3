"""Reads with `min_position` wait for a bounded time, do not block others, and never wait for a future position."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

import httpx
import psycopg

from api.services import Limits
from tests.support.postgres import Server
from tests.support.service import Service, service_on

MANY = 60
"""More than the number of threads for reads."""


@contextmanager
def held_back(service: Service) -> Iterator[None]:
    """Stop the projections until the block ends."""
    with psycopg.connect(service.database.url) as holder:
        holder.execute("LOCK TABLE read.checkpoints IN EXCLUSIVE MODE")
        yield


def test_a_position_beyond_the_head_is_refused_at_once(postgres18: Server) -> None:
    """Such a position comes from no answer, and a read could wait for it in vain."""
    with postgres18.database() as database, service_on(database, limits=Limits(wait_seconds=3600)) as service:
        service.account("1.00")
        written = service.last["position"]
        log, epoch, head = written.rsplit(".", 2)
        for position in (int(head) + 1, 999_999_999):
            asked = f"{log}.{epoch}.{position}"
            response = service.get("accounts", min_position=asked)
            assert (response.status_code, response.json()["code"]) == (400, "position"), response.text
            assert response.json()["detail"] == f"'{asked}' is beyond the head of the log, {written}."
        assert service.get("accounts", min_position=written).status_code == 200


def test_a_read_that_waits_in_vain_is_answered_with_the_folded_position(postgres18: Server) -> None:
    with postgres18.database() as database, service_on(database, limits=Limits(wait_seconds=0.05)) as service:
        with held_back(service):
            service.account("1.00")
            written = service.last["position"]
            response = service.get("accounts", min_position=written)
        problem = response.json()
        assert (response.status_code, problem["code"]) == (503, "not_yet_visible")
        assert (problem["figures"]["projection"], f"main.1.{problem['figures']['asked']}") == ("accounts", written)
        assert problem["figures"]["reached"] < problem["figures"]["asked"]
        assert response.headers["Retry-After"]


def test_reads_that_wait_leave_threads_to_others_and_are_bounded(postgres18: Server) -> None:
    limits = Limits(wait_seconds=60, waiting=MANY, principal_share=1)
    with postgres18.database() as database, service_on(database, limits=limits) as service:

        def read(_: int) -> httpx.Response:
            return service.get(f"accounts/{account}")

        with ThreadPoolExecutor(MANY + 1) as pool:
            with held_back(service):
                account = service.account("1.00")
                reads = [pool.submit(read, number) for number in range(MANY + 1)]
                refused = next(as_completed(reads, timeout=30)).result()
                # One is refused when the most reads wait already.
                assert (refused.status_code, refused.json()["code"]) == (503, "busy"), refused.text
                assert f"{MANY} reads wait for their min_position, the most allowed" in refused.json()["detail"]
                assert refused.headers["Retry-After"]
                assert service.get("health/ready").status_code == 200
                assert service.get(f"accounts/{account}", fresh=False).status_code == 404, (
                    "not folded, and refused soon"
                )
                assert sum(one.done() for one in reads) == 1
            answers = [one.result() for one in reads]
        assert sorted(answer.status_code for answer in answers) == [200] * MANY + [503]
        assert {answer.json()["balance"] for answer in answers if answer.status_code == 200} == {"1.00"}
