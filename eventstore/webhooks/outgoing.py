"""Finds the events of the log that a webhook may want, and reads those that are sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection

from eventstore.postgres.arrays import int8_array, text_array


class Found(NamedTuple):
    """An event that may be wanted."""

    position: int
    stream: str
    type: str


class Outgoing(NamedTuple):
    """An event that is sent. `payload` has the stored bytes; `encoding` is 0 for JSON, and 1 for other bytes."""

    position: int
    stream: str
    version: int
    type: str
    recorded_at: datetime
    encoding: int
    payload: bytes


_FIND: Final = r"""
SELECT position, stream, type FROM log.events
 WHERE log = %(log)s AND position > %(after)s AND position <= %(upto)s{conditions}
 ORDER BY position
"""
_OF_TYPES: Final = r" AND regexp_replace(type, '\.v[0-9]+$', '') = ANY (%(types)s::text[])"
_ON_STREAMS: Final = " AND stream = ANY (%(streams)s::text[])"
_READ: Final = """
SELECT position, stream, version, type, recorded_at, encoding, payload FROM log.events
 WHERE log = %s AND position = ANY (%s::bigint[]) ORDER BY position
"""


def find(
    connection: Connection[Any], log_number: int, after: int, upto: int, types: Sequence[str], streams: Sequence[str]
) -> list[Found]:
    """The events after one position and up to another, of these types without versions, on these streams.

    No type, or no stream, means all of them.
    """
    conditions = (_OF_TYPES if types else "") + (_ON_STREAMS if streams else "")
    parameters: dict[str, Any] = {"log": log_number, "after": after, "upto": upto}
    parameters |= {"types": text_array(types), "streams": text_array(streams)}
    rows = connection.execute(_FIND.format(conditions=conditions).encode(), parameters, binary=True)
    return [Found._make(row) for row in rows]


def read(connection: Connection[Any], log_number: int, positions: Sequence[int]) -> list[Outgoing]:
    """The events at these positions, in order."""
    rows = connection.execute(_READ, (log_number, int8_array(list(positions))), binary=True)
    return [Outgoing._make(row) for row in rows]
