"""Executes the commands of an import, in groups, each at most once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from psycopg import Connection

from eventstore.executor.decided_commands import Submission
from eventstore.log.answers import ACCEPTED, Answer, find_answers
from workers.composition import WriteSide

GROUP: Final = 1_000
"""Commands that are executed together."""
PENDING: Final = "pending"
"""Stands in place of a rule for a transaction that waits for another person: it has not moved anything."""


class ImportFailedError(RuntimeError):
    """A row with this id was imported before with other content: the file has changed."""


@dataclass
class Imported:
    """The result of an import."""

    accounts: int = 0
    transactions: int = 0
    orders: int = 0  # standing orders
    already: int = 0  # imported by an earlier run
    without_amount: list[str] = field(
        default_factory=list
    )  # keys of rows with the amount 0.00, which move nothing and are not in the log
    refused: dict[str, list[str]] = field(default_factory=dict)  # keys by rule

    @property
    def ok(self) -> bool:
        """Whether every row of the source that moves money is in the log."""
        return not self.refused


def execute_groups(
    side: WriteSide, connection: Connection[Any], submissions: Iterable[Submission], done: Imported
) -> Iterator[int]:
    """Execute in groups of bounded size. What an earlier run imported is looked up and not executed again.

    Yields the size of each group. Raises `ImportFailedError`, `ExecutorError`.
    """
    rows = iter(submissions)
    while group := list(islice(rows, GROUP)):
        found = find_answers(connection, side.log_number, [(s.actor, s.key) for s in group])
        for submission in group:
            earlier = found.get((submission.actor, submission.key))
            if earlier is not None and earlier.request_hash != submission.request_hash:
                raise ImportFailedError(f"{submission.key} was imported before with other content")
        new = [s for s in group if (s.actor, s.key) not in found]
        done.already += len(found)
        answers = [*side.executor.execute(new), *(earlier.answer for earlier in found.values())]
        for key, answer in zip([*(s.key for s in new), *(key for _, key in found)], answers, strict=True):
            _note(done, key, answer)
        yield len(group)


def _note(done: Imported, key: str, answer: Answer) -> None:
    if answer.outcome is not ACCEPTED:
        done.refused.setdefault(answer.rule or answer.outcome.name.lower(), []).append(key)
    elif answer.result.get("status") == PENDING:
        done.refused.setdefault(PENDING, []).append(key)
