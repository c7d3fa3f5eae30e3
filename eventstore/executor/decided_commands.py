"""What is asked, what was decided on it, and a group of it on its way to the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Struct

from eventstore.executor.reply_sinks import ExecutorError
from eventstore.executor.stream_states import StreamState
from eventstore.log.answers import ACCEPTED, Outcome
from eventstore.log.append import AppendBatch, Read

RECORDED = frozenset((ACCEPTED, Outcome.REFUSED, Outcome.EXPECTATION_FAILED))


class Submission(Struct, frozen=True):
    """A command on its way: whose it is, the key that makes it once only, and what its client stated it saw."""

    command: Any
    actor: str
    key: str
    request_hash: bytes
    metadata: bytes  # JSON, stored with each of its events
    context: Any  # passed to the decision as it is
    expected: Mapping[str, int] = {}
    accepted_status: int = 201
    refused_status: int = 422
    expectation_status: int = 409
    origin: str | None = None

    def status(self, outcome: Outcome) -> int:
        """The HTTP status of an outcome; 0 for one that is not recorded."""
        if outcome is ACCEPTED:
            return self.accepted_status
        if outcome is Outcome.REFUSED:
            return self.refused_status
        return self.expectation_status if outcome is Outcome.EXPECTATION_FAILED else 0


class Task(Protocol):
    """Somebody's submission."""

    @property
    def submission(self) -> Submission: ...


class DecidedCommand(Struct):
    """A decided command."""

    task: Any
    outcome: Outcome
    status: int  # of HTTP; 0 where nothing is recorded
    rule: str | None
    result: dict[str, Any]
    reads: list[Read]
    events: tuple[Any, ...]
    commuting: frozenset[str]
    stored: bytes = b""  # the result as it is recorded


@dataclass(slots=True)
class Group:
    """What its commands rest on and what they make of it."""

    known: dict[str, StreamState] = field(default_factory=dict)  # at its start, by stream
    work: dict[str, Any] = field(default_factory=dict)  # states at its end, of streams that are followed event by event
    counted: dict[str, int] = field(default_factory=dict)  # events by stream, of those that are not
    commands: list[DecidedCommand] = field(default_factory=list)
    again: list[Any] = field(default_factory=list)  # tasks to be decided again
    outdated: set[str] = field(default_factory=set)  # streams that they need read on
    later: list[Any] = field(default_factory=list)  # tasks that did not fit
    rejected: list[tuple[Any, ExecutorError]] = field(default_factory=list)  # tasks that cannot be carried out, and why
    batch: AppendBatch | None = None  # None: there is nothing to append

    def after(self, stream: str) -> StreamState | None:
        """What will be known of a stream it writes to, if all of it goes in; None if it does not write to it."""
        state = self.work.get(stream)
        if state is not None:
            return StreamState(state, state.version, state.version)
        counted = self.counted.get(stream)
        if counted is None:
            return None
        known = self.known[stream]
        return StreamState(known.state, known.version, known.entries_to + counted)
