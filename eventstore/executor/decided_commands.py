"""Commands from submission to append: submitted, pending, decided, and grouped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from eventstore.executor.reply_sinks import ExecutorError, ReplySink
from eventstore.executor.stream_states import StreamState
from eventstore.log.answers import ACCEPTED, Codes, Outcome
from eventstore.log.append import AppendBatch, Read

RECORDED = frozenset((ACCEPTED, Outcome.REFUSED, Outcome.EXPECTATION_FAILED))


class Submission(Struct, frozen=True, kw_only=True):
    """A command to execute: its actor, its idempotency key, and the versions that the client expects."""

    command: Any
    actor: str
    key: str
    request_hash: bytes
    metadata: bytes  # JSON, stored with each of its events
    context: Any  # passed to the decision as it is
    expected: Mapping[str, int] = {}
    codes: Codes
    origin: str | None = None


class Task(Struct):
    """A submitted command until it is answered. `sink` gets `token` back with the answer."""

    submission: Submission
    sink: ReplySink
    token: Any
    resubmitted: bool = False  # after a lost acknowledgement: a duplicate is then its own first append
    followers: list[Task] = []  # with the same actor and key, in the same group


class DecidedCommand(Struct, kw_only=True):
    """A decided command."""

    task: Task
    outcome: Outcome
    code: int  # see `Codes`
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
