"""The figures of an executor: histograms, and answers by outcome."""

from __future__ import annotations

import pytest

from eventstore.executor.reply_sinks import ContentionError, ExecutorError, StoppedError, UnavailableError
from eventstore.executor.statistics import OUTCOMES, AnswerCounts
from eventstore.histogram import Histogram
from eventstore.log.answers import Answer, Outcome


def answer(outcome: Outcome, rule: str | None = None, *, replayed: bool = False) -> Answer:
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
    )


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
        answer(Outcome.EXPECTATION_FAILED, "expectation_failed"),
        answer(Outcome.UNKNOWN, "unknown"),
        answer(Outcome.KEY_REUSED),
        ContentionError("of it"),
        UnavailableError("away"),
        StoppedError("a failure without a name"),
    ]
    counts.add((None, one) for one in results)
    assert counts.by_outcome() == {
        ("accepted", None): 2,
        ("replayed", None): 2,
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
