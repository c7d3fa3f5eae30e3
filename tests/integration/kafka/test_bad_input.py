"""What a replica cannot use is one sentence, in the log and in lag, and nothing of it is copied."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions
from psycopg import Connection

from bench.harness.tables import make_read_tables
from domain.aggregate import EventType
from domain.kernel import ERASED, UNREADABLE
from domain.registry import CATALOGUE
from eventstore.keys.sealing import Sealer
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.codec import Codec
from eventstore.log.unit_records import read_units
from eventstore.postgres.connect import connect
from projections.engine.follow import MakeCodec, follow
from projections.engine.lag import lag
from projections.engine.projection import Projection
from projections.registry import PROJECTIONS, named
from tests.integration.kafka.histories import some_history
from tests.integration.kafka.test_replica import Replica, assert_a_copy, next_record
from tests.integration.projections.test_newer_events import OrderNoted, newer_projections
from tests.integration.workers.running import daybook, environment
from tests.support.kafka import Kafka, OwnKafka
from tests.support.ledger import MASTER_KEY, Ledger, codec_of, ledger_on, opening
from tests.support.postgres import Database, Server
from tests.support.published import Published, published
from tests.support.waiting import wait_until
from workers.kafka import client, topics
from workers.kafka.broker import Broker
from workers.kafka.replica import process
from workers.kafka.topics import KEPT_FOR_EVER

ORDER = "ord_never_placed"


@pytest.fixture
def log(database18: Database, kafka: Kafka) -> Published:
    return published(database18, kafka)


@pytest.fixture
def replica(log: Published, postgres18: Server) -> Iterator[Replica]:
    with replica_of(log, postgres18) as replica:
        yield replica


@contextmanager
def replica_of(log: Published, server: Server) -> Iterator[Replica]:
    """An empty replica with read tables."""
    with server.database() as database:
        make_read_tables(database)
        yield Replica(database, log)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused topic is tried many times in a test, and a topic that says nothing is looked at all the time."""
    monkeypatch.setattr(process, "REFUSED_SECONDS", 0.05)
    monkeypatch.setattr("workers.kafka.replica.copier.LOOK_SECONDS", 0.0)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # as in a process (workers.kafka.client.prepare_process)


def assert_refused(replica: Replica, caplog: pytest.LogCaptureFixture, sentence: str) -> None:
    """The copy waits where it is. Its log has the sentence and no other of ours, and so has `daybook lag`.

    The library may complain too: a broker that was just started is slow on a busy machine.
    """
    position = replica.position()
    replica.wait_until_refused(sentence)
    ours = [record for record in caplog.records if record.name.startswith("workers.")]
    said = [record.getMessage() for record in ours if record.levelno >= logging.WARNING]
    assert len(said) == 1, said
    assert sentence in said[0]
    [copy] = shown_lag(replica)["copies"]
    assert sentence in copy["waiting"]
    assert replica.position() == position


def shown_lag(replica: Replica) -> dict[str, Any]:
    """What `daybook lag` shows where something does not go on."""
    shown = daybook("lag", "--json", env=environment(replica.database))
    assert shown.returncode == 1, shown.stderr
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


# Events that this program cannot fold


def unit(ledger: Ledger, type: str) -> int:
    """A unit that has one event, of this type on an order. Returns its position."""
    position = ledger.accepted(opening()).last_position
    assert position is not None
    with psycopg.connect(ledger.database.url) as connection:
        connection.execute(
            "UPDATE log.events SET stream = %s, version = 1, type = %s, payload = '{}' WHERE position = %s",
            (ORDER, type, position),
        )
    return position


@contextmanager
def folding(
    replica: Replica, projections: Sequence[Projection] = PROJECTIONS, codec: MakeCodec = codec_of
) -> Iterator[None]:
    """Fold in a thread until the block ends."""
    stop = Event()
    url = replica.database.projector_url
    thread = Thread(
        target=follow, args=(lambda: connect(url, application_name="test"), codec, "main", projections, stop)
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def folded(replica: Replica) -> dict[str, int]:
    """The position of each projection."""
    with connect(replica.database.projector_url, application_name="test") as connection:
        return {one.projection: one.position for one in lag(connection, "main", PROJECTIONS).projections}


def stop_orders(log: Published, replica: Replica, type: str, why: str) -> None:
    """An event of this type is copied. It stops the orders, with this reason, and nothing else."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
        before = log.head()
        bad = unit(ledger, type)
        some_history(ledger, 1)
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
        with folding(replica):
            reached = {one.name: log.head() for one in PROJECTIONS} | {"orders": before}
            wait_until(lambda: folded(replica) == reached and bool(stopped(replica)), "all others, and the stop")
    assert_a_copy(replica.database, log.database)
    [sentence] = stopped(replica)
    assert sentence.startswith(f"at position {bad}, {type} on {ORDER}: ")
    assert why in sentence


def stopped(replica: Replica) -> list[str]:
    """Why projections stopped, as `daybook lag` shows it."""
    return [one["stopped"] for one in shown_lag(replica)["projections"] if one["stopped"] is not None]


def go_on(log: Published, replica: Replica, codec: MakeCodec, orders: Projection) -> None:
    """Another version of the program folds all, also what follows."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    others = [orders if one.name == "orders" else one for one in PROJECTIONS]
    with replica.copying(), folding(replica, others, codec):
        wait_until(lambda: set(folded(replica).values()) == {log.head()}, "all projections to go on")
    assert daybook("lag", env=environment(replica.database)).returncode == 0, "nothing is stopped"


def test_an_event_of_an_unknown_type_is_copied_and_stops_who_folds_its_stream(log: Published, replica: Replica) -> None:
    stop_orders(log, replica, "order.noted.v1", "this version of Daybook does not know the type; start a projector of")

    def newer(connection: Connection[Any], log_number: int) -> Codec:
        sealer = Sealer(SubjectKeys(connection, log_number), MASTER_KEY)
        return Codec((*CATALOGUE, EventType("order.noted.v1", OrderNoted)), sealer, ERASED, UNREADABLE)

    go_on(log, replica, newer, newer_projections()[[one.name for one in PROJECTIONS].index("orders")])


def test_an_event_that_cannot_be_folded_stops_its_projection_until_the_program_is_mended(
    log: Published, replica: Replica
) -> None:
    stop_orders(log, replica, "order.confirmed.v1", f"1 of 1 orders that change were never begun, among them {ORDER}")
    orders = named(["orders"])[0]

    def mended(events: Sequence[Any]) -> Any:
        return orders.fold([one for one in events if one.event.originator_id != ORDER])

    go_on(log, replica, codec_of, replace(orders, fold=mended))


# Topics that do not fit any more


@pytest.fixture
def copied(log: Published, replica: Replica) -> Iterator[Replica]:
    """A replica that has the log, and copies."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    with replica.copying():
        replica.wait_for(log.head())
        yield replica


def test_a_topic_with_another_number_of_partitions(
    log: Published, copied: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(client.admin(log.settings)) as admin:
        admin.create_partitions({log.topic(): NewPartitions(2)})
    assert_refused(copied, caplog, "has 2 partitions and needs 1")


@pytest.mark.parametrize(("name", "value"), [("retention.ms", "86400000"), ("cleanup.policy", "compact")])
def test_a_topic_that_would_lose_records_until_it_is_mended(
    log: Published, copied: Replica, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    def set_to(settings: Mapping[str, str]) -> None:
        with closing(client.admin(log.settings)) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, log.topic(), settings)])

    set_to({**KEPT_FOR_EVER, name: value})
    assert_refused(copied, caplog, f"does not keep what it has to: {name} is {value}")
    set_to(KEPT_FOR_EVER)
    wait_until(lambda: copied.waiting() == "", "the end of the refusal")
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish()
    copied.wait_for(log.head())


def test_another_cluster_under_the_same_address(
    database18: Database, postgres18: Server, own_kafka: OwnKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its topic has the name and the settings. It may have as many records."""
    log = published(database18, own_kafka.direct)
    with ledger_on(database18) as ledger:
        some_history(ledger, 1)
    log.publish()
    with replica_of(log, postgres18) as replica:
        with replica.copying():
            replica.wait_for(log.head())
        own_kafka.broker.stop()
        with Broker(tmp_path / "another", port=own_kafka.broker.port) as another:
            with closing(client.admin(log.settings)) as admin:
                topics.create(admin, topics.log_topic("main", log.settings.kafka_generation), 1)
                cluster = admin.describe_cluster()["cluster_id"]
            with replica.copying():
                assert_refused(replica, caplog, f"and this is cluster {cluster}: set DAYBOOK_KAFKA_BOOTSTRAP_SERVERS")
            another.stop()
        own_kafka.broker.start()
        with ledger_on(database18) as ledger:
            some_history(ledger, 1)
        log.publish()
        with replica.copying():
            replica.wait_for(log.head())
        assert_a_copy(replica.database, database18)


def test_an_offset_that_the_topic_no_longer_has(
    database18: Database, postgres18: Server, own_kafka: OwnKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The brokers lost their last records: they were restored to an earlier point."""
    log, broker = published(database18, own_kafka.direct), own_kafka.broker
    with ledger_on(database18) as ledger:
        some_history(ledger, 1)
        log.publish()
        broker.stop()
        shutil.copytree(broker.data_dir / "data", tmp_path / "earlier")
        broker.start()
        some_history(ledger, 1)
        log.publish()
    with replica_of(log, postgres18) as replica:
        with replica.copying():
            replica.wait_for(log.head())
        broker.stop()
        shutil.rmtree(broker.data_dir / "data")
        shutil.move(tmp_path / "earlier", broker.data_dir / "data")
        broker.start()
        with replica.copying():
            assert_refused(replica, caplog, "which this copy needs: its last records are lost")


# Records that do not fit


@pytest.fixture
def another_log(postgres18: Server) -> Iterator[Database]:
    """The database of another log of the same name, which has more events."""
    with postgres18.database() as database:
        with ledger_on(database) as ledger:
            some_history(ledger, 10)
        yield database


def test_the_publisher_of_another_log_writes_nothing_to_the_topic(
    log: Published, copied: Replica, another_log: Database
) -> None:
    other = Published(another_log, log.kafka, log.settings.with_databases({"database_url": another_log.url}))
    with other.publishing():
        wait_until(lambda: "has another log" in (other.waiting() or ""), "the refusal of the publisher")
        with ledger_on(log.database) as ledger:
            some_history(ledger, 1)
        log.publish()
        copied.wait_for(log.head())
    log.assert_exactly_once()
    assert copied.waiting() == ""


def test_a_unit_of_another_log(
    log: Published, copied: Replica, another_log: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Something else than its publisher wrote it. It has the positions that follow."""
    with connect(another_log.url, application_name="test") as connection:
        [unit] = read_units(connection, 1, log.reached(), 1)
    headers = [("first", b"%d" % unit.first), ("last", b"%d" % unit.last)]
    log.kafka.send(log.topic(), (None, unit.record, headers))
    assert_refused(copied, caplog, f"the record of position {log.reached() + 1} is of log ")


def test_a_unit_that_is_larger_than_its_bound(
    log: Published, copied: Replica, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pieces are not kept. With a larger bound it is copied."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    value, headers = next_record(log)
    monkeypatch.setattr("workers.kafka.replica.copier.MOST_UNIT_BYTES", len(value) - 1)
    parts = [value[:100], value[100:]]
    of = ("pieces", b"%d" % len(parts))
    pieces = [(None, part, [*headers, ("piece", b"%d" % number), of]) for number, part in enumerate(parts, 1)]
    log.kafka.send(log.topic(), *pieces)
    assert_refused(copied, caplog, f"has more than {len(value) - 1} bytes")
    monkeypatch.setattr("workers.kafka.replica.copier.MOST_UNIT_BYTES", len(value))
    copied.wait_for(log.reached() + 1)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (b"\xff", None, "names no person"),
        (b"a\0", None, "names no person"),
        (b"a" * 101, None, "names no person"),
        (b"ada", b'{"master_key":"00","wrapped":"AAAA"}', "it has 3 bytes and needs 60"),
        (b"ada", b"poison", "not the record of a key"),
    ],
)
def test_a_record_of_no_key_among_the_keys(
    log: Published, copied: Replica, caplog: pytest.LogCaptureFixture, key: bytes, value: bytes | None, sentence: str
) -> None:
    """Nothing is copied before all keys are read. Without a value of its own it has that of another person."""
    keys = topics.keys_topic("main", log.settings.kafka_generation).name
    value = value or log.kafka.records(keys)[0].value
    with ledger_on(log.database) as ledger, log.publishing():
        ledger.accepted(opening(owner="ada"))
        copied.wait_for(log.head())  # the publisher has read the keys, which it only does at its start
        log.kafka.send(keys, (key, value, []))
        ledger.accepted(opening(owner="bob"))
        assert_refused(copied, caplog, sentence)
