"""The worker of a replica is killed: the copy has each unit once, and its tables are those of the original."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from bench.harness.tables import make_read_tables
from eventstore.log.copying import find_copy
from eventstore.postgres.connect import connect
from projections.registry import PROJECTIONS
from tests.integration.kafka.histories import some_history
from tests.integration.kafka.test_replica import Replica, assert_a_copy, tables_of
from tests.integration.workers.running import environment, started
from tests.support.kafka import Kafka, own_broker
from tests.support.ledger import fold, ledger_on
from tests.support.postgres import Database, Server
from tests.support.published import Published, published
from tests.support.waiting import wait_until
from workers.kafka import publisher
from workers.ports import free_port
from workers.settings import variable

IN_THE_SUITE = 3
IN_A_SOAK = 15
"""Kills of a worker."""
TAKEOVER_SECONDS = 5.0
"""It takes 0.5 s on an idle machine. A consumer group would take over after 6 s, its session time-out."""


@pytest.fixture
def log(database18: Database, kafka: Kafka) -> Published:
    return published(database18, kafka)


@pytest.fixture
def replica(log: Published, postgres18: Server) -> Iterator[Replica]:
    with postgres18.database() as database:
        make_read_tables(database)
        yield Replica(database, log)


@contextmanager
def working(replica: Replica) -> Iterator[int]:
    """A process that copies and folds; its process id."""
    env = environment(
        replica.database,
        **{
            variable("kafka_bootstrap_servers"): str(replica.settings.kafka_bootstrap_servers),
            variable("kafka_generation"): str(replica.settings.kafka_generation),
        },
    )
    with started("work", "--from-kafka", env=env) as process:
        yield process.pid


def folded(replica: Replica) -> int:
    """The position that all projections of the replica have reached."""
    with connect(replica.database.url, application_name="test") as connection:
        if find_copy(connection, "main") is None:
            return 0
        rows = connection.execute("SELECT position FROM read.checkpoints").fetchall()
    return min(position for (position,) in rows) if len(rows) == len(PROJECTIONS) else 0


def wait_until_folded(replica: Replica, position: int) -> None:
    wait_until(lambda: folded(replica) >= position, f"folding up to {position}, not {folded(replica)}", 60)


@pytest.mark.parametrize("kills", [IN_THE_SUITE, pytest.param(IN_A_SOAK, marks=pytest.mark.soak)])
def test_a_worker_is_killed_while_it_copies_and_folds(log: Published, replica: Replica, kills: int) -> None:
    chance = Random(kills)
    with ledger_on(log.database) as ledger, log.publishing():
        for _ in range(kills):
            with working(replica) as pid:
                before = replica.position()
                for _ in range(chance.randint(3, 12)):
                    some_history(ledger)
                wait_until(lambda: replica.position() > before, "a copied unit", 60)  # noqa: B023
                os.kill(pid, signal.SIGKILL)
        with working(replica):
            wait_until_folded(replica, log.head())
    assert_a_copy(replica.database, log.database)
    fold(log.database)
    assert tables_of(replica.database) == tables_of(log.database)


def test_another_worker_takes_over_at_once(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger, log.publishing(), working(replica) as first:
        some_history(ledger)
        wait_until_folded(replica, log.head())
        with working(replica):
            wait_until(lambda: standing_by(replica), "the second worker", 60)
            os.kill(first, signal.SIGKILL)
            killed = monotonic()
            some_history(ledger, 1)
            wait_until_folded(replica, log.head())
            took = monotonic() - killed
    assert_a_copy(replica.database, log.database)
    assert took < TAKEOVER_SECONDS, f"it took {took:.1f} s until the new events were folded"


def test_a_broker_comes_back_at_another_address(
    database18: Database, postgres18: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that know only the old one have to ask where the brokers are, or be made anew. The copier is at rest."""
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 1.0)
    with own_broker(tmp_path) as broker, postgres18.database() as copy:
        later = free_port()
        log = published(database18, Kafka(f"{broker.address},127.0.0.1:{later}"))
        replica = Replica(copy, log)
        with ledger_on(database18) as ledger, log.publishing(), replica.copying():
            some_history(ledger, 2)
            replica.wait_for(log.head())
            broker.stop()
            broker.port = later
            broker.start()
            some_history(ledger, 2)
            replica.wait_for(log.head())
        log.assert_exactly_once()
        assert_a_copy(copy, database18)


def standing_by(replica: Replica) -> bool:
    """Whether two sessions want to copy."""
    with connect(replica.database.url, application_name="test") as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'daybook-replica'"
        ).fetchone()
    return row == (2,)
