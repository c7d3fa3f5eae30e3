"""Builds a group: decides commands one after the other on cached states and encodes them for one append.

Each command sees the effects of those before it in the group, and of the group in flight (`ahead`). The states may be
out of date. The append checks their versions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import chain
from time import monotonic_ns
from typing import Any, Literal, Protocol, TypeAlias

import psycopg
from psycopg import Connection

from eventstore.executor.decided_commands import RECORDED, DecidedCommand, Group, Submission, Task
from eventstore.executor.reply_sinks import (
    ExecutorError,
    FaultError,
    NewerEventError,
    RejectedError,
    UnavailableError,
)
from eventstore.executor.state_cache import StateCache
from eventstore.executor.stream_states import EventDecoder, Evolve, StreamState
from eventstore.keys.master_keys import SealingError
from eventstore.log.answers import ACCEPTED, Outcome
from eventstore.log.append import (
    MOST_EVENTS_PER_UNIT,
    AppendBatch,
    NewEvents,
    Read,
    Record,
    UnitTooLargeError,
    check_units,
)
from eventstore.log.codec import CodecError, UnusableError, encode_each
from eventstore.tracebacks import traceback_of

MOST_STREAM_ROUNDS = 10
"""How many times one decision may ask for more streams."""

logger = logging.getLogger(__name__)


class Decided(Protocol):
    """A decision. `outcome` says which of those of `domain.kernel` it is."""

    @property
    def outcome(self) -> Literal["accepted", "refused", "unknown", "forbidden", "needs_streams"]: ...


Decide: TypeAlias = Callable[[Any, Mapping[str, Any], Any], Any]
Refuse: TypeAlias = Callable[[str, str, Any, str, Mapping[str, Any]], Any]
"""Makes the event of a refusal, on a new stream, from actor, key, command, rule and figures."""
Load: TypeAlias = Callable[[Iterable[str]], None]
"""Loads the states of these streams into the group."""


class EventCodec(EventDecoder, Protocol):
    """The part of `eventstore.log.codec.Codec` that a group needs."""

    def encode_all(
        self, events: Iterable[Any], commuting: Sequence[bool] | None = None, *, dry_run: bool = False
    ) -> tuple[list[str], list[bytes]]: ...

    def forget_keys(self) -> None: ...


class MovedOnError(Exception):
    """The decision needs the exact version of a stream that has changed since its state was read."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.stream = stream


class GroupBuilder:
    """Builds groups. For one thread."""

    def __init__(self, codec: EventCodec, decide: Decide, evolve: Evolve, refuse: Refuse, states: StateCache) -> None:
        self._codec = codec
        self._decide = decide
        self._refuse = refuse
        self._evolve = evolve
        self._states = states

    def make(
        self,
        tasks: Sequence[Task],
        connection: Connection[Any],
        log_number: int,
        *,
        fresh: bool = False,
        ahead: Group | None = None,
    ) -> Group:
        """Decide and encode. With `fresh`, cached states are brought up to date from the log first.

        Raises `psycopg.Error`, `SealingError`.
        """
        rejected: list[tuple[Any, ExecutorError]] = []
        begun_ns = monotonic_ns()
        while True:
            group = Group(rejected=rejected, begun_ns=begun_ns)

            def load(streams: Iterable[str], group: Group = group) -> None:
                self._states.load(group, streams, connection, log_number, fresh=fresh, ahead=ahead)

            self._decide_all(group, tasks, load)
            before = len(rejected)
            if group.commands:
                self._lay_out(group)
            if len(rejected) == before:
                group.decided_ns = monotonic_ns()
                return group
            # Others were decided on its effects: begin again without it.
            out = {id(task) for task, _ in rejected}
            tasks = [task for task in tasks if id(task) not in out]

    def _decide_all(self, group: Group, tasks: Sequence[Task], load: Load) -> None:
        asked = [_asked(task.submission) for task in tasks]
        load(dict.fromkeys(chain.from_iterable(asked)))
        events = 0
        for number, task in enumerate(tasks):
            if events >= MOST_EVENTS_PER_UNIT:
                group.later.extend(tasks[number:])
                return
            try:
                decided = self._decide_one(group, task, asked[number], load)
            except MovedOnError as moved:
                self._states.doubt(moved.stream)
                group.outdated.add(moved.stream)
                group.again.append(task)
                continue
            except NewerEventError as error:
                group.rejected.append((task, error))
                continue
            except (psycopg.Error, SealingError):
                raise
            except Exception as error:
                logger.error("deciding %s failed with %s", type(task.submission.command).__name__, traceback_of(error))
                group.rejected.append(
                    (task, FaultError("an error in Daybook stopped the decision; it has been logged"))
                )
                continue
            group.commands.append(decided)
            events += len(decided.events)

    def _decide_one(self, group: Group, task: Task, streams: Iterable[str], load: Load) -> DecidedCommand:
        submission = task.submission
        expected, dry_run = submission.expected, submission.dry_run
        states, decision = self._decision(group, submission, streams, load)
        may_record = decision.outcome in _WITH_EVENTS
        commuting: frozenset[str] = decision.commuting
        failed = False
        if expected:
            failed = may_record and _versions_of(states, expected) != expected
            commuting = frozenset() if failed else commuting - expected.keys()
        reads = _reads(group, states, commuting)

        events: tuple[Any, ...] = decision.events if may_record and not failed else ()
        rule: str | None = None
        result: dict[str, Any]
        if failed:
            outcome, rule = Outcome.EXPECTATION_FAILED, "expectation_failed"
            result = {"expected": dict(expected), "actual": _versions_of(states, expected)}
        elif decision.outcome == "accepted":
            outcome = ACCEPTED
            carry_out = _foresee if dry_run else self._carry_out
            versions = carry_out(group, events, states.keys(), reads, commuting)
            if decision.unseen:
                versions = {stream: versions[stream] for stream in versions if stream not in decision.unseen}
            result = {**decision.result, "versions": versions}
        elif decision.outcome == "refused":
            outcome, rule, result = Outcome.REFUSED, decision.rule, dict(decision.figures)
        elif decision.outcome == "unknown":
            outcome, rule, result = Outcome.UNKNOWN, "unknown", {"kind": decision.kind, "id": decision.id}
        else:
            outcome, rule, result = Outcome.FORBIDDEN, "forbidden", {"why": decision.why}
        if may_record and rule is not None:
            events = (*events, self._refuse(submission.actor, submission.key, submission.command, rule, result))
            if not dry_run:
                self._carry_out(group, events, states.keys(), reads, commuting)
        return DecidedCommand(
            task=task,
            outcome=outcome,
            code=submission.codes.of(outcome),
            rule=rule,
            result=result,
            reads=reads,
            events=() if dry_run else events,
            commuting=commuting,
            tried=events if dry_run else (),
        )

    def _decision(
        self, group: Group, submission: Submission, streams: Iterable[str], load: Load
    ) -> tuple[dict[str, Any], Any]:
        """The decision, and the states that it read. Raises `NewerEventError`."""
        known, work = group.known, group.work
        states = _StatesAtHand()
        states.group = group
        if group.newer:
            group.check(streams)
        for stream in streams:
            states[stream] = work[stream] if stream in work else known[stream].state
        decision = self._decide(submission.command, states, submission.context)
        rounds = 0
        while decision.outcome == "needs_streams":
            rounds += 1
            if rounds > MOST_STREAM_ROUNDS:
                raise RuntimeError(f"{type(submission.command).__name__} kept asking for more streams")
            load([stream for stream in decision.streams if stream not in known])
            group.check(decision.streams)
            for stream in decision.streams:
                states[stream] = work[stream] if stream in work else known[stream].state
            decision = self._decide(submission.command, states, submission.context)
        return states, decision

    def _carry_out(
        self,
        group: Group,
        events: tuple[Any, ...],
        read: Set[str],
        reads: list[Read],
        commuting: frozenset[str],
    ) -> dict[str, int]:
        """Apply the events to the states of the group. Returns the new versions of streams, where they are certain."""
        known, work, evolve = group.known, group.work, self._evolve
        invented: dict[str, None] = {}
        for event in events:  # check all of them before any has an effect
            stream = event.originator_id
            if stream not in read:
                if stream in known:
                    raise MovedOnError(stream)  # an earlier command of this group has made it
                invented[stream] = None
        for stream in invented:
            reads.append((stream, None, False))
            known[stream] = _NEW_STREAM
        versions: dict[str, int] = {}
        for event in events:
            stream = event.originator_id
            if stream not in commuting:
                versions[stream] = event.originator_version
            state = work.get(stream)
            if state is None:
                belief = known[stream]
                if belief.entries_to != belief.version:  # earlier entries are not known here, so it is only counted
                    group.counted[stream] = group.counted.get(stream, 0) + 1
                    continue
                state = belief.state
            work[stream] = evolve(state, event)
        return versions

    def _lay_out(self, group: Group) -> None:
        """Encode events and results, and arrange them as an append batch."""
        commands = group.commands
        commute = _commute(commands)
        try:
            types, payloads, results = self._to_bytes(commands, commute)
        except _UNFIT:
            if not self._reject(group):
                raise  # each alone can be stored: the cause is something else
            return
        submissions = [decided.task.submission for decided in commands]
        records: list[Record | None] = []
        for decided, submission, result in zip(commands, submissions, results, strict=True):
            record: Record | None = None
            if decided.outcome in RECORDED:
                decided.stored = result
                if not submission.dry_run:
                    code, rule = decided.code, decided.rule
                    record = (decided.outcome, code, rule, result, submission.request_hash, submission.origin)
            records.append(record)
        group.batch = AppendBatch(
            senders=[(submission.actor, submission.key) for submission in submissions],
            records=records,
            metadata=[submission.metadata for submission in submissions],
            reads=[decided.reads for decided in commands],
            counts=[len(decided.events) for decided in commands],
            events=NewEvents(
                streams=[event.originator_id for decided in commands for event in decided.events],
                types=types,
                payloads=payloads,
                commute=commute,
            ),
        )

    def _to_bytes(
        self, commands: Sequence[DecidedCommand], commute: Sequence[bool]
    ) -> tuple[list[str], list[bytes], list[bytes]]:
        """Type names and payloads of the events, and the encoded results.

        Raises `CodecError`, `UnitTooLargeError`, `psycopg.Error` or `SealingError`.
        """
        check_units([len(decided.events) for decided in commands])
        for decided in commands:
            if decided.tried:
                check_units([len(decided.tried)])
                self._codec.encode_all(decided.tried, _on_commuting(decided.tried, decided), dry_run=True)
        types, payloads = self._codec.encode_all(chain.from_iterable([decided.events for decided in commands]), commute)
        return types, payloads, encode_each([decided.result for decided in commands])

    def _reject(self, group: Group) -> bool:
        """Reject the commands whose events or result cannot be stored. Returns whether there are any.

        Commands that were decided on the effects of such a command are not tried. They are decided again.
        """
        before = len(group.rejected)
        touched: set[str] = set()
        for decided in group.commands:
            if touched.isdisjoint([stream for stream, _, _ in decided.reads]):
                try:
                    self._to_bytes([decided], _commute([decided]))
                    continue
                except _UNFIT as error:
                    what = UnavailableError if isinstance(error, UnusableError) else RejectedError
                    group.rejected.append((decided.task, what(str(error))))
            touched.update([event.originator_id for event in decided.events])
        return len(group.rejected) > before


class _StatesAtHand(dict[str, Any]):
    """The states that one decision reads, by stream.

    A decision looks with `in` before it asks for a stream that its command does not name. If the group has the stream
    already, it is there at once, and the decision is not made a second time.
    """

    __slots__ = ("group",)

    group: Group

    def __contains__(self, stream: object) -> bool:
        if dict.__contains__(self, stream):
            return True
        group = self.group
        if stream not in group.known or stream in group.newer:
            return False
        self[stream] = group.work[stream] if stream in group.work else group.known[stream].state
        return True


def _commute(commands: Sequence[DecidedCommand]) -> list[bool]:
    """For each event, whether it goes to a stream that its command reads as commuting."""
    return [on_one for decided in commands for on_one in _on_commuting(decided.events, decided)]


def _on_commuting(events: Iterable[Any], decided: DecidedCommand) -> list[bool]:
    """For each of these events of a command, whether it goes to a stream that the command reads as commuting."""
    return [event.originator_id in decided.commuting for event in events]


def _versions_of(states: Mapping[str, Any], streams: Iterable[str]) -> dict[str, int]:
    """The versions of these streams; 0 for one that does not exist."""
    return {stream: 0 if states[stream] is None else states[stream].version for stream in streams}


def _reads(group: Group, states: Iterable[str], commuting: frozenset[str]) -> list[Read]:
    """What a command read of these streams. Raises `MovedOnError` for one whose exact version is not known."""
    reads: list[Read] = []
    for stream in states:
        belief = group.known[stream]
        if stream in commuting:
            reads.append((stream, belief.entries_to, True))
        elif belief.entries_to == belief.version:
            reads.append((stream, belief.version, False))
        else:
            raise MovedOnError(stream)
    return reads


def _foresee(
    group: Group, events: Iterable[Any], read: Set[str], reads: list[Read], commuting: frozenset[str]
) -> dict[str, int]:
    """The versions that streams would have after the events, where they are certain. It changes nothing."""
    return {event.originator_id: event.originator_version for event in events if event.originator_id not in commuting}


def _asked(submission: Submission) -> Iterable[str]:
    """The streams that a decision needs from the start."""
    streams: Iterable[str] = submission.command.streams
    return dict.fromkeys((*streams, *submission.expected)) if submission.expected else streams


_WITH_EVENTS = ("accepted", "refused")
_UNFIT = (CodecError, UnitTooLargeError)
_NEW_STREAM = StreamState(None, 0, 0)  # shared by all streams that do not exist yet
