"""What is published to the topic of the log: a record a unit, in one partition, and the keys of people beside it."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from psycopg import Connection

from eventstore.log.unit_records import RecordError, UnitRecord, parse, pieces, read_units
from workers.kafka.headers import number_in
from workers.kafka.key_records import KeyFeed, KeyRecordError, keys_there
from workers.kafka.last_records import last_record, records_between
from workers.kafka.publishing.published_topic import PublishedTopic
from workers.kafka.publishing.publisher import Outgoing, OutgoingPage
from workers.kafka.topics import TopicError

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of a transaction, about. A page with more has fewer events; a single unit is never cut."""
KEYS_OF_A_PAGE: Final = 2_000


class LogPublication(PublishedTopic):
    """The records of the log. A transaction has the keys of people that its events need.

    The first record of the log after keys says so in a header, also where they were sent before, in a transaction of
    their own, and perhaps by a publisher that ended then.
    """

    def __init__(
        self,
        connection: Connection[Any],
        log: str,
        consumer: KafkaConsumer,
        topic: str,
        keys_topic: str,
        keys: KeyFeed,
        published: int = 0,
    ) -> None:
        """`published` is the position that the topic has had for certain."""
        super().__init__(connection, log, consumer, topic, published)
        self._keys_topic = keys_topic
        self._keys = keys
        self._waiting: deque[tuple[bytes, bytes | None]] = deque()  # keys that the topic lacks at the start
        self._keys_sent = True  # since the last record of the log, perhaps

    def resume(self) -> int:
        """See `Publication`."""
        try:
            self._waiting = deque(self._keys.missing(keys_there(self._consumer, self._keys_topic, self.alive)))
        except KeyRecordError as error:
            raise TopicError(f"topic {self._keys_topic}, {error}; see who may write to it (ACLs)") from None
        record = self._last_record()
        position = 0 if record is None else self._fits(record)
        self._refuse_lost(position)
        return position

    def _last_record(self) -> bytes | None:
        """The record of the last committed unit, put together from its pieces; None in an empty topic."""
        last = last_record(self._consumer, self.name, 0, self.alive)
        if last is None:
            return None
        of = number_in(dict(last.headers).get("pieces", b"1"))
        if of is None or not 0 < of <= last.offset + 1:
            raise self._foreign("not the record of a unit: its header pieces is no number of pieces")
        begin = last.offset + 1 - of
        parts = records_between(self._consumer, TopicPartition(self.name, 0), begin, last.offset + 1, self.alive)
        return b"".join(part.value or b"" for part in parts)

    def _fits(self, record: bytes) -> int:
        """The position of the last record, which must be that of the log to the byte."""
        try:
            unit = parse(record)
        except RecordError as error:
            raise self._foreign(str(error)) from None
        self._refuse_restored(unit.log, unit.epoch, unit.last)
        if self._record_from(unit.first) != record:
            raise self._another_history(unit.last)
        return unit.last

    def page(self, after: int, most: int) -> OutgoingPage | None:
        """See `Publication`."""
        if self._waiting:
            some = [self._waiting.popleft() for _ in range(min(KEYS_OF_A_PAGE, len(self._waiting)))]
            return OutgoingPage(after, self._of_keys(some))
        units = within_bytes(read_units(self._connection, self._log_number, after, most))
        keys = self._of_keys(self._keys.changed())  # read after the events: so it has every key that they need
        self._keys_sent = self._keys_sent or bool(keys)
        if not units:
            return OutgoingPage(after, keys) if keys else None
        records = [record for unit in units for record in self._of_unit(unit)]
        if self._keys_sent:
            first = records[0]
            records[0] = first._replace(headers=[*first.headers, ("keys", b"1")])
            self._keys_sent = False
        return OutgoingPage(units[-1].last, keys + records)

    def _of_unit(self, unit: UnitRecord) -> list[Outgoing]:
        headers = [("first", b"%d" % unit.first), ("last", b"%d" % unit.last)]
        parts = pieces(unit.record)
        if len(parts) == 1:
            return [Outgoing(self.name, 0, None, unit.record, headers)]
        of = ("pieces", b"%d" % len(parts))
        return [
            Outgoing(self.name, 0, None, part, [*headers, ("piece", b"%d" % number), of])
            for number, part in enumerate(parts, 1)
        ]

    def _of_keys(self, keys: list[tuple[bytes, bytes | None]]) -> list[Outgoing]:
        return [Outgoing(self._keys_topic, 0, subject, value, []) for subject, value in keys]


def within_bytes(units: list[UnitRecord], most: int = MOST_BYTES) -> list[UnitRecord]:
    """As many of the first units as have so many bytes together; at least one, if there is one."""
    total = 0
    for number, unit in enumerate(units):
        total += len(unit.record)
        if total > most and number:
            return units[:number]
    return units
