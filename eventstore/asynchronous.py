"""The executor for asyncio: one wake-up of the event loop a group, however many of its commands wait."""

from __future__ import annotations

import asyncio
from typing import Any

from eventstore.answers import Answer
from eventstore.executor import Executor, ExecutorError, Submission


class AsyncExecutor:
    """Awaits answers of an executor on one event loop."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._loop: asyncio.AbstractEventLoop | None = None

    async def execute(self, submission: Submission) -> Answer:
        """The answer. Raises `ExecutorError`, `QueueFullError` at once when too many wait."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = self._loop.create_future()
        self._executor.submit(submission, self, answered)
        return await answered

    def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None:
        """Called on the executor's thread, once a group."""
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_resolve, results)


def _resolve(results: list[tuple[Any, Answer | ExecutorError]]) -> None:
    for future, result in results:
        if future.done():  # its client has gone
            continue
        if isinstance(result, ExecutorError):
            future.set_exception(result)
        else:
            future.set_result(result)
