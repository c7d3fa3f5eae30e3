"""Commands in groups: decided one after the other on cached state, appended in one call, answered each for itself.

One thread owns the connection that appends. It drains what waits in a bounded queue, makes a group of it (`groups`) and
appends the whole group with one flush; while PostgreSQL takes one group, the next is being decided. The cached state
(`states`) is only a guess: every answer, a refusal too, stands only once the append has found every version it rests
on to be true. What was decided on a version that has moved is decided again, a bounded number of times; at last while
holding the head of the log, when nobody can come in between. A client that stated what it saw keeps being held to it:
its statement is checked against each fresh state.

A group decided behind another rests on that one going in whole. It is sent only when it has; otherwise it is decided
again. So the log never sees a belief that is known to be false, and version arithmetic is never all there is to it.

In turns (`_turn`): `_take` what waits, decide it while the group in flight is being appended, then see that one land.
If it went in whole, the next is sent first and the answers are made then (`_relieve`); if not, `_conclude` answers what
went in, and `_process` brings the rest to its answers with nothing else under way. Only `_turn` leaves a group in
flight, and `_process` leaves no command without an answer.

A command whose acknowledgement was lost is appended again with its key. Either the first append had gone in, and the
key leads to its answer, or it had not, and then the second is the only one: whichever comes first holds the head.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import Any, Self

import psycopg
from msgspec.structs import replace
from psycopg import Connection

from eventstore.executor.decided_commands import DecidedCommand, Group, Submission
from eventstore.executor.group_builder import Decide, EventCodec, GroupBuilder
from eventstore.executor.replies import Replies, Task, key_reused, lead, unanswered
from eventstore.executor.reply_sinks import (
    ContentionError,
    QueueFullError,
    ReplySink,
    StoppedError,
    UnavailableError,
    Waiter,
)
from eventstore.executor.snapshots import Snapshots
from eventstore.executor.state_cache import StateCache
from eventstore.executor.stream_states import Evolve
from eventstore.keys.master_keys import SealingError
from eventstore.log.answers import Answer, find_answers
from eventstore.log.append import Appender, GroupAppended, Verdict
from eventstore.log.head_time import HeadTimeError, check_head_time, explain_head_time
from eventstore.log.read import CHANNEL, UnknownLogError, read_head, read_moved
from eventstore.postgres.connect import ReadOnlyError
from eventstore.tracebacks import traceback_of

OPTIMISTIC_ATTEMPTS = 2
"""How often a group is decided on cached state before it takes the head of the log to decide."""
MOST_ATTEMPTS = OPTIMISTIC_ATTEMPTS + 2
MOST_RECONNECTS = 5
"""How often a group may lose its connection before its commands are told that their fate is unknown."""
RECONNECT_PAUSES = (0.0, 0.1, 0.3, 1.0, 2.0, 3.0)
"""Seconds before each attempt to connect again."""
MOST_OTHERS = 10_000
"""Positions that others took between two groups: of more, all that is remembered is dropped instead."""
NOTIFY_SECONDS = 0.05
"""At most so often are followers woken: NOTIFY inside the append would cap the whole machine."""


logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Flight:
    """A group on its way to the log."""

    tasks: list[Task]
    group: Group


@dataclass(slots=True)
class Statistics:
    """What an executor has done since it started."""

    groups: int = 0
    commands: int = 0
    events: int = 0
    conflicts: int = 0
    locked_groups: int = 0
    discarded: int = 0  # groups decided behind one that did not go in whole
    reconnects: int = 0


class Executor:
    """Executes commands on one log. Thread-safe; start it once, stop it once, or use it as a context manager."""

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        log: str,
        codec: EventCodec,
        decide: Decide,
        evolve: Evolve,
        *,
        commuting_types: Sequence[str] = (),
        transient_prefixes: tuple[str, ...] = (),
        queue_limit: int = 10_000,
        group_limit: int = 512,
        cache_limit: int = 100_000,
        snapshots: Snapshots | None = None,
    ) -> None:
        """`transient_prefixes`: streams that are written once and not worth remembering."""
        self._connect = connect
        self._log_name = log
        self._commuting_types = tuple(commuting_types)
        self._codec = codec
        self._states = StateCache(codec, evolve, transient_prefixes, cache_limit, snapshots)
        self._groups = GroupBuilder(codec, decide, evolve, self._states)
        self.queue_limit = queue_limit
        self._group_limit = group_limit
        self._queue: deque[Task] = deque()
        self._ready = Condition()
        self._stopping = True
        self._thread: Thread | None = None
        self._answering = Replies(self._return)
        self._notified_at = 0.0
        self.statistics = Statistics()

    # ------------------------------------------------------------------ from any thread

    def start(self) -> Self:
        """Connect and begin. Raises `psycopg.OperationalError`, `UnknownLogError` or `HeadTimeError`."""
        self._open()
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
            self._side.close()

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

    def submit(self, submission: Submission, sink: ReplySink, token: Any) -> None:
        """Queue a command; `sink` gets `token` back with the answer. Raises `QueueFullError`, `StoppedError`."""
        self._enqueue([Task(submission, sink, token)])

    def submit_all(self, submissions: Sequence[Submission], sink: ReplySink) -> None:
        """Queue commands in order, all or none; each has its number as token. Raises as `submit` does."""
        self._enqueue([Task(submission, sink, number) for number, submission in enumerate(submissions)])

    def _enqueue(self, tasks: list[Task]) -> None:
        with self._ready:
            if self._stopping:
                raise StoppedError("the executor is stopped")
            if len(self._queue) + len(tasks) > self.queue_limit:
                raise QueueFullError(f"{len(self._queue)} commands wait, of {self.queue_limit} that may")
            self._queue.extend(tasks)
            self._ready.notify()

    def execute(self, submissions: Sequence[Submission]) -> list[Answer]:
        """Execute in order and wait: no more in the queue at once than half of what it holds.

        Raises the `ExecutorError` of the first command without an answer, `QueueFullError` where others fill the queue;
        then nothing of what was queued before is under way any more.
        """
        answers: list[Answer] = []
        waiting: deque[Waiter] = deque()  # two at a time: while one is carried out the next is there
        step = max(1, self.queue_limit // 4)
        try:
            for start in range(0, len(submissions), step):
                part = submissions[start : start + step]
                waiter = Waiter(len(part))
                self.submit_all(part, waiter)
                waiting.append(waiter)
                if len(waiting) == 2:
                    answers.extend(waiting.popleft().wait())
            while waiting:
                answers.extend(waiting.popleft().wait())
        finally:
            for waiter in waiting:
                waiter.whole.wait()
        return answers

    # ------------------------------------------------------------------ on the executor's thread

    def _open(self) -> None:
        """Connect: once to append, once for what must not wait for an append."""
        with ExitStack() as half_done:
            self._connection = half_done.enter_context(closing(self._connect()))
            self._side = half_done.enter_context(closing(self._connect()))
            head = read_head(self._side, self._log_name)
            check_head_time(self._side, self._log_name, head)
            self._log, self._seen = head.log, head.position
            self._appender = Appender(self._connection, self._log, self._commuting_types)
            half_done.pop_all()  # it is whole: what is open stays open

    def _run(self) -> None:
        try:
            self._work()
        finally:  # if it ends by a fault, nobody shall wait for it
            with self._ready:
                self._stopping = True
                left = list(self._queue)
                self._queue.clear()
            self._answering.fail_all(left, _FAULT)
            self._answering.deliver()

    def _work(self) -> None:
        flight: _Flight | None = None
        while True:
            tasks = self._take(wait=flight is None)
            if not tasks and flight is None:
                return
            try:
                following = self._turn(flight, tasks)
            except BaseException as fault:  # of ours: it must not leave callers waiting for ever
                logger.error("a group failed with %s", traceback_of(fault))
                self._states.forget()
                self._answering.fail_all([*(flight.tasks if flight else ()), *tasks], _FAULT)
                if not isinstance(fault, Exception):
                    raise
                following = None
                if self._appender.under_way:
                    self._reconnect()
            flight = following
            self._answering.deliver()

    def _take(self, *, wait: bool) -> list[Task]:
        """What waits, at most a group of it. Nothing, with `wait`: nothing ever will."""
        with self._ready:
            while True:
                while wait and not self._queue and not self._stopping:
                    self._ready.wait()
                taken = [self._queue.popleft() for _ in range(min(len(self._queue), self._group_limit))]
                tasks = lead(unanswered(taken))
                if tasks or not (wait and taken):
                    return tasks

    def _turn(self, flight: _Flight | None, tasks: list[Task]) -> _Flight | None:
        """Decide the next group while one is on its way, see that one land, send the next; that is the new one."""
        group = self._try_to_make(tasks, ahead=flight.group if flight else None)
        if flight is not None:
            try:
                appended = self._appender.receive()
            except Exception as error:
                self._process(flight.tasks, error=error)
                group = self._try_to_make(tasks)
            else:
                if group is not None and appended.verdicts is None and not flight.group.again:
                    return self._relieve(flight, appended, tasks, group)
                again = self._conclude(flight.group, appended)
                self._answering.deliver()
                self._process(again, attempt=1)
                if tasks:
                    self.statistics.discarded += 1
                    group = self._try_to_make(tasks)  # it was decided in a belief that did not come true
        if group is None:
            self._process(tasks)
            return None
        try:
            return self._send(tasks, group)
        except psycopg.Error as error:
            self._process(tasks, error=error)
            return None

    def _relieve(self, landed: _Flight, appended: GroupAppended, tasks: list[Task], group: Group) -> _Flight | None:
        """Send the next before anything is made of what has landed: PostgreSQL need not wait for us."""
        following: _Flight | None = None
        trouble: psycopg.Error | None = None
        try:
            following = self._send(tasks, group)
        except psycopg.Error as error:
            trouble = error
        self._states.learn(landed.group, appended)
        self._states.catch_up(group, appended)
        self._settle(landed.group.commands, appended)
        self._answering.deliver()
        self._see_others(appended)
        if trouble is not None:
            self._process(tasks, error=trouble)
        return following

    def _try_to_make(self, tasks: list[Task], ahead: Group | None = None) -> Group | None:
        """A group with something to append; None where that is not to be had: `_process` meets the reason again."""
        tasks = unanswered(tasks)
        if not tasks:
            return None
        try:
            group = self._groups.make(tasks, self._side, self._log, ahead=ahead)
            if group.batch is None:
                return None
            group.batch.parameters()  # made now, while PostgreSQL has another group, not when it waits for this one
        except Exception:
            return None
        return group

    def _send(self, tasks: list[Task], group: Group) -> _Flight:
        assert group.batch is not None
        self._appender.send(group.batch)
        self._admit(group)
        if group.later:  # they are in the queue: whoever brings the others to their answers must not have them as well
            later = {id(task) for task in group.later}
            tasks = [task for task in tasks if id(task) not in later]
        return _Flight(tasks, group)

    def _admit(self, group: Group) -> None:
        """Tell those who have no place in it; when nothing fails any more that would have all its tasks tried again."""
        for task, why in group.rejected:
            self._answering.fail(task, why)
        self._return(group.later)

    def _process(self, tasks: list[Task], *, attempt: int = 0, error: Exception | None = None) -> None:
        """Bring every command to its answer, with nothing else under way. `error`: what the last attempt met."""
        reconnects = 0
        look_up = False
        while tasks := unanswered(tasks):
            if error is None:
                if attempt == MOST_ATTEMPTS:
                    self._give_up(tasks)
                    return
                try:
                    tasks = self._attempt(tasks, locked=attempt >= OPTIMISTIC_ATTEMPTS, look_up=look_up)
                    attempt += 1
                    continue
                except Exception as met:
                    error = met
            self._states.forget()
            if isinstance(error, psycopg.errors.UniqueViolation) and not look_up:
                look_up, error = True, None  # a stream that was held to be new is there: whose, the look-up tells
                continue
            if not (isinstance(error, psycopg.Error) and self._disconnected):
                tasks = unanswered(tasks)
                if isinstance(error, psycopg.OperationalError) and not isinstance(error, _WORTH_ANOTHER_TRY):
                    # The database cannot now, whoever asks: a full disk, a lock held too long. One by one they would
                    # only wait for it one after the other.
                    self._answering.fail_all(tasks, f"{type(error).__name__}: {_first_line(error)}")
                else:
                    self._isolate(tasks, error)
                return
            lost = self._connection.closed or self._connection.broken
            if isinstance(error, ReadOnlyError) and reconnects:  # a new session is read-only too: it is the database
                self._answering.fail_all(tasks, _first_line(error))
                return
            reconnects += 1
            if reconnects > MOST_RECONNECTS or not self._reconnect():
                self._answering.fail_all(tasks, f"the database connection was lost: {_first_line(error)}")
                return
            if lost:
                for task in tasks:
                    task.resubmitted = True
            error = None

    def _attempt(self, tasks: list[Task], *, locked: bool, look_up: bool) -> list[Task]:
        """Decide and append once; what comes back is to be decided again."""
        if not locked:
            group = self._groups.make(tasks, self._side, self._log)
            appended = self._append(group, look_up)
        else:
            self.statistics.locked_groups += 1
            with self._connection.transaction():
                self._connection.execute("SELECT log.lock_head(%s)", (self._log,))
                group = self._groups.make(tasks, self._connection, self._log, fresh=True)
                appended = self._append(group, look_up)
        again = self._conclude(group, appended)  # nobody is answered before it is known to be committed
        self._admit(group)
        return again

    def _append(self, group: Group, look_up: bool) -> GroupAppended | None:
        if group.batch is None:
            return None
        if look_up:
            group.batch.look_up_all()
        self._appender.send(group.batch)
        return self._appender.receive()

    def _give_up(self, tasks: list[Task]) -> None:
        """One that can never go in takes those with it that were decided behind it: each gets its own last attempt."""
        if len(tasks) == 1:
            self._answering.fail(
                tasks[0], ContentionError(f"gave up after {MOST_ATTEMPTS} attempts or more; retry with the same key")
            )
            return
        for task in tasks:
            self._process([task], attempt=MOST_ATTEMPTS - 1)

    def _isolate(self, tasks: list[Task], error: Exception) -> None:
        """Whichever of them the database or we cannot stomach, the others must not suffer: each on its own."""
        if len(tasks) == 1:
            logger.error("%s failed with %s", type(tasks[0].submission.command).__name__, traceback_of(error))
            self._answering.fail(tasks[0], UnavailableError(f"{type(error).__name__}: {_first_line(error)}"))
            return
        for task in tasks:
            self._process([task])

    @property
    def _disconnected(self) -> bool:
        return any(connection.closed or connection.broken for connection in (self._connection, self._side))

    def _reconnect(self) -> bool:
        for connection in (self._connection, self._side):
            connection.close()
        for pause in RECONNECT_PAUSES:
            with self._ready:  # who stops it waits for us: then the tries that are left follow each other at once
                self._ready.wait_for(lambda: self._stopping, pause)
            try:
                self._open()
            except (psycopg.Error, UnknownLogError, HeadTimeError):  # also where the database is being restored
                continue
            self._codec.forget_keys()  # what was restored, or has taken over, may lack those that were kept last
            self.statistics.reconnects += 1
            return True
        return False

    # ------------------------------------------------------------------ after the append

    def _conclude(self, group: Group, appended: GroupAppended | None) -> list[Task]:
        """Learn and answer; what comes back is to be decided again."""
        again: list[Task] = list(group.again)
        if appended is not None:
            self._states.learn(group, appended)
            again += self._settle(group.commands, appended)
            self._see_others(appended)
        self.statistics.conflicts += len(again)
        return again

    def _see_others(self, appended: GroupAppended) -> None:
        """Have what other processes moved read on before it is relied on again: else the next on it would conflict."""
        others = appended.before - self._seen
        self._seen = appended.after
        if others == 0:
            return
        self._answering.deliver()  # whoever waits for an answer need not wait for this
        if not 0 < others <= MOST_OTHERS:
            self._states.forget()
            return
        try:
            self._states.moved(read_moved(self._side, self._log, appended.before - others, appended.before))
        except psycopg.Error:  # the next to use the connection deals with it
            self._states.forget()

    def _settle(self, commands: list[DecidedCommand], appended: GroupAppended) -> list[Task]:
        """Answer what went in and what had been there; the rest is to be decided again."""
        again: list[Task] = []
        duplicates: list[DecidedCommand] = []
        position, epoch, recorded_at = appended.before, appended.epoch, appended.recorded_at
        for decided, verdict in zip(commands, appended.verdicts or [0] * len(commands), strict=True):
            if verdict == 0:
                events = len(decided.events)
                last = position + events
                self._answering.answer(
                    decided.task,
                    Answer(
                        decided.outcome,
                        decided.status,
                        decided.rule,
                        decided.result,
                        position,
                        position + 1 if events else None,
                        last if events else None,
                        epoch,
                        recorded_at,
                        stored=decided.stored,
                    ),
                )
                position = last
            elif verdict == Verdict.CONFLICT:
                again.append(decided.task)
            else:
                duplicates.append(decided)
        self.statistics.groups += 1
        self.statistics.events += position - appended.before
        self.statistics.commands += len(commands) - len(again) - len(duplicates)
        if duplicates:
            keys = [(decided.task.submission.actor, decided.task.submission.key) for decided in duplicates]
            found = find_answers(self._side, self._log, keys)
            for decided, key in zip(duplicates, keys, strict=True):
                first = found[key]
                if first.request_hash != decided.task.submission.request_hash:
                    self._answering.answer(decided.task, key_reused(first.answer))
                else:
                    self._answering.answer(decided.task, replace(first.answer, replayed=not decided.task.resubmitted))
        self._notify(position, position > appended.before)
        return again

    def _return(self, tasks: list[Task]) -> None:
        """Put commands back at the head of the queue: the group was full, or a command with the same key failed."""
        if tasks:
            with self._ready:
                self._queue.extendleft(reversed(tasks))

    def _notify(self, head: int, appended: bool) -> None:
        """Wake followers, outside the append and not after each: who misses it polls."""
        now = monotonic()
        if appended and not self._queue and now - self._notified_at >= NOTIFY_SECONDS:
            self._notified_at = now
            self._answering.deliver()  # whoever waits for an answer need not wait for this
            with suppress(psycopg.Error):  # the next to use the connection deals with it
                self._side.execute("SELECT pg_notify(%s, %s)", (CHANNEL, f"{self._log}:{head}"))


_FAULT = "a fault of ours stopped it; it has been logged"
_WORTH_ANOTHER_TRY = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


def _first_line(error: BaseException) -> str:
    """Of what the database says, or a key does; a fault of ours could quote anything."""
    if (message := explain_head_time(error)) is not None:
        return message
    message = str(error).strip().split("\n", 1)[0] if isinstance(error, psycopg.Error | SealingError) else ""
    return message or "it has been logged"
