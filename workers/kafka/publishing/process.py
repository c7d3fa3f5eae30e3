"""The process that publishes the log: `daybook publish`.

One process at a time publishes a topic: it owns an advisory lock, and another takes over once that session ends. The
lock saves work only; Kafka's transactions keep the topic right.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from threading import Event
from typing import Any, Final, Literal, TypeAlias

import psycopg
from kafka.errors import KafkaError
from psycopg import Connection

from eventstore.keys.master_keys import MasterKeys
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.publications import keep_publication, publications
from eventstore.log.read import CHANNEL, read_head
from eventstore.postgres.connect import connect
from eventstore.postgres.ownership import Ownership, Purpose
from projections.engine.follow import IDLE_POLL_SECONDS, PAUSED_SECONDS, Pace, end_when_silent
from projections.engine.outage import Outage
from projections.engine.runner import TRANSIENT
from workers.kafka import client, topics
from workers.kafka.key_records import KeyFeed
from workers.kafka.outage import KafkaOutage
from workers.kafka.publishing.events_publication import EventsPublication
from workers.kafka.publishing.log_publication import LogPublication
from workers.kafka.publishing.publisher import Publication, Publisher, dispose
from workers.kafka.topics import Identity, Topic, TopicError
from workers.settings import Settings

logger = logging.getLogger(__name__)

PUBLISHING: Final = Purpose("publish", "topic", "daybook_publisher")

What: TypeAlias = Literal["log", "events"]
"""The topic that is published."""


def publish(settings: Settings, what: What) -> None:
    """Publish the log until SIGTERM or SIGINT. Raises `SettingsError`, `DatabaseAwayError`, `UnknownLogError`."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    client.prepare_process(settings)
    publish_until(settings, what, stop)


def publish_until(
    settings: Settings,
    what: What,
    stop: Event,
    *,
    paused_seconds: float = PAUSED_SECONDS,
    on_step: Callable[[str], None] = lambda step: None,
) -> None:
    """Publish until `stop` is set.

    A publisher that says nothing to the database for `paused_seconds` is replaced. `on_step` is called before each step
    of a transaction, for tests.
    """
    database = Outage(stop, settings.database_wait_seconds)
    kafka = KafkaOutage(
        topic_of(settings, what).name, "nothing is published", stop, partial(_keep_sentence, settings, what)
    )
    while not stop.is_set():
        try:
            with connect(settings.publisher_url(), application_name="daybook-publisher") as connection:
                _Session(settings, what, connection, stop, kafka, paused_seconds, on_step).run(database)
        except TRANSIENT as error:
            database.failed(error)
        except KafkaError as error:
            kafka.failed(error)
        except TopicError as error:
            kafka.refused(error)


def _keep_sentence(settings: Settings, what: What, sentence: str | None) -> None:
    """Record why nothing is published, in the table that lag shows; None: it is."""
    try:
        with connect(settings.publisher_url(), application_name="daybook-publisher") as connection:
            number = read_head(connection, settings.log).log_number
            keep_publication(connection, number, topic_of(settings, what).name, waiting=sentence)
    except psycopg.Error as error:
        logger.warning("that nothing is published cannot be recorded: %s", type(error).__name__)


class _Session:
    """Publishes over one connection to the database, which has the lock."""

    def __init__(
        self,
        settings: Settings,
        what: What,
        connection: Connection[Any],
        stop: Event,
        kafka: KafkaOutage,
        paused_seconds: float,
        on_step: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._what = what
        self._connection = connection
        self._stop = stop
        self._kafka = kafka
        self._paused_seconds = paused_seconds
        self._on_step = on_step
        self._topic = topic_of(settings, what)
        self._log_number = read_head(connection, settings.log).log_number
        self._pace = Pace(settings.poll_seconds)
        end_when_silent(connection, paused_seconds)
        connection.execute(f"LISTEN {CHANNEL}".encode())

    def run(self, database: Outage) -> None:
        """Publish as the owner of the topic, until told to stop. Raises what fails."""
        ownership = Ownership(self._connection, PUBLISHING, self._log_number, [self._topic.name])
        if not ownership.wait(self._stop, IDLE_POLL_SECONDS, self._paused_seconds, database.ended):
            return
        database.ended()
        with ExitStack() as opened:
            identity = self._ready()
            publication = self._publication(opened)
            producer = client.transactional_producer(self._settings, publication.transactional_id)
            publisher = _published(producer, publication, self._on_step)
            opened.callback(publisher.close)
            logger.info("publishing to %s from position %d on", self._topic.name, publisher.position)
            self._keep(identity, publisher.position)
            while not self._stop.is_set():
                self._turn(publisher, identity)

    def _turn(self, publisher: Publisher, identity: Identity) -> None:
        if publisher.step():
            self._pace.found()
            self._keep(identity, publisher.position)
            return
        self._pace.idle(any(self._connection.notifies(timeout=self._pace.seconds, stop_after=1)))

    def _keep(self, identity: Identity, position: int) -> None:
        self._kafka.ended()
        keep_publication(
            self._connection,
            self._log_number,
            self._topic.name,
            cluster_id=identity.cluster_id,
            topic_id=identity.topic_id,
            position=position,
        )

    def _ready(self) -> Identity:
        """Make the topics that were never there, and check all. Raises `TopicError`."""
        known = publications(self._connection, self._log_number).get(self._topic.name)
        needed = [self._topic]
        if self._what == "log":
            needed.append(topics.keys_topic(self._settings.log, self._settings.kafka_generation))
        with closing(client.admin(self._settings)) as admin:
            for topic in needed:
                if known is None or known.topic_id is None:
                    topics.create(admin, topic, self._settings.kafka_replication_factor)
            identity, *_ = [topics.check(admin, topic) for topic in needed]
        if known is not None and known.topic_id is not None and known.cluster_id is not None:
            was = Identity(known.cluster_id, known.topic_id)
            topics.refuse_another(self._topic.name, was, identity, "this log's record of what is published")
        return identity

    def _publication(self, opened: ExitStack) -> Publication:
        settings, connection = self._settings, self._connection
        consumer = opened.enter_context(closing(client.consumer(settings)))
        known = publications(connection, self._log_number).get(self._topic.name)
        published = 0 if known is None else known.position
        if self._what == "events":
            partitions = self._topic.partitions
            return EventsPublication(connection, settings.log, consumer, self._topic.name, partitions, published)
        held = MasterKeys(
            SubjectKeys(connection, self._log_number), settings.master_key_bytes(), settings.previous_master_key_bytes()
        )
        held.check()
        replicas = settings.replica_master_key_bytes()
        keys_topic = topics.keys_topic(settings.log, settings.kafka_generation).name
        feed = KeyFeed(connection, self._log_number, held, replicas)
        return LogPublication(connection, settings.log, consumer, self._topic.name, keys_topic, feed, published)


def _published(producer: Any, publication: Publication, on_step: Callable[[str], None]) -> Publisher:
    try:
        return Publisher(producer, publication, on_step=on_step)
    except BaseException:
        dispose(producer)
        raise


def topic_of(settings: Settings, what: What) -> Topic:
    """The topic that is published."""
    if what == "log":
        return topics.log_topic(settings.log, settings.kafka_generation)
    return topics.events_topic(settings.log, settings.kafka_generation, settings.kafka_partitions)
