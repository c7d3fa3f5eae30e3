"""A copy of a log: its state, and the one statement that adds units to it (migration 0014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from eventstore.log.unit_records import CopiedEvent, Unit
from eventstore.postgres.arrays import bytea_array, int2_array, int4_array, int8_array, text_array


@dataclass(frozen=True, slots=True)
class Copy:
    """How far a copy is."""

    log_number: int
    uuid: str
    epoch: int
    position: int  # of the last event that is copied
    topic: str
    cluster_id: str
    topic_id: str
    next_offset: int
    end_offset: int  # of the topic, when it was last looked at
    waiting: str | None  # why nothing is copied

    @property
    def behind(self) -> int:
        """Records of the topic that are not copied, at most: the ends of transactions have offsets too."""
        return max(0, self.end_offset - self.next_offset)


_FIND = """
SELECT c.log, l.uuid::text, l.epoch, l.position, c.topic, c.cluster_id, c.topic_id, c.next_offset, c.end_offset,
       c.waiting
  FROM log.copies c JOIN log.logs l USING (log) WHERE l.name = %s
"""
_BEGIN = "SELECT log.begin_copy(%s, %s, %s, %s, %s, %s, %s)"
_KEEP = "SELECT log.keep_copy(%s, %s, %s)"
_COPY = """
SELECT log.copy_units(%s, %s, %s, %s, %s, %s, %s, %s::text[]::timestamptz[], %s, %s, %s, %s, %s::smallint[], %s, %s)
"""


def find_copy(connection: Connection[Any], log: str) -> Copy | None:
    """The copy of this name; None if the database has none."""
    row = connection.execute(_FIND, (log,), binary=True).fetchone()
    return None if row is None else Copy(*row)


def begin_copy(
    connection: Connection[Any], log: str, unit: Unit, topic: str, cluster_id: str, topic_id: str, offset: int
) -> None:
    """Make the log of a copy, from the first unit of its topic. Raises `ObjectNotInPrerequisiteState` if the database
    has a log already."""
    connection.execute(_BEGIN, (log, unit.log, unit.epoch, topic, cluster_id, topic_id, offset))


def keep_copy(
    connection: Connection[Any], log_number: int, *, end_offset: int | None = None, waiting: str | None = None
) -> None:
    """Record where the topic ends, and why nothing is copied."""
    connection.execute(_KEEP, (log_number, end_offset, waiting))


def copy_units(
    connection: Connection[Any],
    copy: Copy,
    units: Sequence[tuple[Unit, Sequence[CopiedEvent]]],
    next_offset: int,
    end_offset: int,
) -> bool:
    """Add units that follow the copy. False if another worker has moved it; nothing is changed then."""
    events = [event for _, of_unit in units for event in of_unit]
    parameters = (
        copy.log_number,
        copy.position,
        copy.next_offset,
        next_offset,
        end_offset,
        int8_array([unit.last for unit, _ in units]),
        int4_array([len(of_unit) for _, of_unit in units]),
        text_array([unit.recorded_at for unit, _ in units]),
        bytea_array([bytes.fromhex(unit.commands) for unit, _ in units]),
        text_array([event.stream for event in events]),
        int8_array([event.version for event in events]),
        text_array([event.type for event in events]),
        int2_array([event.encoding for event in events]),
        bytea_array([event.payload for event in events]),
        bytea_array([event.metadata for event in events]),
    )
    row = connection.execute(_COPY, parameters).fetchone()
    assert row is not None
    return bool(row[0])
