"""A replica: the log is copied from its topic, once and to the byte, and folds to the same tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from itertools import count
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from pydantic import SecretStr

from eventstore.log import leaf
from eventstore.log.copying import Copy, copy_units, find_copy
from eventstore.log.unit_records import read_units
from eventstore.postgres.connect import connect
from eventstore.postgres.ownership import Ownership
from projections.registry import PROJECTIONS
from tests.integration.kafka.histories import some_history
from tests.integration.workers.test_verify import found, verified
from tests.support.kafka import Kafka, NotUtf8, NoValue
from tests.support.ledger import fold, ledger_on, opening, withdrawal
from tests.support.postgres import Database, Server
from tests.support.published import Published, end_sessions, published
from tests.support.waiting import wait_until
from workers.erasure import erase_subject
from workers.kafka import client, topics
from workers.kafka.replica.process import copy_until
from workers.verify.commands import REPEATABLE
from workers.verify.log import ANSWERED, ANSWERS, IN_ORIGINAL, NAMED, REFUSALS
from workers.verify.schema import SCHEMA


class Replica:
    """A database that gets a copy."""

    def __init__(self, database: Database, log: Published, **more: Any) -> None:
        self.database = database
        self.settings = log.settings.model_copy(update={"database_url": database.url, **more})

    @contextmanager
    def copying(self) -> Iterator[None]:
        """Copy in a thread until the block ends."""
        stop = Event()
        thread = Thread(target=copy_until, args=(self.settings, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive(), "the copier does not end"

    def state(self) -> Copy | None:
        """How far the copy is."""
        with connect(self.database.url, application_name="test") as connection:
            return find_copy(connection, "main")

    def position(self) -> int:
        """The last position of the copy."""
        copy = self.state()
        return 0 if copy is None else copy.position

    def behind(self) -> int:
        """Records that are not copied, as lag shows them."""
        copy = self.state()
        assert copy is not None
        return copy.behind

    def waiting(self) -> str:
        """Why nothing is copied."""
        copy = self.state()
        return "" if copy is None else copy.waiting or ""

    def wait_for(self, position: int) -> None:
        """Wait until the copy has a position."""
        wait_until(lambda: self.position() >= position, f"the copy up to {position} ({self.waiting()})")

    def wait_until_refused(self, what: str) -> None:
        """Wait until nothing is copied, with this sentence."""
        wait_until(lambda: what in self.waiting(), f"«{what}», not «{self.waiting()}»")


_ROWS = """
SELECT position, unit_end, stream, version, type, recorded_at, encoding, payload, metadata FROM log.events
 ORDER BY position
"""


def digest_of(database: Database) -> str:
    """The digest of the log up to its head."""
    with connect(database.audit_url, application_name="test") as connection:
        row = connection.execute("SELECT log, position FROM log.logs").fetchone()
        assert row is not None
        return leaf.digest(connection, row[0], row[1])


def assert_a_copy(replica: Database, origin: Database) -> None:
    """The rows of the log are the same, and so is the digest over the leaves."""
    with psycopg.connect(replica.url) as there, psycopg.connect(origin.url) as here:
        assert there.execute(_ROWS.encode()).fetchall() == here.execute(_ROWS.encode()).fetchall()
        heads = "SELECT name, uuid, epoch, position, recorded_at FROM log.logs"
        assert there.execute(heads.encode()).fetchall() == here.execute(heads.encode()).fetchall()
    assert digest_of(replica) == digest_of(origin)


def tables_of(database: Database) -> dict[str, list[str]]:
    """The rows of all read tables."""
    with psycopg.connect(database.url) as connection:
        return {
            table: sorted(map(repr, connection.execute(f"SELECT * FROM read.{table}".encode())))
            for projection in PROJECTIONS
            for table in projection.tables
        }


def assert_has_key(database: Database, subject: str) -> None:
    """The key of this person was copied."""
    with psycopg.connect(database.url) as connection:
        found = connection.execute(
            "SELECT sealed_key IS NOT NULL FROM log.subject_keys WHERE subject = %s", (subject,)
        ).fetchall()
    assert found == [(True,)]


@pytest.fixture
def log(database18: Database, kafka: Kafka) -> Published:
    return published(database18, kafka)


@pytest.fixture
def replica(log: Published, postgres18: Server) -> Iterator[Replica]:
    with postgres18.database() as database:
        yield Replica(database, log)


def test_a_log_is_copied_to_the_byte_and_folds_to_the_same_tables(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger, log.publishing(), replica.copying():
        some_history(ledger)
        replica.wait_for(log.head())
        ledger.accepted(opening(owner="ada"))
        some_history(ledger)
        replica.wait_for(log.head())
    assert_a_copy(replica.database, log.database)
    for database in (log.database, replica.database):
        fold(database)
    assert tables_of(replica.database) == tables_of(log.database)
    assert any("Owner" in row or "ada" in row for row in map(str, tables_of(replica.database)["accounts"]))


def test_a_person_who_was_erased_before_is_erased_in_the_copy_too(log: Published, replica: Replica) -> None:
    """Nobody distributes the key of an erased person: where there is none, the person was erased."""
    with ledger_on(log.database) as ledger:
        ledger.accepted(opening(owner="ada"))
        ledger.accepted(opening(owner="bob"))
    with psycopg.connect(log.database.url, autocommit=True) as connection:
        connection.execute("UPDATE log.subject_keys SET sealed_key = NULL, erased_at = now() WHERE subject = 'ada'")
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
    for database in (log.database, replica.database):
        fold(database)
    assert tables_of(replica.database) == tables_of(log.database)
    with psycopg.connect(replica.database.url) as connection:
        erased = connection.execute("SELECT owner FROM read.accounts WHERE name_erased").fetchall()
    assert erased == [("ada",)]


def test_a_copy_that_has_everything_is_not_behind(
    log: Published, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a transaction has an offset too, and is no record that is missing."""
    monkeypatch.setattr("workers.kafka.replica.copier.LOOK_SECONDS", 0.0)
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
        wait_until(lambda: replica.behind() == 0, "nothing left to copy")


def test_a_copy_goes_on_where_it_ended(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger:
        for _ in range(3):
            some_history(ledger)
            log.publish()
            with replica.copying():
                replica.wait_for(log.head())
    assert_a_copy(replica.database, log.database)


def test_a_unit_in_pieces_is_copied_whole(log: Published, replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.log.unit_records.pieces.__defaults__", (300,))
    with ledger_on(log.database) as ledger:
        some_history(ledger)
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
    assert_a_copy(replica.database, log.database)


def test_two_workers_copy_once(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger, log.publishing(), replica.copying(), replica.copying():
        some_history(ledger)
        replica.wait_for(log.head())
    assert_a_copy(replica.database, log.database)


def test_two_workers_that_both_hold_the_lock_copy_once(
    log: Published, replica: Replica, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a handover that one of them does not know of. Both read each record, and the database takes it once."""
    copied: list[bool] = []

    def noted(*of: Any) -> bool:
        copied.append(copy_units(*of))
        return copied[-1]

    monkeypatch.setattr(Ownership, "acquire", lambda ownership: {"topic"})
    monkeypatch.setattr("workers.kafka.replica.copier.copy_units", noted)
    with ledger_on(log.database) as ledger, log.publishing(), replica.copying():

        def copied_by_both() -> bool:
            some_history(ledger)
            replica.wait_for(log.head())
            return copied.count(False) > 3

        copied_by_both()
        caplog.clear()
        with replica.copying():
            wait_until(copied_by_both, "a worker that finds that the other one was faster")
        copied_by_both()
    assert_a_copy(replica.database, log.database)
    assert "nothing is copied" not in caplog.text


def test_a_worker_goes_on_after_the_database_ended_its_session(log: Published, replica: Replica) -> None:
    """While it is at rest: nothing that it copies would tell it."""
    with ledger_on(log.database) as ledger, log.publishing(), replica.copying():
        for _ in range(2):
            some_history(ledger, 2)
            replica.wait_for(log.head())
            end_sessions(replica.database, "daybook-replica")
        some_history(ledger, 2)
        replica.wait_for(log.head())
    assert_a_copy(replica.database, log.database)


def test_nobody_appends_to_a_copy(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger)
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
    with psycopg.connect(replica.database.api_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT log.create_log('main')")


def test_a_database_with_a_log_of_its_own_takes_no_copy(log: Published, postgres18: Server, caplog: Any) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger)
    log.publish()
    with postgres18.database() as other:
        with ledger_on(other):
            pass
        with Replica(other, log).copying():
            wait_until(lambda: "this database has a log already" in caplog.text, "the refusal")


# Records that cannot be copied


def lying(**changes: Any) -> Callable[[bytes, list[tuple[str, bytes]]], tuple[bytes, list[tuple[str, bytes]]]]:
    """Changes texts of a record."""

    def change(value: bytes, headers: list[tuple[str, bytes]]) -> tuple[bytes, list[tuple[str, bytes]]]:
        for before, after in changes["texts"]:
            assert before in value
            value = value.replace(before, after, 1)
        return value, headers

    return change


LONG = b"".join(sha256(b"%d" % number).hexdigest().encode() for number in range(200))
"""A text that no index takes."""


def next_record(log: Published) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The record of the unit that has to follow what is published."""
    with connect(log.database.url, application_name="test") as connection:
        [unit] = read_units(connection, 1, log.reached(), 1)
    return unit.record, [("first", b"%d" % unit.first), ("last", b"%d" % unit.last)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda value, headers: (value, []), "has no number in its header first"),
        (lambda value, headers: (value, [("first", b"x"), ("last", b"y")]), "has no number in its header first"),
        (lambda value, headers: (value, [("first", b"9" * 5_000), headers[1]]), "has no number in its header first"),
        (lambda value, headers: (value, [*headers, ("pieces", b"9" * 5_000)]), "has no number in its header pieces"),
        (lying(texts=[(b'"payload":{', b'"payload":' + b"[" * 200_000 + b"{")]), "not the record of a unit"),
        (lambda value, headers: (value, [("first", NoValue()), headers[1]]), "has no number in its header first"),
        (lambda value, headers: (value, [*headers, ("piece", NoValue())]), "has no number in its header piece"),
        (lambda value, headers: (b"poison", headers), "not the record of a unit"),
        (lambda value, headers: (value[:-1], headers), "not the record of a unit"),
        (lambda value, headers: (None, headers), "is empty"),
        (lambda value, headers: (value, [("first", b"7"), headers[1]]), "and its headers say 7 to"),
        (lambda value, headers: (value, [*headers, ("piece", b"2"), ("pieces", b"2")]), "which does not follow"),
        (lying(texts=[(b'"epoch":1', b'"epoch":2')]), "is of epoch 2, and this copy of epoch 1"),
        (lying(texts=[(b'"log":"', b'"log":"0')]), "is of log 0"),
        (lying(texts=[(b'"recorded_at":"', b'"recorded_at":"x')]), "has values that no log has (InvalidDatetimeFormat"),
        (lying(texts=[(b'"commands":"', b'"commands":"x')]), "has values that no log has (ValueError"),
        (lying(texts=[(b'"stream":"', b'"stream":"\\u0000')]), "has values that no log has (CharacterNotInRepertoire"),
        (lying(texts=[(b'"version":1', b'"version":9223372036854775808')]), "has values that no log has (error in"),
        (lying(texts=[(b'"stream":"', b'"stream":"' + LONG)]), "has values that no log has (ProgramLimitExceeded"),
    ],
)
def test_a_record_that_is_not_right_is_refused_and_nothing_of_it_is_copied(
    log: Published, replica: Replica, change: Any, sentence: str
) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
        log.publish()
        some_history(ledger, 1)
        value, headers = change(*next_record(log))
        with replica.copying():
            replica.wait_for(log.reached())
            log.kafka.send(log.topic(), (b"-", value, headers))
            replica.wait_until_refused(sentence)
        assert replica.position() == log.reached()


def test_what_comes_before_a_record_that_is_not_right_is_copied(log: Published, replica: Replica) -> None:
    """Also where the database finds out: version 1 of a stream comes twice."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
        log.publish()
        some_history(ledger, 1)
        with connect(log.database.url, application_name="test") as connection:
            [unit] = read_units(connection, 1, log.reached(), 1)
        events = unit.last - unit.first + 1
        again = unit.record.replace(b'"first":%d' % unit.first, b'"first":%d' % (unit.first + events))
        again = again.replace(b'"last":%d' % unit.last, b'"last":%d' % (unit.last + events))
        records = [
            (None, record, [("first", b"%d" % (unit.first + later)), ("last", b"%d" % (unit.last + later))])
            for record, later in ((unit.record, 0), (again, events))
        ]
        log.kafka.send(log.topic(), *records)
        with replica.copying():
            replica.wait_until_refused("has values that no log has (UniqueViolation")
        assert replica.position() == unit.last


def test_keys_that_a_publisher_sends_at_its_start_are_there_before_their_events(
    log: Published, replica: Replica
) -> None:
    """They go in a transaction of their own; without the header, ada would look erased."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
        log.publish()
        with replica.copying():
            replica.wait_for(log.head())
            ledger.accepted(opening(owner="ada"))
            log.publish()
            replica.wait_for(log.head())
    assert_has_key(replica.database, "ada")


def test_keys_whose_topic_is_made_anew_are_not_taken_for_erased(log: Published, replica: Replica) -> None:
    """A copier that has read the keys to their end would find none in a new topic that is shorter."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
        log.publish()
        with replica.copying():
            replica.wait_for(log.head())
            keys = topics.keys_topic("main", log.settings.kafka_generation)
            with closing(client.admin(log.settings)) as admin:
                admin.delete_topics([keys.name])
                wait_until(lambda: topics.described(admin, keys.name) is None, "the end of the topic")
                topics.create(admin, keys, 1)
            ledger.accepted(opening(owner="ada"))
            log.publish()
            wait_until(lambda: replica.position() == log.head(), f"the copy to go on ({replica.waiting()})")
    assert_has_key(replica.database, "ada")


def test_verify_covers_what_a_copy_has_and_finds_the_same_digest(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger)
        ledger.execute(withdrawal(ledger.account(), 10**9))  # a refusal
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
    for database in (log.database, replica.database):
        fold(database)
    original, copy = verified(log.database), verified(replica.database)
    assert original.ok, found(original)
    assert copy.ok, found(copy)
    assert copy.digest == original.digest
    left_out = {check.name for check in copy.checks if IN_ORIGINAL in check.not_covered}
    assert left_out == {ANSWERS, NAMED, REFUSALS, REPEATABLE}
    assert all(check.covered == 0 for check in copy.checks if check.name in left_out)
    assert copy.check(ANSWERED).covered == original.check(ANSWERED).covered


def test_whoever_is_erased_in_the_original_is_erased_in_a_copy(log: Published, replica: Replica) -> None:
    """Somebody whose text is in the tables of the copy, and somebody who is erased before the copy has the events."""
    with ledger_on(log.database) as ledger, psycopg.connect(log.database.url, autocommit=True) as owner:
        ada = ledger.account(owner="ada")
        log.publish()
        with replica.copying():
            replica.wait_for(log.head())
        fold(replica.database)
        assert "Ada Lovelace" in str(tables_of(replica.database)["accounts"])
        bob = ledger.account(owner="bob")
        erase_subject(owner, 1, "ada", "one")
        erase_subject(owner, 1, "bob", "two")
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
    assert_a_copy(replica.database, log.database)
    with psycopg.connect(replica.database.url, autocommit=True) as copy:
        assert copy.execute("SELECT subject FROM log.subject_keys WHERE sealed_key IS NOT NULL").fetchall() == [
            ("main",)
        ]
        with pytest.raises(
            psycopg.errors.ObjectNotInPrerequisiteState, match="this log is a copy: erase the person in"
        ):
            erase_subject(copy, 1, "carol", "three")
    for database in (log.database, replica.database):
        fold(database)
        report = verified(database)
        assert report.ok, found(report)
    assert tables_of(replica.database) == tables_of(log.database)
    rows = [row for row in tables_of(replica.database)["accounts"] if ada in row or bob in row]
    assert len(rows) == 2
    assert "Ada Lovelace" not in str(rows)


def test_a_replica_that_was_away_for_longer_than_tombstones_are_kept_obeys_the_erasure(
    log: Published, replica: Replica
) -> None:
    """The event in the log tells it. The topic of keys says nothing of the person any more."""
    keys = topics.keys_topic("main", log.settings.kafka_generation).name
    compacted = {"segment.ms": "100", "delete.retention.ms": "0", "min.cleanable.dirty.ratio": "0.001"}
    with ledger_on(log.database) as ledger, psycopg.connect(log.database.url, autocommit=True) as owner:
        ledger.account(owner="ada")
        log.publish()
        with replica.copying():
            replica.wait_for(log.head())
        fold(replica.database)
        assert "Ada Lovelace" in str(tables_of(replica.database)["accounts"])
        erase_subject(owner, 1, "ada", "one")
        with closing(client.admin(log.settings)) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, keys, compacted)])
        others = count(1)

        def forgotten() -> bool:
            """Whether compaction has removed ada. It needs younger records."""
            ledger.account(owner=f"owner-{next(others)}")
            log.wait_until_published()
            return all(record.key != b"ada" for record in log.kafka.records(keys))

        with log.publishing():
            wait_until(lambda: b"ada" in {record.key for record in log.kafka.records(keys)}, "the tombstone")
            wait_until(forgotten, "the end of the tombstone")
    with replica.copying():
        replica.wait_for(log.head())
    for database in (log.database, replica.database):
        fold(database)
    assert tables_of(replica.database) == tables_of(log.database)
    with psycopg.connect(replica.database.url) as copy:
        assert copy.execute("SELECT sealed_key FROM log.subject_keys WHERE subject = 'ada'").fetchall() == [(None,)]
    assert_has_key(replica.database, "owner-1")


def test_verify_finds_what_is_wrong_with_a_copy(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
    fold(replica.database)
    with psycopg.connect(replica.database.url) as connection:
        connection.execute(
            "DELETE FROM log.command_hashes WHERE last_position = (SELECT max(position) FROM log.events)"
        )
        connection.execute("GRANT EXECUTE ON FUNCTION log.append TO daybook_api")
    report = verified(replica.database)
    assert found(report) == {ANSWERED, SCHEMA}
    assert "has 0 hashes of commands" in report.check(ANSWERED).findings[0].what
    assert any("log.append" in finding.what for finding in report.check(SCHEMA).findings)


def test_a_name_of_a_header_that_is_not_utf_8_stops_nothing(log: Published, replica: Replica) -> None:
    """A broker takes it, and kafka-python would raise at this record for ever."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
        log.publish()
        some_history(ledger, 1)
        value, headers = next_record(log)
        with replica.copying():
            replica.wait_for(log.reached())
            log.kafka.send(log.topic(), (None, value, [*headers, (NotUtf8("name"), b"1")]))
            replica.wait_for(log.reached() + 1)


def test_a_gap_of_positions_is_refused(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
        log.publish()
        some_history(ledger, 1)
        with connect(log.database.url, application_name="test") as connection:
            _, later = read_units(connection, 1, log.reached(), 5)[:2]
        headers = [("first", b"%d" % later.first), ("last", b"%d" % later.last)]
        with replica.copying():
            replica.wait_for(log.reached())
            log.kafka.send(log.topic(), (None, later.record, headers))
            replica.wait_until_refused(f"position {log.reached() + 1} has to follow")


def test_a_topic_that_was_deleted_and_made_anew_is_refused(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
        with closing(client.admin(log.settings)) as admin:
            admin.delete_topics([log.topic()])
            replica.wait_until_refused("there is no topic")
            wait_until(lambda: topics.described(admin, log.topic()) is None, "the end of the topic")
            topics.create(admin, topics.log_topic("main", log.settings.kafka_generation), 1)
        replica.wait_until_refused("was deleted and made anew")


def test_records_that_were_deleted_are_missed(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
        log.publish()
        with replica.copying():
            replica.wait_for(log.head())
        some_history(ledger, 3)
    log.publish()
    with closing(client.admin(log.settings)) as admin:
        copy = replica.state()
        assert copy is not None
        admin.delete_records({TopicPartition(log.topic(), 0): copy.next_offset + 2})
    with replica.copying():
        replica.wait_until_refused("its first records were deleted")


def test_another_generation_needs_another_database(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
    later = published(log.database, log.kafka)
    later.publish()
    with Replica(replica.database, later).copying():
        replica.wait_until_refused("a new generation needs a database of its own")


def test_a_replica_with_another_master_key_than_the_keys_were_wrapped_for(
    log: Published, postgres18: Server, caplog: Any
) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with postgres18.database() as database:
        other = Replica(database, log, master_key=SecretStr("A" * 43 + "="))
        with other.copying():
            other.wait_until_refused("set DAYBOOK_REPLICA_MASTER_KEY of the publisher to this key")


def test_keys_are_wrapped_for_the_replicas(log: Published, postgres18: Server) -> None:
    """Publisher and replica share the replicas' master key; that of the log stays with the log."""
    key = SecretStr("A" * 43 + "=")
    own = Published(log.database, log.kafka, log.settings.model_copy(update={"replica_master_key": key}))
    with ledger_on(log.database) as ledger:
        ledger.accepted(opening(owner="ada"))
    own.publish()
    with postgres18.database() as database:
        replica = Replica(database, own, master_key=key)
        with replica.copying():
            replica.wait_for(own.head())
        assert_has_key(database, "ada")
