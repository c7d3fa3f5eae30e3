"""The executor for asyncio: one wake-up of the event loop a group, however many of its commands wait."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from eventstore.answers import Answer
from eventstore.executor import Executor, ExecutorError, Submission

_Results = list[tuple[asyncio.Future[Answer], "Answer | ExecutorError"]]


class AsyncExecutor:
    """Awaits answers of an executor, on whichever event loop asks."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def execute(self, submission: Submission) -> Answer:
        """The answer. Raises `ExecutorError`, `QueueFullError` at once when too many wait."""
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._executor.submit(submission, self, answered)
        return await answered

    def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None:
        """Called on the executor's thread, once a group."""
        by_loop: dict[asyncio.AbstractEventLoop, _Results] = {}
        for future, result in results:
            by_loop.setdefault(future.get_loop(), []).append((future, result))
        for loop, its_own in by_loop.items():
            with suppress(RuntimeError):  # closed: nobody is left on it to be told
                loop.call_soon_threadsafe(_resolve, its_own)


def _resolve(results: _Results) -> None:
    for future, result in results:
        if future.done():  # its client has gone
            continue
        if isinstance(result, ExecutorError):
            future.set_exception(result)
        else:
            future.set_result(result)
