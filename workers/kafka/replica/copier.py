"""Copies a log from its topic into the database of a replica.

A record is checked against what the copy has: same log, same epoch, and the position that follows. Offset, rows and
head move in one statement, which compares them first, so that each unit is copied once (ADR 0034). What does not fit is
one sentence, and nothing of that record is copied.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError, OffsetOutOfRangeError
from psycopg import Connection

from eventstore.keys.sealing import Sealer
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.copying import Copy, begin_copy, copy_units, find_copy, keep_copy
from eventstore.log.unit_records import CopiedEvent, RecordError, Unit, parse
from projections.engine.explain import explain
from workers.kafka import client, topics
from workers.kafka.headers import number_in
from workers.kafka.key_records import KeyRecordError, parse_key, person
from workers.kafka.topics import Identity, TopicError
from workers.settings import Settings

MOST_EVENTS: Final = 5_000
"""Events that one statement copies, about."""
MOST_UNIT_BYTES: Final = 64 * 1024 * 1024
"""Bytes of a unit that comes in pieces."""
POLL_MS: Final = 250
LOOK_SECONDS: Final = 5.0
"""How often a topic that says nothing is looked at: one that was deleted says nothing for ever."""
KEYS_OF_A_PAGE: Final = 1_000
KEYS_SECONDS: Final = 60.0
"""How long to wait for keys that were sent: longer than a transaction that nobody ended stays open."""
_WRONG_VALUES: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    struct.error,
    ValueError,
)
"""What is raised for values that no log has: versions twice, what is too large, text that is none."""


class _Read(NamedTuple):
    """A unit that was read and fits."""

    unit: Unit
    events: Sequence[CopiedEvent]
    offset: int  # of its last record


class Copier:
    """Copies over one connection of the role `daybook_replica`. Not thread-safe; close it in the end."""

    def __init__(self, settings: Settings, connection: Connection[Any]) -> None:
        """Check the topic, and find out where to go on. Raises `TopicError`, `KafkaError`, `MasterKeyError`."""
        self._settings = settings
        self._connection = connection
        self._topic = topics.log_topic(settings.log, settings.kafka_generation)
        self._at = TopicPartition(self._topic.name, 0)
        self._identity = self._look()
        self._copy: Copy | None = None
        self._offset = 0  # of the next record that is read
        self._parts: list[Any] = []  # of a unit that has not come in full
        self._looked_at = monotonic()
        self._keys: _Keys | None = None
        self._consumer = client.consumer(settings)
        try:
            self._consumer.assign([self._at])
            self.load()
        except BaseException:
            self._consumer.close()
            raise

    @property
    def copy(self) -> Copy | None:
        """The copy, as far as this worker knows; None before the first record."""
        return self._copy

    @property
    def at_end(self) -> bool:
        """Whether the topic was read to its end."""
        end = self._consumer.highwater(self._at)
        return end is not None and self._consumer.position(self._at) >= end

    def load(self) -> None:
        """Read the state of the copy again, and go on from there. Raises `TopicError` if the topic is another one."""
        self._copy = find_copy(self._connection, self._settings.log)
        self._parts.clear()
        begin = self._consumer.beginning_offsets([self._at])[self._at]
        if self._copy is None:
            self._offset = 0
        else:
            was = Identity(self._copy.cluster_id, self._copy.topic_id)
            if self._copy.topic != self._topic.name:
                raise TopicError(
                    f"this database has a copy from topic {self._copy.topic}, not {self._topic.name}: a new generation "
                    "needs a database of its own"
                )
            topics.refuse_another(self._topic.name, was, self._identity, "the copy in this database")
            self._offset = self._copy.next_offset
        if begin > self._offset:
            raise TopicError(
                f"topic {self._topic.name} begins at offset {begin}, and this copy needs offset {self._offset}: its "
                "first records were deleted; publish a new generation (DAYBOOK_KAFKA_GENERATION), and see that the "
                "topic keeps its records"
            )
        self._consumer.seek(self._at, self._offset)

    def step(self) -> bool:
        """Copy what has come. Whether something was copied. Raises `TopicError` and `KafkaError`, `psycopg.Error`.

        The records before one that cannot be copied are copied.
        """
        try:
            polled = self._consumer.poll(timeout_ms=POLL_MS).get(self._at, [])
        except OffsetOutOfRangeError:
            raise TopicError(
                f"topic {self._topic.name} has no offset {self._offset}, which this copy needs: its last records are "
                "lost; publish a new generation (DAYBOOK_KAFKA_GENERATION)"
            ) from None
        if not polled:
            self._look_now_and_then()
            return False
        return self._take(polled)

    def close(self) -> None:
        """Close the connections to Kafka."""
        self._consumer.close()
        if self._keys is not None:
            self._keys.close()

    def _take(self, records: list[Any]) -> bool:
        """Copy the units of records. Those before one that cannot be copied are copied."""
        end = self._consumer.highwater(self._at) or records[-1].offset + 1
        fitting, more = self._fitting(records), True
        while more:
            read: list[_Read] = []
            refused: Exception | None = None
            try:
                more = _fill(read, fitting)
            except (RecordError, TopicError) as error:
                refused = error
            if not self._write(read, end):
                return True
            if isinstance(refused, RecordError):
                raise TopicError(f"topic {self._topic.name} cannot be copied further: {refused}") from None
            if refused is not None:
                raise refused
        return True

    def _fitting(self, records: list[Any]) -> Iterator[_Read]:
        """The units of records that follow the copy, with the keys that they need. Raises `RecordError`."""
        expected = 1 if self._copy is None else self._copy.position + 1
        for unit, offset, needs_keys in self._units(records):
            begins = self._copy is None
            if begins:
                self._begin(unit)
            assert self._copy is not None
            self._fits(unit, expected, self._copy)
            if needs_keys or begins:
                self._sync_keys()
            yield _Read(unit, list(unit.copied()), offset)
            expected = unit.last + 1

    def _write(self, read: Sequence[_Read], end: int) -> bool:
        """Copy units. False if another worker was faster; the state is read again then.

        Where the database refuses them, each is copied alone up to the one that is wrong. Raises `TopicError`.
        """
        if not read:
            return True
        assert self._copy is not None
        try:
            next_offset = read[-1].offset + 1
            copied = copy_units(self._connection, self._copy, [one[:2] for one in read], next_offset, end)
        except _WRONG_VALUES as error:
            if len(read) > 1:
                return all(self._write([one], end) for one in read)
            [(unit, _, offset)] = read
            raise TopicError(
                f"topic {self._topic.name} cannot be copied further: the record at offset {offset}, of positions "
                f"{unit.first} to {unit.last}, has values that no log has ({explain(error)})"
            ) from None
        if not copied:
            self.load()
            return False
        self._offset = next_offset
        self._copy = replace(
            self._copy,
            position=read[-1].unit.last,
            next_offset=next_offset,
            end_offset=max(end, next_offset),
            waiting=None,
        )
        return True

    def _units(self, records: list[Any]) -> Iterator[tuple[Unit, int, bool]]:
        """The units of records, the offset of the last record of each, and whether its transaction has keys."""
        for record in records:
            headers = _numbers(record)
            self._parts.append(record)
            piece, of = headers["piece"], headers["pieces"]
            if piece != len(self._parts):
                self._parts.clear()
                raise RecordError(
                    f"the record at offset {record.offset} is piece {piece} of {of}, which does not follow"
                )
            if sum(len(part.value) for part in self._parts) > MOST_UNIT_BYTES:
                raise RecordError(f"the unit that ends at offset {record.offset} has more than {MOST_UNIT_BYTES} bytes")
            if piece < of:
                continue
            parts, self._parts = self._parts, []
            unit = parse(b"".join(part.value for part in parts))
            if (unit.first, unit.last) != (headers["first"], headers["last"]):
                raise RecordError(
                    f"the record at offset {record.offset} has positions {unit.first} to {unit.last}, and its headers "
                    f"say {headers['first']} to {headers['last']}"
                )
            yield unit, record.offset, any(name == "keys" for part in parts for name, _ in part.headers)

    def _fits(self, unit: Unit, expected: int, copy: Copy) -> None:
        if unit.log != copy.uuid:
            raise RecordError(f"the record of position {unit.first} is of log {unit.log}, and this copy of {copy.uuid}")
        if unit.epoch != copy.epoch:
            raise RecordError(
                f"the record of position {unit.first} is of epoch {unit.epoch}, and this copy of epoch {copy.epoch}: "
                "the log was restored; publish a new generation (DAYBOOK_KAFKA_GENERATION), and copy it into a new "
                "database"
            )
        if unit.first != expected:
            raise RecordError(f"position {expected} has to follow, and the next record begins at {unit.first}")

    def _begin(self, unit: Unit) -> None:
        if unit.first != 1:
            raise RecordError(f"the first record begins at position {unit.first}, not at 1")
        try:
            begin_copy(
                self._connection,
                self._settings.log,
                unit,
                self._topic.name,
                self._identity.cluster_id,
                self._identity.topic_id,
                self._offset,
            )
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            raise TopicError(str(error.diag.message_primary)) from None
        except psycopg.DataError as error:
            raise RecordError(f"the first record has values that no log has ({explain(error)})") from None
        self._copy = find_copy(self._connection, self._settings.log)

    def _sync_keys(self) -> None:
        assert self._copy is not None
        if self._keys is None:
            self._keys = _Keys(self._settings, self._connection, self._copy.log_number)
        self._keys.sync()

    def _look_now_and_then(self) -> None:
        if monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = monotonic()
        topics.refuse_another(self._topic.name, self._identity, self._look(), "the copy in this database")
        if self._copy is not None:
            # Behind the last record is the end of its transaction, which nobody copies.
            end = self._offset if self.at_end else self._consumer.end_offsets([self._at])[self._at]
            keep_copy(self._connection, self._copy.log_number, end_offset=max(end, self._offset))

    def _look(self) -> Identity:
        with closing(client.admin(self._settings)) as admin:
            return topics.check(admin, self._topic)


def _fill(read: list[_Read], fitting: Iterator[_Read]) -> bool:
    """Append units for about `MOST_EVENTS` events. Whether there may be more."""
    events = 0
    for one in fitting:
        read.append(one)
        events += len(one.events)
        if events >= MOST_EVENTS:
            return True
    return False


def _numbers(record: Any) -> Mapping[str, int]:
    """The positions and the piece that the headers of a record say. Raises `RecordError`."""
    headers = {"piece": b"1", "pieces": b"1", **dict(record.headers)}
    found: dict[str, int] = {}
    for name in ("first", "last", "piece", "pieces"):
        says = number_in(headers.get(name))
        if says is None:
            raise RecordError(f"the record at offset {record.offset} has no number in its header {name}")
        found[name] = says
    if record.value is None:
        raise RecordError(f"the record at offset {record.offset} is empty")
    return found


class _Keys:
    """Keeps the keys of people that the topic of keys distributes."""

    def __init__(self, settings: Settings, connection: Connection[Any], log_number: int) -> None:
        """Raises `MasterKeyError` if the master key is not that of this database."""
        self._topic = topics.keys_topic(settings.log, settings.kafka_generation)
        self._name = self._topic.name
        self._at = TopicPartition(self._name, 0)
        self._keys = SubjectKeys(connection, log_number)
        sealer = Sealer(self._keys, settings.master_key_bytes(), settings.previous_master_key_bytes())
        sealer.master_keys.check(record=True)
        self._number, _ = sealer.master_keys.wrapping()
        self._fingerprint = sealer.master_keys.present
        self._alive: Callable[[], object] = lambda: connection.execute("SELECT")
        self._admin = client.admin(settings)
        self._committed = client.consumer(settings)
        self._written = client.consumer(settings, isolation_level="read_uncommitted")
        self._identity = topics.check(self._admin, self._topic)
        for one in (self._committed, self._written):
            one.assign([self._at])
        self._committed.seek_to_beginning(self._at)

    def sync(self) -> None:
        """Keep every key that was sent until now, also of a transaction whose end this partition has not got yet.

        A record of the log is seen once its transaction is committed. Its keys have been written before, so they are
        below the end of what is written, and they are read once their own partition knows of the commit.

        Keys that are not there would make people look erased. So a topic that was made anew meanwhile is refused, and
        read from its beginning by the next `_Keys`.
        """
        end = self._written.end_offsets([self._at])[self._at]
        deadline = monotonic() + KEYS_SECONDS
        while self._committed.position(self._at) < end:
            self._alive()
            for records in self._committed.poll(timeout_ms=POLL_MS, max_records=KEYS_OF_A_PAGE).values():
                self._keep(records)
                deadline = monotonic() + KEYS_SECONDS
            if monotonic() > deadline:
                raise KafkaTimeoutError(f"the keys in {self._name} did not come within {KEYS_SECONDS:g} s")
        topics.refuse_another(self._name, self._identity, topics.identity(self._admin, self._name), "this process")

    def _keep(self, records: list[Any]) -> None:
        """Keep keys. A tombstone changes nothing: the event that erases a person does (log.copy_units)."""
        wrapped = {}
        for record in records:
            if record.value is None:
                continue
            try:
                subject = person(record.key)
                fingerprint, key = parse_key(record.value)
            except KeyRecordError as error:
                raise TopicError(f"topic {self._name}, offset {record.offset}: {error}") from None
            if fingerprint != self._fingerprint:
                there, here = fingerprint[:4].hex(), self._fingerprint[:4].hex()
                raise TopicError(
                    f"topic {self._name} has keys for the master key {there}, and DAYBOOK_MASTER_KEY here is {here}: "
                    "set DAYBOOK_REPLICA_MASTER_KEY of the publisher to this key"
                )
            wrapped[subject] = key
        if wrapped:
            self._keys.keep(wrapped, self._number)

    def close(self) -> None:
        """Close the connections to Kafka."""
        for one in (self._committed, self._written, self._admin):
            one.close()
