"""What an executor has done since it started, as plain integers.

The executor's thread counts once a group. Whoever shows the figures reads them when somebody asks, from any thread: a
command pays for a comparison and no more. docs/adr/0030 has the cost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore.executor.reply_sinks import (
    ContentionError,
    ExecutorError,
    FaultError,
    NewerEventError,
    RejectedError,
    UnavailableError,
)
from eventstore.histogram import Histogram
from eventstore.log.answers import ACCEPTED, Answer, Outcome

GROUP_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
APPEND_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

REPLAYED: Final = "replayed"
DRY_RUN: Final = "dry_run"
FAILURES: Final[dict[type[ExecutorError], str]] = {
    ContentionError: "contention",
    UnavailableError: "unavailable",
    FaultError: "fault",
    RejectedError: "rejected",
    NewerEventError: "newer_event",
}
"""Names of the failures that are delivered instead of an answer."""
OTHER_FAILURE: Final = "failed"
OUTCOMES: Final = (*(outcome.name.lower() for outcome in Outcome), REPLAYED, DRY_RUN, *FAILURES.values(), OTHER_FAILURE)
"""What can become of a command that was queued."""

QUEUE_FULL: Final = "queue_full"
PRINCIPAL_BUSY: Final = "principal_busy"
TURNED_AWAY: Final = (QUEUE_FULL, PRINCIPAL_BUSY)
"""Why a command was not queued."""


class AnswerCounts:
    """Counts answers by outcome; refusals also by rule."""

    __slots__ = ("accepted", "others")

    def __init__(self) -> None:
        self.accepted = 0
        self.others: Counter[tuple[str, str | None]] = Counter()

    def add(self, results: Iterable[tuple[Any, Answer | ExecutorError]]) -> None:
        """Count these answers, which are about to be delivered."""
        accepted = 0
        for _, result in results:
            if isinstance(result, Answer) and result.outcome is ACCEPTED and not (result.replayed or result.dry_run):
                accepted += 1
            else:
                self.others[_kind(result)] += 1
        self.accepted += accepted

    def by_outcome(self) -> dict[tuple[str, str | None], int]:
        """The number of answers by outcome and rule. The rule is None unless the outcome is a refusal."""
        return {(ACCEPTED.name.lower(), None): self.accepted, **dict(self.others)}


def _kind(result: Answer | ExecutorError) -> tuple[str, str | None]:
    if isinstance(result, ExecutorError):
        return FAILURES.get(type(result), OTHER_FAILURE), None
    if result.replayed:
        return REPLAYED, None
    if result.dry_run:
        return DRY_RUN, None
    return result.outcome.name.lower(), result.rule if result.outcome is Outcome.REFUSED else None


@dataclass(slots=True)
class Statistics:
    """What an executor has done since it started."""

    groups: int = 0
    commands: int = 0
    events: int = 0
    conflicts: int = 0
    locked_groups: int = 0
    discarded: int = 0  # groups that were decided behind one that did not go in whole
    reconnects: int = 0
    answers: AnswerCounts = field(default_factory=AnswerCounts)
    turned_away: Counter[str] = field(default_factory=Counter)  # commands that were not queued, by reason
    group_sizes: Histogram = field(default_factory=lambda: Histogram(GROUP_SIZES))  # commands of a group
    append_seconds: Histogram = field(default_factory=lambda: Histogram(APPEND_SECONDS))  # from sending to the answer
