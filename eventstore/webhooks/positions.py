"""How far each webhook is, and its attempts: rows of the schema `webhooks`.

Who changes a row compares and sets its `turn`, so that two workers at once lose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from eventstore.postgres.arrays import int8_array, text_array


@dataclass(frozen=True, slots=True)
class Position:
    """How far a webhook is. Every event that it wants was taken up to `position`, and those of `ahead` after it."""

    begun: int  # version of the event that set where to begin
    restarted: int  # version of the event since which failures count
    position: int
    ahead: tuple[int, ...] = ()
    failures: int = 0  # turns in a row in which an attempt failed while the position stayed
    failing_since: datetime | None = None
    next_at: datetime | None = None  # nothing is sent before; None: at once
    turn: int = 0  # 0: there is no row yet


class Attempt(NamedTuple):
    """What became of an attempt to deliver the event at a position. `cause` None: the receiver has it."""

    position: int
    at: datetime
    milliseconds: int
    status: int | None
    cause: str | None


_READ: Final = """
SELECT begun, restarted, position, ahead, failures, failing_since, next_at, turn
  FROM webhooks.positions WHERE log = %s AND webhook = %s
"""
_INSERT: Final = """
INSERT INTO webhooks.positions
    (log, webhook, begun, restarted, position, ahead, failures, failing_since, next_at, turn)
VALUES (%(log)s, %(webhook)s, %(begun)s, %(restarted)s, %(position)s, %(ahead)s::bigint[], %(failures)s, %(since)s,
        %(next_at)s, 1)
ON CONFLICT DO NOTHING
"""
_UPDATE: Final = """
UPDATE webhooks.positions
   SET begun = %(begun)s, restarted = %(restarted)s, position = %(position)s, ahead = %(ahead)s::bigint[],
       failures = %(failures)s, failing_since = %(since)s, next_at = %(next_at)s, turn = turn + 1
 WHERE log = %(log)s AND webhook = %(webhook)s AND turn = %(turn)s
"""
_ATTEMPTS: Final = """
INSERT INTO webhooks.deliveries (log, webhook, position, attempt, at, milliseconds, status, cause)
SELECT %s, %s, a.position,
       1 + (SELECT count(*) FROM webhooks.deliveries d WHERE d.log = %s AND d.webhook = %s AND d.position = a.position),
       a.at, a.milliseconds, a.status, a.cause
  FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[], %s::smallint[], %s::text[])
       WITH ORDINALITY AS a(position, at, milliseconds, status, cause, number)
 ORDER BY a.number
"""


def read_position(connection: Connection[Any], log_number: int, webhook: str) -> Position | None:
    """How far a webhook is; None if nothing was ever sent to it."""
    row = connection.execute(_READ, (log_number, webhook)).fetchone()
    return None if row is None else Position(row[0], row[1], row[2], tuple(row[3]), *row[4:])


def keep_turn(
    connection: Connection[Any], log_number: int, webhook: str, position: Position, attempts: Sequence[Attempt]
) -> bool:
    """Add attempts, each event at most once among them, and set the position, if `turn` is that of the row.

    Returns whether it was. The attempts were made, so they are added in any case.
    """
    parameters = {
        "log": log_number,
        "webhook": webhook,
        "begun": position.begun,
        "restarted": position.restarted,
        "position": position.position,
        "ahead": int8_array(list(position.ahead)),
        "failures": position.failures,
        "since": position.failing_since,
        "next_at": position.next_at,
        "turn": position.turn,
    }
    with connection.transaction():
        if attempts:
            _add(connection, log_number, webhook, attempts)
        statement = _UPDATE if position.turn else _INSERT
        return connection.execute(statement.encode(), parameters).rowcount == 1


def _add(connection: Connection[Any], log_number: int, webhook: str, attempts: Sequence[Attempt]) -> None:
    of = (log_number, webhook)
    positions, times, milliseconds, statuses, causes = (list(column) for column in zip(*attempts, strict=True))
    connection.execute(_ATTEMPTS.encode(), (*of, *of, positions, times, milliseconds, statuses, causes))


# What waits

_DUE: Final = """
SELECT w.webhook FROM unnest(%(webhooks)s::text[]) AS w(webhook)
  LEFT JOIN webhooks.positions p ON p.log = %(log)s AND p.webhook = w.webhook
 WHERE p.webhook IS NULL OR p.position < %(head)s AND (p.next_at IS NULL OR p.next_at <= %(now)s)
 ORDER BY p.next_at NULLS FIRST, p.position NULLS FIRST, w.webhook
"""
_NEXT_DUE: Final = """
SELECT min(next_at) FROM webhooks.positions
 WHERE log = %s AND webhook = ANY (%s::text[]) AND next_at > %s AND position < %s
"""


def due_webhooks(
    connection: Connection[Any], log_number: int, webhooks: Sequence[str], head: int, now: datetime
) -> list[str]:
    """Those of these webhooks that something may have to be sent to now, the longest due first."""
    parameters = {"webhooks": text_array(webhooks), "log": log_number, "head": head, "now": now}
    return [webhook for (webhook,) in connection.execute(_DUE.encode(), parameters).fetchall()]


def next_due_webhook(
    connection: Connection[Any], log_number: int, webhooks: Sequence[str], head: int, now: datetime
) -> datetime | None:
    """The next time at which something has to be sent again to one of these webhooks."""
    row = connection.execute(_NEXT_DUE, (log_number, text_array(webhooks), now, head)).fetchone()
    return None if row is None else row[0]
