"""A replica as a user meets it: real processes that copy, fold and answer reads, without reach to the origin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.kafka.histories import some_history
from tests.integration.workers.running import daybook, environment, started
from tests.integration.workers.test_serve import write
from tests.support.kafka import Kafka
from tests.support.ledger import ledger_on
from tests.support.postgres import Database, Server
from tests.support.published import Published, published
from tests.support.waiting import wait_until
from workers.ports import free_port

HOW_TO = Path(__file__).parents[3] / "docs" / "howto" / "run-a-replica.md"
MIGRATE, WORK, SERVE, LAG, VERIFY, *BY_PARTITION = (
    line.split() for line in re.findall(r"^    daybook (.*)$", HOW_TO.read_text(), re.M)
)
"""The commands of the how-to, in its order. The last ones are for a database of another kind."""
KEY = {"Authorization": "Bearer first"}
SECONDS = 60.0
"""How long a client of the API waits for an answer."""


@pytest.fixture
def log(database18: Database, kafka: Kafka) -> Published:
    return published(database18, kafka)


@pytest.fixture
def replica(postgres18: Server) -> Iterator[Database]:
    with postgres18.database(migrated=False) as database:
        yield database


def answers(url: str) -> bool:
    """Whether the API answers."""
    try:
        return httpx.get(url, headers=KEY, timeout=SECONDS).status_code == 200
    except httpx.TransportError:
        return False


def test_a_replica_copies_folds_and_answers_reads_only(log: Published, replica: Database, tmp_path: Path) -> None:
    port = free_port()
    write(tmp_path / "tokens.json", "first", role="operator")
    env = environment(
        replica,
        DAYBOOK_TOKENS_FILE=str(tmp_path / "tokens.json"),
        DAYBOOK_PORT=str(port),
        DAYBOOK_KAFKA_BOOTSTRAP_SERVERS=log.kafka.address,
        DAYBOOK_KAFKA_GENERATION=str(log.settings.kafka_generation),
    )
    base = f"http://127.0.0.1:{port}/v1"
    migrated = daybook(*MIGRATE, env=env)
    assert migrated.returncode == 0, migrated.stderr
    with (
        ledger_on(log.database) as ledger,
        log.publishing(),
        httpx.Client(base_url=base, headers=KEY, timeout=SECONDS) as http,
    ):
        some_history(ledger, 5)
        log.wait_until_published()
        with started(*WORK, env=env):
            wait_until(lambda: daybook_lag(env) == log.head(), "the copy")
            with started(*SERVE, env=env):
                wait_until(lambda: answers(f"{base}/lag"), "an API that answers")
                some_history(ledger, 5)
                lag = http.get("/lag").json()
                assert [copy["topic"] for copy in lag["copies"]] == [log.topic()]
                wait_until(lambda: http.get("/lag").json()["head"] == log.head(), "the newest position")
                newest = {"min_position": f"main.1.{log.head()}"}
                # The API waits two seconds for the fold, then the client asks again.
                wait_until(lambda: http.get("/accounts", params=newest).status_code != 503, "a read of that position")
                read = http.get("/accounts", params=newest)
                assert read.status_code == 200, read.text
                assert len(read.json()["items"]) >= 4
                assert http.get("/health/ready").status_code == 200
                refused = http.post("/transfers", json={}, headers={"Idempotency-Key": "x"})
                assert (refused.status_code, refused.json()["code"]) == (421, "read_only")
                assert http.post("/batches", content=b"").json()["code"] == "read_only"
        verified = daybook(*VERIFY, env=env)
        assert verified.returncode == 0, verified.stdout + verified.stderr


def daybook_lag(env: dict[str, str]) -> int:
    """The position of the copy, by `daybook lag`; 0 before it begins."""
    done = daybook(*LAG, "--json", env=env)
    if done.returncode != 0:
        return 0
    found: dict[str, int] = httpx.Response(200, content=done.stdout).json()
    return found["head"]
