"""Publishing a log: each unit once, in order, to the byte, and nothing where the topic is not that of the log."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions
from kafka.errors import InvalidRecordError

from eventstore.executor import executor
from eventstore.keys.master_keys import MasterKeys, unwrap
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.unit_records import parse
from eventstore.postgres.connect import connect
from tests.integration.kafka.histories import some_history
from tests.support.kafka import Kafka, NotUtf8, NoValue
from tests.support.ledger import MASTER_KEY, ledger_on, opening
from tests.support.postgres import Database, Server
from tests.support.published import Published, end_sessions, published
from tests.support.waiting import wait_until
from workers.kafka import client, topics
from workers.kafka.key_records import KeyFeed, parse_key
from workers.kafka.publishing.events_publication import HEARTBEAT, Heartbeat, partition_of
from workers.kafka.publishing.log_publication import LogPublication
from workers.settings import SettingsError


@pytest.fixture
def log(database18: Database, kafka: Kafka) -> Published:
    return published(database18, kafka)


def test_a_stored_log_and_what_follows_are_published_once_and_in_order(log: Published) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger)
        with log.publishing():
            log.wait_until_published()
            some_history(ledger)
            log.wait_until_published()
    log.assert_exactly_once()


def test_a_publisher_goes_on_where_the_topic_ends(log: Published) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger)
        log.publish()
        some_history(ledger)
        log.publish()
        log.publish()  # there is nothing more
    log.assert_exactly_once()


def test_a_publisher_is_still_woken_after_the_database_ended_its_session(
    database18: Database, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It polls every 45 seconds here, so only a notification makes it publish earlier, in the new session too.

    So each append has to notify it, also the last one that comes soon after another.
    """
    monkeypatch.setattr(executor, "NOTIFY_SECONDS", 0.0)
    log = published(database18, kafka)
    rarely = replace(log, settings=log.settings.model_copy(update={"poll_seconds": 45.0}))  # more than is allowed
    with ledger_on(log.database) as ledger, rarely.publishing(paused_seconds=60):
        for _ in range(3):
            wait_until(lambda: publishers_at_rest(database18) == 1, "a publisher that waits")
            some_history(ledger, 2)
            log.wait_until_published(seconds=30)
            end_sessions(database18, "daybook-publisher")
    log.assert_exactly_once()


def publishers_at_rest(database: Database) -> int:
    """How many publishers wait for events: the last that their session did is to look for keys."""
    with psycopg.connect(database.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'"
            " AND application_name = 'daybook-publisher' AND query LIKE '%changed_by >= %'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_the_key_of_a_transaction_that_ends_late_is_sent(database18: Database) -> None:
    """Keys become visible in another order than they were numbered. One that comes late must not be passed over."""
    with (
        ledger_on(database18) as ledger,
        connect(database18.url, application_name="test") as connection,
        psycopg.connect(database18.url) as late,
    ):
        for owner in ("bob", "eve"):
            ledger.accepted(opening(owner=owner))
        feed = KeyFeed(connection, 1, MasterKeys(SubjectKeys(connection, 1), MASTER_KEY), MASTER_KEY)
        feed.missing({})
        late.execute("UPDATE log.subject_keys SET changed_by = DEFAULT WHERE subject = 'bob'")
        ledger.accepted(opening(owner="ada"))
        assert [subject for subject, _ in feed.changed()] == [b"ada"]
        assert feed.changed() == []
        late.commit()
        assert [subject for subject, _ in feed.changed()] == [b"bob"]
        assert feed.changed() == []


def test_a_record_has_the_events_as_they_are_stored(log: Published) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 3)
    log.publish()
    with psycopg.connect(log.database.url) as connection:
        stored = connection.execute(
            "SELECT stream, version, type, encoding, payload, metadata FROM log.events ORDER BY position"
        ).fetchall()
    copied = [event for record in log.kafka.records(log.topic()) for event in parse(record.value).copied()]
    assert copied == stored


def test_the_record_of_the_command_is_in_the_record_by_its_hash(log: Published) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with psycopg.connect(log.database.url) as connection:
        hashes = connection.execute(
            "SELECT encode(sha256(log.command_record(l.uuid, c)), 'hex')"
            " FROM log.commands c JOIN log.logs l USING (log) ORDER BY last_position"
        ).fetchall()
    assert [(parse(record.value).commands,) for record in log.kafka.records(log.topic())] == hashes


def test_a_unit_that_is_larger_than_a_record_comes_in_pieces(log: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.log.unit_records.pieces.__defaults__", (300,))
    with ledger_on(log.database) as ledger:
        some_history(ledger, 3)
    log.publish()
    log.publish()  # the last unit is put together from its pieces
    records = log.kafka.records(log.topic())
    whole: dict[bytes, list[bytes]] = {}
    for record in records:
        headers = dict(record.headers)
        assert len(record.value) <= 300
        parts = whole.setdefault(headers["first"], [])
        parts.append(record.value)
        assert int(headers["piece"]) == len(parts) <= int(headers["pieces"])
    units = [parse(b"".join(parts)) for parts in whole.values()]
    assert [unit.last for unit in units][-1] == log.head()
    assert all(one.last + 1 == another.first for one, another in pairwise(units))


def test_the_keys_of_people_are_published(log: Published) -> None:
    """Those that are there at the start, and those that are made while the publisher runs."""
    with ledger_on(log.database) as ledger:
        ledger.accepted(opening(owner="ada"))
        log.publish()
        with log.publishing():
            ledger.accepted(opening(owner="bob"))
            log.wait_until_published()
    keys_topic = topics.keys_topic("main", log.settings.kafka_generation).name
    keys = {record.key.decode(): record.value for record in log.kafka.records(keys_topic)}
    assert keys.keys() >= {"ada", "bob"}
    _, wrapped = parse_key(keys["bob"])
    assert unwrap(AESGCM(MASTER_KEY), "bob", wrapped) is not None


def test_a_transaction_has_the_keys_that_its_events_need_and_says_so(database18: Database) -> None:
    with ledger_on(database18) as ledger, connect(database18.url, application_name="test") as connection:
        held = MasterKeys(SubjectKeys(connection, 1), MASTER_KEY)
        feed = KeyFeed(connection, 1, held, MASTER_KEY)
        assert {subject for subject, _ in feed.missing({})} == {b"main"}
        publication = LogPublication(connection, "main", None, "log", "keys", feed)
        first = publication.page(0, 100)
        assert first is not None
        ledger.accepted(opening(owner="bob"))
        page = publication.page(first.upto, 100)
        assert page is not None
        key, unit = page.records
        assert (key.topic, key.key) == ("keys", b"bob")
        assert ("keys", b"1") in unit.headers
        assert publication.page(page.upto, 100) is None  # a key is sent once


def test_a_key_is_sent_once_while_an_older_transaction_is_open(database18: Database) -> None:
    """Until it ends, each look sees every key again that is younger than it."""
    with (
        ledger_on(database18) as ledger,
        connect(database18.url, application_name="test") as connection,
        psycopg.connect(database18.url) as older,
    ):
        older.execute("SELECT pg_current_xact_id()")
        feed = KeyFeed(connection, 1, MasterKeys(SubjectKeys(connection, 1), MASTER_KEY), MASTER_KEY)
        feed.missing({})
        ledger.accepted(opening(owner="bob"))
        assert [subject for subject, _ in feed.changed()] == [b"bob"]
        ledger.accepted(opening(owner="eve"))
        assert [subject for subject, _ in feed.changed()] == [b"eve"]
        assert feed.changed() == []


def test_events_are_published_by_stream_with_the_headers_of_a_cloud_event(log: Published) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger)
        log.publish("events")
        some_history(ledger)
        log.publish("events")
    with psycopg.connect(log.database.url) as connection:
        stored = connection.execute(
            "SELECT position, stream, version, type, payload FROM log.events ORDER BY position"
        ).fetchall()
    found = []
    for partition in range(4):
        records = log.kafka.records(log.topic("events"), partition)
        events = [record for record in records if dict(record.headers)["ce_type"] != HEARTBEAT.encode()]
        beat = msgspec.json.decode(records[-1].value, type=Heartbeat)
        assert (beat.position, beat.events) == (log.head(), len(events))
        for record in events:
            headers = {name: value.decode() for name, value in record.headers}
            assert headers["ce_specversion"] == "1.0"
            assert headers["content-type"] == "application/json"
            assert headers["ce_source"] == f"urn:daybook:log:{beat.log}"
            assert partition_of(record.key, 4) == partition
            found.append(
                (
                    int(headers["ce_id"]),
                    headers["ce_subject"],
                    int(headers["ce_streamversion"]),
                    headers["ce_type"],
                    record.value,
                )
            )
    assert sorted(found) == stored


def test_both_topics_together(log: Published) -> None:
    with ledger_on(log.database) as ledger, log.publishing("log"), log.publishing("events"):
        some_history(ledger)
        log.wait_until_published("log")
        log.wait_until_published("events")
    log.assert_exactly_once()


# A topic that is not that of the log

OUTSIDE = msgspec.json.encode(Heartbeat("", 1, 2**63, 1, "", 0)).replace(b"9223372036854775808", b"9" * 30)
"""A heartbeat that names a position which no log has."""

Headers = list[tuple[str, bytes]]


def wait_until_described(admin: KafkaAdminClient, log: Published, what: str) -> None:
    """Wait until the broker says this of the topic of the log. It answers a change before it knows it itself.

    A publisher that begins earlier takes the topic for right, and does not look again.
    """

    def says() -> str:
        try:
            topics.check(admin, topics.log_topic("main", log.settings.kafka_generation))
        except topics.TopicError as error:
            return str(error)
        return ""

    wait_until(lambda: what in says(), f"a broker that says «{what}»")


def refused(log: Published, what: str, *, also: str = "log") -> None:
    """The publisher says this sentence, in lag too, and sends nothing."""
    with log.publishing(also):  # type: ignore[arg-type]
        wait_until(lambda: what in (log.waiting(also) or ""), f"«{what}», not «{log.waiting(also)}»")  # type: ignore[arg-type]


def test_a_log_that_was_restored_to_an_earlier_point_is_refused(log: Published, postgres18: Server) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    with postgres18.database(like=log.database) as earlier:
        with ledger_on(log.database) as ledger:
            some_history(ledger, 1)
        log.publish()
        log.publish("events")
        restored = Published(earlier, log.kafka, log.settings.with_databases({"database_url": earlier.url}))
        refused(restored, "the log was restored to an earlier point; publish a new generation")
        refused(restored, "the log was restored to an earlier point", also="events")
        with ledger_on(earlier) as ledger:
            some_history(ledger, 10)
        refused(restored, "the log was restored and went on differently")
        refused(restored, "the log was restored and went on differently", also="events")
    log.assert_exactly_once()


def test_a_log_of_another_epoch_is_refused(log: Published) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with psycopg.connect(log.database.url, autocommit=True) as connection:
        connection.execute("UPDATE log.logs SET epoch = epoch + 1")
    refused(log, "was published in epoch 1 and log main is in epoch 2")


def test_the_topic_of_another_log_is_refused(log: Published, postgres18: Server) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with postgres18.database() as another:
        other = Published(another, log.kafka, log.settings.with_databases({"database_url": another.url}))
        with ledger_on(another) as ledger:
            some_history(ledger, 5)
        refused(other, "has another log")


def test_a_topic_that_was_made_anew_is_refused(log: Published) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with closing(client.admin(log.settings)) as admin:
        admin.delete_topics([log.topic()])
        wait_until(lambda: topics.described(admin, log.topic()) is None, "the end of the topic")
        refused(log, "there is no topic")
        topics.create(admin, topics.log_topic("main", log.settings.kafka_generation), 1)
    refused(log, "was deleted and made anew")


def test_a_topic_with_another_number_of_partitions_is_refused(log: Published) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with closing(client.admin(log.settings)) as admin:
        admin.create_partitions({log.topic(): NewPartitions(2)})
        wait_until_described(admin, log, "has 2 partitions and needs 1")
        refused(log, "has 2 partitions and needs 1")


@pytest.mark.parametrize(("name", "value"), [("retention.ms", "1000"), ("cleanup.policy", "compact")])
def test_a_topic_that_would_lose_records_is_refused(log: Published, name: str, value: str) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with closing(client.admin(log.settings)) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, log.topic(), {name: value})])
        wait_until_described(admin, log, f"{name} is {value}")
        refused(log, f"{name} is {value}")


@pytest.mark.parametrize(
    ("value", "headers", "what"),
    [
        (b"poison", [], "not the record of a unit"),
        (None, [], "not the record of a unit"),
        (b"poison", [("pieces", b"many")], "its header pieces is no number of pieces"),
        (b"poison", [("pieces", b"9999999")], "its header pieces is no number of pieces"),
        (b"poison", [("pieces", b"9" * 5_000)], "its header pieces is no number of pieces"),
        (b"poison", [("pieces", NoValue())], "its header pieces is no number of pieces"),
        (b"poison", [(NotUtf8("name"), b"1")], "not the record of a unit"),
    ],
)
def test_a_foreign_record_at_the_end_is_refused(
    log: Published, value: bytes | None, headers: Headers, what: str
) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    log.kafka.send(log.topic(), (b"-", value, headers))
    refused(log, what)
    refused(log, "something else wrote to it")


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"poison", []),
        (b"poison", [("ce_type", HEARTBEAT.encode())]),
        (OUTSIDE, [("ce_type", HEARTBEAT.encode())]),
        (None, []),
        (None, [("ce_type", NoValue())]),
        (b'{"x":' + b"[" * 200_000, [("ce_type", HEARTBEAT.encode())]),
    ],
)
def test_a_foreign_record_at_the_end_of_a_partition_is_refused(
    log: Published, value: bytes | None, headers: Headers
) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish("events")
    log.kafka.send(log.topic("events"), (b"-", value, headers))
    refused(log, "is no heartbeat (partition 0): something else wrote to it", also="events")


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        (b"ada", b"poison", "not the record of a key"),
        (None, b"x", "names no person"),
        (b"\xff", b"x", "names no person"),
        (b"\xff", None, "names no person"),
        (b"a\0", None, "names no person"),
        (b"ada", b'{"x":' + b"[" * 200_000, "not the record of a key"),
        (b"a" * 101, b"x", "names no person"),
        (b"ada", b'{"master_key":"00","wrapped":"AAAA"}', "it has 3 bytes and needs 60"),
    ],
)
def test_a_foreign_record_among_the_keys_is_refused(
    log: Published, key: bytes | None, value: bytes | None, what: str
) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    keys_topic = topics.keys_topic("main", log.settings.kafka_generation).name
    if key is None:
        with closing(client.admin(log.settings)) as admin:  # a topic that is compacted takes no record without a key
            resource = ConfigResource(ConfigResourceType.TOPIC, keys_topic, {"cleanup.policy": "delete"})
            admin.alter_configs([resource])
            wait_until(lambda: takes(log, keys_topic, value), "a topic that takes a record without a key")
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, keys_topic, {"cleanup.policy": "compact"})])
    else:
        log.kafka.send(keys_topic, (key, value, []))
    refused(log, what)


def takes(log: Published, topic: str, value: bytes | None) -> bool:
    """Send a record without a key. Whether the topic takes it: its settings change a moment after the answer."""
    try:
        log.kafka.send(topic, (None, value, []))
    except InvalidRecordError:
        return False
    return True


def test_a_broker_that_is_away_delays_publishing_and_nothing_else(log: Published) -> None:
    """Commands are executed meanwhile, and lag says why nothing is published."""
    away = Published(
        log.database, log.kafka, log.settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    )
    with ledger_on(log.database) as ledger:
        with away.publishing():
            wait_until(lambda: "Kafka cannot be used" in (away.waiting() or ""), "the sentence")
            some_history(ledger, 2)
        log.publish()
        assert log.waiting() is None
    log.assert_exactly_once()


def test_without_brokers_a_publisher_does_not_start(log: Published) -> None:
    with pytest.raises(SettingsError, match="DAYBOOK_KAFKA_BOOTSTRAP_SERVERS is not set"):
        client.connection_options(log.settings.model_copy(update={"kafka_bootstrap_servers": None}))
