"""How many commands of each type had which outcome, between two positions of the log."""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg import Connection

from eventstore.log.answers import Outcome


class Counted(NamedTuple):
    """How many commands of a type had an outcome."""

    command: str
    outcome: Outcome
    number: int


# The answers of a range are found by the BRIN index of positions.
OUTCOMES = """
SELECT convert_from(e.metadata, 'UTF8')::jsonb ->> 'command', c.outcome, count(*)
  FROM log.commands c JOIN log.events e ON e.log = c.log AND e.position = c.last_position AND e.encoding = 0
 WHERE c.log = %s AND c.last_position > %s AND c.last_position <= %s
 GROUP BY 1, 2 ORDER BY 1, 2
"""


def outcomes(connection: Connection[Any], log_number: int, after: int, upto: int) -> list[Counted]:
    """The outcomes of the commands that left events after one position and up to another. Refusals are events too."""
    rows = connection.execute(OUTCOMES, (log_number, after, upto)).fetchall()
    return [Counted(command, Outcome(outcome), count) for command, outcome, count in rows]
