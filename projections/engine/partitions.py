"""Checkpoints of a projection that is folded from the partitions of a topic, instead of from a log in the database.

A partition has the events of its streams in order, and different partitions are at different positions. So each has a
checkpoint of its own. It moves in the transaction that writes the rows, and only from the offset that the worker has
read. So each record is folded exactly once, also with several workers (ADR 0036).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from eventstore.postgres.arrays import int4_array
from projections.engine.projection import Projection
from projections.engine.tables import FoldedElsewhereError, ShapeError, outdated_among


@dataclass(frozen=True, slots=True)
class PartitionCheckpoint:
    """How far a partition is folded."""

    partition: int
    log: str | None  # uuid of the log, and its epoch; None before the first heartbeat
    epoch: int | None
    next_offset: int  # of the next record that is read
    position: int  # every event of the partition's streams is folded up to here
    events: int  # events of the partition that were read, those of other projections included
    stopped: str | None  # why it is not folded on


_KNOWN = "SELECT DISTINCT topic, cluster_id, topic_id FROM read.partitions WHERE projection = %s"
_BEGIN = """
INSERT INTO read.partitions (projection, partition, topic, cluster_id, topic_id)
SELECT %s, p, %s, %s, %s FROM unnest(%s::integer[]) AS p ON CONFLICT (projection, partition) DO NOTHING
"""
_FIND = """
SELECT partition, log::text, epoch, next_offset, position, events, stopped FROM read.partitions
 WHERE projection = %s ORDER BY partition
"""
_ALL = """
SELECT projection, partition, log::text, epoch, next_offset, position, events, stopped FROM read.partitions
 ORDER BY projection, partition
"""
_MOVE = """
UPDATE read.partitions
   SET log = %(log)s, epoch = %(epoch)s, next_offset = %(next_offset)s, position = %(position)s, events = %(events)s,
       stopped = NULL, moved_at = clock_timestamp()
 WHERE projection = %(projection)s AND partition = %(partition)s AND next_offset = %(was)s
"""
_STOP = """
UPDATE read.partitions SET stopped = left(%(sentence)s::text, 1000)
 WHERE projection = %(projection)s AND partition = %(partition)s
   AND stopped IS DISTINCT FROM left(%(sentence)s::text, 1000)
"""
_FOLDED_FROM_A_LOG = "SELECT EXISTS (SELECT FROM read.checkpoints WHERE projection = %s)"


def source_of(connection: Connection[Any], projection: str) -> tuple[str, str, str] | None:
    """The topic that a projection is folded from: its name, the id of its cluster, and its own id. None at first."""
    return connection.execute(_KNOWN, (projection,)).fetchone()


def begin_partitions(
    connection: Connection[Any], projection: Projection, topic: str, cluster_id: str, topic_id: str, partitions: int
) -> None:
    """Make the checkpoints of partitions that have none, as the projector.

    Raises `ShapeError` and `NotPreparedError` as for any projection, and `FoldedElsewhereError` if this database folds
    the projection from a log.
    """
    if outdated := outdated_among(connection, [projection]):
        raise ShapeError(outdated)
    if connection.execute(_FOLDED_FROM_A_LOG, (projection.name,)).fetchone() == (True,):
        raise FoldedElsewhereError(
            f"{projection.name} is folded from the log in this database: to fold it from the topic of events, take a "
            "database of its own (daybook migrate --replica)"
        )
    numbers = int4_array(range(partitions))
    connection.execute(_BEGIN, (projection.name, topic, cluster_id, topic_id, numbers))


def find_partitions(connection: Connection[Any], projection: str) -> list[PartitionCheckpoint]:
    """The checkpoints of a projection's partitions, in their order."""
    return [PartitionCheckpoint(*row) for row in connection.execute(_FIND, (projection,))]


def all_partitions(connection: Connection[Any]) -> list[tuple[str, PartitionCheckpoint]]:
    """The checkpoints of all projections that this database folds from a topic, with their names."""
    return [(row[0], PartitionCheckpoint(*row[1:])) for row in connection.execute(_ALL)]


def move_partition(
    connection: Connection[Any], projection: str, was: PartitionCheckpoint, to: PartitionCheckpoint
) -> bool:
    """Move a checkpoint. False if another worker has moved it; then the transaction must be rolled back.

    To be called first in the transaction that writes the tables, as `move_checkpoints`.
    """
    values = {
        "log": to.log,
        "epoch": to.epoch,
        "next_offset": to.next_offset,
        "position": to.position,
        "events": to.events,
        "projection": projection,
        "partition": was.partition,
        "was": was.next_offset,
    }
    return connection.execute(_MOVE, values).rowcount == 1


def stop_partition(connection: Connection[Any], projection: str, partition: int, sentence: str | None) -> None:
    """Record why a partition is not folded on; None: it is. The next move clears it, too."""
    plain = None if sentence is None else sentence.replace("\x00", "\ufffd")
    connection.execute(_STOP, {"sentence": plain, "projection": projection, "partition": partition})
