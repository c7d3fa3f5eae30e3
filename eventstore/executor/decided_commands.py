"""Commands from submission to append: submitted, pending, decided, and grouped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from eventstore.executor.reply_sinks import ExecutorError, NewerEventError, ReplySink
from eventstore.executor.stream_states import StreamState
from eventstore.log.answers import ACCEPTED, Answer, Codes, Outcome
from eventstore.log.append import AppendBatch, Read

RECORDED = frozenset((ACCEPTED, Outcome.REFUSED, Outcome.EXPECTATION_FAILED))


class CommandTimes(Struct, kw_only=True):
    """When a traced command came to each step, in nanoseconds of the monotonic clock; 0 if it has not.

    The executor's thread writes it before it delivers the answer; the caller reads it after that. A command that was
    decided again has the times of the last attempt.
    """

    queued_ns: int
    begun_ns: int = 0  # its group is being decided
    decided_ns: int = 0  # its group is decided and encoded
    sent_ns: int = 0
    appended_ns: int = 0  # PostgreSQL has answered
    group_size: int = 0
    answer: Answer | None = None


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
    dry_run: bool = False  # decide and answer as if it were executed, and record nothing
    times: CommandTimes | None = None  # None: it is not traced


class Task(Struct):
    """A submitted command until it is answered. `sink` gets `token` back with the answer."""

    submission: Submission
    sink: ReplySink
    token: Any
    resubmitted: bool = False  # the acknowledgement was lost: a duplicate may be its own first append
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
    tried: tuple[Any, ...] = ()  # of a dry run: the events that would be appended
    stored: bytes = b""  # the result as it is recorded


@dataclass(slots=True)
class Group:
    """Commands that are appended together, with the states they read and the states they make."""

    known: dict[str, StreamState] = field(default_factory=dict)  # states at the start, by stream
    work: dict[str, Any] = field(default_factory=dict)  # states at the end, of streams whose every event is known here
    counted: dict[str, int] = field(default_factory=dict)  # number of new events of the other streams
    commands: list[DecidedCommand] = field(default_factory=list)
    again: list[Any] = field(default_factory=list)  # to be decided again
    outdated: set[str] = field(default_factory=set)  # streams to be read again before that
    later: list[Any] = field(default_factory=list)  # did not fit into this group
    rejected: list[tuple[Any, ExecutorError]] = field(default_factory=list)  # cannot be executed, and why
    newer: dict[str, str] = field(default_factory=dict)  # streams that only a newer program can fold, with the type
    batch: AppendBatch | None = None  # None: there is nothing to append
    begun_ns: int = 0  # of the monotonic clock: when deciding it began, and when it was encoded
    decided_ns: int = 0

    def check(self, streams: Iterable[str]) -> None:
        """Check that this program can fold these streams. Raises `NewerEventError`."""
        for stream in streams:
            if stream in self.newer:
                raise NewerEventError(stream, self.newer[stream])

    def after(self, stream: str) -> StreamState | None:
        """The state of a stream after the group, if all of it goes in; None for a stream it does not write to."""
        state = self.work.get(stream)
        if state is not None:
            return StreamState(state, state.version, state.version)
        counted = self.counted.get(stream)
        if counted is None:
            return None
        known = self.known[stream]
        return StreamState(known.state, known.version, known.entries_to + counted)
