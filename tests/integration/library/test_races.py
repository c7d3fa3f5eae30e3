"""Guarantees beyond those of the library, with concurrent writers, concurrent runners and lost connections."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, OperationalError, StoredEvent, Tracking
from psycopg import Connection

from eventstore.library import recorders
from eventstore.library.recorders import LogProcessRecorder
from tests.integration.library.support import application, as_superuser, end_sessions, events, log_name, process
from tests.support.postgres import Database

WRITERS, INSERTS = 8, 25
NOTIFICATIONS = 150
MOST_RESTARTS = 20 * NOTIFICATIONS
UPSTREAM = "upstream"


def test_a_subscription_misses_no_event_of_concurrent_writers(
    environment: dict[str, str], shared_database: Database
) -> None:
    follower = application(environment)
    everything, rare = follower.subscribe(), follower.subscribe(topics=["rare"])
    sizes = [random.Random(number).choices(range(1, 6), k=INSERTS) for number in range(WRITERS)]

    def write(number: int) -> None:
        try:
            writer = application(environment)
            for index, size in enumerate(sizes[number]):
                writer.insert_events(events(size, topic="rare" if index == number else "common"))
        except BaseException:
            everything.stop()  # the awaited event will not come
            rare.stop()
            raise

    with ThreadPoolExecutor(WRITERS) as threads, everything, rare:
        writing = [threads.submit(write, number) for number in range(WRITERS)]
        seen = list(islice(everything, sum(map(sum, sizes))))
        seen_rare = list(islice(rare, sum(sizes[number][number] for number in range(WRITERS))))
        for one in writing:
            one.result()

    assert [notification.id for notification in seen] == list(range(1, len(seen) + 1))
    assert seen_rare == [notification for notification in seen if notification.topic == "rare"]
    # One insert is one unit, so the events that were inserted together have consecutive positions.
    places = defaultdict(list)
    for notification in seen:
        places[notification.originator_id].append(notification.id)
    assert all(ids == list(range(ids[0], ids[0] + len(ids))) for ids in places.values())
    units = "SELECT count(DISTINCT unit_end) FROM log.events JOIN log.logs USING (log) WHERE name = %s"
    assert as_superuser(shared_database, units, log_name(environment)) == [(WRITERS * INSERTS,)]


def follow(recorder: LogProcessRecorder, upto: int) -> None:
    """Process an upstream application as a runner does. Each notification makes one event. Restart after a failure."""
    for _ in range(MOST_RESTARTS):
        try:
            done = recorder.max_tracking_id(UPSTREAM) or 0
            if done >= upto:
                return
            made = StoredEvent(uuid4(), 1, "processed", str(done + 1).encode())
            recorder.insert_events([made], tracking=Tracking(UPSTREAM, done + 1))
        except (IntegrityError, OperationalError):
            continue  # another runner was first, or the database is away: read the position again
    raise AssertionError(f"notification {upto} was not reached in {MOST_RESTARTS} attempts")


def processed(recorder: LogProcessRecorder) -> list[int]:
    return [int(notification.state) for notification in recorder.select_notifications(None, 10_000)]


def test_concurrent_runners_process_each_notification_once(environment: dict[str, str]) -> None:
    runners = [process(environment) for _ in range(3)]
    with ThreadPoolExecutor(len(runners)) as threads:
        list(threads.map(lambda runner: follow(runner, NOTIFICATIONS), runners))
    assert processed(runners[0]) == list(range(1, NOTIFICATIONS + 1))


@contextmanager
def breaking_connections(database: Database, environment: dict[str, str], head: Callable[[], int]) -> Iterator[None]:
    """Break every connection repeatedly, each time after the log has grown."""
    stop = Event()

    def break_them() -> None:
        last = 0
        while not stop.is_set():
            if (now := head()) >= last + 3:
                end_sessions(database, environment)
                last = now

    thread = Thread(target=break_them)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def head_of(database: Database, environment: dict[str, str]) -> Callable[[], int]:
    query = "SELECT position FROM log.logs WHERE name = %s"
    return lambda: as_superuser(database, query, log_name(environment))[0][0]


def test_tracking_and_events_stay_together_while_connections_break(
    environment: dict[str, str], shared_database: Database
) -> None:
    runner = process(environment)
    with breaking_connections(shared_database, environment, head_of(shared_database, environment)):
        follow(runner, NOTIFICATIONS)
    assert processed(runner) == list(range(1, NOTIFICATIONS + 1))
    assert runner.max_tracking_id(UPSTREAM) == NOTIFICATIONS


def test_inserts_take_effect_once_while_connections_break(
    environment: dict[str, str], shared_database: Database
) -> None:
    recorder = application(environment)
    stream = uuid4()
    with breaking_connections(shared_database, environment, head_of(shared_database, environment)):
        for version in range(1, NOTIFICATIONS + 1):
            # A single writer on a stream conflicts only with itself, after a lost acknowledgement.
            assert recorder.insert_events(events(1, stream=stream, first=version)) == [version]
    assert [event.originator_version for event in recorder.select_events(stream)] == list(range(1, NOTIFICATIONS + 1))


@pytest.fixture
def lose_the_first_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Breaks the connection once, after the insert, or after an equal insert of another writer instead of it."""

    def lose(by_a_stranger: bool) -> None:
        original = recorders._insert_events
        calls = iter(range(100))

        def insert(connection: Connection[Any], log_number: int, columns: Any, tracking: Tracking | None) -> int:
            if next(calls) > 0:
                return original(connection, log_number, columns, tracking)
            if by_a_stranger:
                alike = [bytes([*metadata[:1], *bytes(16)]) for metadata in columns.metadata]
                columns = type(columns)(*[getattr(columns, name) for name in columns.__slots__[:-1]], alike)
            original(connection, log_number, columns, tracking)
            connection.close()
            raise psycopg.OperationalError("the connection is lost")

        monkeypatch.setattr(recorders, "_insert_events", insert)

    return lose


@pytest.mark.parametrize("tracking", [None, Tracking(UPSTREAM, 7)], ids=["untracked", "tracked"])
def test_an_insert_whose_acknowledgement_was_lost_is_recognised(
    environment: dict[str, str], lose_the_first_acknowledgement: Callable[[bool], None], tracking: Tracking | None
) -> None:
    recorder = process(environment)
    recorder.insert_events(events(2))
    lose_the_first_acknowledgement(False)
    mine = events(3)
    assert recorder.insert_events(mine, tracking=tracking) == [3, 4, 5]
    assert recorder.max_notification_id() == 5
    assert recorder.max_tracking_id(UPSTREAM) == (tracking and 7)
    assert list(recorder.select_events(mine[0].originator_id)) == mine


def test_equal_events_of_another_writer_do_not_count_as_own(
    environment: dict[str, str], lose_the_first_acknowledgement: Callable[[bool], None]
) -> None:
    recorder = application(environment)
    lose_the_first_acknowledgement(True)
    with pytest.raises(IntegrityError, match="is at version 3 and the event is number 1"):
        recorder.insert_events(events(3))
    assert recorder.max_notification_id() == 3
