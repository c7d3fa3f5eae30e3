"""The process of a replica: it copies the log from Kafka, and folds it into the read tables (`work --from-kafka`).

Both work over the replica's own database. Several such processes may run on one: one copies, and the projections are
spread by locks, as everywhere.
"""

from __future__ import annotations

import logging
import signal
from functools import partial
from threading import Event, Thread
from typing import Final

import psycopg
from kafka.errors import KafkaError

from eventstore.log.copying import find_copy, keep_copy
from eventstore.postgres.connect import connect
from eventstore.postgres.ownership import Ownership, Purpose
from projections.engine.follow import IDLE_POLL_SECONDS, PAUSED_SECONDS, end_when_silent
from projections.engine.outage import Outage
from projections.engine.runner import TRANSIENT
from workers.kafka import client, topics
from workers.kafka.outage import KafkaOutage
from workers.kafka.replica.copier import Copier
from workers.kafka.topics import TopicError
from workers.settings import Settings
from workers.work import fold_until

logger = logging.getLogger(__name__)

COPYING: Final = Purpose("copy", "topic", "daybook_replica")
REFUSED_SECONDS: Final = 2.0
"""How long to wait after a topic was refused. A replica often starts before the publisher that makes the topic."""
_ANY_LOG: Final = 0
"""The number in the lock's key: the first worker takes the lock before there is a log."""


def work_from_kafka(settings: Settings) -> None:
    """Copy and fold until SIGTERM or SIGINT. Raises as `work`, `MasterKeyError`."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    client.prepare_process(settings)
    failed: list[BaseException] = []

    def copy() -> None:
        try:
            copy_until(settings, stop)
        except BaseException as error:
            failed.append(error)
            stop.set()

    copying = Thread(target=copy, name="copy")
    copying.start()
    try:
        if _once_begun(settings, stop):
            fold_until(settings, stop)
    finally:
        stop.set()
        copying.join()
    if failed:
        raise failed[0]


def _once_begun(settings: Settings, stop: Event) -> bool:
    """Wait until the copy has its first unit. False if told to stop before."""
    outage = Outage(stop, settings.database_wait_seconds)
    while not stop.is_set():
        try:
            with connect(settings.projector_url(), application_name="daybook-begin") as connection:
                while not stop.wait(IDLE_POLL_SECONDS):
                    if find_copy(connection, settings.log) is not None:
                        return True
        except TRANSIENT as error:
            outage.failed(error)
    return False


def copy_until(settings: Settings, stop: Event, *, paused_seconds: float = PAUSED_SECONDS) -> None:
    """Copy until `stop` is set. A worker that says nothing to the database for `paused_seconds` is replaced."""
    database = Outage(stop, settings.database_wait_seconds)
    topic = topics.log_topic(settings.log, settings.kafka_generation).name
    kafka = KafkaOutage(topic, "nothing is copied", stop, partial(_keep_sentence, settings), REFUSED_SECONDS)
    while not stop.is_set():
        try:
            with connect(settings.replica_url(), application_name="daybook-replica") as connection:
                end_when_silent(connection, paused_seconds)
                # A commit that a crash loses takes its offset with it, so no commit waits for the disk.
                connection.execute("SET synchronous_commit = off")
                ownership = Ownership(connection, COPYING, _ANY_LOG, [topic])
                if not ownership.wait(stop, IDLE_POLL_SECONDS, paused_seconds, database.ended):
                    return
                database.ended()
                copier = Copier(settings, connection)
                try:
                    logger.info("copying topic %s", topic)
                    while not stop.is_set():
                        if copier.step() or copier.at_end:
                            kafka.ended()
                        connection.execute("SELECT")  # a session that says nothing for long is ended
                finally:
                    copier.close()
        except TRANSIENT as error:
            database.failed(error)
        except KafkaError as error:
            kafka.failed(error)
        except TopicError as error:
            kafka.refused(error)


def _keep_sentence(settings: Settings, sentence: str | None) -> None:
    """Record why nothing is copied, in the table that lag shows; None: it is."""
    try:
        with connect(settings.replica_url(), application_name="daybook-replica") as connection:
            copy = find_copy(connection, settings.log)
            if copy is not None:
                keep_copy(connection, copy.log_number, waiting=sentence)
    except psycopg.Error as error:
        logger.warning("that nothing is copied cannot be recorded: %s", type(error).__name__)
