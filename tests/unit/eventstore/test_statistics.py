"""The figures of an executor: histograms, and answers by outcome."""

from __future__ import annotations

from typing import Any

import pytest

from eventstore.executor.decided_commands import CommandTimes, Submission, Task
from eventstore.executor.replies import Replies
from eventstore.executor.reply_sinks import (
    ContentionError,
    ExecutorError,
    NewerEventError,
    StoppedError,
    UnavailableError,
)
from eventstore.executor.statistics import OUTCOMES, AnswerCounts
from eventstore.histogram import Histogram
from eventstore.log.answers import Answer, Codes, Outcome


def answer(outcome: Outcome, rule: str | None = None, *, replayed: bool = False, dry_run: bool = False) -> Answer:
    return Answer(
        outcome=outcome,
        code=0,
        rule=rule,
        result={},
        decided_position=0,
        first_position=None,
        last_position=None,
        epoch=1,
        replayed=replayed,
        dry_run=dry_run,
    )


def test_an_answer_is_counted_before_it_is_delivered() -> None:
    counts = AnswerCounts()
    seen: list[int] = []

    class Sink:
        def deliver(self, results: list[tuple[Any, Answer | ExecutorError]]) -> None:
            seen.append(counts.accepted)

    replies = Replies(lambda tasks: None, counts)
    submission = Submission(
        command=None,
        actor="tester",
        key="key-1",
        request_hash=b"",
        metadata=b"",
        context=None,
        codes=Codes(201, 422, 412),
        times=CommandTimes(queued_ns=1),
    )
    replies.answer(Task(submission, Sink(), 1), answer(Outcome.ACCEPTED))
    assert counts.accepted == 0
    replies.deliver()
    assert seen == [1]
    assert submission.times is not None
    assert submission.times.answer == answer(Outcome.ACCEPTED), "a traced command knows its answer"


@pytest.mark.parametrize(
    ("value", "counts"), [(0.0, [1, 0, 0]), (1.0, [1, 0, 0]), (1.01, [0, 1, 0]), (2.0, [0, 1, 0]), (2.01, [0, 0, 1])]
)
def test_a_value_is_counted_under_the_first_bound_that_is_not_less(value: float, counts: list[int]) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.add(value)
    assert (histogram.counts, histogram.total) == (counts, value)


def test_answers_are_counted_by_outcome_and_refusals_by_rule() -> None:
    counts = AnswerCounts()
    results: list[Answer | ExecutorError] = [
        answer(Outcome.ACCEPTED),
        answer(Outcome.ACCEPTED),
        answer(Outcome.ACCEPTED, replayed=True),
        answer(Outcome.REFUSED, "below_minimum"),
        answer(Outcome.REFUSED, "below_minimum"),
        answer(Outcome.REFUSED, "account_closed"),
        answer(Outcome.REFUSED, "below_minimum", replayed=True),
        answer(Outcome.ACCEPTED, dry_run=True),
        answer(Outcome.REFUSED, "below_minimum", dry_run=True),
        answer(Outcome.EXPECTATION_FAILED, "expectation_failed"),
        answer(Outcome.UNKNOWN, "unknown"),
        answer(Outcome.KEY_REUSED),
        ContentionError("of it"),
        UnavailableError("away"),
        NewerEventError("acct_1", "account.painted.v1"),
        StoppedError("a failure without a name"),
    ]
    counts.add((None, one) for one in results)
    assert counts.by_outcome() == {
        ("accepted", None): 2,
        ("replayed", None): 2,
        ("dry_run", None): 2,
        ("newer_event", None): 1,
        ("refused", "below_minimum"): 2,
        ("refused", "account_closed"): 1,
        ("expectation_failed", None): 1,
        ("unknown", None): 1,
        ("key_reused", None): 1,
        ("contention", None): 1,
        ("unavailable", None): 1,
        ("failed", None): 1,
    }
    assert {outcome for outcome, _ in counts.by_outcome()} <= set(OUTCOMES)
