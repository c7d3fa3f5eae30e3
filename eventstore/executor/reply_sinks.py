"""Where the executor's answers go, and what stands in the place of one that there is not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import Event
from typing import Any, Protocol

from eventstore.log.answers import Answer


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


class FaultError(ExecutorError):
    """A fault of ours: it was logged, and nothing of the command was kept."""


class RejectedError(ExecutorError):
    """The command cannot be carried out as it is: its events cannot be encoded or are too many."""


class ReplySink(Protocol):
    """Where answers go: called on the executor's thread, once for all of a group's answers that are its own."""

    def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None: ...


class ReplyCollector(ABC):
    """A sink for `submit_all`: the answers of many, in their order, once the last is there."""

    def __init__(self, count: int) -> None:
        self.answers: list[Any] = [None] * count
        self._missing = count

    def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None:
        """Called on the executor's thread, once a group."""
        for number, result in results:
            self.answers[number] = result
        self._missing -= len(results)
        if self._missing == 0:
            self.complete()

    @abstractmethod
    def complete(self) -> None:
        """Called on the executor's thread when `answers` is whole; never where there are none to wait for."""


class Waiter(ReplyCollector):
    """For a thread that waits."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.whole = Event()

    def complete(self) -> None:
        self.whole.set()

    def wait(self) -> list[Answer]:
        """The answers. Raises the `ExecutorError` of the first command that has none."""
        if self.answers:
            self.whole.wait()
        for result in self.answers:
            if isinstance(result, ExecutorError):
                raise result
        return self.answers
