"""The calls of clients and their answers, which a check compares with the log."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

ACCEPTED, REFUSED = frozenset({200, 201}), 422
NO_ANSWER = frozenset({0, 429, 503})
BATCHES = "/v1/batches"
ATOMIC = f"{BATCHES}?atomic=true"


@dataclass(frozen=True)
class Answer:
    """An answer to a client. Status 0: none, because the connection was lost."""

    status: int
    body: bytes
    replayed: bool


@dataclass
class Call:
    """A command with its key, and every answer: the first one and those to repeated requests."""

    key: str
    path: str
    body: Any
    by: str = "command"  # the role of the client
    began: float = 0.0
    ended: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    decided: int = 0  # the position at which a refusal was decided
    failures: list[str] = field(default_factory=list)  # the responses and errors that are no answer

    @property
    def actor(self) -> str:
        """The actor in the log."""
        return f"the-{self.by}"

    def sent(self) -> None:
        """Record that the call is sent, for the first time or again."""
        self.began = self.began or time.monotonic()

    def record(self, answer: Answer) -> None:
        """Record an answer, or the failure that came instead of one."""
        if answer.status in NO_ANSWER:
            self.failures.append(answer.body.decode())
        else:
            self.ended = self.ended or time.monotonic()
            self.answers.append(answer)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self.answers[0].status

    @property
    def accepted(self) -> bool:
        """Whether the command was accepted."""
        return self.status in ACCEPTED

    @property
    def message(self) -> dict[str, Any]:
        """The body of the answer."""
        read: dict[str, Any] = orjson.loads(self.answers[0].body)
        return read

    @property
    def position(self) -> int:
        """The position of an accepted command in the log."""
        return position_number(self.message["position"])

    @property
    def atomic(self) -> bool:
        """Whether the call has several commands under one key."""
        return self.path == ATOMIC

    @property
    def commands(self) -> list[tuple[str, dict[str, Any]]]:
        """Path and body of the command, or of each command of an atomic batch."""
        return [(item["path"], item["body"]) for item in self.body] if self.atomic else [(self.path, self.body)]


def position_number(position: str) -> int:
    """The number in a position that an API returned."""
    return int(position.rsplit(".", 1)[1])


@dataclass
class History:
    """The calls and answers of all clients."""

    calls: list[Call] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @property
    def failures(self) -> list[str]:
        """The failures of all calls."""
        return [loss for call in self.calls for loss in call.failures]

    def add(self, call: Call) -> None:
        """Add a call."""
        with self._lock:
            self.calls.append(call)

    def call(self, key: str, path: str, body: Any, by: str = "command") -> Call:
        """The call with this key, or a new one if there is none. A repeated request is recorded with the same call."""
        with self._lock:
            for call in self.calls:
                if call.key == key:
                    assert (call.path, call.body, call.by) == (path, body, by), f"{key} was sent for something else"
                    return call
            self.calls.append(Call(key, path, body, by))
            return self.calls[-1]

    @property
    def answered(self) -> list[Call]:
        """The calls that have an answer."""
        return [call for call in self.calls if call.answers]

    @property
    def acknowledged(self) -> str:
        """The last position in an answer; empty if there is none."""
        return next((call.message["position"] for call in reversed(self.calls) if call.answers and call.accepted), "")

    def write(self) -> Path:
        """Write a new file with one line for each call, in the order of their beginning. Return its path."""
        with tempfile.NamedTemporaryFile("wb", prefix="daybook-history-", suffix=".jsonl", delete=False) as file:
            for call in sorted(self.calls, key=lambda call: call.began):
                file.write(orjson.dumps(call, default=bytes.decode) + b"\n")
        return Path(file.name)


@contextmanager
def saved_on_failure(history: History) -> Iterator[None]:
    """An error inside this context gets a note with the file of the history."""
    try:
        yield
    except Exception as error:
        error.add_note(f"The history is in {history.write()}")
        raise
