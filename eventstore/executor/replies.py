"""Who waits for what: commands on their way to an answer, those that follow one with the same key, and the telling.

An answer is kept until `deliver`, so that whoever waits for many is told once a group.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from eventstore.executor.decided_commands import RECORDED, Task
from eventstore.executor.reply_sinks import ExecutorError, FaultError, RejectedError, ReplySink, UnavailableError
from eventstore.log.answers import Answer, Outcome
from eventstore.tracebacks import traceback_of

logger = logging.getLogger(__name__)

_ANSWERED = object()


def lead(tasks: Iterable[Task]) -> list[Task]:
    """One task for each actor and key; who has the same key follows the first and gets its answer."""
    leaders: dict[tuple[str, str], Task] = {}
    for task in tasks:
        key = (task.submission.actor, task.submission.key)
        leader = leaders.setdefault(key, task)
        if leader is not task:
            leader.followers.append(task)
    return list(leaders.values())


def unanswered(tasks: Iterable[Task]) -> list[Task]:
    """Those that still wait."""
    return [task for task in tasks if task.token is not _ANSWERED]


def key_reused(first: Answer) -> Answer:
    """What another request with the key of this answer is told."""
    return replace(first, outcome=Outcome.KEY_REUSED, code=0, rule=None, result={}, stored=b"", replayed=False)


class Replies:
    """Answers tasks and those that follow them. For one thread."""

    def __init__(self, put_back: Callable[[list[Task]], None]) -> None:
        """`put_back`: for a follower that must have a turn of its own, because whom it follows did not use the key."""
        self._put_back = put_back
        self._results: dict[int, tuple[ReplySink, list[tuple[Any, Answer | ExecutorError]]]] = {}

    def answer(self, task: Task, answer: Answer) -> None:
        """It is answered, and whoever asked the same; who asked something else with its key is told so."""
        self._result(task, answer)
        if not task.followers:
            return
        others: list[Task] = []
        for follower in task.followers:
            if follower.submission.request_hash == task.submission.request_hash:
                replayed = answer.outcome in RECORDED
                self.answer(follower, replace(answer, replayed=True) if replayed else answer)
            elif answer.outcome in RECORDED:
                self.answer(follower, key_reused(answer))
            else:
                others.append(follower)
        self._put_back(others)

    def fail(self, task: Task, error: ExecutorError) -> None:
        """It has no answer, nor has whoever asked the same."""
        self._result(task, error)
        others: list[Task] = []
        for follower in task.followers:
            same = follower.submission.request_hash == task.submission.request_hash
            if same or not isinstance(error, RejectedError | FaultError):
                self.fail(follower, error)
            else:  # another request, which was not tried
                others.append(follower)
        self._put_back(others)

    def fail_all(self, tasks: Iterable[Task], why: str) -> None:
        """Those that still wait are told that it could not be done, or that it is unknown whether it was."""
        for task in tasks:
            if task.token is not _ANSWERED:
                self.fail(task, UnavailableError(why))

    def deliver(self) -> None:
        """Tell everybody who was answered since."""
        results, self._results = self._results, {}
        for sink, answers in results.values():
            try:
                sink.deliver(answers)
            except Exception as fault:  # of one who waits: the others wait too
                logger.error("answers were not delivered: %s", traceback_of(fault))

    def _result(self, task: Task, result: Answer | ExecutorError) -> None:
        token, task.token = task.token, _ANSWERED
        self._results.setdefault(id(task.sink), (task.sink, []))[1].append((token, result))
