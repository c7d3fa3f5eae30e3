"""What a person sent: the records of their commands, newest first, with the type of each command from its events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from psycopg import Connection

from eventstore.log.answers import Outcome
from eventstore.postgres.arrays import text_array

PERSON: Final = "prsn_"
"""The beginning of the ids of persons. The index of what they sent has these actors only."""


class Sent(NamedTuple):
    """A command that was recorded. `command` and `position` are None where it left no event.

    `streams` are those that it wrote to and that its answer names.
    """

    actor: str
    key: str
    command: str | None
    outcome: Outcome
    code: int
    rule: str | None
    streams: tuple[str, ...]
    position: int | None
    recorded_at: datetime
    origin: str | None


class Before(NamedTuple):
    """Where the next page begins: after the command with this time, key and actor."""

    at: datetime
    key: str
    actor: str


_COLUMNS: Final = """
SELECT c.actor, c.key, c.outcome, c.status, c.rule, c.result, c.last_position, c.recorded_at, c.origin, e.metadata
"""
_NEWEST: Final = "ORDER BY c.recorded_at DESC, c.key DESC, c.actor DESC LIMIT %(row_limit)s"
_PAGE: Final = "AND (c.recorded_at, c.key, c.actor) < (%(before_at)s, %(before_key)s, %(before_actor)s)"
# The condition of the partial index stands in the statement, so that it serves whatever the parameter is.
_SIGNED_IN: Final = """
  FROM log.commands c
  LEFT JOIN log.events e ON e.log = c.log AND e.position = c.last_position AND e.encoding = 0
 WHERE c.log = %(log)s AND c.actor = %(person)s AND starts_with(c.actor, 'prsn_')
"""
# A token may have been another person's before, so the event has to name this one.
_BY_TOKENS: Final = """
  FROM log.commands c
  JOIN log.events e ON e.log = c.log AND e.position = c.last_position AND e.encoding = 0
 WHERE c.log = %(log)s AND c.actor = ANY (%(tokens)s)
   AND convert_from(e.metadata, 'UTF8')::jsonb #>> '{actor,person}' = %(person)s
"""
_MERGED: Final = "SELECT * FROM ({parts}) c\n{order}"


def sent_by(
    connection: Connection[Any],
    log_number: int,
    person: str,
    limit: int,
    *,
    tokens: Sequence[str] = (),
    before: Before | None = None,
) -> list[Sent]:
    """The newest `limit` commands of a person, sent as the person or with a token of theirs. `tokens` are its names.

    Commands by tokens are found by the name of the token, and sorted: that takes as long as the token has commands.
    """
    tokens = [name for name in tokens if name != person]
    page = "" if before is None else _PAGE
    parts = [f"({_COLUMNS}{source}{page}\n{_NEWEST})" for source in (_SIGNED_IN, *([_BY_TOKENS] if tokens else []))]
    statement = "\nUNION ALL\n".join(parts)
    if tokens:
        statement = _MERGED.format(parts=statement, order=_NEWEST)
    parameters = {
        "log": log_number,
        "person": person,
        "tokens": text_array(tokens),
        "row_limit": limit,
        **({} if before is None else {"before_at": before.at, "before_key": before.key, "before_actor": before.actor}),
    }
    return [_sent(*row) for row in connection.execute(statement.encode(), parameters)]


_ORIGINS: Final = """
SELECT e.position, c.origin
  FROM log.events e
  CROSS JOIN LATERAL (SELECT convert_from(e.metadata, 'UTF8')::jsonb AS metadata OFFSET 0) m
  JOIN log.commands c ON c.log = e.log AND c.actor = m.metadata #>> '{actor,id}' AND c.key = m.metadata ->> 'key'
 WHERE e.log = %s AND e.position = ANY (%s) AND e.encoding = 0 AND c.origin IS NOT NULL
"""


def origins_at(connection: Connection[Any], log_number: int, positions: Sequence[int]) -> dict[int, str]:
    """The origins of the commands that appended the events at these positions, while they are kept."""
    return dict(connection.execute(_ORIGINS, (log_number, list(positions))).fetchall())


def _sent(
    actor: str,
    key: str,
    outcome: int,
    code: int,
    rule: str | None,
    result: bytes,
    position: int | None,
    recorded_at: datetime,
    origin: str | None,
    metadata: bytes | None,
) -> Sent:
    versions = orjson.loads(result).get("versions", {}) if outcome == Outcome.ACCEPTED else {}
    command = None if metadata is None else orjson.loads(metadata)["command"]
    streams = tuple(sorted(versions))
    return Sent(actor, key, command, Outcome(outcome), code, rule, streams, position, recorded_at, origin)
