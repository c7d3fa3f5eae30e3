"""What clients asked for and were told: the calls that a check holds against the log."""

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
TOLD_NOTHING = frozenset({0, 429, 503})
BATCHES = "/v1/batches"
ATOMIC = f"{BATCHES}?atomic=true"


@dataclass(frozen=True)
class Answer:
    """What somebody was told; status 0: nothing, because the connection was lost."""

    status: int
    body: bytes
    replayed: bool


@dataclass
class Call:
    """A command with its key, and every answer it got: the first, and those to the same again."""

    key: str
    path: str
    body: Any
    by: str = "command"  # the role of who asks for it
    began: float = 0.0
    ended: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    decided: int = 0  # of a refusal: the position at which it was decided
    silences: list[str] = field(default_factory=list)  # what came instead of an answer, if anything

    @property
    def actor(self) -> str:
        """Whom the log names as having asked for it."""
        return f"the-{self.by}"

    def asked(self) -> None:
        """It is sent now, for the first time or again."""
        self.began = self.began or time.monotonic()

    def record(self, answer: Answer) -> None:
        """What it was told now, or what came instead."""
        if answer.status in TOLD_NOTHING:
            self.silences.append(answer.body.decode())
        else:
            self.ended = self.ended or time.monotonic()
            self.answers.append(answer)

    @property
    def status(self) -> int:
        """Of its answer."""
        return self.answers[0].status

    @property
    def accepted(self) -> bool:
        """Whether it was told that it has gone in."""
        return self.status in ACCEPTED

    @property
    def message(self) -> dict[str, Any]:
        """The body of its answer."""
        read: dict[str, Any] = orjson.loads(self.answers[0].body)
        return read

    @property
    def position(self) -> int:
        """At which it is in the log, if it was accepted."""
        return place(self.message["position"])

    @property
    def atomic(self) -> bool:
        """Whether it is several commands under one key."""
        return self.path == ATOMIC

    @property
    def commands(self) -> list[tuple[str, dict[str, Any]]]:
        """Path and body of what is asked for: of one command, or of those of an atomic batch."""
        return [(item["path"], item["body"]) for item in self.body] if self.atomic else [(self.path, self.body)]


def place(position: str) -> int:
    """The number in a position that an API has told."""
    return int(position.rsplit(".", 1)[1])


@dataclass
class History:
    """What all clients did and were told."""

    calls: list[Call] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    @property
    def silences(self) -> list[str]:
        """What all of them got instead of answers."""
        return [silence for call in self.calls for silence in call.silences]

    def add(self, call: Call) -> None:
        """One more."""
        with self._lock:
            self.calls.append(call)

    def call(self, key: str, path: str, body: Any, by: str = "command") -> Call:
        """The one with this key; a new one if there is none. Whoever asks again is written down with it."""
        with self._lock:
            for call in self.calls:
                if call.key == key:
                    assert (call.path, call.body, call.by) == (path, body, by), f"{key} was sent for something else"
                    return call
            self.calls.append(Call(key, path, body, by))
            return self.calls[-1]

    @property
    def answered(self) -> list[Call]:
        """Those that were told what became of them."""
        return [call for call in self.calls if call.answers]

    @property
    def acknowledged(self) -> str:
        """The position that somebody was told last; empty if nobody was told any."""
        return next((call.message["position"] for call in reversed(self.calls) if call.answers and call.accepted), "")

    def write(self) -> Path:
        """To a new file, one call a line in the order in which they began; where that is."""
        with tempfile.NamedTemporaryFile("wb", prefix="daybook-history-", suffix=".jsonl", delete=False) as file:
            for call in sorted(self.calls, key=lambda call: call.began):
                file.write(orjson.dumps(call, default=bytes.decode) + b"\n")
        return Path(file.name)


@contextmanager
def kept(history: History) -> Iterator[None]:
    """Whatever fails in here says in which file the history is."""
    try:
        yield
    except Exception as error:
        error.add_note(f"The history is in {history.write()}")
        raise
