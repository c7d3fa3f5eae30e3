"""What is published to the topic of events: a record an event, as a CloudEvent, in the partition of its stream.

The last record of each transaction in each partition is a heartbeat. It says up to which position the partition has
its events, and how many these are since the beginning. So a reader knows that nothing is missing, and a publisher
knows where to go on.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final
from zlib import crc32

import msgspec
from kafka import KafkaConsumer
from msgspec import Struct
from psycopg import Connection

from workers.kafka.last_records import last_record
from workers.kafka.publishing.published_topic import AGAIN, PublishedTopic
from workers.kafka.publishing.publisher import Outgoing, OutgoingPage
from workers.kafka.topics import TopicError

HEARTBEAT: Final = "log.reached.v1"
"""The type of a heartbeat."""
MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of payload of a transaction, about."""
CONTENT_TYPES: Final = {0: b"application/json", 1: b"application/octet-stream"}
"""The content type of a payload by its encoding in the log."""

_UPTO = """
SELECT unit_end FROM log.events
 WHERE log = %s AND position > %s AND position <= %s ORDER BY position DESC LIMIT 1
"""
_PAGE = """
SELECT position, unit_end, stream, version, type,
       to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), encoding, payload
  FROM log.events WHERE log = %s AND position > %s AND position <= %s ORDER BY position
"""


class Heartbeat(Struct, frozen=True):
    """The value of a heartbeat."""

    log: str  # uuid of the log
    epoch: int
    first: int  # the first position of the last unit
    position: int  # the partition has every event of its streams up to here
    digest: str  # hex: SHA-256 of the record of the last unit (`log.read_units`)
    events: int  # events in this partition since the beginning


def partition_of(stream: bytes, partitions: int) -> int:
    """The partition of a stream. It is the same for ever: CRC-32 of the name, modulo the number of partitions."""
    return crc32(stream) % partitions


class EventsPublication(PublishedTopic):
    """The records of events."""

    def __init__(
        self,
        connection: Connection[Any],
        log: str,
        consumer: KafkaConsumer,
        topic: str,
        partitions: int,
        published: int = 0,
    ) -> None:
        """`published` is the position that the topic has had for certain."""
        super().__init__(connection, log, consumer, topic, published)
        self._partitions = partitions
        self._source = f"urn:daybook:log:{self._uuid}".encode()
        self._counts = [0] * partitions

    def resume(self) -> int:
        """See `Publication`."""
        found = [self._heartbeat(partition) for partition in range(self._partitions)]
        last = [one for one in found if one is not None]
        positions = {one.position for one in last}
        if last and (len(last) < self._partitions or len(positions) > 1):
            raise TopicError(
                f"the partitions of topic {self.name} end at different positions ({sorted(positions)}, {len(last)} of "
                f"{self._partitions} have a heartbeat): records are lost; {AGAIN}"
            )
        position = self._fits(last[0]) if last else 0
        self._refuse_lost(position)
        self._counts = [heartbeat.events for heartbeat in last] or self._counts
        return position

    def _heartbeat(self, partition: int) -> Heartbeat | None:
        record = last_record(self._consumer, self.name, partition, self.alive)
        if record is None:
            return None
        try:
            if dict(record.headers).get("ce_type") != HEARTBEAT.encode():
                raise ValueError(HEARTBEAT)
            heartbeat = msgspec.json.decode(record.value or b"", type=Heartbeat)
            if not 0 < heartbeat.first <= heartbeat.position:
                raise ValueError(heartbeat.first)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            raise self._foreign(f"no heartbeat (partition {partition})") from None
        return heartbeat

    def _fits(self, heartbeat: Heartbeat) -> int:
        """The position of the last heartbeat, whose unit must be that of the log."""
        self._refuse_restored(heartbeat.log, heartbeat.epoch, heartbeat.position)
        record = self._record_from(heartbeat.first)
        if record is None or sha256(record).hexdigest() != heartbeat.digest:
            raise self._another_history(heartbeat.position)
        return heartbeat.position

    def page(self, after: int, most: int) -> OutgoingPage | None:
        """See `Publication`."""
        found = self._connection.execute(_UPTO, (self._log_number, after, after + most), binary=True).fetchone()
        if found is None:
            return None
        rows = self._connection.execute(_PAGE, (self._log_number, after, found[0]), binary=True).fetchall()
        rows = _within_bytes(rows)
        records, counts = [], list(self._counts)
        for position, _, stream, version, type, at, encoding, payload in rows:
            key = stream.encode()
            partition = partition_of(key, self._partitions)
            counts[partition] += 1
            headers = self._headers(b"%d" % position, type.encode(), at.encode(), key, b"%d" % version)
            headers.append(("content-type", CONTENT_TYPES[encoding]))
            records.append(Outgoing(self.name, partition, key, payload, headers))
        upto, at = rows[-1][1], rows[-1][5]
        records += self._heartbeats(rows, upto, at, counts)
        self._counts = counts
        return OutgoingPage(upto, records)

    def _headers(self, id: bytes, type: bytes, at: bytes, subject: bytes, version: bytes) -> list[tuple[str, bytes]]:
        """The attributes of a CloudEvent 1.0 in Kafka's binary mode. `streamversion` is an extension."""
        return [
            ("ce_specversion", b"1.0"),
            ("ce_id", id),
            ("ce_source", self._source),
            ("ce_type", type),
            ("ce_time", at),
            ("ce_subject", subject),
            ("ce_streamversion", version),
        ]

    def _heartbeats(self, rows: list[Any], upto: int, at: str, counts: list[int]) -> list[Outgoing]:
        first = next(row[0] for row in rows if row[1] == upto)
        record = self._record_from(first)
        assert record is not None, "the unit was just read"
        digest = sha256(record).hexdigest()
        return [
            Outgoing(
                self.name,
                partition,
                HEARTBEAT.encode(),
                msgspec.json.encode(Heartbeat(self._uuid, self._epoch, first, upto, digest, events)),
                [
                    *self._headers(b"%d.%d" % (upto, partition), HEARTBEAT.encode(), at.encode(), b"log", b"%d" % upto),
                    ("content-type", b"application/json"),
                ],
            )
            for partition, events in enumerate(counts)
        ]


def _within_bytes(rows: list[Any]) -> list[Any]:
    """The first rows with so many bytes of payload, to the end of a unit; at least one unit."""
    total, whole = 0, 0
    for number, row in enumerate(rows, 1):
        total += len(row[7])
        if row[0] == row[1]:
            if total > MOST_BYTES and whole:
                return rows[:whole]
            whole = number
    return rows
