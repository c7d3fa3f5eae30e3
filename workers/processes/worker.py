"""The worker of processes. It keeps nothing: what is to do stands in the read table of processes.

One sweep does this for each process:

- It records the pending reactions, and the reaction to a due time that has come.
- It sends the commands of open intents, as they are recorded. The unit of such a command has its answer.
- It reads the read table for open questions, and records the figures.

Then it waits until the projection has folded what it appended, so the next sweep sees the result. Every key is derived
from the process and its trigger or intent. So a second worker, a restart, or a worker that wakes up late gets the first
answer, and nothing is done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, TypeAlias

from psycopg import Connection

from domain.process_manager import Fact, ProcessManager, Question, intent_of
from domain.processes.process import AnswerFigure, CarryOut, RecordFigures, RecordReaction
from eventstore.executor.decided_commands import Submission
from eventstore.executor.executor import Executor
from eventstore.executor.reply_sinks import ExecutorError, FaultError, RejectedError, Waiter
from eventstore.log.answers import Answer
from projections.engine.waiting import BehindError, Checkpoints
from projections.processes.fold import OpenIntent, PendingReaction, Tracked, reaction_when_due
from projections.processes.processes import PROCESSES
from projections.processes.work import due, to_do
from workers.composition import manager_principal, system_submission

logger = logging.getLogger(__name__)

PAGE = 100
"""Processes that are read and carried on at once."""
PART = 1_000
"""Most submissions that wait in the executor at once."""
FOLD_SECONDS = 5.0
"""How long to wait for the projection. After it the sweep begins anew: what was done is answered again."""
FAULT_SECONDS = 60.0
"""How long a process rests whose intent cannot be executed because of an error in Daybook."""
MOST_FAULTY = 10_000
"""Processes that may rest at once. Then all are tried again."""
MOST_FIGURES = 20
"""Most figures of the answer to a question."""

Send: TypeAlias = Callable[[Sequence[Submission]], Sequence[Answer | ExecutorError]]
"""Executes commands in order. The result has what became of each."""


@dataclass(frozen=True, slots=True)
class Query:
    """A figure that processes may ask for: the projections that it is read from, and how. Nothing in it is personal."""

    projections: tuple[str, ...]
    read: Callable[[Connection[Any], Mapping[str, str | int]], Mapping[str, Fact]]


def sender(executor: Executor) -> Send:
    """Send commands to an executor."""

    def send(submissions: Sequence[Submission]) -> Sequence[Answer | ExecutorError]:
        answers: list[Answer | ExecutorError] = []
        step = min(PART, max(1, executor.queue_limit // 2))
        for start in range(0, len(submissions), step):
            part = submissions[start : start + step]
            waiter = Waiter(len(part))
            executor.submit_all(part, waiter)
            waiter.whole.wait()
            answers.extend(waiter.answers)
        return answers

    return send


class Worker:
    """Carries on the processes of some managers. For one thread.

    `reads` is a connection that reads, `clock` the time that decides what is due. Raises `TRANSIENT` errors of the
    connection; a new worker goes on from there.
    """

    def __init__(
        self,
        send: Send,
        log: str,
        reads: Connection[Any],
        checkpoints: Checkpoints,
        managers: Sequence[ProcessManager],
        clock: Callable[[], datetime],
        queries: Mapping[str, Query],
    ) -> None:
        self._send = send
        self._log = log
        self._reads = reads
        self._checkpoints = checkpoints
        self._managers = {manager.name: manager for manager in managers}
        self._clock = clock
        self._queries = queries
        self._resting: dict[str, float] = {}

    def sweep(self) -> bool:
        """Carry on every process that has something to do, and wait for the fold. Returns whether anything was new.

        What was only answered again is not: the worker would go round and round if a table did not show it.
        """
        reached, new = 0, False
        for page in self._pages():
            for answer in self._carry_on(page):
                reached = max(reached, answer.last_position or 0)
                new = new or not answer.replayed
        if reached:
            try:
                self._checkpoints.wait_here((PROCESSES.name,), reached, FOLD_SECONDS)
            except BehindError as behind:
                logger.warning("%s; processes go on once it has", behind)
        return new

    def _pages(self) -> Iterator[list[Tracked]]:
        """Pages of processes, at rest left out: those with work, then those whose time has come."""
        after = ""
        while found := to_do(self._reads, self._managers, after, PAGE):
            after = found[-1].process
            yield self._awake(found)
        now, last = self._clock(), None
        while found := due(self._reads, self._managers, now, last, PAGE):
            last = found[-1]
            made = [(one, self._when_due(one)) for one in self._awake(found)]
            yield [replaced(one, reaction) for one, reaction in made if reaction is not None]

    def _awake(self, processes: Sequence[Tracked]) -> list[Tracked]:
        now = monotonic()
        return [one for one in processes if self._resting.get(one.process, 0.0) <= now]

    def _when_due(self, tracked: Tracked) -> PendingReaction | None:
        """The reaction to a due time; None if the manager cannot say."""
        try:
            return reaction_when_due(self._managers[tracked.manager], tracked)
        except Exception as error:  # the next processes must not wait for it
            self._rest(tracked, error)
            return None

    def _carry_on(self, page: Sequence[Tracked]) -> list[Answer]:
        """Record reactions, send commands, answer questions. Returns the answers."""
        submissions = [(one, self._reaction(one, pending)) for one in page for pending in one.pending]
        for one in page:
            for intent in one.open:
                try:
                    submissions.append((one, self._intended(one, intent)))
                except BehindError as behind:
                    logger.warning("%s; process %s asks again", behind, one.process)
                except (ValueError, LookupError) as error:  # a newer version of the program may know the intent
                    self._rest(one, error)
        results = self._send([submission for _, submission in submissions])
        for (one, _), result in zip(submissions, results, strict=True):
            if isinstance(result, FaultError | RejectedError):
                self._rest(one, result)
            elif isinstance(result, ExecutorError):
                logger.warning("process %s tries again: %s", one.process, result)
        return [result for result in results if isinstance(result, Answer)]

    def _reaction(self, tracked: Tracked, pending: PendingReaction) -> Submission:
        key = f"{tracked.process}:{pending.trigger}"
        command = RecordReaction(
            tracked.process,
            tracked.manager,
            tracked.stream,
            pending.trigger,
            pending.due_at,
            tracked.round,
            pending.intents,
            pending.attention,
        )
        return self._submission(tracked, key, command)

    def _intended(self, tracked: Tracked, intent: OpenIntent) -> Submission:
        """The submission of an intent. Raises `ValueError` or `LookupError` if this program does not know it."""
        asked = intent_of(self._managers[tracked.manager], intent.intent)
        place = tracked.process, intent.reaction, intent.number
        key = ":".join(map(str, place))
        if not isinstance(asked, Question):
            return self._submission(tracked, key, CarryOut(*place, asked))
        figures = self._ask(asked, tracked.last_position)
        return self._submission(tracked, key, RecordFigures(*place, figures))

    def _ask(self, question: Question, position: int) -> tuple[AnswerFigure, ...]:
        """The answer to a question, once the read tables have reached the position. Raises `BehindError`."""
        query = self._queries[question.query]
        self._checkpoints.wait_here(query.projections, position, FOLD_SECONDS)
        figures = query.read(self._reads, question.arguments)
        if len(figures) > MOST_FIGURES:
            raise ValueError(f"{question.query} answers {len(figures)} figures, of {MOST_FIGURES} at most")
        return tuple(AnswerFigure(name, value) for name, value in sorted(figures.items()))

    def _submission(self, tracked: Tracked, key: str, command: Any) -> Submission:
        principal = manager_principal(tracked.manager)
        return system_submission(principal, key, command, key, self._log, self._clock())

    def _rest(self, tracked: Tracked, error: Exception) -> None:
        """Let a process rest that cannot go on, so that it does not fill the log of messages."""
        logger.error("process %s cannot go on, and is tried again in %g s: %s", tracked.process, FAULT_SECONDS, error)
        if len(self._resting) >= MOST_FAULTY:
            self._resting.clear()
        self._resting[tracked.process] = monotonic() + FAULT_SECONDS


def replaced(tracked: Tracked, reaction: PendingReaction) -> Tracked:
    """The process with nothing to do but to record this reaction."""
    tracked.pending, tracked.open = (reaction,), ()
    return tracked
