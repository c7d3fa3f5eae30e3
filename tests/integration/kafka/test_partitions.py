"""A projection is folded from the partitions of the topic of events, by one worker or several, to the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from bench.harness.tables import make_read_tables
from eventstore.postgres.connect import connect
from projections.accounts.entries.fold import ENTRIES
from projections.accounts.transactions.fold import TRANSACTIONS
from projections.engine.partitions import PartitionCheckpoint, find_partitions
from projections.engine.tables import FoldedElsewhereError, begin
from tests.integration.kafka.histories import random_history, some_history
from tests.integration.kafka.test_reads_only import BY_PARTITION
from tests.integration.workers.running import daybook, environment, started
from tests.support.kafka import Kafka
from tests.support.ledger import fold, ledger_on
from tests.support.postgres import Database, Server
from tests.support.published import Published, published
from tests.support.waiting import wait_until
from workers.kafka import topics
from workers.kafka.replica.partitions import LostError, PartitionFold, fold_partitions_until
from workers.settings import variable

PARTITIONS = 4
_ROWS = "SELECT * FROM read.entries ORDER BY account, number"
_OWNERS = """
SELECT pid, count(*) FROM pg_locks
 WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY pid ORDER BY 2
"""


class Folded:
    """A database that folds entries from a topic of events."""

    def __init__(self, database: Database, log: Published) -> None:
        self.database = database
        self.settings = log.settings.model_copy(update={"database_url": database.url})

    @contextmanager
    def folding(self, workers: int = 1) -> Iterator[None]:
        """Fold with this many workers until the block ends."""
        stop = Event()
        threads = [
            Thread(target=fold_partitions_until, args=(self.settings, ENTRIES, stop), daemon=True)
            for _ in range(workers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive(), "a worker does not end"

    def partitions(self) -> Sequence[PartitionCheckpoint]:
        """The checkpoints."""
        with connect(self.database.url, application_name="test") as connection:
            return find_partitions(connection, "entries")

    def position(self) -> int:
        """The position that all partitions have reached."""
        found = self.partitions()
        return min(one.position for one in found) if len(found) == PARTITIONS else 0

    def stopped(self) -> list[str]:
        """Why partitions are not folded on."""
        return [one.stopped for one in self.partitions() if one.stopped]

    def wait_for(self, position: int) -> None:
        """Wait until all partitions have reached a position."""
        wait_until(lambda: self.position() >= position, f"folding up to {position}, {self.stopped()}")

    def wait_until_stopped(self, what: str) -> None:
        """Wait until a partition is not folded on for this reason."""
        wait_until(lambda: any(what in why for why in self.stopped()), f"«{what}», not {self.stopped()}")

    def owned(self) -> list[int]:
        """How many partitions each worker has."""
        with psycopg.connect(self.database.url) as connection:
            return [number for _, number in connection.execute(_OWNERS)]


def rows_of(database: Database) -> list[Any]:
    """The rows of the table of entries."""
    with psycopg.connect(database.url) as connection:
        return connection.execute(_ROWS).fetchall()


@pytest.fixture
def log(database18: Database, kafka: Kafka) -> Published:
    return published(database18, kafka, kafka_partitions=PARTITIONS)


@pytest.fixture
def folded(log: Published, postgres18: Server) -> Iterator[Folded]:
    with postgres18.database() as database:
        make_read_tables(database)
        yield Folded(database, log)


def test_one_two_and_four_workers_fold_the_same_rows(log: Published, postgres18: Server) -> None:
    """They are those that the log itself is folded to."""
    with ledger_on(log.database) as ledger:
        random_history(ledger, Random(19))
    log.publish("events")
    fold(log.database)
    expected = rows_of(log.database)
    assert len(expected) > 200
    for workers in (1, 2, 4):
        with postgres18.database() as database:
            make_read_tables(database)
            folded = Folded(database, log)
            with folded.folding(workers):
                folded.wait_for(log.head())
                share = PARTITIONS // workers
                wait_until(lambda: folded.owned() == [share] * workers, "even shares")  # noqa: B023
            assert rows_of(database) == expected
            assert sum(one.events for one in folded.partitions()) == log.head()


def test_workers_come_and_go_while_the_log_grows(log: Published, folded: Folded) -> None:
    with ledger_on(log.database) as ledger, log.publishing("events"), folded.folding():
        some_history(ledger)
        folded.wait_for(log.head())
        with folded.folding():
            wait_until(lambda: folded.owned() == [2, 2], "even shares")
            some_history(ledger)
            folded.wait_for(log.head())
        wait_until(lambda: folded.owned() == [PARTITIONS], "the partitions of the worker that ended")
        some_history(ledger)
        folded.wait_for(log.head())
    fold(log.database)
    assert rows_of(folded.database) == rows_of(log.database)


def test_an_event_that_cannot_be_folded_stops_its_partition_alone(log: Published, folded: Folded) -> None:
    """What is before it is folded. It is listed with its position, and folding goes on once the cause is gone."""
    with ledger_on(log.database) as ledger:
        random_history(ledger, Random(7))
        log.publish("events")
        with psycopg.connect(log.database.url) as connection:
            position, account = connection.execute(
                "SELECT position, stream FROM log.events WHERE type = 'account.credited.v1' ORDER BY position"
                " OFFSET 50 LIMIT 1"
            ).fetchone() or (0, "")
            assert position
        with psycopg.connect(folded.database.url, autocommit=True) as connection:
            # The row of this event has the position of its transaction, and its number there.
            connection.execute(
                "ALTER TABLE read.entries ADD CONSTRAINT bad CHECK (position + entry <> %s)".replace(
                    "%s", str(position)
                )
            )
            with folded.folding():
                folded.wait_until_stopped(f"at position {position}, account.credited.v1 on {account}: ")
                wait_until(
                    lambda: sorted(one.position for one in folded.partitions())[1:] == [log.head()] * 3, "the rest"
                )
                before = connection.execute(
                    "SELECT count(*) FROM read.entries WHERE account = %s", (account,)
                ).fetchone()
                assert before == (_entries_before(log.database, account, position),)
                connection.execute("ALTER TABLE read.entries DROP CONSTRAINT bad")
                folded.wait_for(log.head())
        assert folded.stopped() == []
        fold(log.database)
        assert rows_of(folded.database) == rows_of(log.database)


def _entries_before(database: Database, account: str, position: int) -> int:
    with psycopg.connect(database.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM log.events WHERE stream = %s AND position < %s"
            " AND type IN ('account.credited.v1', 'account.debited.v1')",
            (account, position),
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_type_of_a_newer_program_stops_its_partition(log: Published, folded: Folded) -> None:
    """It might be an event that changes rows. One on streams that are not folded is passed."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    with psycopg.connect(log.database.url) as connection:
        connection.execute(
            "UPDATE log.events SET type = 'account.blessed.v1' WHERE type = 'account.opened.v1' AND position = 1"
        )
        connection.execute("UPDATE log.events SET type = 'transaction.blessed.v1' WHERE type = 'transaction.posted.v1'")
    log.publish("events")
    with folded.folding():
        folded.wait_until_stopped("at position 1, account.blessed.v1 on ")


def test_a_missing_event_is_noticed(log: Published, folded: Folded) -> None:
    """Heartbeats have the number of events of their partition."""
    with ledger_on(log.database) as ledger:
        some_history(ledger)
    log.publish("events")
    with folded.folding():
        folded.wait_for(log.head())
    with psycopg.connect(folded.database.url) as connection:
        connection.execute("UPDATE read.partitions SET events = events - 1 WHERE partition = 2")
    with ledger_on(log.database) as ledger, log.publishing("events"), folded.folding():
        some_history(ledger, 1)
        folded.wait_until_stopped("records are lost or came twice")


@pytest.mark.parametrize(
    ("value", "headers", "sentence"),
    [
        (b"x", [("ce_type", b"account.debited.v1")], "this is no event that a publisher wrote"),
        (b"x", [("ce_type", b"account.debited.v1"), ("ce_id", b"9" * 5_000)], "this is no event that a publisher"),
        (b"x", [("ce_type", b"log.reached.v1")], "the heartbeat cannot be read"),
        (b'{"x":' + b"[" * 200_000, [("ce_type", b"log.reached.v1")], "the heartbeat cannot be read"),
    ],
)
def test_a_record_that_no_publisher_wrote_is_refused(
    log: Published, folded: Folded, value: bytes, headers: list[tuple[str, bytes]], sentence: str
) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish("events")
    log.kafka.send(log.topic("events"), (b"x", value, headers))
    with folded.folding():
        folded.wait_until_stopped(sentence)


def test_another_worker_that_was_faster_is_noticed(log: Published, folded: Folded) -> None:
    """The checkpoint is compared, so that a record is folded once, whatever the locks say."""
    with ledger_on(log.database) as ledger:
        some_history(ledger)
    log.publish("events")
    with folded.folding():
        folded.wait_for(log.head())
    with ledger_on(log.database) as ledger:
        some_history(ledger)
    log.publish("events")
    topic = topics.events_topic("main", log.settings.kafka_generation, PARTITIONS).name
    with ExitStack() as opened:
        first, second = (
            opened.enter_context(connect(folded.settings.projector_url(), application_name="test")) for _ in range(2)
        )
        for connection in (first, second):
            connection.execute("SET search_path = read")
        checkpoint = folded.partitions()[0]
        records = [one for one in log.kafka.records(topic, 0) if one.offset >= checkpoint.next_offset]
        PartitionFold(first, ENTRIES, topic, checkpoint).take(records)
        with pytest.raises(LostError):
            PartitionFold(second, ENTRIES, topic, checkpoint).take(records)


def test_a_sentence_goes_once_its_cause_is_gone_also_at_rest(log: Published, folded: Folded) -> None:
    """Nothing new comes that would be folded: the sentence must not stay until something does."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish("events")
    with folded.folding():
        folded.wait_for(log.head())
    right = "UPDATE read.partitions SET topic_id = %s"
    with psycopg.connect(folded.database.url, autocommit=True) as connection:
        [(topic_id,)] = connection.execute("SELECT DISTINCT topic_id FROM read.partitions").fetchall()
        connection.execute(right, ("another",))
        with folded.folding():  # the cause goes while a worker runs
            folded.wait_until_stopped("was deleted and made anew")
            connection.execute(right, (topic_id,))
            wait_until(lambda: folded.stopped() == [], "the end of the sentence")
        connection.execute("UPDATE read.partitions SET stopped = 'of a worker that ended'")
        with folded.folding():
            wait_until(lambda: folded.stopped() == [], "the end of an old sentence")


def test_a_topic_that_was_made_anew_is_refused(log: Published, folded: Folded) -> None:
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish("events")
    with folded.folding():
        folded.wait_for(log.head())
    with psycopg.connect(folded.database.url) as connection:
        connection.execute("UPDATE read.partitions SET topic_id = 'another'")
    with folded.folding():
        folded.wait_until_stopped("was deleted and made anew")


def test_a_database_folds_a_projection_from_one_source(log: Published, folded: Folded) -> None:
    """Two sources would make each row twice."""
    with ledger_on(log.database) as ledger:
        some_history(ledger, 1)
    log.publish("events")
    fold(log.database)
    elsewhere = Folded(log.database, log)
    stop = Event()
    with pytest.raises(FoldedElsewhereError, match="entries is folded from the log in this database"):
        fold_partitions_until(elsewhere.settings, ENTRIES, stop)
    with folded.folding():
        folded.wait_for(log.head())
    with (
        connect(folded.settings.projector_url(), application_name="test") as connection,
        pytest.raises(FoldedElsewhereError, match="entries: this database folds it from the topic of events"),
    ):
        begin(connection, "main", [ENTRIES])


def test_a_killed_worker_s_partitions_are_taken_over_and_each_event_is_folded_once(
    log: Published, folded: Folded
) -> None:
    chance = Random(4)
    env = environment(
        folded.database,
        **{
            variable("kafka_bootstrap_servers"): log.kafka.address,
            variable("kafka_generation"): str(log.settings.kafka_generation),
        },
    )
    migrate, work = BY_PARTITION
    assert daybook(*migrate, env=env).returncode == 0
    with ledger_on(log.database) as ledger, log.publishing("events"), ExitStack() as opened:
        opened.enter_context(started(*work, env=env))
        for _ in range(2):
            with started(*work, env=env) as process:
                wait_until(lambda: folded.owned() == [2, 2], "even shares")
                random_history(ledger, chance, 100)
                process.kill()
            random_history(ledger, chance, 20)
            folded.wait_for(log.head())
        lag = daybook("lag", env=env)
        assert lag.returncode == 0
        assert "Folded from the topic of events" in lag.stdout
    fold(log.database)
    assert rows_of(folded.database) == rows_of(log.database)


def test_only_a_projection_that_is_per_stream_is_folded_so(log: Published) -> None:
    env = environment(log.database, **{variable("kafka_bootstrap_servers"): log.kafka.address})
    refused = daybook("work", "--from-events", "transactions", env=env)
    assert refused.returncode == 3
    assert "transactions needs the order of the whole log, or has text of people; one of entries does not" in (
        refused.stderr + refused.stdout
    ).replace("\n", " ")
    assert TRANSACTIONS.per_stream is None
