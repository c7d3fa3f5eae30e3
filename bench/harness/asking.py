"""Asking an executor from coroutines, the way the API does: a group's answers cross to the event loop in one call."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future, get_running_loop
from typing import Any

from eventstore.answers import Answer
from eventstore.executor import Executor, ExecutorError, Submission


class Asker:
    """The sink of one event loop."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._loop: AbstractEventLoop | None = None

    async def ask(self, submission: Submission) -> Answer:
        """The answer to one command. Raises the `ExecutorError` of a command that has none."""
        self._loop = get_running_loop()
        future: Future[Answer] = self._loop.create_future()
        self._executor.submit(submission, self, future)
        return await future

    def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None:
        """On the executor's thread."""
        assert self._loop is not None, "somebody asked"
        self._loop.call_soon_threadsafe(_settle, results)


def _settle(results: list[tuple[Any, Answer | ExecutorError]]) -> None:
    for future, result in results:
        if isinstance(result, ExecutorError):
            future.set_exception(result)
        else:
            future.set_result(result)
