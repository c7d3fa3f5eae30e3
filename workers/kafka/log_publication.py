"""What is published to the topic of the log: a record a unit, in one partition, and the keys of people beside it."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from psycopg import Connection

from eventstore.log.read import read_head
from eventstore.log.unit_records import RecordError, Unit, UnitRecord, parse, pieces, read_units
from workers.kafka.key_records import KeyFeed, keys_there
from workers.kafka.last_records import Alive, last_record, records_between
from workers.kafka.publisher import Outgoing, OutgoingPage
from workers.kafka.topics import TopicError

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of a transaction, about. A page with more has fewer events; a single unit is never cut."""
KEYS_OF_A_PAGE: Final = 2_000


class LogPublication:
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
        self.name = topic
        self.transactional_id = topic
        self._connection = connection
        self._log = log
        self._log_number = read_head(connection, log).log_number
        self._consumer = consumer
        self._keys_topic = keys_topic
        self._keys = keys
        self._published = published
        self._waiting: deque[tuple[bytes, bytes | None]] = deque()  # keys that the topic lacks at the start
        self._keys_sent = True  # since the last record of the log, perhaps

    def resume(self) -> int:
        """See `Publication`."""
        self._waiting = deque(self._keys.missing(keys_there(self._consumer, self._keys_topic, self.alive)))
        record = whole_last_record(self._consumer, self.name, self.alive)
        position = 0 if record is None else self._fits(self._parsed(record), record)
        refuse_lost(self.name, position, self._published)
        return position

    def _parsed(self, record: bytes) -> Unit:
        try:
            return parse(record)
        except RecordError as error:
            raise TopicError(
                f"the last record of topic {self.name} is {error}: something else wrote to it; see who may (ACLs), and "
                "publish a new generation (DAYBOOK_KAFKA_GENERATION)"
            ) from None

    def _fits(self, unit: Unit, record: bytes) -> int:
        """The position of the last record, which must be that of the log."""
        refuse_restored(self._connection, self._log, self.name, unit.log, unit.epoch, unit.last)
        [found] = read_units(self._connection, self._log_number, unit.first - 1, 1)
        if found.record != record:
            raise TopicError(another_history(self.name, unit.last))
        return unit.last

    def alive(self) -> None:
        """See `Publication`. The server ends a session that says nothing for long."""
        self._connection.execute("SELECT")

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


def whole_last_record(consumer: KafkaConsumer, topic: str, alive: Alive = lambda: None) -> bytes | None:
    """The record of the last committed unit, put together from its pieces; None in an empty topic."""
    last = last_record(consumer, topic, 0, alive)
    if last is None:
        return None
    number = int(dict(last.headers).get("pieces", b"1"))
    parts = records_between(consumer, TopicPartition(topic, 0), last.offset - number + 1, last.offset + 1)
    return b"".join(part.value for part in parts)


def refuse_restored(connection: Connection[Any], log: str, topic: str, uuid: str, epoch: int, position: int) -> None:
    """Raise `TopicError` if a topic with this uuid, epoch and last position is not that of the log as it is now."""
    head = read_head(connection, log)
    row = connection.execute("SELECT uuid::text FROM log.logs WHERE log = %s", (head.log_number,)).fetchone()
    assert row is not None
    if uuid != row[0]:
        raise TopicError(
            f"topic {topic} has another log ({uuid}) than {log} of this database ({row[0]}): set DAYBOOK_LOG"
        )
    if epoch != head.epoch:
        raise TopicError(
            f"topic {topic} was published in epoch {epoch} and log {log} is in epoch {head.epoch}: the log was "
            "restored from a dump since; publish a new generation (DAYBOOK_KAFKA_GENERATION)"
        )
    if position > head.position:
        raise TopicError(
            f"topic {topic} has the log up to position {position}, and log {log} ends at {head.position}: the log was "
            "restored to an earlier point; publish a new generation (DAYBOOK_KAFKA_GENERATION)"
        )


def refuse_lost(topic: str, found: int, published: int) -> None:
    """Raise `TopicError` if a topic has less than it had."""
    if found < published:
        raise TopicError(
            f"topic {topic} has the log up to position {found}, and it had {published}: its last records are lost; "
            "publish a new generation (DAYBOOK_KAFKA_GENERATION)"
        )


def another_history(topic: str, position: int) -> str:
    """The sentence for a log that is not what was published."""
    return (
        f"topic {topic} has another unit up to position {position} than the log: the log was restored and went on "
        "differently; publish a new generation (DAYBOOK_KAFKA_GENERATION)"
    )
