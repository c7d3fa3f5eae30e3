"""Rules of the recorders that the cases of the library do not test."""

from __future__ import annotations

import contextlib
import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import (
    ConnectionUnavailableError,
    DataError,
    InfrastructureFactoryError,
    IntegrityError,
    Notification,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from psycopg import Connection

from eventstore.library import pool, subscription
from eventstore.library.recorders import LogApplicationRecorder
from eventstore.library.tracking import LogTrackingRecorder
from eventstore.log import read
from eventstore.log.append import MOST_EVENTS_PER_UNIT
from eventstore.postgres import connect as connecting
from tests.integration.library.support import (
    application,
    as_superuser,
    end_sessions,
    events,
    factory,
    log_name,
    process,
    sessions,
)
from tests.support.postgres import Database
from tests.support.waiting import wait_until

STREAM = uuid4()
OTHER = uuid4()


def stored(*versions: int, stream: UUID | str = STREAM) -> list[StoredEvent]:
    return [StoredEvent(stream, version, "topic", b"state") for version in versions]


@pytest.mark.parametrize(
    ("group", "error"),
    [
        (stored(2), IntegrityError),
        (stored(1, 3), IntegrityError),
        (stored(2, 1), IntegrityError),
        (stored(1, 1), IntegrityError),
        ([*stored(1), *stored(5, stream=OTHER)], IntegrityError),
        (stored(-1), DataError),
        (stored(2**63), DataError),
        (stored(1, stream="\0"), DataError),
        (stored(1, stream="\ud800"), DataError),
        ([StoredEvent(STREAM, 1, "\0", b"")], DataError),
        (events(MOST_EVENTS_PER_UNIT + 1), DataError),
    ],
    ids=[
        "from-2",
        "gap",
        "backwards",
        "twice",
        "one-of-two-streams",
        "negative",
        "too-large",
        "nul-in-id",
        "surrogate-in-id",
        "nul-in-topic",
        "more-than-a-unit",
    ],
)
def test_invalid_events_are_refused_and_nothing_is_stored(
    environment: dict[str, str], group: list[StoredEvent], error: type[Exception]
) -> None:
    recorder = process(environment)
    with pytest.raises(error):
        recorder.insert_events(group, tracking=Tracking("upstream", 1))
    assert recorder.max_notification_id() is None
    assert recorder.max_tracking_id("upstream") is None


def test_a_conflict_names_the_stream_and_both_versions(environment: dict[str, str]) -> None:
    recorder = application(environment)
    recorder.insert_events(stored(1, 2, 3))
    with pytest.raises(IntegrityError, match=f"{STREAM} is at version 3 and the event is number 2"):
        recorder.insert_events([*stored(1, stream=OTHER), *stored(2, 3)])


def test_several_streams_in_one_insert_keep_their_order(environment: dict[str, str]) -> None:
    recorder = application(environment)
    mixed = [*stored(0), *stored(1, stream=OTHER), *stored(1), *stored(2, stream=OTHER)]
    assert recorder.insert_events(mixed) == [1, 2, 3, 4]
    found = recorder.select_notifications(1, 10)
    assert [(one.originator_id, one.originator_version) for one in found] == [
        (one.originator_id, one.originator_version) for one in mixed
    ]


def test_ids_are_read_as_they_were_written(environment: dict[str, str]) -> None:
    recorder = application(environment)
    ids: list[UUID | str] = [uuid4(), str(uuid4()), "dog", "Žofka 🐕"]
    recorder.insert_events([event for one in ids for event in stored(1, stream=one)])
    assert [one.originator_id for one in recorder.select_notifications(None, 10)] == ids
    assert [recorder.select_events(one)[0].originator_id for one in ids] == ids


def test_topics_and_states_keep_their_exact_bytes(environment: dict[str, str]) -> None:
    recorder = application(environment)
    event = StoredEvent("x", 1, " a:B.C—ü ", bytes(range(256)) * 100)
    recorder.insert_events([event])
    assert recorder.select_events("x") == [event]


def test_each_application_of_each_namespace_has_a_separate_log(
    environment: dict[str, str], shared_database: Database
) -> None:
    application(environment).insert_events(events(1))
    other = factory(environment, name="Other").application_recorder()
    elsewhere = application({**environment, "EVENTSTORE_NAMESPACE": f"not-{environment['EVENTSTORE_NAMESPACE'][:20]}"})
    assert other.max_notification_id() is None
    assert elsewhere.max_notification_id() is None
    assert application(environment).max_notification_id() == 1
    assert as_superuser(shared_database, "SELECT position FROM log.logs WHERE name = %s", log_name(environment)) == [
        (1,)
    ]


def test_no_log_is_created_if_creation_is_off(environment: dict[str, str], shared_database: Database) -> None:
    recorder = application(environment, CREATE_TABLE="no")
    with pytest.raises(ProgrammingError, match="there is no log named 'library:"):
        recorder.insert_events(events(1))
    assert as_superuser(shared_database, "SELECT FROM log.logs WHERE name = %s", log_name(environment)) == []


def test_a_database_that_was_never_migrated_is_reported(environment: dict[str, str], empty_database: Database) -> None:
    with pytest.raises(ProgrammingError, match="migrate it with `daybook migrate`"):
        application({**environment, "DATABASE_URL": empty_database.url})


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO log.events SELECT * FROM log.events",
        "UPDATE log.logs SET position = 0",
        "UPDATE library.tracking SET notification_id = 1",
        "DELETE FROM library.tracking",
        "DELETE FROM library.snapshots",
        "UPDATE library.snapshots SET payload = ''",
        "CREATE TABLE library.more ()",
    ],
)
def test_an_application_can_write_in_no_other_way(environment: dict[str, str], statement: str) -> None:
    recorder = application(environment)
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        recorder.store.pool.connection() as connection,
    ):
        connection.execute(statement.encode())


def test_only_a_process_recorder_takes_tracking(environment: dict[str, str]) -> None:
    with pytest.raises(ProgrammingError, match="use a process recorder"):
        application(environment).insert_events(events(1), tracking=Tracking("upstream", 1))


class Unrelated:
    pass


class OwnApplicationRecorder(LogApplicationRecorder):
    pass


def test_recorder_classes_can_be_named_by_topic(environment: dict[str, str]) -> None:
    topic = f"{__name__}:OwnApplicationRecorder"
    assert type(application(environment, APPLICATION_RECORDER_TOPIC=topic)) is OwnApplicationRecorder
    with pytest.raises(InfrastructureFactoryError, match="no subclass of LogApplicationRecorder"):
        application(environment, APPLICATION_RECORDER_TOPIC=f"{__name__}:Unrelated")
    with pytest.raises(InfrastructureFactoryError, match="not for 'drafts'"):
        factory(environment).aggregate_recorder("drafts")


def view(environment: dict[str, str]) -> LogTrackingRecorder:
    made: LogTrackingRecorder = factory(environment).tracking_recorder()
    return made


def test_the_rows_of_a_view_and_its_tracking_are_one_transaction(environment: dict[str, str]) -> None:
    recorder = view(environment)
    insert = "INSERT INTO event_counters VALUES (%s, 'x', 1)"

    def write(times: int) -> None:
        with recorder.transaction(Tracking("upstream", 5)) as connection:
            for _ in range(times):
                connection.execute(insert, (recorder.store.number,))

    with pytest.raises(IntegrityError, match="duplicate key"):
        write(2)
    assert recorder.max_tracking_id("upstream") is None
    write(1)
    assert recorder.max_tracking_id("upstream") == 5


def test_a_second_runner_fails_before_it_writes(environment: dict[str, str]) -> None:
    first, second = view(environment), view(environment)
    entered = []

    def run_second() -> None:
        with (
            pytest.raises(IntegrityError, match="notification 5 of upstream is processed already"),
            second.transaction(Tracking("upstream", 5)),
        ):
            entered.append("second")

    with first.transaction(Tracking("upstream", 5)):
        thread = Thread(target=run_second)
        thread.start()  # it waits for the row or comes later; it must fail in both cases
    thread.join()
    assert entered == []


def test_a_subscription_stops_at_once_while_it_waits(environment: dict[str, str]) -> None:
    recorder = application(environment, EVENTSTORE_POLL_SECONDS="3600")
    recorder.insert_events(events(1))
    seen: list[Notification] = []
    with recorder.subscribe() as subscription:
        thread = Thread(target=lambda: seen.extend(subscription))
        thread.start()
        wait_until(lambda: bool(seen), "a first event")
        subscription.stop()
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert len(seen) == 1


def test_a_subscription_with_topics_continues_after_the_positions_that_it_read(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = application(environment)
    recorder.insert_events(events(1_200))
    recorder.insert_events(events(1, topic="rare"))
    looked: list[int] = []

    def read_log(connection: Connection[Any], log_number: int, after: int, limit: int, **kept: Any) -> read.Page:
        looked.append(after)
        return read.read_log(connection, log_number, after, limit, **kept)

    monkeypatch.setattr(subscription, "read_log", read_log)
    with recorder.subscribe(topics=["rare"]) as following:
        assert next(following).id == 1_201
    assert looked == [0, 1_200]  # 500 positions, then to the end of the unit of 1,200


def test_a_broken_connection_does_not_end_a_subscription(
    environment: dict[str, str], shared_database: Database
) -> None:
    recorder = application(environment)
    recorder.insert_events(events(1))
    with recorder.subscribe() as subscription:
        assert next(subscription).id == 1
        end_sessions(shared_database, environment)
        recorder.insert_events(events(1))
        assert next(subscription).id == 2


def test_many_threads_share_few_connections(environment: dict[str, str], shared_database: Database) -> None:
    recorder = application(environment, EVENTSTORE_POOL_SIZE="2")
    with ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda _: recorder.insert_events(events(2)), range(100)))
        assert sessions(shared_database, environment) <= 2
    assert recorder.max_notification_id() == 200


def test_the_wait_for_a_connection_is_bounded(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = application(environment, EVENTSTORE_POOL_SIZE="1")
    monkeypatch.setattr(pool, "WAIT_SECONDS", 0.01)
    with recorder.store.pool.connection(), pytest.raises(ConnectionUnavailableError, match="all 1 connections"):
        recorder.max_notification_id()


def test_a_closed_application_reports_that_it_is_closed(environment: dict[str, str]) -> None:
    made = factory(environment)
    with made:
        recorder = made.application_recorder()
    with pytest.raises(OperationalError, match="connections are closed"):
        recorder.max_notification_id()


def test_an_application_without_references_leaves_no_connection(
    environment: dict[str, str], shared_database: Database
) -> None:
    recorder = application(environment)
    assert sessions(shared_database, environment) == 1
    del recorder
    gc.collect()
    wait_until(
        lambda: sessions(shared_database, environment) == 0, "the end of its sessions"
    )  # the server notices after a while


@pytest.mark.parametrize("wrong", ["server", "login", "role"])
def test_an_error_of_the_first_connection_is_raised_at_once(
    environment: dict[str, str], shared_database: Database, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = {
        "server": "postgresql://nobody@127.0.0.1:1/none",
        "login": shared_database.url.replace("postgres@", "nobody@", 1),
        "role": shared_database.url.replace("postgres@", "login_without_role@", 1),
    }[wrong]
    if wrong == "role":
        with contextlib.suppress(psycopg.errors.DuplicateObject):
            as_superuser(shared_database, "CREATE ROLE login_without_role LOGIN")
    attempts = []
    original = connecting.connect

    def connect(*args: Any, **keywords: Any) -> Connection[Any]:
        attempts.append(1)
        return original(*args, **keywords)

    monkeypatch.setattr(pool, "connect", connect)
    with pytest.raises(OperationalError):
        application({**environment, "DATABASE_URL": url})
    assert attempts == [1]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set: it should look like postgresql://"),
        ({"DATABASE_URL": "secret"}, "DATABASE_URL is not usable: it should look like postgresql://"),
        ({"EVENTSTORE_NAMESPACE": "a:b"}, "EVENTSTORE_NAMESPACE is 'a:b', but may hold"),
        ({"EVENTSTORE_POOL_SIZE": "0"}, "EVENTSTORE_POOL_SIZE is '0', but should be a whole number from 1 to 1000"),
        ({"EVENTSTORE_POOL_SIZE": "1.5"}, "EVENTSTORE_POOL_SIZE is '1.5', but should be a whole number"),
        ({"EVENTSTORE_POLL_SECONDS": "inf"}, "EVENTSTORE_POLL_SECONDS is 'inf', but should be a number"),
        ({"EVENTSTORE_POLL_SECONDS": "nan"}, "EVENTSTORE_POLL_SECONDS is 'nan', but should be a number"),
    ],
)
def test_a_wrong_variable_is_one_message(environment: dict[str, str], variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(OSError, match=sentence) as caught:
        factory(environment, **variables)
    assert "secret" not in str(caught.value)


def test_a_variable_can_be_set_for_one_application(environment: dict[str, str]) -> None:
    with pytest.raises(OSError, match="EVENTSTORE_POOL_SIZE"):
        factory(environment, APP_EVENTSTORE_POOL_SIZE="none")
    factory(environment, OTHER_EVENTSTORE_POOL_SIZE="none")
