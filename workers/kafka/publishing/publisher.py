"""Publishes a log to Kafka: whole units, in order, in transactions.

A publication says what is sent; the publisher sends it. What the topic has is the only memory of where to go on: after
any error the producer is thrown away, and the next one begins by reading the last committed record. So nothing is
missing and nothing is there twice, whatever the outcome of a commit was (ADR 0031).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Final, NamedTuple, Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

logger = logging.getLogger(__name__)

MOST_EVENTS: Final = 2_000
"""Events of a transaction, about: it goes on to the end of the unit."""
FLUSH_SECONDS: Final = 10.0
"""A transaction takes about 50 ms. After a lost connection, kafka-python 3.0.12 can be busy sending nothing until the
delivery time-out ends; a new producer goes on at once."""
COMMIT_SECONDS: Final = 20.0
"""kafka-python waits for ever for a commit that no broker answers. By then the coordinator has ended the transaction
(`workers.kafka.client.TRANSACTION_MS`)."""
ALIVE_SECONDS: Final = 0.25
"""How often a publication is told that the publisher still waits for Kafka."""


class Outgoing(NamedTuple):
    """A record that is to be sent."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class OutgoingPage:
    """The records of one transaction. The topic then has every event up to `upto`."""

    upto: int
    records: Sequence[Outgoing]


class Publication(Protocol):
    """What is published of a log, and where."""

    @property
    def name(self) -> str:
        """The name of its topic."""

    @property
    def transactional_id(self) -> str:
        """The id under which its producers fence each other."""

    def resume(self) -> int:
        """The position up to which the topic has the log. Called once no older producer can write any more.

        Raises `TopicError` if the topic does not belong to this log, or the log is not what was published.
        """

    def page(self, after: int, most: int) -> OutgoingPage | None:
        """The records after a position, for about `most` events; None if there is nothing to publish."""

    def alive(self) -> None:
        """The publisher waits for Kafka. Said now and then, so that nobody takes it for stopped."""


class Publisher:
    """Publishes until something fails; then `close` it and make a new one. Not thread-safe."""

    def __init__(
        self, producer: KafkaProducer, publication: Publication, *, on_step: Callable[[str], None] = lambda step: None
    ) -> None:
        """Fence older producers, and find out where to go on. Raises `KafkaError`, `TopicError`, `psycopg.Error`.

        `on_step` is called with the name of each step of a transaction, before it, for tests that stop there.
        """
        self._producer = producer
        self._publication = publication
        self._on_step = on_step
        self._coming: OutgoingPage | None = None
        on_step("init")
        self._within(COMMIT_SECONDS, producer.init_transactions, "init_transactions")
        self.position = publication.resume()

    def step(self) -> bool:
        """Publish one page, unless there is nothing. Whether something was published."""
        page = self._coming or self._publication.page(self.position, MOST_EVENTS)
        self._coming = None
        if page is None:
            return False
        self._on_step("begin")
        self._producer.begin_transaction()
        self._on_step("send")
        send = self._producer.send
        sent = [send(topic, value, key, headers, partition) for topic, partition, key, value, headers in page.records]
        self._coming = self._publication.page(page.upto, MOST_EVENTS)  # while the brokers take these
        self._on_step("flush")
        self._within(FLUSH_SECONDS, lambda: self._producer.flush(FLUSH_SECONDS), "flush")
        for future in sent:  # a failed record does not make the commit fail
            if future.failed():
                raise future.exception
        self._on_step("commit")
        self._within(COMMIT_SECONDS, self._producer.commit_transaction, "commit_transaction")
        self._on_step("committed")
        self.position = page.upto
        return True

    def _within(self, seconds: float, do: Callable[[], object], name: str) -> None:
        within(seconds, do, name, self._publication.alive)

    def close(self) -> None:
        """Throw the producer away. What it has not committed is aborted by the next one."""
        dispose(self._producer)


def within(seconds: float, do: Callable[[], object], name: str, alive: Callable[[], None] = lambda: None) -> None:
    """Do it in another thread, and wait for it for a bounded time. Raises its error, or `KafkaTimeoutError`.

    `alive` is called every `ALIVE_SECONDS` meanwhile.
    A call that hangs keeps its thread until the process ends: one for each time that the brokers were lost in it.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            do()
        except BaseException as error:
            raised.append(error)

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    deadline = monotonic() + seconds
    thread.join(ALIVE_SECONDS)
    while thread.is_alive() and monotonic() < deadline:
        alive()
        thread.join(ALIVE_SECONDS)
    if thread.is_alive():
        raise KafkaTimeoutError(f"{name} was not answered within {seconds:g} seconds")
    if raised:
        raise raised[0]


def dispose(producer: KafkaProducer) -> None:
    """Close a producer without sending what waits. `close` alone raises then, and leaves its thread behind."""
    with suppress(KafkaError, OSError):
        producer._sender.force_close()
        producer.close(timeout=1)
