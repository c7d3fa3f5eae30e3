"""Executes commands in groups: decides them on cached states, appends them in one call, answers each.

One thread owns the connection that appends. It takes the commands that wait in a bounded queue, builds a group of them
(`group_builder`) and appends the group with one flush. While PostgreSQL appends one group, the thread decides the next.

The cached states (`state_cache`) may be out of date, so no answer is given before the append has checked every version
the command rests on. That holds for refusals too. A command whose streams changed is decided again, at most
`MOST_ATTEMPTS` times; the last attempts hold the head of the log, so that no other process can append meanwhile
(`attempts`). Versions that a client expects are checked on each fresh state.

The thread works in turns (`_turn`). The pipeline is EMPTY or has one group IN FLIGHT:

    take ─► prepare the next group ─► receive the group in flight ─┬─ WHOLE:  send the next, then answer
                                                                   ├─ PART:   answer what went in, process the rest,
                                                                   │          prepare the next anew, send it
                                                                   └─ FAILED: process all of it,
                                                                              prepare the next anew, send it

The next group is decided as if the one in flight goes in WHOLE. It is sent only if that came true. `_process` brings
commands to their answers with nothing in flight; it leaves none unanswered.

A command whose acknowledgement was lost is appended again with its key. Either the first append went in, and the key
leads to its answer, or it did not, and the second is the only one: whichever comes first holds the head.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic
from typing import Any, Self

import psycopg
from msgspec.structs import replace
from psycopg import Connection

from eventstore.executor.attempts import MOST_ATTEMPTS, Attempts, Result, Step
from eventstore.executor.decided_commands import DecidedCommand, Group, Submission, Task
from eventstore.executor.group_builder import Decide, EventCodec, GroupBuilder, Refuse
from eventstore.executor.replies import Replies, key_reused, lead, unanswered
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
from eventstore.executor.statistics import QUEUE_FULL, Statistics
from eventstore.executor.stream_states import Evolve
from eventstore.keys.master_keys import SealingError
from eventstore.log.answers import Answer, find_answers
from eventstore.log.append import Appender, GroupAppended, Verdict
from eventstore.log.head_time import HeadTimeError, check_head_time, explain_head_time
from eventstore.log.read import CHANNEL, UnknownLogError, read_head, read_moved
from eventstore.postgres.connect import ReadOnlyError
from eventstore.tracebacks import traceback_of

RECONNECT_PAUSES = (0.0, 0.1, 0.3, 1.0, 2.0, 3.0)
"""Seconds before each attempt to connect again."""
ERASURE_SECONDS = 1.0
"""How often it is asked which keys were erased, while commands come and while none come."""
MOST_OTHERS = 10_000
"""If other processes appended more events than this between two groups, the whole cache is dropped."""
NOTIFY_SECONDS = 0.05
"""Least time between two notifications. A NOTIFY inside each append would limit the throughput of the server."""


logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Flight:
    """A group that was sent and not received yet."""

    tasks: list[Task]
    group: Group


@dataclass(frozen=True, slots=True)
class _Whole:
    """Every command of the group in flight went in."""

    appended: GroupAppended


@dataclass(frozen=True, slots=True)
class _Part:
    """Some commands of the group in flight are to be decided again."""

    appended: GroupAppended


@dataclass(frozen=True, slots=True)
class _Failed:
    """The append of the group in flight raised an error."""

    error: Exception


class Executor:
    """Executes commands on one log. Thread-safe; start it once, stop it once, or use it as a context manager."""

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        log: str,
        codec: EventCodec,
        decide: Decide,
        evolve: Evolve,
        refuse: Refuse,
        *,
        commuting_types: Sequence[str] = (),
        transient_prefixes: tuple[str, ...] = (),
        read_mostly: Collection[str] = (),
        queue_limit: int = 10_000,
        group_limit: int = 512,
        cache_limit: int = 100_000,
        snapshots: Snapshots | None = None,
        erasures: Callable[[], int] | None = None,
        personal_prefixes: tuple[str, ...] = (),
    ) -> None:
        """`transient_prefixes` and `read_mostly`: see `StateCache`.

        `erasures` returns a number that grows when keys of people were erased. Then the cached states of streams with
        `personal_prefixes` are dropped: they may have text that nobody can open any more.
        """
        self._connect = connect
        self._log = log
        self._commuting_types = tuple(commuting_types)
        self._codec = codec
        self._states = StateCache(
            decoder=codec,
            evolve=evolve,
            transient_prefixes=transient_prefixes,
            cache_limit=cache_limit,
            snapshots=snapshots,
            read_mostly=read_mostly,
        )
        self._groups = GroupBuilder(codec=codec, decide=decide, evolve=evolve, refuse=refuse, states=self._states)
        self.queue_limit = queue_limit
        self._group_limit = group_limit
        self._queue: deque[Task] = deque()
        self._ready = Condition()
        self._stopping = True
        self._thread: Thread | None = None
        self.statistics = Statistics()
        self._replies = Replies(self._return, self.statistics.answers)
        self._notified_at = 0.0
        self._erasures = erasures
        self._personal_prefixes = personal_prefixes
        self._known_erasures = 0
        self._asked_at = 0.0  # when erasures were asked for last

    # ------------------------------------------------------------------ from any thread

    def start(self) -> Self:
        """Connect and begin. Raises `psycopg.OperationalError`, `UnknownLogError` or `HeadTimeError`."""
        self._open()
        self._drop_erased()
        self._stopping = False
        self._thread = Thread(target=self._run, name=f"executor-{self._log}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer the commands that wait, then end."""
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
                self.statistics.turned_away[QUEUE_FULL] += len(tasks)
                raise QueueFullError(f"{len(self._queue)} commands wait, of {self.queue_limit} that may")
            self._queue.extend(tasks)
            self._ready.notify()

    def execute(self, submissions: Sequence[Submission]) -> list[Answer]:
        """Execute commands in order and wait. They take at most half of the queue at once.

        Raises the `ExecutorError` of the first command without an answer, and `QueueFullError` when others fill the
        queue. After an error none of the commands is under way.
        """
        answers: list[Answer] = []
        waiting: deque[Waiter] = deque()  # two parts: one is executed while the next one waits
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
        """Open two connections: one to append, one for whatever must not wait for an append."""
        with ExitStack() as half_done:
            self._connection = half_done.enter_context(closing(self._connect()))
            self._side = half_done.enter_context(closing(self._connect()))
            head = read_head(self._side, self._log)
            check_head_time(self._side, self._log, head)
            self._log_number, self._seen = head.log_number, head.position
            self._appender = Appender(self._connection, self._log_number, self._commuting_types)
            half_done.pop_all()  # both are open and stay open

    def _run(self) -> None:
        try:
            self._work()
        finally:  # after an error no command may wait for ever
            with self._ready:
                self._stopping = True
                left = list(self._queue)
                self._queue.clear()
            self._replies.fail_all(left, _FAULT)
            self._replies.deliver()

    def _work(self) -> None:
        flight: _Flight | None = None
        while True:
            if self._erasures is not None and monotonic() - self._asked_at >= ERASURE_SECONDS:
                self._drop_erased()
            tasks = self._take(wait=flight is None)
            if not tasks and flight is None:
                if self._ended:
                    return
                continue
            try:
                following = self._turn(flight, tasks)
            except BaseException as fault:  # an error in this program must not leave callers waiting for ever
                logger.error("a group failed with %s", traceback_of(fault))
                self._states.forget()
                self._replies.fail_all([*(flight.tasks if flight else ()), *tasks], _FAULT)
                if not isinstance(fault, Exception):
                    raise
                following = None
                if self._appender.under_way:
                    self._reconnect()
            flight = following
            self._replies.deliver()

    def _take(self, *, wait: bool) -> list[Task]:
        """Take commands from the queue, at most a group. With `wait`, an empty list means that the executor stops, or
        that it is time to ask for erasures."""
        with self._ready:
            while True:
                while wait and not self._queue and not self._stopping:
                    if not self._ready.wait(self._until_asking):
                        return []
                taken = [self._queue.popleft() for _ in range(min(len(self._queue), self._group_limit))]
                tasks = lead(unanswered(taken))
                if tasks or not (wait and taken):
                    return tasks

    @property
    def _ended(self) -> bool:
        """Whether it is being stopped, and no command waits."""
        with self._ready:
            return self._stopping and not self._queue

    @property
    def _until_asking(self) -> float | None:
        """Seconds until erasures are asked for again; None if nobody says."""
        return None if self._erasures is None else max(0.0, self._asked_at + ERASURE_SECONDS - monotonic())

    def _drop_erased(self) -> None:
        """Drop the cached states with text of people, if a key was erased meanwhile or nobody can say.

        A group that was decided before may bring such a state back. It is dropped a second later: each answer names the
        erasures of the last minute.
        """
        if self._erasures is None:
            return
        self._asked_at = monotonic()
        known = self._known_erasures
        try:
            self._known_erasures = self._erasures()
        except Exception as error:  # commands go on, whatever it is
            if not isinstance(error, psycopg.Error | SealingError):
                logger.error("asking for erasures failed with %s", traceback_of(error))
            self._states.drop(self._personal_prefixes)
            return
        if self._known_erasures != known:
            self._states.drop(self._personal_prefixes)

    def _turn(self, flight: _Flight | None, tasks: list[Task]) -> _Flight | None:
        """Prepare the next group, receive the one in flight, send the next. The result is the group now in flight."""
        group = self._prepare(tasks, ahead=flight.group if flight else None)
        if flight is not None:
            match self._receive(flight):
                case _Whole(appended) if group is not None:
                    return self._send_then_answer(flight, appended, tasks, group)
                case _Whole(appended) | _Part(appended):
                    again = self._answer_group(flight.group, appended)
                    self._replies.deliver()
                    self._process(again, decided=1)
                    self.statistics.discarded += bool(tasks)
                case _Failed(error):
                    self._process(flight.tasks, error=error)
            group = self._prepare(tasks)  # the last one was decided as if the group in flight went in whole
        if group is None:
            self._process(tasks)
            return None
        try:
            return self._send(tasks, group)
        except psycopg.Error as not_sent:
            self._process(tasks, error=not_sent)
            return None

    def _receive(self, flight: _Flight) -> _Whole | _Part | _Failed:
        """What became of the group in flight."""
        try:
            appended = self._appender.receive()
        except Exception as error:
            return _Failed(error)
        return _Whole(appended) if appended.verdicts is None and not flight.group.again else _Part(appended)

    def _send_then_answer(
        self, landed: _Flight, appended: GroupAppended, tasks: list[Task], group: Group
    ) -> _Flight | None:
        """Send the next group before the answers of the last are made, so that PostgreSQL does not wait for us."""
        following: _Flight | None = None
        trouble: psycopg.Error | None = None
        try:
            following = self._send(tasks, group)
        except psycopg.Error as error:
            trouble = error
        self._measure(landed.group, appended)
        self._states.learn(landed.group, appended)
        self._states.catch_up(group, appended)
        self._settle(landed.group.commands, appended)
        self._replies.deliver()
        self._mark_changed_by_others(appended)
        if trouble is not None:
            self._process(tasks, error=trouble)
        return following

    def _prepare(self, tasks: list[Task], ahead: Group | None = None) -> Group | None:
        """Decide the next group. None if there is nothing to append, or after an error: `_process` meets it again."""
        tasks = unanswered(tasks)
        if not tasks:
            return None
        try:
            group = self._groups.make(tasks, self._side, self._log_number, ahead=ahead)
            if group.batch is None:
                return None
            group.batch.parameters()  # now, while PostgreSQL has another group, not when it waits for this one
        except Exception:
            return None
        return group

    def _send(self, tasks: list[Task], group: Group) -> _Flight:
        assert group.batch is not None
        self._appender.send(group.batch)
        self._answer_left_out(group)
        if group.later:  # they are in the queue again, and must not be answered with this group as well
            later = {id(task) for task in group.later}
            tasks = [task for task in tasks if id(task) not in later]
        return _Flight(tasks, group)

    def _answer_left_out(self, group: Group) -> None:
        """Answer the commands that are not in the group. Called once the group is not tried again."""
        if group.rejected:
            try:
                self._answer_recorded([task for task, _ in group.rejected])
            except psycopg.Error as error:  # it is unknown whether they were recorded
                self._replies.fail_all([task for task, _ in group.rejected], _first_line(error))
            for task, why in group.rejected:
                if unanswered([task]):
                    self._replies.fail(task, why)
        self._return(group.later)

    def _answer_recorded(self, tasks: Sequence[Task]) -> None:
        """Answer the commands whose key is recorded: with the recorded answer, or that the key was used before.

        A retry may be impossible to execute, for instance after a person was erased. It still gets its first answer.
        """
        keys = [(task.submission.actor, task.submission.key) for task in tasks]
        found = find_answers(self._side, self._log_number, keys)
        for task, key in zip(tasks, keys, strict=True):
            first = found.get(key)
            if first is None:
                continue
            if first.request_hash != task.submission.request_hash:
                self._replies.answer(task, key_reused(first.answer))
            else:
                self._replies.answer(task, replace(first.answer, replayed=not task.resubmitted))

    def _process(self, tasks: list[Task], *, decided: int = 0, error: Exception | None = None) -> None:
        """Bring every command to its answer, with no batch in flight. `attempts` has the steps.

        `decided` is the number of attempts that were made before, `error` what the last of them raised.
        """
        attempts = Attempts(decided)
        result = Result.CONNECTED if error is None else self._result_of(error)
        step = attempts.after(result)
        while tasks := unanswered(tasks):
            match step:
                case Step.DECIDE | Step.DECIDE_WITH_HEAD:
                    try:
                        locked = step is Step.DECIDE_WITH_HEAD
                        tasks = self._attempt(tasks, locked=locked, look_up=attempts.look_up)
                        result = Result.CONFLICT if tasks else Result.ANSWERED
                    except Exception as raised:
                        error, result = raised, self._result_of(raised)
                    step = attempts.after(result)
                case Step.RECONNECT:
                    result = self._reconnected(tasks)
                    step = attempts.after(result)
                case Step.SEPARATE:
                    assert error is not None
                    self._isolate(tasks, error)
                    return
                case Step.FAIL:
                    assert error is not None
                    self._replies.fail_all(tasks, _reason(error, result))
                    return
                case Step.GIVE_UP:
                    self._give_up(tasks)
                    return
                case Step.DONE:
                    return

    def _result_of(self, error: Exception) -> Result:
        """What an error means for the commands that were under way. The cached states are dropped."""
        self._states.forget()
        if isinstance(error, psycopg.errors.UniqueViolation):
            return Result.STREAM_EXISTS
        if isinstance(error, psycopg.Error) and self._disconnected:
            return Result.READ_ONLY if isinstance(error, ReadOnlyError) else Result.LOST
        if isinstance(error, psycopg.OperationalError) and not isinstance(error, _WORTH_ANOTHER_TRY):
            return Result.UNABLE
        return Result.ERROR

    def _reconnected(self, tasks: list[Task]) -> Result:
        """Connect again. If the appending connection was lost, the commands may be in the log already."""
        lost = self._connection.closed or self._connection.broken
        if not self._reconnect():
            return Result.AWAY
        if lost:
            for task in tasks:
                task.resubmitted = True
        return Result.CONNECTED

    def _attempt(self, tasks: list[Task], *, locked: bool, look_up: bool) -> list[Task]:
        """Decide and append once. Returns the commands that are to be decided again."""
        if not locked:
            group = self._groups.make(tasks, self._side, self._log_number)
            appended = self._append(group, look_up)
        else:
            self.statistics.locked_groups += 1
            with self._connection.transaction():
                self._connection.execute("SELECT log.lock_head(%s)", (self._log_number,))
                group = self._groups.make(tasks, self._connection, self._log_number, fresh=True)
                appended = self._append(group, look_up)
        again = self._answer_group(group, appended)  # after the commit: no answer is given before
        self._answer_left_out(group)
        return again

    def _append(self, group: Group, look_up: bool) -> GroupAppended | None:
        if group.batch is None:
            return None
        if look_up:
            group.batch.look_up_all()
        self._appender.send(group.batch)
        return self._appender.receive()

    def _give_up(self, tasks: list[Task]) -> None:
        """A command that always conflicts also fails those decided after it. Retry each alone."""
        if len(tasks) == 1:
            self._replies.fail(
                tasks[0], ContentionError(f"gave up after {MOST_ATTEMPTS} attempts or more; retry with the same key")
            )
            return
        for task in tasks:
            self._process([task], decided=MOST_ATTEMPTS - 1)

    def _isolate(self, tasks: list[Task], error: Exception) -> None:
        """One of them causes the error. Process each alone, so that the others are not affected."""
        if len(tasks) == 1:
            logger.error("%s failed with %s", type(tasks[0].submission.command).__name__, traceback_of(error))
            self._replies.fail(tasks[0], UnavailableError(f"{type(error).__name__}: {_first_line(error)}"))
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
            with self._ready:  # while it is being stopped, the tries follow each other at once
                self._ready.wait_for(lambda: self._stopping, pause)
            try:
                self._open()
            except (psycopg.Error, UnknownLogError, HeadTimeError):  # the log may be missing while a dump is restored
                continue
            self._codec.forget_keys()  # a restored database may lack the keys that were stored last
            self.statistics.reconnects += 1
            return True
        return False

    # ------------------------------------------------------------------ after the append

    def _answer_group(self, group: Group, appended: GroupAppended | None) -> list[Task]:
        """Answer what went in. Returns the commands that are to be decided again."""
        again: list[Task] = list(group.again)
        if appended is not None:
            self._measure(group, appended)
            self._states.learn(group, appended)
            again += self._settle(group.commands, appended)
            self._mark_changed_by_others(appended)
        self.statistics.conflicts += len(again)
        return again

    def _measure(self, group: Group, appended: GroupAppended) -> None:
        """Count the group, and note its times for the commands that are traced."""
        self.statistics.group_sizes.add(len(group.commands))
        self.statistics.append_seconds.add((appended.received_ns - appended.sent_ns) / 1e9)
        for decided in group.commands:
            times = decided.task.submission.times
            if times is not None:
                times.begun_ns, times.decided_ns = group.begun_ns, group.decided_ns
                times.sent_ns, times.appended_ns = appended.sent_ns, appended.received_ns
                times.group_size = len(group.commands)

    def _mark_changed_by_others(self, appended: GroupAppended) -> None:
        """Mark streams that other processes changed as stale. Without it the next command on them would conflict."""
        others = appended.before - self._seen
        self._seen = appended.after
        if others == 0:
            return
        self._replies.deliver()  # answers need not wait for this
        if not 0 < others <= MOST_OTHERS:
            self._states.forget()
            return
        try:
            self._states.moved(read_moved(self._side, self._log_number, appended.before - others, appended.before))
        except psycopg.Error:  # the next to use the connection deals with it
            self._states.forget()

    def _settle(self, commands: list[DecidedCommand], appended: GroupAppended) -> list[Task]:
        """Answer the commands that went in, and the duplicates. Returns those that are to be decided again."""
        again: list[Task] = []
        duplicates: list[DecidedCommand] = []
        position, epoch, recorded_at = appended.before, appended.epoch, appended.recorded_at
        for decided, verdict in zip(commands, appended.verdicts or [0] * len(commands), strict=True):
            if verdict == 0:
                events = len(decided.events)
                last = position + events
                self._replies.answer(
                    decided.task,
                    Answer(
                        outcome=decided.outcome,
                        code=decided.code,
                        rule=decided.rule,
                        result=decided.result,
                        decided_position=position,
                        first_position=position + 1 if events else None,
                        last_position=last if events else None,
                        epoch=epoch,
                        recorded_at=recorded_at,
                        dry_run=decided.task.submission.dry_run,
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
            repeated = [decided.task for decided in duplicates]
            self._answer_recorded(repeated)
            if unanswered(repeated):
                raise RuntimeError("the append found a key in the log that has no record there")
        self._notify(position, position > appended.before)
        return again

    def _return(self, tasks: list[Task]) -> None:
        """Put commands back at the head of the queue: the group was full, or a command with the same key failed."""
        if tasks:
            with self._ready:
                self._queue.extendleft(reversed(tasks))

    def _notify(self, head: int, appended: bool) -> None:
        """Wake processes that follow the log. Not after every append: a process that misses it polls."""
        now = monotonic()
        if appended and not self._queue and now - self._notified_at >= NOTIFY_SECONDS:
            self._notified_at = now
            self._replies.deliver()  # answers need not wait for this
            with suppress(psycopg.Error):  # the next to use the connection deals with it
                self._side.execute("SELECT pg_notify(%s, %s)", (CHANNEL, f"{self._log_number}:{head}"))


_FAULT = "an error in Daybook stopped it; it has been logged"
_WORTH_ANOTHER_TRY = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


def _reason(error: Exception, result: Result) -> str:
    """Why no command of a group could be carried out."""
    if result is Result.UNABLE:
        return f"{type(error).__name__}: {_first_line(error)}"
    if result is Result.READ_ONLY:
        return _first_line(error)
    return f"the database connection was lost: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    """The first line of an error of the database or of a key. Any other error could quote personal data."""
    if (message := explain_head_time(error)) is not None:
        return message
    message = str(error).strip().split("\n", 1)[0] if isinstance(error, psycopg.Error | SealingError) else ""
    return message or "it has been logged"
