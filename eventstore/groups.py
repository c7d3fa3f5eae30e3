"""A group of commands: decided one after the other on what is believed of their streams, ready for one append.

Each command sees the effect of those before it in the group, and of the group ahead of it that is still on its way to
the log (`ahead`). All of it is belief: the append finds out whether it was true.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, Protocol, TypeAlias

import psycopg
from msgspec import Struct
from psycopg import Connection

from eventstore.answers import ACCEPTED, Outcome
from eventstore.append import (
    MOST_EVENTS_PER_UNIT,
    GroupAppended,
    Layout,
    NewEvents,
    Read,
    Record,
    UnitTooLargeError,
    check_units,
)
from eventstore.codec import CodecError, encode_each
from eventstore.faults import places
from eventstore.read import read_streams
from eventstore.sealing import SealingError
from eventstore.sinks import ExecutorError, FaultError, RejectedError
from eventstore.snapshots import Snapshots
from eventstore.states import EventDecoder, Evolve, Fold, Known, StateCache

MOST_STREAM_ROUNDS = 10
"""How often one decision may ask for more streams."""

logger = logging.getLogger(__name__)

RECORDED = frozenset((ACCEPTED, Outcome.REFUSED, Outcome.EXPECTATION_FAILED))


class Decided(Protocol):
    """A decision, told apart by `outcome`; see `domain.kernel` for the four."""

    @property
    def outcome(self) -> Literal["accepted", "refused", "unknown", "needs_streams"]: ...


Decide: TypeAlias = Callable[[Any, Mapping[str, Any], Any], Any]
Load: TypeAlias = Callable[[Iterable[str]], None]
"""Has these streams known to the group."""


class EventCodec(EventDecoder, Protocol):
    """What a group needs of `eventstore.codec.Codec`."""

    def encode_all(self, events: Iterable[Any]) -> tuple[list[str], list[bytes]]: ...


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


class Plan(Struct):
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

    known: dict[str, Known] = field(default_factory=dict)  # at its start, by stream
    work: dict[str, Any] = field(default_factory=dict)  # states at its end, of streams that are followed event by event
    counted: dict[str, int] = field(default_factory=dict)  # events by stream, of those that are not
    plans: list[Plan] = field(default_factory=list)
    again: list[Any] = field(default_factory=list)  # tasks to be decided again
    outdated: set[str] = field(default_factory=set)  # streams that they need read on
    later: list[Any] = field(default_factory=list)  # tasks for which there was no room
    rejected: list[tuple[Any, ExecutorError]] = field(default_factory=list)  # tasks that cannot be carried out, and why
    layout: Layout | None = None  # None: there is nothing to append

    def after(self, stream: str) -> Known | None:
        """What will be known of a stream it writes to, if all of it goes in; None if it does not write to it."""
        state = self.work.get(stream)
        if state is not None:
            return Known(state, state.version, state.version)
        counted = self.counted.get(stream)
        if counted is None:
            return None
        known = self.known[stream]
        return Known(known.state, known.version, known.entries_to + counted)


class MovedOnError(Exception):
    """The stream is known to have moved beyond the state at hand, and the decision needs its true version."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.stream = stream


class Groups:
    """Makes groups, and learns what became of them. For one thread."""

    def __init__(
        self,
        codec: EventCodec,
        decide: Decide,
        evolve: Evolve,
        transient_prefixes: tuple[str, ...],
        cache_limit: int,
        snapshots: Snapshots | None = None,
    ) -> None:
        """`transient_prefixes`: streams that are written once and not worth remembering."""
        self._snapshots = snapshots
        self._codec = codec
        self._decide = decide
        self._evolve = evolve
        self._fold = Fold(codec, evolve)
        self._transient = transient_prefixes
        self._cache = StateCache(cache_limit)

    def forget(self) -> None:
        """What went in is not known, so nothing that is remembered can be relied on."""
        self._cache.clear()

    def moved(self, streams: Iterable[tuple[str, int]]) -> None:
        """Others have taken these streams to these versions."""
        for stream, version in streams:
            self._cache.mark_moved(stream, version)

    # ------------------------------------------------------------------ deciding

    def make(
        self,
        tasks: Sequence[Task],
        connection: Connection[Any],
        log: int,
        *,
        fresh: bool = False,
        ahead: Group | None = None,
    ) -> Group:
        """Decide and encode. `fresh`: read on in the log before relying on what is remembered.

        Raises `psycopg.Error`, `SealingError`.
        """
        rejected: list[tuple[Any, ExecutorError]] = []
        while True:
            group = Group(rejected=rejected)

            def load(streams: Iterable[str], group: Group = group) -> None:
                self._load(group, streams, connection, log, fresh=fresh, ahead=ahead)

            self._decide_all(group, tasks, load)
            before = len(rejected)
            if group.plans:
                self._lay_out(group)
            if len(rejected) == before:
                return group
            # Others were decided in the belief that this one goes in: begin again without it.
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
                plan = self._decide_one(group, task, asked[number], load)
            except MovedOnError as moved:
                self._cache.mark_stale(moved.stream)
                group.outdated.add(moved.stream)
                group.again.append(task)
                continue
            except (psycopg.Error, SealingError):
                raise
            except Exception as error:
                logger.error("deciding %s failed with %s", type(task.submission.command).__name__, places(error))
                group.rejected.append((task, FaultError("the decision met a fault of ours; it has been logged")))
                continue
            group.plans.append(plan)
            events += len(plan.events)

    def _decide_one(self, group: Group, task: Task, streams: Iterable[str], load: Load) -> Plan:
        submission = task.submission
        expected = submission.expected
        known, work = group.known, group.work
        states = {}
        for stream in streams:
            states[stream] = work[stream] if stream in work else known[stream].state
        decision = self._decide(submission.command, states, submission.context)
        rounds = 0
        while decision.outcome == "needs_streams":
            rounds += 1
            if rounds > MOST_STREAM_ROUNDS:
                raise RuntimeError(f"{type(submission.command).__name__} kept asking for more streams")
            load([stream for stream in decision.streams if stream not in known])
            for stream in decision.streams:
                states[stream] = work[stream] if stream in work else known[stream].state
            decision = self._decide(submission.command, states, submission.context)

        commuting: frozenset[str] = decision.commuting
        failed = False
        if expected:
            failed = decision.outcome != "unknown" and any(
                (state.version if (state := states[stream]) else 0) != seen for stream, seen in expected.items()
            )
            commuting = frozenset() if failed else commuting - expected.keys()
        reads: list[Read] = []
        for stream in states:
            belief = known[stream]
            if stream in commuting:
                reads.append((stream, belief.entries_to, True))
            elif belief.entries_to == belief.version:
                reads.append((stream, belief.version, False))
            else:
                raise MovedOnError(stream)

        events: tuple[Any, ...] = ()
        rule: str | None = None
        result: dict[str, Any]
        if failed:
            actual = {stream: states[stream].version if states[stream] is not None else 0 for stream in expected}
            outcome, rule = Outcome.EXPECTATION_FAILED, "expectation_failed"
            result = {"expected": dict(expected), "actual": actual}
        elif decision.outcome == "accepted":
            outcome, events = ACCEPTED, decision.events
            result = {**decision.result, "versions": self._carry_out(group, events, states, reads, commuting)}
        elif decision.outcome == "refused":
            outcome, rule, result = Outcome.REFUSED, decision.rule, dict(decision.figures)
        else:
            outcome, rule, result = Outcome.UNKNOWN, "unknown", {"kind": decision.kind, "id": decision.id}
        return Plan(task, outcome, submission.status(outcome), rule, result, reads, events, commuting)

    def _carry_out(
        self,
        group: Group,
        events: tuple[Any, ...],
        states: Mapping[str, Any],
        reads: list[Read],
        commuting: frozenset[str],
    ) -> dict[str, int]:
        """Evolve the group by the events; the answer is the new version of each stream whose version is certain."""
        known, work, evolve = group.known, group.work, self._evolve
        invented: dict[str, None] = {}
        for event in events:  # all of them, before any has an effect
            stream = event.originator_id
            if stream not in states:
                if stream in known:
                    raise MovedOnError(stream)  # a new stream, and somebody in this group has just made it
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
                if belief.entries_to != belief.version:  # entries that nobody here has seen came before: only counted
                    group.counted[stream] = group.counted.get(stream, 0) + 1
                    continue
                state = belief.state
            work[stream] = evolve(state, event)
        return versions

    def _load(
        self,
        group: Group,
        streams: Iterable[str],
        connection: Connection[Any],
        log: int,
        *,
        fresh: bool,
        ahead: Group | None,
    ) -> None:
        """Have the states of these streams: from the group ahead, the cache, or the log, in one query for all."""
        behind: dict[str, int] = {}
        for stream in streams:
            if stream in group.known:
                continue
            known = ahead.after(stream) if ahead is not None else None
            if known is None:
                known = self._cache.get(stream)
                if known is None:
                    known = Known(None, 0, 0)
                    behind[stream] = 0
                elif fresh or known.stale:
                    behind[stream] = known.version
            group.known[stream] = known
        if not behind:
            return
        if self._snapshots is None:
            events = read_streams(connection, log, behind)
        else:
            states, events = self._snapshots.read(connection, behind)
            for stream, state in states.items():
                known = group.known[stream]
                known.state, known.version = state, state.version
                behind[stream] = state.version
        self._fold.on(group.known, events, connection, log)
        for stream in behind:
            known = group.known[stream]
            known.entries_to = known.version
            known.stale = False
            if known.version > 0 and not stream.startswith(self._transient):
                self._cache.put(stream, known)
                if self._snapshots is not None:
                    self._snapshots.offer(stream, known.state, behind[stream])

    def _lay_out(self, group: Group) -> None:
        """Events and results to bytes, plans to columns."""
        plans = group.plans
        try:
            types, payloads, results = self._to_bytes(plans)
        except _UNFIT:
            if not self._reject(group):
                raise  # each alone can be stored: then it is not for what they say
            return
        submissions = [plan.task.submission for plan in plans]
        records: list[Record | None] = []
        for plan, submission, result in zip(plans, submissions, results, strict=True):
            if plan.outcome in RECORDED:
                plan.stored = result
                records.append(
                    (plan.outcome, plan.status, plan.rule, result, submission.request_hash, submission.origin)
                )
            else:
                records.append(None)
        group.layout = Layout(
            [(submission.actor, submission.key) for submission in submissions],
            records,
            [submission.metadata for submission in submissions],
            [plan.reads for plan in plans],
            [len(plan.events) for plan in plans],
            NewEvents(
                [event.originator_id for plan in plans for event in plan.events],
                types,
                payloads,
                [event.originator_id in plan.commuting for plan in plans for event in plan.events],
            ),
        )

    def _to_bytes(self, plans: Sequence[Plan]) -> tuple[list[str], list[bytes], list[bytes]]:
        """Names and payloads of the events, and each result. Raises of `_UNFIT`, `psycopg.Error`, `SealingError`."""
        check_units([len(plan.events) for plan in plans])
        types, payloads = self._codec.encode_all(chain.from_iterable([plan.events for plan in plans]))
        return types, payloads, encode_each([plan.result for plan in plans])

    def _reject(self, group: Group) -> bool:
        """Find out whose events or result cannot be stored, if there are any.

        What was decided in the belief that such a one goes in is not looked at: it is to be decided again.
        """
        before = len(group.rejected)
        touched: set[str] = set()
        for plan in group.plans:
            if touched.isdisjoint([stream for stream, _, _ in plan.reads]):
                try:
                    self._to_bytes([plan])
                    continue
                except _UNFIT as error:
                    group.rejected.append((plan.task, RejectedError(str(error))))
            touched.update([event.originator_id for event in plan.events])
        return len(group.rejected) > before

    # ------------------------------------------------------------------ after the append

    def learn(self, group: Group, appended: GroupAppended) -> None:
        """Remember what is now known to be true of the streams of the group."""
        counted = {stream: group.known[stream].entries_to for stream in chain(group.counted, appended.actual)}
        self._learn(group, appended)
        if self._snapshots is not None:
            for stream, before in counted.items():
                known = self._cache.get(stream)
                if known is not None and known.entries_to != known.version:  # nobody here follows it
                    self._snapshots.counted(stream, known.entries_to, before)
        for stream in group.outdated:  # also of those whose entries went in: its commands to come need their state
            self._cache.mark_stale(stream)

    def _learn(self, group: Group, appended: GroupAppended) -> None:
        moved = appended.actual
        if appended.verdicts is None and not moved:
            transient = self._transient
            for stream, state in group.work.items():
                if not stream.startswith(transient):
                    self._remember(group, stream, Known(state, state.version, state.version))
            for stream in group.counted:
                after = group.after(stream)
                assert after is not None
                self._remember(group, stream, after)
            return
        failed: set[str] = set()
        written: dict[str, int] = {}
        rested: set[str] = set()  # moved streams on which a commuting command went in all the same
        verdicts = appended.verdicts or [0] * len(group.plans)
        for plan, verdict in zip(group.plans, verdicts, strict=True):
            for event in plan.events:
                stream = event.originator_id
                if verdict == 0:
                    written[stream] = written.get(stream, 0) + 1
                    if stream in plan.commuting:
                        rested.add(stream)
                else:
                    failed.add(stream)
        for stream, version in moved.items():
            if stream in rested:
                known = group.known[stream]
                known.entries_to = version + written[stream]
                self._cache.put(stream, known)
            else:
                self._cache.mark_stale(stream)
        for stream in written.keys() - moved.keys():
            known = group.known[stream]
            if known.entries_to != known.version:
                known.entries_to += written[stream]
                self._cache.put(stream, known)
            elif stream in failed:
                self._cache.mark_stale(stream)
            elif not stream.startswith(self._transient):
                state = group.work[stream]
                self._remember(group, stream, Known(state, state.version, state.version))

    def _remember(self, group: Group, stream: str, after: Known) -> None:
        self._cache.put(stream, after)
        if self._snapshots is not None and after.state is not None:
            self._snapshots.offer(stream, after.state, group.known[stream].version)

    def catch_up(self, group: Group, appended: GroupAppended) -> None:
        """Tell a group that was made behind another what was found of the streams of the one ahead, now in the log.

        They had moved, by entries that its commands do not rest on. What it believed of them was folded without those
        entries: the belief goes, the reads stay, for the entries of both are later than what they rest on.
        """
        for stream in appended.actual:
            if stream in group.known:
                group.known[stream] = self._cache.get(stream) or Known(None, 0, 0, True)
                if group.work.pop(stream, None) is not None:
                    its_own = [event for plan in group.plans for event in plan.events if event.originator_id == stream]
                    group.counted[stream] = len(its_own)


def _asked(submission: Submission) -> Iterable[str]:
    """The streams a decision is to see from the first."""
    streams: Iterable[str] = submission.command.streams
    return dict.fromkeys((*streams, *submission.expected)) if submission.expected else streams


_UNFIT = (CodecError, UnitTooLargeError)
_NEW_STREAM = Known(None, 0, 0)  # shared: a stream nobody has read has nothing to remember but that
