"""Publishes logs of test databases, and reads what a topic has of them."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from threading import Event, Thread
from typing import Any

from pydantic import SecretStr

from eventstore.log.publications import publications
from eventstore.log.read import read_head
from eventstore.log.unit_records import read_units
from eventstore.postgres.connect import connect
from tests.support.kafka import Kafka
from tests.support.ledger import MASTER_KEY
from tests.support.postgres import Database
from tests.support.waiting import WAIT_SECONDS, wait_until
from workers.kafka.publishing.process import What, publish_until, topic_of
from workers.settings import Settings

_generations = count(1)
_OF_A_PROCESS = 200
"""Generations that each test process may use."""


@dataclass(frozen=True)
class Published:
    """A log and the broker that it is published to, under a generation of its own."""

    database: Database
    kafka: Kafka
    settings: Settings

    def topic(self, what: What = "log") -> str:
        """The name of a topic."""
        return topic_of(self.settings, what).name

    def head(self) -> int:
        """The last position of the log."""
        with connect(self.database.url, application_name="test") as connection:
            return read_head(connection, "main").position

    def reached(self, what: What = "log") -> int:
        """The position up to which the topic is published, as the publisher has recorded it."""
        with connect(self.database.url, application_name="test") as connection:
            found = publications(connection, 1).get(self.topic(what))
        return 0 if found is None else found.position

    def waiting(self, what: What = "log") -> str | None:
        """Why nothing is published, if so."""
        with connect(self.database.url, application_name="test") as connection:
            found = publications(connection, 1).get(self.topic(what))
        return None if found is None else found.waiting

    def wait_until_published(self, what: What = "log", seconds: float = WAIT_SECONDS) -> None:
        """Wait until the topic has the whole log."""
        head = self.head()
        wait_until(lambda: self.reached(what) >= head, f"publishing up to {head} ({self.waiting(what)})", seconds)

    @contextmanager
    def publishing(
        self, what: What = "log", *, on_step: Callable[[str], None] = lambda step: None, **more: Any
    ) -> Iterator[None]:
        """Publish in a thread until the block ends."""
        stop = Event()
        thread = Thread(
            target=publish_until, args=(self.settings, what, stop), kwargs={"on_step": on_step, **more}, daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive(), "the publisher does not end"

    def publish(self, what: What = "log") -> None:
        """Publish the whole log."""
        with self.publishing(what):
            self.wait_until_published(what)

    def assert_exactly_once(self) -> None:
        """The topic has each unit of the log once, in order, to the byte."""
        with connect(self.database.url, application_name="test") as connection:
            units, after = [], 0
            while page := read_units(connection, 1, after, 10_000):
                units += page
                after = page[-1].last
        records = self.kafka.records(self.topic())
        assert [int(dict(record.headers)["last"]) for record in records] == [unit.last for unit in units]
        assert [record.value for record in records] == [unit.record for unit in units]


def end_sessions(database: Database, program: str) -> None:
    """End the sessions of a program, as a server does that is started again."""
    with connect(database.url, application_name="test") as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            (program,),
        ).fetchall()
    assert ended, f"there is no session of {program}"


def published(database: Database, kafka: Kafka, **more: Any) -> Published:
    """A log that is published under a new generation."""
    return Published(database, kafka, settings_for(database, kafka.address, **more))


def settings_for(database: Database, address: str, **more: Any) -> Settings:
    """Settings of a publisher. Each call takes a generation that no other test uses."""
    number = next(_generations)
    assert number < _OF_A_PROCESS, "a process has no more generations"
    defaults = {
        "database_url": database.url,
        "master_key": SecretStr(b64encode(MASTER_KEY).decode()),
        "kafka_bootstrap_servers": address,
        "kafka_generation": os.getpid() * _OF_A_PROCESS + number,
    }
    return Settings(**{**defaults, **more})
