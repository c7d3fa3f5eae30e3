"""The policies that were in force at each position: verify holds a unit to those, as its decision did."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, Final

from psycopg import Connection

from domain import registry
from domain.kernel import State
from domain.registry import READ_MOSTLY
from eventstore.log.codec import Codec
from eventstore.postgres.arrays import text_array

_CHANGES: Final = """
SELECT type, payload, stream, version, position FROM log.events
 WHERE log = %s AND stream = ANY (%s) AND encoding = 0 ORDER BY position
"""


class Policies:
    """The states of all policies, by position."""

    def __init__(self, connection: Connection[Any], log_number: int, codec: Codec) -> None:
        """Read the few events of all policies. One that cannot be read or folded ends its policy: that is a finding."""
        self._positions: list[int] = []
        self._states: list[Mapping[str, State | None]] = [{}]
        rows = connection.execute(_CHANGES, (log_number, text_array(READ_MOSTLY)), binary=True).fetchall()
        events = codec.decode_many([row[:4] for row in rows])
        now: dict[str, State | None] = {}
        for (_, _, stream, _, position), event in zip(rows, events, strict=True):
            now = {**now, stream: _evolved(now.get(stream), event)}
            self._positions.append(position)
            self._states.append(now)

    def before(self, position: int) -> Mapping[str, State | None]:
        """The policies that an event at this position was decided on."""
        return self._states[bisect_left(self._positions, position)]


def _evolved(state: State | None, event: Any) -> State | None:
    if isinstance(event, Exception):
        return None
    try:
        return registry.evolve(state, event)
    except (KeyError, ValueError):
        return None
