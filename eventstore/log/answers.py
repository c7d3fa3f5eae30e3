"""The answer to a command: a row of ``log.commands``, from which the first answer and every retry are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, Final

import orjson
from msgspec import Struct
from psycopg import Connection

from eventstore.postgres.arrays import bytea_array, text_array


class Outcome(IntEnum):
    """What became of a command. The first three are recorded, the others are only answered."""

    ACCEPTED = 1
    REFUSED = 2
    EXPECTATION_FAILED = 3
    UNKNOWN = 4  # it names something that does not exist
    KEY_REUSED = 5  # its key belongs to another request
    FORBIDDEN = 6  # the principal may not do it


REFUSALS_ERA: Final = "command.refused"
"""The name in `log.eras` of the position after which refusals are events; without a row it is 0."""

ACCEPTED = Outcome.ACCEPTED
"""A name for the hot path: Python 3.11 looks up a member of an enum three times slower than a name."""


class Codes(Struct, frozen=True):
    """A code for each outcome that is recorded. It is stored with the answer and returned with it on every retry.

    The codes belong to the caller: the event store gives them no meaning. The column is named ``status``.
    """

    accepted: int
    refused: int
    expectation_failed: int

    def of(self, outcome: Outcome) -> int:
        """The code of an outcome; 0 for one that is not recorded."""
        if outcome is ACCEPTED:
            return self.accepted
        if outcome is Outcome.REFUSED:
            return self.refused
        return self.expectation_failed if outcome is Outcome.EXPECTATION_FAILED else 0


class Answer(Struct, frozen=True, kw_only=True):
    """The answer to a command.

    `result` has, for an accepted command, the result of the decision and under ``versions`` the new version of each
    stream whose version is certain; for a refusal its figures; for a failed expectation ``expected`` and ``actual`` by
    stream; for an unknown thing its ``kind`` and ``id``; for a forbidden command ``why``. `stored` is the same as it is
    recorded: JSON with sorted keys, empty where nothing is recorded.
    """

    outcome: Outcome
    code: int  # of the submission's `Codes`; 0 where nothing is recorded
    rule: str | None
    result: Mapping[str, Any]
    decided_position: int
    first_position: int | None
    last_position: int | None
    epoch: int
    recorded_at: datetime | None = None
    replayed: bool = False
    dry_run: bool = False
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
    connection: Connection[Any], log_number: int, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], RecordedAnswer]:
    """The recorded answers among these (actor, key) pairs, marked as replayed."""
    actors, names = text_array([actor for actor, _ in keys]), text_array([key for _, key in keys])
    rows = connection.execute(_FIND, (actors, names, log_number), binary=True)
    return {
        (actor, key): RecordedAnswer(
            Answer(
                outcome=Outcome(outcome),
                code=code,
                rule=rule,
                result=orjson.loads(result),
                decided_position=decided,
                first_position=first,
                last_position=last,
                epoch=epoch,
                recorded_at=recorded_at,
                replayed=True,
                stored=result,
            ),
            request_hash,
        )
        for actor, key, request_hash, outcome, code, rule, result, decided, first, last, epoch, recorded_at in rows
    }


# OFFSET 0 keeps the planner from reading the whole table instead of probing its key: for 10,000 keys it would, up to a
# million rows, and the time would grow with the log.
_COUNT = """
SELECT CASE WHEN substr(c.request_hash, 1, %(length)s) = k.digest THEN c.outcome ELSE %(key_reused)s END, count(*)
  FROM unnest(%(keys)s::text[], %(digests)s::bytea[]) AS k(key, digest)
 CROSS JOIN LATERAL (
    SELECT request_hash, outcome FROM log.commands
     WHERE log = %(log)s AND actor = %(actor)s AND key = k.key OFFSET 0
  ) c
 GROUP BY 1
"""


def count_outcomes(
    connection: Connection[Any],
    log_number: int,
    actor: str,
    keys: Sequence[str],
    digests: Sequence[bytes],
    length: int,
) -> dict[Outcome, int]:
    """How many of these keys of an actor have a recorded answer with each outcome.

    A digest has the first `length` bytes of the request hash that is expected under its key. A key with the answer of
    another request counts as `KEY_REUSED`.
    """
    parameters = {
        "log": log_number,
        "actor": actor,
        "keys": text_array(keys),
        "digests": bytea_array(digests),
        "length": length,
        "key_reused": int(Outcome.KEY_REUSED),
    }
    return {Outcome(outcome): count for outcome, count in connection.execute(_COUNT, parameters)}
