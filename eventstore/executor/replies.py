"""Replies: the answers to commands, and to commands that follow another with the same key.

Answers are collected until `deliver`, so that a caller who waits for many is called once a group.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from eventstore.executor.decided_commands import RECORDED, Task
from eventstore.executor.reply_sinks import (
    ExecutorError,
    FaultError,
    NewerEventError,
    RejectedError,
    ReplySink,
    UnavailableError,
)
from eventstore.executor.statistics import AnswerCounts
from eventstore.log.answers import Answer, Outcome
from eventstore.tracebacks import traceback_of

logger = logging.getLogger(__name__)

_ANSWERED = object()


def lead(tasks: Iterable[Task]) -> list[Task]:
    """One task for each actor and key. Others with the same key become its followers and get its answer.

    A dry run leads and follows no other, because it does not use up its key.
    """
    leaders: dict[tuple[str, str] | int, Task] = {}
    for task in tasks:
        submission = task.submission
        leader = leaders.setdefault(id(task) if submission.dry_run else (submission.actor, submission.key), task)
        if leader is not task:
            leader.followers.append(task)
    return list(leaders.values())


def unanswered(tasks: Iterable[Task]) -> list[Task]:
    """The tasks without an answer."""
    return [task for task in tasks if task.token is not _ANSWERED]


def key_reused(first: Answer) -> Answer:
    """The answer to another request that uses the key of this one."""
    return replace(first, outcome=Outcome.KEY_REUSED, code=0, rule=None, result={}, stored=b"", replayed=False)


class Replies:
    """Answers tasks and their followers. For one thread."""

    def __init__(self, put_back: Callable[[list[Task]], None], counts: AnswerCounts) -> None:
        """`put_back` queues followers again whose leader failed without recording the key.

        `counts` gets every answer before it is delivered.
        """
        self._put_back = put_back
        self._counts = counts
        self._results: dict[int, tuple[ReplySink, list[tuple[Any, Answer | ExecutorError]]]] = {}

    def answer(self, task: Task, answer: Answer) -> None:
        """Answer a task and the followers with the same request. Followers with another request get `KEY_REUSED`."""
        times = task.submission.times
        if times is not None:
            times.answer = answer
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
        """Fail a task and the followers with the same request."""
        self._result(task, error)
        others: list[Task] = []
        for follower in task.followers:
            same = follower.submission.request_hash == task.submission.request_hash
            if same or not isinstance(error, RejectedError | FaultError | NewerEventError):
                self.fail(follower, error)
            else:  # another request: it was not tried
                others.append(follower)
        self._put_back(others)

    def fail_all(self, tasks: Iterable[Task], why: str) -> None:
        """Fail the tasks without an answer. Whether their commands were executed may be unknown."""
        for task in tasks:
            if task.token is not _ANSWERED:
                self.fail(task, UnavailableError(why))

    def deliver(self) -> None:
        """Deliver the answers that were collected since the last call."""
        results, self._results = self._results, {}
        for sink, answers in results.values():
            self._counts.add(answers)  # before, so that whoever has an answer finds it counted
            try:
                sink.deliver(answers)
            except Exception as fault:  # one caller failed: the others still wait
                logger.error("answers were not delivered: %s", traceback_of(fault))

    def _result(self, task: Task, result: Answer | ExecutorError) -> None:
        token, task.token = task.token, _ANSWERED
        self._results.setdefault(id(task.sink), (task.sink, []))[1].append((token, result))
