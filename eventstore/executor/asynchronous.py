"""The executor for asyncio. The event loop is woken once a group, however many coroutines wait for its commands."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from eventstore.executor.decided_commands import Submission
from eventstore.executor.executor import Executor
from eventstore.executor.reply_sinks import ExecutorError, ReplyCollector
from eventstore.executor.statistics import PRINCIPAL_BUSY
from eventstore.log.answers import Answer

MOST_WAITING_PER_ACTOR = 5_000

_Results = list[tuple[asyncio.Future[Answer], "Answer | ExecutorError"]]


class ActorBusyError(ExecutorError):
    """Too many commands of one actor wait. The bound leaves the queue open for other actors."""

    def __init__(self, actor: str, most: int) -> None:
        super().__init__(f"{most} commands of {actor} wait, the most allowed")
        self.most = most


class AsyncExecutor:
    """Awaits answers of an executor, on one event loop."""

    def __init__(self, executor: Executor, most_waiting_per_actor: int = MOST_WAITING_PER_ACTOR) -> None:
        self._executor = executor
        self._most = most_waiting_per_actor
        self._waiting: Counter[str] = Counter()

    def waiting(self, actor: str) -> int:
        """How many commands of the actor have no answer yet."""
        return self._waiting[actor]

    @property
    def most_together(self) -> int:
        """How many commands can be queued at once, when nothing else waits."""
        return min(self._most, self._executor.queue_limit)

    def has_room(self, actor: str, more: int) -> bool:
        """Whether so many more commands of the actor may wait."""
        return self._waiting[actor] + more <= self._most

    async def execute(self, submission: Submission) -> Answer:
        """Execute a command and return its answer.

        Raises `ExecutorError`, and at once `QueueFullError` or `ActorBusyError` when too many commands wait.
        """
        actor, waiting = submission.actor, self._waiting  # one entry a principal, so it is bounded
        if not self.has_room(actor, 1):
            self._executor.statistics.turned_away[PRINCIPAL_BUSY] += 1
            raise ActorBusyError(actor, self._most)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._executor.submit(submission, self, answered)
        waiting[actor] += 1
        try:
            return await answered
        finally:
            waiting[actor] -= 1

    def execute_all(self, submissions: Sequence[Submission]) -> asyncio.Future[list[Answer | ExecutorError]]:
        """Execute many commands of one actor and return their answers in order. Raises as `execute` does."""
        gathered = _Gathered(len(submissions), asyncio.get_running_loop())
        if not submissions:
            return gathered.answered
        actor, waiting = submissions[0].actor, self._waiting
        if not self.has_room(actor, len(submissions)):
            self._executor.statistics.turned_away[PRINCIPAL_BUSY] += len(submissions)
            raise ActorBusyError(actor, self._most)
        self._executor.submit_all(submissions, gathered)
        waiting[actor] += len(submissions)
        gathered.answered.add_done_callback(lambda _: waiting.subtract({actor: len(submissions)}))
        return gathered.answered

    def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None:
        """Called on the executor's thread, once a group."""
        by_loop: dict[asyncio.AbstractEventLoop, _Results] = {}
        for future, result in results:
            by_loop.setdefault(future.get_loop(), []).append((future, result))
        for loop, its_own in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed, and so are its callers
                loop.call_soon_threadsafe(_resolve, its_own)


class _Gathered(ReplyCollector):
    """Collects the answers of `execute_all`."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(count)
        self._loop = loop
        self.answered: asyncio.Future[list[Answer | ExecutorError]] = loop.create_future()
        if count == 0:
            self.answered.set_result([])

    def complete(self) -> None:
        """Wake the event loop."""
        with suppress(RuntimeError):  # the loop is closed, and so are its callers
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if not self.answered.done():
            self.answered.set_result(self.answers)


def _resolve(results: _Results) -> None:
    for future, result in results:
        if future.done():  # its client has gone
            continue
        if isinstance(result, ExecutorError):
            future.set_exception(result)
        else:
            future.set_result(result)
