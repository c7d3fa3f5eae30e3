"""Measures the log on Kafka: publishing a stored log, copying it into a replica, and the time until a row is there.

The broker is one process of this machine with Kafka's usual settings, so an acknowledgement comes from its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from random import Random
from threading import Event, Thread
from time import perf_counter, sleep
from typing import Any

import psycopg

from bench.harness import history, oracle, process
from bench.harness.ledger import running_ledger, transfers
from bench.harness.result import Comparison, Latency, Measurement, ScenarioResult
from bench.harness.server import MASTER_KEY, Database, Server
from bench.harness.settings import Settings
from bench.harness.tables import make_read_tables
from bench.scenarios.catch_up import fold_from_the_beginning
from eventstore.keys.master_keys import MasterKeys
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.copying import find_copy
from eventstore.log.leaf import digest
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from migrations import runner
from workers.kafka import client, topics
from workers.kafka.broker import Broker
from workers.kafka.key_records import KeyFeed
from workers.kafka.publishing.events_publication import EventsPublication
from workers.kafka.publishing.log_publication import LogPublication
from workers.kafka.publishing.process import What, publish_until, topic_of
from workers.kafka.publishing.publisher import Publisher
from workers.kafka.replica.copier import Copier
from workers.kafka.replica.process import copy_until
from workers.ports import free_port
from workers.settings import Settings as Configured
from workers.work import fold_until

BLOCKS, QUICK_BLOCKS = 200, 5
"""Of `bench.harness.history`, about a thousand events each."""
FASTEST = 40_000
"""Events a second of a stored log that are asked for."""
WORKERS = (1, 2, 4)
"""Processes that share four partitions."""
EACH_SECOND = 50
"""Transfers a second, while it is measured how long a row takes to a replica."""


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Fill a log, publish it under a new generation in each repetition, and copy it into a new database each time."""
    with ExitStack() as opened:
        database = opened.enter_context(server.database())
        loaded = history.load(database, QUICK_BLOCKS if settings.quick else BLOCKS, Random(settings.seed))
        checked = oracle.check(database.url, loaded.commands)
        broker = opened.enter_context(Broker(server.folder / "kafka", port=free_port()))
        there = database.settings.model_copy(update={"kafka_bootstrap_servers": broker.address})
        generations = [
            there.model_copy(update={"kafka_generation": number}) for number in range(1, settings.repetitions + 1)
        ]
        rates = {
            "publish: a record a unit": [_publish(one, "log", loaded.events) for one in generations],
            "publish: a record an event": [_publish(one, "events", loaded.events) for one in generations],
            "copy to a replica": [_copy(one, server, database, loaded.events) for one in generations],
        }
        measured = [
            Measurement(subject, {"events": loaded.events}, "events/s", [round(rate, 1) for rate in of_subject])
            for subject, of_subject in rates.items()
        ]
        measured.append(_latency(settings, server, broker.address))
        measured.append(
            Measurement(
                "copy and fold, all projections",
                {"events": loaded.events},
                "events/s",
                [round(_copy_and_fold(one, server, loaded.events), 1) for one in generations],
            )
        )
        measured.append(
            Measurement(
                "fold directly, all projections",
                {"events": loaded.events},
                "events/s",
                [round(fold_from_the_beginning(database)[0], 1) for _ in generations],
            )
        )
        measured += [
            Measurement(
                "fold entries by partition",
                {"workers": workers, "events": loaded.events},
                "events/s",
                [round(_by_partition(one, server, loaded.events, workers), 1) for one in generations],
            )
            for workers in WORKERS
        ]
    return ScenarioResult(
        "kafka",
        "The log on Kafka",
        "A stored log is published to the topic of the log (a record a unit) and to that of events (a record an "
        "event, four partitions), and the former is copied into an empty database, whose digest is then compared. "
        f"Then {EACH_SECOND} transfers a second are executed, while a publisher and a replica run: the time is from "
        "the answer of a transfer until all read tables of the replica have its rows. At last the stored log is copied "
        "and folded by one process of a replica, and its entries are folded from four partitions by one process and "
        "several. For comparison, the log itself is folded as a projector does.",
        measured,
        [
            Comparison("stored events published a second", measured[0].median, FASTEST),
            Comparison("events copied a second", measured[2].median),
        ],
        [*checked, "the digest of each copy is that of the original"],
    )


def _publish(there: Configured, what: What, events: int) -> float:
    """Events a second of a stored log, without the start of the publisher."""
    with connect(there.publisher_url(), application_name="bench-publisher") as connection, ExitStack() as opened:
        needed = [topic_of(there, what), topics.keys_topic(there.log, there.kafka_generation)]
        admin = opened.enter_context(closing(client.admin(there)))
        for topic in needed:
            topics.create(admin, topic, 1)
        consumer = opened.enter_context(closing(client.consumer(there)))
        publication = _publication(there, what, connection, consumer, needed)
        publisher = Publisher(client.transactional_producer(there, publication.transactional_id), publication)
        opened.callback(publisher.close)
        began = perf_counter()
        while publisher.position < events:
            publisher.step()
        return events / (perf_counter() - began)


def _publication(there: Configured, what: What, connection: Any, consumer: Any, needed: list[topics.Topic]) -> Any:
    if what == "events":
        return EventsPublication(connection, there.log, consumer, needed[0].name, needed[0].partitions)
    number = read_head(connection, there.log).log_number
    held = MasterKeys(SubjectKeys(connection, number), there.master_key_bytes())
    feed = KeyFeed(connection, number, held, there.replica_master_key_bytes())
    return LogPublication(connection, there.log, consumer, needed[0].name, needed[1].name, feed)


def _copy(there: Configured, server: Server, original: Database, events: int) -> float:
    """Events a second that are copied into an empty database. Raises `WrongError` if it is another log."""
    with _replica(server, there) as (database, settings):
        with connect(settings.replica_url(), application_name="bench-replica") as connection:
            connection.execute("SET synchronous_commit = off")
            began = perf_counter()
            with closing(Copier(settings, connection)) as copier:
                while copier.copy is None or copier.copy.position < events:
                    copier.step()
            rate = events / (perf_counter() - began)
        if _digest(database) != _digest(original):
            raise oracle.WrongError("the copy has another digest than the original")
    return rate


def _copy_and_fold(there: Configured, server: Server, events: int) -> float:
    """Events a second that one process copies and folds into all read tables, from its first unit on."""
    with _replica(server, there) as (database, settings):
        began: list[float] = []

        def folded() -> bool:
            position = _folded(reading)
            if position and not began:
                began.append(perf_counter())
                first.append(position)
            return position >= events

        first: list[int] = []
        with (
            psycopg.connect(database.url, autocommit=True) as reading,
            process.running("workers.cli", "work", "--from-kafka", environment=_environment(settings), ready=folded),
        ):
            return (events - first[0]) / (perf_counter() - began[0])


def _by_partition(there: Configured, server: Server, events: int, workers: int) -> float:
    """Events a second of which these processes fold the entries. They begin together."""
    with _replica(server, there) as (database, settings), ExitStack() as opened:
        reading = opened.enter_context(psycopg.connect(database.url, autocommit=True))
        gate = opened.enter_context(psycopg.connect(database.url))
        gate.execute("LOCK TABLE read.partitions IN ACCESS EXCLUSIVE MODE")
        for number in range(1, workers + 1):
            arguments = ("work", "--from-events", "entries")
            ready = partial(_waiting, reading, number)
            opened.enter_context(
                process.running("workers.cli", *arguments, environment=_environment(settings), ready=ready)
            )
        began = perf_counter()
        gate.rollback()
        while _least_of_partitions(reading) < events:
            sleep(0.005)
        return events / (perf_counter() - began)


def _environment(settings: Configured) -> dict[str, str]:
    return {
        "DATABASE_URL": str(settings.database_url),
        "DAYBOOK_MASTER_KEY": MASTER_KEY,
        "DAYBOOK_KAFKA_BOOTSTRAP_SERVERS": str(settings.kafka_bootstrap_servers),
        "DAYBOOK_KAFKA_GENERATION": str(settings.kafka_generation),
    }


def _waiting(connection: psycopg.Connection[Any], workers: int) -> bool:
    """Whether so many workers wait for the table of partitions."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return row is not None and row[0] >= workers


def _least_of_partitions(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT coalesce(min(position), 0) FROM read.partitions").fetchone()
    assert row is not None
    return int(row[0])


def _digest(database: Database) -> str:
    with connect(database.audit_url, application_name="bench-digest") as connection:
        head = read_head(connection, "main")
        return digest(connection, head.log_number, head.position)


@contextmanager
def _replica(server: Server, there: Configured) -> Iterator[tuple[Database, Configured]]:
    """An empty database for a copy, and the settings of its processes."""
    with server.database(migrated=False) as database:
        runner.upgrade(database.url)
        make_read_tables(database)
        yield database, there.model_copy(update={"database_url": database.url})


def _latency(settings: Settings, server: Server, address: str) -> Measurement:
    """The milliseconds from the answer of a transfer until the replica has its rows."""
    number = max(5, int(EACH_SECOND * settings.seconds * settings.repetitions))
    with server.database() as database, running_ledger(database) as ledger:
        there = database.settings.model_copy(update={"kafka_bootstrap_servers": address, "kafka_generation": 1_000})
        accounts = ledger.open_accounts(settings.accounts)
        with _replica(server, there) as (copy, replica), ExitStack() as opened:
            for work in (
                lambda stop: publish_until(there, "log", stop),
                lambda stop: copy_until(replica, stop),
            ):
                opened.enter_context(_running(work))
            _wait_for_copy(copy)
            opened.enter_context(_running(lambda stop: fold_until(replica, stop)))
            times = []
            with psycopg.connect(copy.url, autocommit=True) as reading:
                for command in transfers(accounts, number, Random(settings.seed)):
                    ledger.execute([command])
                    answered = perf_counter()
                    position = _head(database)
                    while _folded(reading) < position:
                        sleep(0.0005)
                    times.append((perf_counter() - answered) * 1_000)
                    sleep(max(0.0, 1 / EACH_SECOND - (perf_counter() - answered)))
    times.sort()
    p50, p90, p99, p999, most = (
        round(times[min(len(times) - 1, int(len(times) * part))], 2) for part in (0.5, 0.9, 0.99, 0.999, 1)
    )
    latency = Latency(p50, p90, p99, p999, most)
    return Measurement("from an answer to the replica's rows", {"transfers": number}, "ms", [p50], latency)


def _head(database: Database) -> int:
    with connect(database.url, application_name="bench-head") as connection:
        return read_head(connection, "main").position


def _folded(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT coalesce(min(position), 0) FROM read.checkpoints").fetchone()
    assert row is not None
    return int(row[0])


def _wait_for_copy(database: Database) -> None:
    with connect(database.url, application_name="bench-wait") as connection:
        while find_copy(connection, "main") is None:
            sleep(0.01)


@contextmanager
def _running(work: Callable[[Event], None]) -> Iterator[None]:
    stop = Event()
    thread = Thread(target=work, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
