"""What became of a command: the row in ``log.commands`` that the first answer and every retry are rendered from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any

import orjson
from msgspec import Struct
from psycopg import Connection

from eventstore.postgres.arrays import text_array


class Outcome(IntEnum):
    """The first three are recorded, the others only answered."""

    ACCEPTED = 1
    REFUSED = 2
    EXPECTATION_FAILED = 3
    UNKNOWN = 4  # it names something that does not exist
    KEY_REUSED = 5  # its key belongs to another request


ACCEPTED = Outcome.ACCEPTED
"""For where every command passes: a member of an enum takes Python 3.11 three times as long to look up as a name."""


class Answer(Struct, frozen=True):
    """The answer to a command.

    `result`: for an accepted command what the decision tells, and under ``versions`` the new version of each stream
    whose version is certain; for a refusal its figures; for a failed expectation ``expected`` and ``actual`` by stream;
    for an unknown thing its ``kind`` and ``id``. `stored`: the same as it is recorded, JSON with sorted keys; empty
    where nothing is.
    """

    outcome: Outcome
    status: int  # of HTTP, as the submission named it; 0 where nothing is recorded
    rule: str | None
    result: Mapping[str, Any]
    decided_position: int
    first_position: int | None
    last_position: int | None
    epoch: int
    recorded_at: datetime | None = None
    replayed: bool = False
    stored: bytes = b""


class RecordedAnswer(Struct, frozen=True):
    """A row of ``log.commands``."""

    answer: Answer
    request_hash: bytes


_FIND = """
SELECT c.actor, c.key, c.request_hash, c.outcome, c.status, c.rule, c.result, c.decided_position,
       c.first_position, c.last_position, l.epoch, c.recorded_at
  FROM unnest(%s::text[], %s::text[]) AS k(actor, key)
  JOIN log.commands c ON c.log = %s AND c.actor = k.actor AND c.key = k.key
  JOIN log.logs l ON l.log = c.log
"""


def find_answers(
    connection: Connection[Any], log: int, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], RecordedAnswer]:
    """The recorded answers among these (actor, key) pairs, marked as replayed."""
    actors, names = text_array([actor for actor, _ in keys]), text_array([key for _, key in keys])
    rows = connection.execute(_FIND, (actors, names, log), binary=True)
    return {
        (actor, key): RecordedAnswer(
            Answer(
                Outcome(outcome),
                status,
                rule,
                orjson.loads(result),
                decided,
                first,
                last,
                epoch,
                recorded_at,
                replayed=True,
                stored=result,
            ),
            request_hash,
        )
        for actor, key, request_hash, outcome, status, rule, result, decided, first, last, epoch, recorded_at in rows
    }
