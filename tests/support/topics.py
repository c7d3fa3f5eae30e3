"""Commands by topic on a test database and a real broker: a principal, its topics, and the process that executes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import orjson

from api.gateway.principals import digest
from tests.integration.workers.running import KEY
from tests.support.kafka import Kafka
from tests.support.postgres import Database
from tests.support.waiting import wait_until
from workers.kafka import client, topics
from workers.kafka.commands.running import execute_until
from workers.settings import Settings

_principals = count(1)

Record = tuple[bytes | None, list[tuple[str, bytes]]]
"""The value and the headers of a record."""


def record(header: str | None, path: str, body: Any = None, **more: Any) -> Record:
    """A record with a command; `header` is its key, None: without one."""
    value = orjson.dumps({"path": f"/v1/{path}", "body": {} if body is None else body, **more})
    return value, [] if header is None else [("idempotency-key", header.encode())]


def transfer(key: str | None, source: str, target: str, amount: str = "1.00") -> Record:
    """A record with a transfer in EUR."""
    return record(key, "transfers", {"source": source, "target": target, "amount": amount, "currency": "EUR"})


@dataclass
class ByTopic:
    """A principal that sends commands by topic."""

    database: Database
    kafka: Kafka
    tokens_file: Path
    principal: str = field(default_factory=lambda: f"client-{os.getpid()}-{next(_principals)}")
    more: Mapping[str, Any] = field(default_factory=dict)
    ends: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may("command")

    def may(self, *roles: str, expires: str | None = None) -> None:
        """Give the principal a token for each of these roles. Nobody else has one."""
        until = {} if expires is None else {"expires": expires}
        entries = [
            {"sha256": digest(f"{self.principal} {role}").hex(), "principal": self.principal, "role": role, **until}
            for role in roles
        ]
        unfinished = self.tokens_file.with_suffix(".new")
        unfinished.write_text(json.dumps(entries))
        unfinished.chmod(0o600)
        unfinished.rename(self.tokens_file)

    @property
    def settings(self) -> Settings:
        given = {"database_url": self.database.url, "master_key": KEY, "kafka_bootstrap_servers": self.kafka.address}
        return Settings(**{**given, "kafka_principals": self.principal, "tokens_file": self.tokens_file, **self.more})

    def environment(self) -> dict[str, str]:
        """The variables that make the same settings for another process."""
        return {
            "DAYBOOK_KAFKA_BOOTSTRAP_SERVERS": self.kafka.address,
            "DAYBOOK_KAFKA_PRINCIPALS": self.principal,
            "DAYBOOK_TOKENS_FILE": str(self.tokens_file),
        }

    @property
    def commands(self) -> str:
        return topics.commands_topic("main", self.principal).name

    @property
    def answers(self) -> str:
        return topics.answers_topic("main", self.principal).name

    def make_topics(self) -> None:
        """Make the topics before a process does."""
        with closing(client.admin(self.settings)) as admin:
            for make in (topics.commands_topic, topics.answers_topic):
                topics.create(admin, make("main", self.principal), 1)

    def send(self, *records: Record) -> None:
        """Send records in order, and wait until they are there."""
        self.kafka.send(self.commands, *[(b"any", value, headers) for value, headers in records])

    def answered(self) -> list[tuple[str, bytes]]:
        """Every answer on the topic, in order: the key and the value."""
        return [(found.key.decode(), found.value) for found in self.kafka.records(self.answers)]

    def wait_for(self, number: int) -> list[tuple[str, bytes]]:
        """Wait until there are so many answers."""
        found: list[tuple[str, bytes]] = []

        def there() -> bool:
            found[:] = self.answered()
            return len(found) >= number or bool(self.ends)

        wait_until(there, f"{number} answers on {self.answers}")
        assert not self.ends, self.ends
        return found

    def answer_to(self, *records: Record) -> list[dict[str, Any]]:
        """Send records and return their answers, while a process executes."""
        before = len(self.answered())
        self.send(*records)
        return [orjson.loads(value) for _, value in self.wait_for(before + len(records))[before:]]

    @contextmanager
    def executing(
        self, *, on_step: Callable[[str], None] = lambda step: None, paused_seconds: float = 15.0
    ) -> Iterator[Event]:
        """Execute in a thread until the block ends. The event stops it earlier."""
        stop = Event()

        def run() -> None:
            try:
                execute_until(self.settings, stop, on_step=on_step, paused_seconds=paused_seconds)
            except BaseException as error:
                self.ends.append(error)

        thread = Thread(target=run, daemon=True)
        thread.start()
        try:
            yield stop
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive(), "the process does not end"
