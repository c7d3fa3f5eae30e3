"""A publisher is killed, stopped, fenced and cut off: the topic has each unit once, in order, to the byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from kafka.errors import KafkaError
from pydantic import SecretStr

from eventstore.keys.master_keys import MasterKeys
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.postgres.connect import connect
from tests.faults.publishing_process import PAUSED_SECONDS
from tests.integration.workers.running import environment
from tests.support.kafka import Kafka, OwnKafka
from tests.support.kafka_proxy import ADD_PARTITIONS_TO_TXN, END_TXN, FETCH, INIT_PRODUCER_ID, PRODUCE, Loss
from tests.support.ledger import MASTER_KEY, Ledger, ledger_on, transfer
from tests.support.postgres import Database
from tests.support.published import Published, published
from tests.support.waiting import wait_until
from workers.kafka import client, last_records, topics
from workers.kafka.key_records import KeyFeed
from workers.kafka.publishing import publisher
from workers.kafka.publishing.log_publication import LogPublication
from workers.kafka.publishing.publisher import Publisher
from workers.settings import variable

STEPS = ("init", "begin", "send", "flush", "commit", "committed")
STOPPED_SECONDS, UNANSWERED_MS = 30.0, 90_000
"""A stop takes some seconds, on a busy machine more. A publisher that waited for the client would need 90."""
IN_THE_SUITE = {("commit", 2), ("committed", 1)}


@pytest.fixture(autouse=True)
def _small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "MOST_EVENTS", 10)


@contextmanager
def publishing_process(log: Published, step: str, passes: int, number: int) -> Iterator[subprocess.Popen[str]]:
    """A publisher that sends itself a signal at a step."""
    settings = log.settings
    assert isinstance(settings.master_key, SecretStr)
    env = environment(
        log.database,
        **{
            variable("kafka_bootstrap_servers"): str(settings.kafka_bootstrap_servers),
            variable("kafka_generation"): str(settings.kafka_generation),
        },
    )
    running = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.faults.publishing_process", step, str(passes), str(number)],
        env=env,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def transfers(ledger: Ledger, number: int) -> None:
    """Transfers between the account of cash and a new one."""
    account = ledger.account(balance=1_000_000)
    other = ledger.account()
    for _ in range(number):
        ledger.accepted(transfer(account, other, 1))


def wait_for(process: subprocess.Popen[str]) -> None:
    """Wait until the process has come to its step."""
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n", "the publisher did not come to the step"


@pytest.mark.parametrize(
    ("step", "passes"),
    [
        pytest.param(step, passes, marks=() if (step, passes) in IN_THE_SUITE else pytest.mark.soak)
        for step in STEPS
        for passes in ((0,) if step == "init" else range(4))
    ],
)
def test_a_publisher_is_killed(database18: Database, kafka: Kafka, step: str, passes: int) -> None:
    log = published(database18, kafka)
    with ledger_on(database18) as ledger:
        transfers(ledger, 3_000)
        with publishing_process(log, step, passes, signal.SIGKILL) as process:
            wait_for(process)
            process.wait()
        transfers(ledger, 10)
        log.publish()
    log.assert_exactly_once()


def test_a_publisher_is_stopped_replaced_and_woken(database18: Database, kafka: Kafka) -> None:
    """It wakes before its commit. Another one has fenced it, so the commit fails, and it waits for its turn."""
    log = published(database18, kafka)
    with ledger_on(database18) as ledger:
        transfers(ledger, 1_500)
        with publishing_process(log, "commit", 1, signal.SIGSTOP) as process:
            wait_for(process)
            with log.publishing(paused_seconds=PAUSED_SECONDS):
                log.wait_until_published()
                os.kill(process.pid, signal.SIGCONT)
                transfers(ledger, 20)
                log.wait_until_published()
            transfers(ledger, 20)
            log.wait_until_published()  # by the one that was woken
    log.assert_exactly_once()


def publisher_of(log: Published) -> Iterator[Publisher]:
    """A publisher without the lock that keeps others away."""
    with connect(log.database.url, application_name="test") as connection:
        feed = KeyFeed(connection, 1, MasterKeys(SubjectKeys(connection, 1), MASTER_KEY), MASTER_KEY)
        consumer = client.consumer(log.settings)
        keys_topic = topics.keys_topic("main", log.settings.kafka_generation).name
        publication = LogPublication(connection, "main", consumer, log.topic(), keys_topic, feed)
        made = Publisher(client.transactional_producer(log.settings, publication.transactional_id), publication)
        try:
            yield made
        finally:
            made.close()
            consumer.close()


def test_of_two_publishers_at_once_the_older_is_fenced(database18: Database, kafka: Kafka) -> None:
    log = published(database18, kafka)
    with ledger_on(database18) as ledger:
        transfers(ledger, 5)
        log.publish()
        transfers(ledger, 100)
        with contextmanager(publisher_of)(log) as older:
            assert older.step()
            with contextmanager(publisher_of)(log) as newer:
                assert newer.position == older.position
                assert newer.step()
                with pytest.raises(KafkaError):
                    older.step()
                while newer.step():
                    pass
    log.assert_exactly_once()


def test_a_broker_is_killed_and_started_again(database18: Database, own_kafka: OwnKafka) -> None:
    log = published(database18, own_kafka.direct)
    with ledger_on(database18) as ledger, log.publishing():
        transfers(ledger, 100)
        wait_until(lambda: log.reached() > 50, "the first transactions")
        own_kafka.broker.kill()
        transfers(ledger, 100)
        own_kafka.broker.start()
        transfers(ledger, 10)
        log.wait_until_published()
    log.assert_exactly_once()


def behind_proxy(database: Database, own: OwnKafka) -> Published:
    """A log whose publisher goes through the proxy; the test reads directly."""
    direct = published(database, own.direct)
    there = direct.settings.model_copy(update={"kafka_bootstrap_servers": own.proxied.address})
    return Published(database, own.direct, there)


LOSSES: tuple[tuple[int, Loss], ...] = tuple(
    (api, what) for api in (PRODUCE, END_TXN, ADD_PARTITIONS_TO_TXN, INIT_PRODUCER_ID) for what in ("request", "answer")
)


def test_requests_and_acknowledgements_are_lost_one_by_one(database18: Database, own_kafka: OwnKafka) -> None:
    proxy = own_kafka.proxy
    log = behind_proxy(database18, own_kafka)
    with ledger_on(database18) as ledger:
        for number, (api, what) in enumerate(LOSSES, 1):
            proxy.lose(api, what)
            with log.publishing():
                transfers(ledger, 20)
                log.wait_until_published()
                wait_until(lambda n=number: len(proxy.lost) >= n, f"the loss of {what} {api}")  # type: ignore[misc]
    assert proxy.lost == list(LOSSES)
    log.assert_exactly_once()


def test_a_batch_that_is_never_acknowledged_does_not_leave_a_hole(
    database18: Database, own_kafka: OwnKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kafka-python 3.0.12 commits a transaction although a record of it has failed. The publisher looks at each."""
    monkeypatch.setattr(client, "DELIVERY_MS", 1_500)
    monkeypatch.setattr(client, "REQUEST_MS", 1_000)
    proxy = own_kafka.proxy
    log = behind_proxy(database18, own_kafka)
    with ledger_on(database18) as ledger, log.publishing():
        transfers(ledger, 20)
        log.wait_until_published()
        proxy.lose(PRODUCE, "request", 200)
        transfers(ledger, 20)
        wait_until(lambda: "Kafka cannot be used" in (log.waiting() or ""), "the failure of a record")
        proxy.forgive()
        transfers(ledger, 20)
        log.wait_until_published()
    log.assert_exactly_once()


def test_a_publisher_that_gets_no_answer_can_be_stopped(
    database18: Database, own_kafka: OwnKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends within the time for which it waits for one answer, and the next one goes on from the topic."""
    for module, name in ((publisher, "FLUSH_SECONDS"), (publisher, "COMMIT_SECONDS"), (last_records, "_SECONDS")):
        monkeypatch.setattr(module, name, 1.0)
    for name, more in (("REQUEST_MS", 0), ("BLOCK_MS", 0), ("DELIVERY_MS", client.DELIVERY_MS)):
        monkeypatch.setattr(client, name, UNANSWERED_MS + more)
    log = behind_proxy(database18, own_kafka)
    with ledger_on(database18) as ledger:
        for api in (PRODUCE, END_TXN, FETCH):
            transfers(ledger, 5)
            log.publish()
            transfers(ledger, 5)
            with own_kafka.proxy.holding(api) as gate:
                with log.publishing():
                    wait_until(gate.reached.is_set, "a request that is not answered")
                    asked = monotonic()
                assert monotonic() - asked < STOPPED_SECONDS, f"API {api}"
        log.publish()
    log.assert_exactly_once()


def test_a_publisher_that_fails_again_and_again_leaves_no_threads(
    database18: Database, own_kafka: OwnKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 1.0)
    monkeypatch.setattr("workers.kafka.outage.KAFKA_SECONDS", 0.05)
    proxy = own_kafka.proxy
    log = behind_proxy(database18, own_kafka)
    with ledger_on(database18) as ledger, log.publishing():
        transfers(ledger, 10)
        log.wait_until_published()
        before = threading.active_count()
        for _ in range(5):
            proxy.cut()
            transfers(ledger, 3)
            proxy.mend()
            log.wait_until_published()
        wait_until(lambda: threading.active_count() <= before + 2, "the end of threads of producers")
    log.assert_exactly_once()
