"""Folds one projection from the topic of events (`work --from-events`), by as many workers as it has partitions.

The database has the projection's tables and no log. Workers share the partitions evenly: each takes locks, and gives
some back once another worker joins. A transaction writes the rows of one partition and moves its checkpoint, which it
compares first, so that each event is folded once. Heartbeats say how many events a partition has, so that a missing
one is noticed (ADR 0036).
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from threading import Event
from time import monotonic
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
from kafka import TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError
from psycopg import Connection

from domain.kernel import ERASED, UNREADABLE
from domain.registry import CATALOGUE, PREFIXES
from eventstore.keys.sealing import ClosedSealer
from eventstore.log.codec import Codec, CodecError
from eventstore.postgres.connect import connect
from eventstore.postgres.ownership import Ownership, Purpose
from projections.engine.checkpoint import LIVE, ProjectionError
from projections.engine.explain import explain
from projections.engine.follow import IDLE_POLL_SECONDS, PAUSED_SECONDS, end_when_silent
from projections.engine.outage import Outage
from projections.engine.partitions import (
    PartitionCheckpoint,
    begin_partitions,
    find_partitions,
    move_partition,
    source_of,
    stop_partition,
)
from projections.engine.projection import FoldCache, Projection, RecordedEvent, StreamFold
from projections.engine.runner import TRANSIENT
from projections.engine.session import fold_into
from projections.registry import PROJECTIONS, named
from workers.kafka import client, topics
from workers.kafka.headers import number_in
from workers.kafka.outage import KafkaOutage
from workers.kafka.publishing.events_publication import HEARTBEAT, Heartbeat
from workers.kafka.topics import Identity, TopicError
from workers.settings import Settings, SettingsError
from workers.tuning import tune_for_folding

logger = logging.getLogger(__name__)

OWNING: Final = Purpose("fold-partition", "partition", "daybook_projector")
MOST_RECORDS: Final = 4_000
"""Records of a poll, about: those of a partition are one transaction."""
POLL_MS: Final = 250
SHARE_SECONDS: Final = 0.25
"""How often a worker looks whether its share of the partitions has changed. It is also how soon it takes over."""
LOOK_SECONDS: Final = 5.0
"""How often a topic that says nothing is looked at: one that was deleted says nothing for ever."""
AGAIN_SECONDS: Final = 2.0
"""How long to wait before a partition with an event that cannot be folded is tried again."""
_HEARTBEAT: Final = HEARTBEAT.encode()
_KNOWN: Final = frozenset(entry.name.encode() for entry in CATALOGUE)
_ANY_LOG: Final = 0
"""The number in the locks' keys: the database has no log."""


class LostError(Exception):
    """Another worker has moved a checkpoint."""


class StoppedError(Exception):
    """A partition cannot be folded on. The message says why."""


def work_from_events(settings: Settings, name: str) -> None:
    """Fold a projection until SIGTERM or SIGINT.

    Raises `UnknownProjectionError`, `SettingsError` for one that needs the order of the whole log, `DatabaseAwayError`,
    and what `begin_partitions` raises.
    """
    [projection] = named([name])
    if projection.per_stream is None:
        able = ", ".join(one.name for one in PROJECTIONS if one.per_stream is not None)
        raise SettingsError(f"{name} needs the order of the whole log, or has text of people; one of {able} does not")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    client.prepare_process(settings)
    tune_for_folding()
    fold_partitions_until(settings, projection, stop)


def fold_partitions_until(
    settings: Settings, projection: Projection, stop: Event, *, paused_seconds: float = PAUSED_SECONDS
) -> None:
    """Fold until `stop` is set. A worker that says nothing to the database for `paused_seconds` is replaced."""
    database = Outage(stop, settings.database_wait_seconds)
    topic = topics.events_topic(settings.log, settings.kafka_generation, settings.kafka_partitions)
    kafka = KafkaOutage(
        topic.name,
        f"{projection.name} is not folded",
        stop,
        partial(_keep_sentence, settings, projection),
        AGAIN_SECONDS,
    )
    while not stop.is_set():
        try:
            with connect(settings.projector_url(), application_name="daybook-partitions") as connection:
                end_when_silent(connection, paused_seconds)
                fold_into(connection, LIVE)
                with closing(_Worker(settings, projection, topic, connection, paused_seconds)) as worker:
                    logger.info("folding %s from topic %s", projection.name, topic.name)
                    while not stop.is_set():
                        worker.turn(stop)
                        database.ended()
                        kafka.ended()
        except TRANSIENT as error:
            database.failed(error)
        except KafkaError as error:
            kafka.failed(error)
        except TopicError as error:
            kafka.refused(error)


def _keep_sentence(settings: Settings, projection: Projection, sentence: str | None) -> None:
    """Record for all partitions why nothing is folded. Whoever takes a partition again clears it."""
    if sentence is None:
        return
    try:
        with connect(settings.projector_url(), application_name="daybook-partitions") as connection:
            for one in find_partitions(connection, projection.name):
                stop_partition(connection, projection.name, one.partition, sentence)
    except psycopg.Error as error:
        logger.warning("that %s is not folded cannot be recorded: %s", projection.name, type(error).__name__)


class _Worker:
    """Folds its share of the partitions over one connection."""

    def __init__(
        self,
        settings: Settings,
        projection: Projection,
        topic: topics.Topic,
        connection: Connection[Any],
        paused_seconds: float,
    ) -> None:
        self._settings = settings
        self._projection = projection
        self._topic = topic
        self._connection = connection
        self._paused_seconds = paused_seconds
        self._identity = self._look()
        known = source_of(connection, projection.name)
        if known is not None:
            name, *was = known
            if name != topic.name:
                raise TopicError(
                    f"this database has {projection.name} from topic {name}, not {topic.name}: a new generation needs "
                    "a database of its own"
                )
            topics.refuse_another(name, Identity(*was), self._identity, f"{projection.name} in this database")
        identity = self._identity
        begin_partitions(connection, projection, topic.name, identity.cluster_id, identity.topic_id, topic.partitions)
        names = [f"{projection.name} {number}" for number in range(topic.partitions)]
        self._numbers = {name: number for number, name in enumerate(names)}
        self._ownership = Ownership(connection, OWNING, _ANY_LOG, names)
        self._ownership.join()
        self._share_at = 0.0
        self._looked_at = monotonic()
        self._folding: dict[int, PartitionFold] = {}
        self._again_at: dict[int, float] = {}  # partitions that stopped, and when they are tried again
        self._consumer = client.consumer(settings)

    def close(self) -> None:
        """Close the connections to Kafka."""
        self._consumer.close()

    def turn(self, stop: Event) -> None:
        """Take or give partitions, then fold what has come."""
        now = monotonic()
        if now >= self._share_at:
            self._share_at = now + SHARE_SECONDS
            self._take_share()
        for number in [number for number, at in self._again_at.items() if now >= at]:
            del self._again_at[number]
            self._load([number])
        if not self._folding:
            stop.wait(IDLE_POLL_SECONDS)
            return
        try:
            polled = self._consumer.poll(timeout_ms=POLL_MS, max_records=MOST_RECORDS)
        except OffsetOutOfRangeError:
            raise TopicError(
                f"topic {self._topic.name} does not have an offset that {self._projection.name} needs: records are "
                "lost; publish a new generation (DAYBOOK_KAFKA_GENERATION)"
            ) from None
        if not polled:
            self._look_now_and_then()
        for at, records in polled.items():
            if at.partition not in self._again_at:
                self._take(at.partition, records)

    def _take(self, number: int, records: Sequence[Any]) -> None:
        try:
            self._folding[number].take(records)
        except LostError:
            logger.info("another worker moved partition %d of %s: reading again", number, self._projection.name)
            self._load([number])
        except StoppedError as error:
            logger.error("partition %d of %s stopped %s", number, self._projection.name, error)
            stop_partition(self._connection, self._projection.name, number, str(error))
            self._again_at[number] = monotonic() + AGAIN_SECONDS

    def _take_share(self) -> None:
        """Own as many partitions as each of the workers gets, rounded up."""
        self._ownership.end_silent(self._paused_seconds)
        share = -(-self._topic.partitions // self._ownership.members())
        owned = sorted(self._ownership.owned, key=self._numbers.__getitem__)
        if len(owned) > share:
            given = owned[share:]
            self._ownership.release(given)
            for name in given:
                self._folding.pop(self._numbers[name], None)
                self._again_at.pop(self._numbers[name], None)
            self._assign()
        gained = [self._numbers[name] for name in self._ownership.acquire(most=max(0, share - len(owned)))]
        for number in gained:  # what kept the last owner from folding may be gone
            stop_partition(self._connection, self._projection.name, number, None)
        if gained:
            self._load(gained)

    def _load(self, numbers: Sequence[int]) -> None:
        """Read the checkpoints of these partitions, and go on from there."""
        found = {one.partition: one for one in find_partitions(self._connection, self._projection.name)}
        for number in numbers:
            self._folding[number] = PartitionFold(self._connection, self._projection, self._topic.name, found[number])
        self._assign()
        for number in numbers:
            self._consumer.seek(self._at(number), found[number].next_offset)

    def _assign(self) -> None:
        """Read the partitions that are folded. Those that were read before keep their offsets."""
        self._consumer.assign([self._at(number) for number in sorted(self._folding)])

    def _at(self, number: int) -> TopicPartition:
        return TopicPartition(self._topic.name, number)

    def _look_now_and_then(self) -> None:
        if monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = monotonic()
        holder = f"{self._projection.name} in this database"
        topics.refuse_another(self._topic.name, self._identity, self._look(), holder)

    def _look(self) -> Identity:
        with closing(client.admin(self._settings)) as admin:
            return topics.check(admin, self._topic)


class _Found(NamedTuple):
    """An event that is to be folded."""

    place: int  # of its record among those that were read together
    position: int
    at: str  # when it was recorded
    stored: tuple[str, bytes, str, int]  # type, payload, stream and version, as the codec takes them


def _text(header: bytes | None) -> str:
    """The text of a header. It may be there and have no value, and whoever may write to a topic may write anything."""
    return (header or b"").decode("utf-8", "replace")


@cache
def _codec() -> Codec:
    """The codec of a process without keys of people: what it folds has no text of them."""
    return Codec(CATALOGUE, ClosedSealer(), ERASED, UNREADABLE)


class PartitionFold:
    """Folds the records of one partition, which one worker owns."""

    def __init__(
        self, connection: Connection[Any], projection: Projection, topic: str, checkpoint: PartitionCheckpoint
    ) -> None:
        """Raises `ValueError` for a projection that needs the order of the whole log."""
        if projection.per_stream is None:
            raise ValueError(f"{projection.name} cannot be folded from single streams")
        self._connection = connection
        self._projection = projection
        self._streams: StreamFold = projection.per_stream
        self._topic = topic
        self.checkpoint = checkpoint
        self._cache = FoldCache()
        self._codec = _codec()
        self._wanted = frozenset(name.encode() for name in self._codec.named(*self._streams.events))
        self._prefixes = tuple({PREFIXES[event].encode() for event in self._streams.events})

    def take(self, records: Sequence[Any]) -> None:
        """Fold these records, which follow the checkpoint.

        Raises `TopicError` for records that do not fit, `LostError`, and `StoppedError` for an event that cannot be
        folded; those before it are folded then.
        """
        to, found = self.checkpoint, list[_Found]()
        for place, record in enumerate(records):
            headers = dict(record.headers)
            kind = headers.get("ce_type", b"")
            if kind == _HEARTBEAT:
                to = self._reached(to, record)
                continue
            to = replace(to, events=to.events + 1)
            if kind in self._wanted or (kind not in _KNOWN and self._is_ours(headers)):
                found.append(self._found(place, record, headers))
        self._fold(records, found, replace(to, next_offset=records[-1].offset + 1, stopped=None))

    def _is_ours(self, headers: Mapping[str, bytes]) -> bool:
        """Whether an event of an unknown type is on a stream that is folded. A newer program wrote it."""
        return (headers.get("ce_subject") or b"").startswith(self._prefixes)

    def _reached(self, at: PartitionCheckpoint, record: Any) -> PartitionCheckpoint:
        """The checkpoint after a heartbeat, which has to fit. Raises `TopicError`."""
        where = f"topic {self._topic}, partition {at.partition}, offset {record.offset}"
        try:
            heartbeat = msgspec.json.decode(record.value or b"", type=Heartbeat)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise TopicError(f"{where}: the heartbeat cannot be read ({error})") from None
        if at.log is not None and (heartbeat.log, heartbeat.epoch) != (at.log, at.epoch):
            raise TopicError(
                f"{where}: the heartbeat is of log {heartbeat.log}, epoch {heartbeat.epoch}, and the rows here are of "
                f"log {at.log}, epoch {at.epoch}; take a new generation (DAYBOOK_KAFKA_GENERATION) and a new database"
            )
        if heartbeat.events != at.events:
            raise TopicError(
                f"{where}: {heartbeat.events} events were written to the partition up to position "
                f"{heartbeat.position}, and {at.events} were read: records are lost or came twice; publish a new "
                "generation (DAYBOOK_KAFKA_GENERATION)"
            )
        return replace(at, log=heartbeat.log, epoch=heartbeat.epoch, position=heartbeat.position)

    def _found(self, place: int, record: Any, headers: Mapping[str, bytes]) -> _Found:
        position, version = number_in(headers.get("ce_id")), number_in(headers.get("ce_streamversion"))
        type, at, stream = (_text(headers.get(name)) for name in ("ce_type", "ce_time", "ce_subject"))
        if position is None or version is None or not (type and at and stream) or record.value is None:
            raise TopicError(
                f"topic {self._topic}, partition {record.partition}, offset {record.offset}: this is no event that a "
                "publisher wrote; see who may write to the topic (ACLs)"
            )
        return _Found(place, position, at, (type, record.value, stream, version))

    def _fold(self, records: Sequence[Any], found: Sequence[_Found], to: PartitionCheckpoint) -> None:
        """Fold in one transaction. If that fails, fold what is before the first event that cannot be folded."""
        try:
            self._write(found, to)
        except (*TRANSIENT, LostError):
            raise
        except Exception as error:
            bad, error = self._first_bad(found, error)
            if bad.place > 0:
                self.take(records[: bad.place])
            type, _, stream, _ = bad.stored
            raise StoppedError(str(ProjectionError(bad.position, stream, type, explain(error)))) from error

    def _first_bad(self, found: Sequence[_Found], error: Exception) -> tuple[_Found, Exception]:
        """The first event that cannot be folded, by bisection, and its error. Together they raised this error."""
        good, bad = 0, len(found)
        while bad - good > 1:
            middle = (good + bad) // 2
            try:
                self._write(found[:middle], self.checkpoint, only_try=True)
            except (*TRANSIENT, LostError):
                raise
            except Exception as other:
                bad, error = middle, other
            else:
                good = middle
        return found[bad - 1], error

    def _write(self, found: Sequence[_Found], to: PartitionCheckpoint, *, only_try: bool = False) -> None:
        """One transaction: the checkpoint, then the rows."""
        events = self._codec.decode_many([one.stored for one in found])
        for event in events:
            if isinstance(event, CodecError):
                raise event
        recorded = [RecordedEvent(one.position, one.at, event) for one, event in zip(found, events, strict=True)]
        folded = self._streams.fold(recorded)
        try:
            with self._connection.transaction(force_rollback=only_try):
                if not move_partition(self._connection, self._projection.name, self.checkpoint, to):
                    raise LostError
                if recorded:
                    self._projection.write(self._connection, folded, self._cache)
        except BaseException:
            self._cache.clear()
            raise
        if only_try:
            self._cache.clear()
        else:
            self.checkpoint = to
