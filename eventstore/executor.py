"""Commands in groups: decided one after the other on cached state, appended in one call, answered each for itself.

One thread owns one connection. It drains what waits in a bounded queue, decides each command seeing the effect of those
before it, and appends the whole group with one flush. The cached state is only a guess: every answer, a refusal too,
stands only once the append has found every version it rests on to be true. What was decided on a version that has moved
is decided again, a bounded number of times; the last time while holding the head of the log, when nobody can come in
between. A client that stated what it saw keeps being held to it: its statement is checked against each fresh state.

A command whose acknowledgement was lost is appended again with its key. Either the first append had gone in, and the
key leads to its answer, or it had not, and then the second is the only one: whichever comes first holds the head.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Condition, Event, Thread
from time import monotonic
from typing import Any, Literal, Protocol, Self, TypeAlias

import orjson
import psycopg
from psycopg import Connection

from eventstore.answers import Answer, Outcome, find_answers
from eventstore.append import (
    MOST_EVENTS_PER_UNIT,
    DecidedCommand,
    GroupAppended,
    NewEvent,
    Read,
    Record,
    UnitTooLargeError,
    Verdict,
    append,
)
from eventstore.codec import CodecError
from eventstore.follow import CHANNEL
from eventstore.read import read_head, read_streams
from eventstore.sealing import SealingError
from eventstore.states import Known, StateCache

OPTIMISTIC_ATTEMPTS = 2
"""How often a group is decided on cached state before it takes the head of the log to decide."""
MOST_ATTEMPTS = OPTIMISTIC_ATTEMPTS + 2
MOST_STREAM_ROUNDS = 3
"""How often one decision may ask for more streams."""
MOST_RECONNECTS = 5
"""How often a group may lose its connection before its commands are told that their fate is unknown."""
RECONNECT_PAUSES = (0.0, 0.1, 0.3, 1.0, 2.0, 3.0)
"""Seconds before each attempt to connect again."""
NOTIFY_SECONDS = 0.05
"""At most so often are followers woken: NOTIFY inside the append would cap the whole machine."""


class ExecutorError(RuntimeError):
    """A command without an answer."""


class QueueFullError(ExecutorError):
    """Too many commands wait; try again later."""


class StoppedError(ExecutorError):
    """The executor does not run."""


class ContentionError(ExecutorError):
    """The streams kept moving under the command, even with the head held: retry with the same key."""


class UnavailableError(ExecutorError):
    """The database could not be reached or did not do it; the outcome may be unknown: retry with the same key."""


class RejectedError(ExecutorError):
    """The command cannot be carried out as it is: its events cannot be encoded or are too many."""


class Decided(Protocol):
    """A decision, told apart by `outcome`; see `domain.kernel` for the four."""

    @property
    def outcome(self) -> Literal["accepted", "refused", "unknown", "needs_streams"]: ...


Decide: TypeAlias = Callable[[Any, Mapping[str, Any], Any], Any]
Evolve: TypeAlias = Callable[[Any, Any], Any]


class EventCodec(Protocol):
    """What the executor needs of `eventstore.codec.Codec`."""

    def subjects(self, events: Iterable[Any]) -> set[str]: ...
    def encode(self, event: Any) -> tuple[str, bytes]: ...
    def decode(self, name: str, payload: bytes, stream: str, version: int) -> Any: ...


@dataclass(frozen=True, slots=True)
class Submission:
    """A command on its way: whose it is, the key that makes it once only, and what its client stated it saw."""

    command: Any
    actor: str
    key: str
    request_hash: bytes
    metadata: bytes  # JSON, stored with each of its events
    context: Any  # passed to the decision as it is
    expected: Mapping[str, int] = field(default_factory=dict)
    accepted_status: int = 201
    refused_status: int = 422
    expectation_status: int = 409
    origin: str | None = None


class Sink(Protocol):
    """Where answers go: called on the executor's thread, once for all of a group's answers that are its own."""

    def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None: ...


@dataclass(slots=True)
class _Task:
    submission: Submission
    sink: Sink
    token: Any
    resubmitted: bool = False  # after a lost acknowledgement: a duplicate is then its own first append
    followers: list[_Task] = field(default_factory=list)  # with the same actor and key, in the same group


@dataclass(slots=True)
class _Plan:
    """A decided command, ready for the append."""

    task: _Task
    outcome: Outcome
    rule: str | None
    result: dict[str, Any]
    reads: list[Read]
    events: tuple[Any, ...]
    commuting: frozenset[str]
    command: DecidedCommand | None = None


@dataclass(slots=True)
class _Group:
    """One attempt at a group: what was known at its start, and what its commands make of it."""

    known: dict[str, Known] = field(default_factory=dict)
    work: dict[str, Any] = field(default_factory=dict)
    plans: list[_Plan] = field(default_factory=list)
    again: list[_Task] = field(default_factory=list)


@dataclass(slots=True)
class Statistics:
    """What an executor has done since it started."""

    groups: int = 0
    commands: int = 0
    events: int = 0
    conflicts: int = 0
    locked_groups: int = 0
    reconnects: int = 0


class Executor:
    """Executes commands on one log. Thread-safe; start it once, stop it once, or use it as a context manager."""

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        log: str,
        codec: EventCodec,
        prepare_subjects: Callable[[Iterable[str]], None],
        decide: Decide,
        evolve: Evolve,
        *,
        commuting_types: Sequence[str] = (),
        transient_prefixes: tuple[str, ...] = (),
        queue_limit: int = 10_000,
        group_limit: int = 512,
        cache_limit: int = 100_000,
    ) -> None:
        """`transient_prefixes`: streams that are written once and not worth remembering."""
        self._connect = connect
        self._log_name = log
        self._codec = codec
        self._prepare_subjects = prepare_subjects
        self._decide = decide
        self._evolve = evolve
        self._commuting_types = tuple(commuting_types)
        self._transient = transient_prefixes
        self._queue_limit = queue_limit
        self._group_limit = group_limit
        self._cache = StateCache(cache_limit)
        self._queue: deque[_Task] = deque()
        self._ready = Condition()
        self._stopping = True
        self._thread: Thread | None = None
        self._results: dict[int, tuple[Sink, list[tuple[Any, Answer | ExecutorError]]]] = {}
        self._notified_at = 0.0
        self.statistics = Statistics()

    # ------------------------------------------------------------------ from any thread

    def start(self) -> Self:
        """Connect and begin. Raises `psycopg.OperationalError` or `UnknownLogError`."""
        self._connection = self._connect()
        self._log = read_head(self._connection, self._log_name).log
        self._stopping = False
        self._thread = Thread(target=self._run, name=f"executor-{self._log_name}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer what waits, then end."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._connection.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def waiting(self) -> int:
        """Commands in the queue."""
        return len(self._queue)

    @property
    def running(self) -> bool:
        """Whether commands are executed."""
        return self._thread is not None and self._thread.is_alive()

    def submit(self, submission: Submission, sink: Sink, token: Any) -> None:
        """Queue a command; `sink` gets `token` back with the answer. Raises `QueueFullError`, `StoppedError`."""
        task = _Task(submission, sink, token)
        with self._ready:
            if self._stopping:
                raise StoppedError("the executor is stopped")
            if len(self._queue) >= self._queue_limit:
                raise QueueFullError(f"{len(self._queue)} commands wait, as many as may")
            self._queue.append(task)
            self._ready.notify()

    def submit_all(self, submissions: Sequence[Submission], sink: Sink) -> None:
        """Queue commands in order, all or none; each has its number as token. Raises as `submit` does."""
        tasks = [_Task(submission, sink, number) for number, submission in enumerate(submissions)]
        with self._ready:
            if self._stopping:
                raise StoppedError("the executor is stopped")
            if len(self._queue) + len(tasks) > self._queue_limit:
                raise QueueFullError(f"{len(self._queue)} commands wait, and at most {self._queue_limit} may")
            self._queue.extend(tasks)
            self._ready.notify()

    def execute(self, submissions: Sequence[Submission]) -> list[Answer]:
        """Execute in order and wait: no more in the queue at once than half of what it holds.

        Raises the `ExecutorError` of the first command without an answer, `QueueFullError` where others fill the queue.
        """
        answers: list[Answer] = []
        step = max(1, self._queue_limit // 2)
        for start in range(0, len(submissions), step):
            part = submissions[start : start + step]
            waiter = _Waiter(len(part))
            self.submit_all(part, waiter)
            answers.extend(waiter.wait())
        return answers

    # ------------------------------------------------------------------ on the executor's thread

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._queue and not self._stopping:
                    self._ready.wait()
                if not self._queue:
                    return
                tasks = [self._queue.popleft() for _ in range(min(len(self._queue), self._group_limit))]
            try:
                self._process(_lead(tasks))
            except Exception as error:  # a fault of ours must not leave callers waiting for ever
                self._fail_unanswered(tasks, error)
            self._deliver()

    def _process(self, tasks: list[_Task]) -> None:
        """Bring every command to its answer."""
        reconnects = 0
        attempt = 0
        while tasks:
            if attempt == MOST_ATTEMPTS:
                for task in tasks:
                    self._fail(task, ContentionError(f"gave up after {attempt} attempts; retry with the same key"))
                return
            try:
                if attempt < OPTIMISTIC_ATTEMPTS:
                    group, appended = self._attempt(tasks, fresh=False)
                else:
                    self.statistics.locked_groups += 1
                    with self._connection.transaction():
                        self._connection.execute("SELECT log.lock_head(%s)", (self._log,))
                        group, appended = self._attempt(tasks, fresh=True)
                tasks = self._conclude(group, appended)
                attempt += 1
            except psycopg.Error as error:
                tasks = [task for task in tasks if not _answered(task)]
                self._cache.clear()  # what went in is not known, so nothing that is remembered can be
                if self._connection.closed or self._connection.broken:
                    reconnects += 1
                    if reconnects > MOST_RECONNECTS or not self._reconnect():
                        for task in tasks:
                            self._fail(
                                task, UnavailableError(f"the database connection was lost: {_first_line(error)}")
                            )
                        return
                    for task in tasks:
                        task.resubmitted = True
                else:
                    self._isolate(tasks, error)
                    return
            except Exception as error:
                self._cache.clear()
                self._isolate([task for task in tasks if not _answered(task)], error)
                return

    def _isolate(self, tasks: list[_Task], error: Exception) -> None:
        """Whichever of them the database or we cannot stomach, the others must not suffer: each on its own."""
        if len(tasks) == 1:
            failure = UnavailableError(f"{type(error).__name__}: {_first_line(error)}")
            failure.__cause__ = error
            self._fail(tasks[0], failure)
            return
        for task in tasks:
            self._process([task])

    def _reconnect(self) -> bool:
        until_stopped = Event()
        for pause in RECONNECT_PAUSES:
            until_stopped.wait(pause)
            try:
                self._connection = self._connect()
            except psycopg.OperationalError:
                continue
            self.statistics.reconnects += 1
            return True
        return False

    def _attempt(self, tasks: list[_Task], *, fresh: bool) -> tuple[_Group, GroupAppended | None]:
        """Decide and append once. Nobody is answered before the append is known to be committed."""
        group = self._decide_group(tasks, fresh=fresh)
        while group.plans:
            try:
                self._encode(group.plans)
            except _PlanError as error:
                # Others were decided in the belief that this one goes in: begin again without it.
                self._fail(error.task, RejectedError(str(error)))
                group = self._decide_group([task for task in tasks if not _answered(task)], fresh=fresh)
                continue
            commands = [plan.command for plan in group.plans if plan.command is not None]
            return group, append(self._connection, self._log, commands, commuting_types=self._commuting_types)
        return group, None

    def _conclude(self, group: _Group, appended: GroupAppended | None) -> list[_Task]:
        """Learn and answer; what comes back is to be decided again."""
        again = group.again
        if appended is not None:
            self._learn(group, appended)
            again = again + self._settle(group.plans, appended)
            self.statistics.groups += 1
            self._notify(appended.head, any(plan.events for plan in group.plans))
        self.statistics.conflicts += len(again)
        return again

    # ------------------------------------------------------------------ deciding

    def _decide_group(self, tasks: list[_Task], *, fresh: bool) -> _Group:
        group = _Group()
        needed: dict[str, None] = {}
        for task in tasks:
            needed.update(dict.fromkeys(task.submission.command.streams))
            needed.update(dict.fromkeys(task.submission.expected))
        self._load(group, needed, fresh=fresh)
        events = 0
        for number, task in enumerate(tasks):
            if events >= MOST_EVENTS_PER_UNIT:
                with self._ready:
                    self._queue.extendleft(reversed(tasks[number:]))
                break
            try:
                plan = self._decide_one(group, task, fresh=fresh)
            except _MovedOnError as moved:
                self._cache.mark_stale(moved.stream)
                group.again.append(task)
                continue
            except (psycopg.Error, SealingError):
                raise
            except Exception as error:
                self._fail(task, RejectedError(f"the decision failed: {type(error).__name__}: {error}"))
                continue
            group.plans.append(plan)
            events += len(plan.events)
        return group

    def _decide_one(self, group: _Group, task: _Task, *, fresh: bool) -> _Plan:
        submission = task.submission
        expected = submission.expected
        streams = dict.fromkeys((*submission.command.streams, *expected))
        known, work = group.known, group.work
        for _ in range(1 + MOST_STREAM_ROUNDS):
            states = {stream: work[stream] if stream in work else known[stream].state for stream in streams}
            decision = self._decide(submission.command, states, submission.context)
            if decision.outcome != "needs_streams":
                break
            self._load(group, [stream for stream in decision.streams if stream not in known], fresh=fresh)
            streams.update(dict.fromkeys(decision.streams))
        else:
            raise RuntimeError(f"{type(submission.command).__name__} kept asking for more streams")

        failed = (
            bool(expected)
            and decision.outcome != "unknown"
            and any((state.version if (state := states[stream]) else 0) != seen for stream, seen in expected.items())
        )
        commuting: frozenset[str] = decision.commuting
        if expected:
            commuting = frozenset() if failed else commuting - expected.keys()
        reads = []
        for stream in streams:
            belief = known[stream]
            if stream in commuting:
                reads.append(Read(stream, belief.entries_to, True))
            elif belief.entries_to == belief.version:
                reads.append(Read(stream, belief.version))
            else:
                raise _MovedOnError(stream)

        if failed:
            actual = {stream: states[stream].version if states[stream] is not None else 0 for stream in expected}
            result: dict[str, Any] = {"expected": dict(expected), "actual": actual}
            return _Plan(task, Outcome.EXPECTATION_FAILED, "expectation_failed", result, reads, (), commuting)
        if decision.outcome == "refused":
            return _Plan(task, Outcome.REFUSED, decision.rule, dict(decision.figures), reads, (), commuting)
        if decision.outcome == "unknown":
            result = {"kind": decision.kind, "id": decision.id}
            return _Plan(task, Outcome.UNKNOWN, "unknown", result, reads, (), commuting)

        versions: dict[str, int] = {}
        evolve = self._evolve
        for event in decision.events:
            stream = event.originator_id
            if stream not in streams and stream not in versions:
                if stream in work or stream in known:
                    raise _MovedOnError(stream)  # a new stream, and somebody in this group has just made it
                reads.append(Read(stream, 0))
            if stream not in commuting:
                versions[stream] = event.originator_version
        for event in decision.events:
            stream = event.originator_id
            belief = known.setdefault(stream, _NEW_STREAM)
            if belief.entries_to == belief.version:
                work[stream] = evolve(work.get(stream, belief.state), event)
        result = {**decision.result, "versions": versions}
        return _Plan(task, Outcome.ACCEPTED, None, result, reads, decision.events, commuting)

    def _load(self, group: _Group, streams: Iterable[str], *, fresh: bool) -> None:
        """Have the states of these streams: from the cache, else from the log, in one query for all."""
        after: dict[str, int] = {}
        for stream in streams:
            if stream in group.known:
                continue
            known = self._cache.get(stream)
            if known is None:
                group.known[stream] = Known(None, 0, 0)
                after[stream] = 0
            else:
                group.known[stream] = known
                if fresh or known.stale:
                    after[stream] = known.version
        if not after:
            return
        for stream, version, type, payload in read_streams(self._connection, self._log, after):
            known = group.known[stream]
            known.state = self._evolve(known.state, self._codec.decode(type, payload, stream, version))
            known.version = version
        for stream in after:
            known = group.known[stream]
            known.entries_to = known.version
            known.stale = False
            if known.version > 0 and not stream.startswith(self._transient):
                self._cache.put(stream, known)

    def _encode(self, plans: list[_Plan]) -> None:
        """Events to bytes; the keys of the people in the whole group are fetched or made in one go."""
        events = [event for plan in plans for event in plan.events]
        subjects = self._codec.subjects(events)
        if subjects:
            self._prepare_subjects(subjects)
        for plan in plans:
            submission = plan.task.submission
            try:
                if len(plan.events) > MOST_EVENTS_PER_UNIT:
                    raise UnitTooLargeError(f"{len(plan.events)} events; a unit has at most {MOST_EVENTS_PER_UNIT}")
                new = []
                for event in plan.events:
                    name, payload = self._codec.encode(event)
                    new.append(NewEvent(event.originator_id, name, payload, event.originator_id in plan.commuting))
                record = None
                if plan.outcome in _RECORDED:
                    record = Record(
                        plan.outcome,
                        _status(plan.outcome, submission),
                        plan.rule,
                        orjson.dumps(plan.result, option=orjson.OPT_SORT_KEYS),
                        submission.request_hash,
                        submission.origin,
                    )
            except (CodecError, SealingError, UnitTooLargeError, orjson.JSONEncodeError) as error:
                raise _PlanError(plan.task, str(error)) from error
            plan.command = DecidedCommand(
                submission.actor, submission.key, plan.reads, new, submission.metadata, record
            )

    # ------------------------------------------------------------------ after the append

    def _learn(self, group: _Group, appended: GroupAppended) -> None:
        """Remember what is now known to be true of the streams of the group."""
        moved = appended.actual
        failed: set[str] = set()
        written: dict[str, int] = {}
        rested: set[str] = set()  # moved streams on which a commuting command went in all the same
        for plan, answer in zip(group.plans, appended.commands, strict=True):
            for event in plan.events:
                stream = event.originator_id
                if answer.verdict is Verdict.IN:
                    written[stream] = written.get(stream, 0) + 1
                    if stream in plan.commuting:
                        rested.add(stream)
                else:
                    failed.add(stream)
        for stream, version in moved.items():
            if stream in rested:
                group.known[stream].entries_to = version + written[stream]
            else:
                self._cache.mark_stale(stream)
        for stream in written.keys() - moved.keys():
            known = group.known[stream]
            if known.entries_to != known.version:
                known.entries_to += written[stream]
            elif stream in failed:
                self._cache.mark_stale(stream)
            elif not stream.startswith(self._transient):
                state = group.work[stream]
                self._cache.put(stream, Known(state, state.version, state.version))

    def _settle(self, plans: list[_Plan], appended: GroupAppended) -> list[_Task]:
        """Answer what went in and what had been there; the rest is to be decided again."""
        again: list[_Task] = []
        duplicates: list[_Plan] = []
        for plan, answer in zip(plans, appended.commands, strict=True):
            if answer.verdict is Verdict.CONFLICT:
                again.append(plan.task)
            elif answer.verdict is Verdict.DUPLICATE:
                duplicates.append(plan)
            else:
                self.statistics.commands += 1
                self.statistics.events += len(plan.events)
                self._answer(
                    plan.task,
                    Answer(
                        plan.outcome,
                        _status(plan.outcome, plan.task.submission),
                        plan.rule,
                        plan.result,
                        answer.decided_position,
                        answer.first_position,
                        answer.last_position,
                        appended.epoch,
                        appended.recorded_at,
                    ),
                )
        if duplicates:
            keys = [(plan.task.submission.actor, plan.task.submission.key) for plan in duplicates]
            found = find_answers(self._connection, self._log, keys)
            for plan, key in zip(duplicates, keys, strict=True):
                first = found[key]
                if first.request_hash != plan.task.submission.request_hash:
                    self._answer(plan.task, _key_reused(first.answer))
                else:
                    self._answer(plan.task, replace(first.answer, replayed=not plan.task.resubmitted))
        return again

    def _answer(self, task: _Task, answer: Answer) -> None:
        self._result(task, answer)
        for follower in task.followers:
            if follower.submission.request_hash == task.submission.request_hash:
                replayed = answer.outcome in _RECORDED
                self._answer(follower, replace(answer, replayed=True) if replayed else answer)
            elif answer.outcome in _RECORDED:
                self._answer(follower, _key_reused(answer))
            else:  # nothing was recorded, so the key is still free
                with self._ready:
                    self._queue.appendleft(follower)

    def _fail(self, task: _Task, error: ExecutorError) -> None:
        self._result(task, error)
        for follower in task.followers:
            self._fail(follower, error)

    def _fail_unanswered(self, tasks: list[_Task], error: Exception) -> None:
        self._cache.clear()
        for task in tasks:
            if not _answered(task):
                failure = UnavailableError(f"{type(error).__name__}: {_first_line(error)}")
                failure.__cause__ = error
                self._result(task, failure)

    def _result(self, task: _Task, result: Answer | ExecutorError) -> None:
        token, task.token = task.token, _ANSWERED
        self._results.setdefault(id(task.sink), (task.sink, []))[1].append((token, result))

    def _deliver(self) -> None:
        results, self._results = self._results, {}
        for sink, answers in results.values():
            sink.deliver(answers)

    def _notify(self, head: int, appended: bool) -> None:
        """Wake followers, outside the append and not after each: who misses it polls."""
        now = monotonic()
        if appended and not self._queue and now - self._notified_at >= NOTIFY_SECONDS:
            self._notified_at = now
            self._deliver()  # whoever waits for an answer need not wait for this
            self._connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, f"{self._log}:{head}"))


class _Waiter:
    """The sink of `Executor.execute`."""

    def __init__(self, count: int) -> None:
        self._results: list[Answer | ExecutorError | None] = [None] * count
        self._missing = count
        self._complete = Event()

    def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None:
        for number, result in results:
            self._results[number] = result
        self._missing -= len(results)
        if self._missing == 0:
            self._complete.set()

    def wait(self) -> list[Answer]:
        if self._results:
            self._complete.wait()
        answers = []
        for result in self._results:
            if isinstance(result, ExecutorError):
                raise result
            assert result is not None
            answers.append(result)
        return answers


class _MovedOnError(Exception):
    """The stream is known to have moved beyond the state at hand, and the decision needs its true version."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.stream = stream


class _PlanError(Exception):
    def __init__(self, task: _Task, message: str) -> None:
        super().__init__(message)
        self.task = task


_ANSWERED = object()
_NEW_STREAM = Known(None, 0, 0)  # shared: a stream nobody has read has nothing to remember but that
_RECORDED = frozenset((Outcome.ACCEPTED, Outcome.REFUSED, Outcome.EXPECTATION_FAILED))


def _answered(task: _Task) -> bool:
    return task.token is _ANSWERED


def _lead(tasks: list[_Task]) -> list[_Task]:
    """One task for each actor and key; who has the same key follows the first and gets its answer."""
    leaders: dict[tuple[str, str], _Task] = {}
    for task in tasks:
        key = (task.submission.actor, task.submission.key)
        leader = leaders.setdefault(key, task)
        if leader is not task:
            leader.followers.append(task)
    return list(leaders.values())


def _status(outcome: Outcome, submission: Submission) -> int:
    if outcome is Outcome.ACCEPTED:
        return submission.accepted_status
    if outcome is Outcome.REFUSED:
        return submission.refused_status
    if outcome is Outcome.EXPECTATION_FAILED:
        return submission.expectation_status
    return 0


def _key_reused(first: Answer) -> Answer:
    return replace(first, outcome=Outcome.KEY_REUSED, status=0, rule=None, result={}, replayed=False)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
