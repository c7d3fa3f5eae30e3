"""Where the executor delivers answers, and the errors it delivers where there is no answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import Event
from typing import Any, Protocol

from eventstore.log.answers import Answer


class ExecutorError(RuntimeError):
    """A command without an answer."""


class QueueFullError(ExecutorError):
    """The queue is full: try again later."""


class StoppedError(ExecutorError):
    """The executor does not run."""


class ContentionError(ExecutorError):
    """The streams of the command changed in every attempt: retry with the same key."""


class UnavailableError(ExecutorError):
    """The database could not be reached or failed. The outcome may be unknown: retry with the same key."""


class NewerEventError(ExecutorError):
    """A newer version of the program wrote an event to a stream of the command. Nothing of the command was stored."""

    def __init__(self, stream: str, type: str) -> None:
        self.stream = stream
        self.type = type
        super().__init__(
            f"{stream} has an event {type}, which a newer version of Daybook wrote and this process does not know. "
            f"Nothing was done. Upgrade this process, or send the command to a newer one, with the same key"
        )


class FaultError(ExecutorError):
    """An error in Daybook. It was logged, and nothing of the command was stored."""


class RejectedError(ExecutorError):
    """The command cannot be executed: its events cannot be encoded, or there are too many."""


class ReplySink(Protocol):
    """Takes answers. It is called on the executor's thread, once a group, with all answers that belong to it."""

    def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None: ...


class ReplyCollector(ABC):
    """A sink for `submit_all`: collects the answers in the order of the commands."""

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
        """Called on the executor's thread once all answers are there; never for an empty list of commands."""


class Waiter(ReplyCollector):
    """Lets a thread wait for all answers."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.whole = Event()

    def complete(self) -> None:
        self.whole.set()

    def wait(self) -> list[Answer]:
        """Wait and return the answers. Raises the `ExecutorError` of the first command without one."""
        if self.answers:
            self.whole.wait()
        for result in self.answers:
            if isinstance(result, ExecutorError):
                raise result
        return self.answers
