"""The proxy of the fault tests loses and holds what it is asked to. Each case shows what the broker then has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from kafka import KafkaProducer

from tests.support import kafka as kafka_support
from tests.support.kafka import OwnKafka
from tests.support.kafka_proxy import END_TXN, PRODUCE, Loss
from tests.support.waiting import wait_until
from workers.kafka import client, topics

FORGETFUL = {"enable_idempotence": False, "acks": "all", "retries": 5, "retry_backoff_ms": 20}
"""A producer whose retry the broker cannot tell from a new record."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnKafka]:
    """One broker for this module: the faults here leave it whole."""
    with kafka_support.own_kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def topic(own: OwnKafka) -> str:
    name = own.direct.log_name()
    with closing(client.admin(own.direct.settings())) as admin:
        topics.create(admin, topics.Topic(name, 1, {}), 1)
    return name


@contextmanager
def producer(own: OwnKafka, **options: Any) -> Iterator[KafkaProducer]:
    with closing(KafkaProducer(**client.connection_options(own.proxied.settings()), **options)) as made:
        yield made


def values(own: OwnKafka, topic: str) -> list[bytes]:
    """What the broker has."""
    return [record.value for record in own.direct.records(topic)]


@pytest.mark.parametrize(("what", "copies"), [("request", 1), ("answer", 2)])
def test_a_lost_request_was_not_carried_out_and_one_whose_answer_is_lost_was(
    own: OwnKafka, topic: str, what: Loss, copies: int
) -> None:
    with producer(own, **FORGETFUL) as sending:
        own.proxy.lost.clear()
        own.proxy.lose(PRODUCE, what)
        sending.send(topic, b"one", partition=0).get(timeout=30)
    assert own.proxy.lost == [(PRODUCE, what)]
    assert values(own, topic) == [b"one"] * copies


def test_the_loss_comes_after_so_many_requests_of_that_api_and_so_many_times(own: OwnKafka, topic: str) -> None:
    with producer(own, **FORGETFUL) as sending:
        own.proxy.lost.clear()
        own.proxy.lose(PRODUCE, "answer", times=2, after=1)
        for value in (b"one", b"two"):
            sending.send(topic, value, partition=0).get(timeout=30)
    assert own.proxy.lost == [(PRODUCE, "answer")] * 2
    assert values(own, topic) == [b"one", b"two", b"two", b"two"]


def test_only_the_api_that_is_named_is_lost(own: OwnKafka, topic: str) -> None:
    with closing(client.transactional_producer(own.proxied.settings(), topic)) as sending:
        sending.init_transactions()
        sending.begin_transaction()
        own.proxy.lost.clear()
        own.proxy.lose(END_TXN, "answer")
        sending.send(topic, b"one", partition=0).get(timeout=30)
        assert own.proxy.lost == []
        sending.commit_transaction()
    assert own.proxy.lost == [(END_TXN, "answer")]
    assert values(own, topic) == [b"one"]


def test_a_held_request_is_carried_out_when_the_hold_ends(own: OwnKafka, topic: str) -> None:
    with producer(own) as sending:
        with own.proxy.holding(PRODUCE) as gate:
            sent = sending.send(topic, b"one", partition=0)
            assert gate.reached.wait(30)
            assert values(own, topic) == []
            assert not sent.is_done
        sent.get(timeout=30)
    assert values(own, topic) == [b"one"]


def test_what_is_cut_reaches_nobody_until_it_is_mended(own: OwnKafka, topic: str) -> None:
    with producer(own) as sending:
        sending.send(topic, b"one", partition=0).get(timeout=30)
        own.proxy.cut()
        sent = sending.send(topic, b"two", partition=0)
        refused = own.proxy.refused
        wait_until(lambda: own.proxy.refused > refused, "a connection that is refused")
        assert values(own, topic) == [b"one"]
        own.proxy.mend()
        sent.get(timeout=30)
    assert values(own, topic) == [b"one", b"two"]
