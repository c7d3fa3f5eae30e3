"""The worker of a replica is killed or stopped: each unit is copied once, and the tables are those of the original."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from time import monotonic

import pytest

from bench.harness.tables import make_read_tables
from eventstore.log.copying import find_copy
from eventstore.postgres.connect import connect
from projections.engine.follow import PAUSED_SECONDS
from projections.registry import PROJECTIONS
from tests.integration.kafka.histories import some_history
from tests.integration.kafka.test_replica import Replica, assert_a_copy, tables_of
from tests.integration.workers.running import environment, started
from tests.support.kafka import Kafka, own_broker
from tests.support.ledger import Ledger, fold, ledger_on
from tests.support.pausing import pause
from tests.support.postgres import Database, Server
from tests.support.published import Published, published
from tests.support.waiting import wait_until
from workers.kafka.publishing import publisher
from workers.ports import free_port
from workers.settings import variable

IN_THE_SUITE = 3
IN_A_SOAK = 15
"""Kills of a worker."""
TAKEOVERS = 3
BEST_SECONDS, MOST_SECONDS = 3.0, 10.0
"""Until another worker has folded what came after a kill: the fastest takeover, and each. It takes 0.5 s on an idle
machine, and 1.0 to 1.4 s where eight processes want two cores. A consumer group would take over after 6 s."""
AFTER_A_STOP_SECONDS = 2 * PAUSED_SECONDS
"""The same after a stop: the server ends a session that is silent for 15 s. A busy machine is slow with the rest."""


@pytest.fixture
def log(database18: Database, kafka: Kafka) -> Published:
    return published(database18, kafka)


@pytest.fixture
def replica(log: Published, postgres18: Server) -> Iterator[Replica]:
    with postgres18.database() as database:
        make_read_tables(database)
        yield Replica(database, log)


@contextmanager
def working(replica: Replica) -> Iterator[subprocess.Popen[str]]:
    """A process that copies and folds."""
    env = environment(
        replica.database,
        **{
            variable("kafka_bootstrap_servers"): str(replica.settings.kafka_bootstrap_servers),
            variable("kafka_generation"): str(replica.settings.kafka_generation),
        },
    )
    with started("work", "--from-kafka", env=env) as process:
        yield process


def folded(replica: Replica) -> int:
    """The position that all projections of the replica have reached."""
    with connect(replica.database.url, application_name="test") as connection:
        if find_copy(connection, "main") is None:
            return 0
        rows = connection.execute("SELECT position FROM read.checkpoints").fetchall()
    return min(position for (position,) in rows) if len(rows) == len(PROJECTIONS) else 0


def wait_until_folded(replica: Replica, position: int) -> None:
    wait_until(lambda: folded(replica) >= position, f"folding up to {position}, not {folded(replica)}")


@pytest.mark.parametrize("kills", [IN_THE_SUITE, pytest.param(IN_A_SOAK, marks=pytest.mark.soak)])
def test_a_worker_is_killed_while_it_copies_and_folds(log: Published, replica: Replica, kills: int) -> None:
    chance = Random(kills)
    with ledger_on(log.database) as ledger, log.publishing():
        for _ in range(kills):
            with working(replica) as process:
                before = replica.position()
                for _ in range(chance.randint(3, 12)):
                    some_history(ledger)
                wait_until(lambda: replica.position() > before, "a copied unit")  # noqa: B023
                process.kill()
        with working(replica):
            wait_until_folded(replica, log.head())
    assert_the_tables_of(log, replica)


def seconds_to_fold(ledger: Ledger, log: Published, replica: Replica) -> float:
    """The seconds until the replica has folded new events."""
    begun = monotonic()
    some_history(ledger, 1)
    wait_until_folded(replica, log.head())
    return monotonic() - begun


def assert_the_tables_of(log: Published, replica: Replica) -> None:
    """The replica has each event once, and the tables that follow from them."""
    assert_a_copy(replica.database, log.database)
    fold(log.database)
    assert tables_of(replica.database) == tables_of(log.database)


def test_another_worker_takes_over_at_once(log: Published, replica: Replica) -> None:
    with ledger_on(log.database) as ledger, log.publishing(), ExitStack() as running:
        owner = running.enter_context(working(replica))
        some_history(ledger)
        wait_until_folded(replica, log.head())
        took = []
        for _ in range(TAKEOVERS):
            another = running.enter_context(working(replica))
            wait_until(lambda: wanting_to_copy(replica) == 2, "the worker that stands by")
            owner.kill()
            took.append(seconds_to_fold(ledger, log, replica))
            owner = another
    assert_the_tables_of(log, replica)
    assert min(took) < BEST_SECONDS, f"until new events were folded, it took {took} s"
    assert max(took) < MOST_SECONDS, f"until new events were folded, it took {took} s"


def test_a_worker_is_stopped_replaced_and_woken(log: Published, replica: Replica) -> None:
    """It wakes without its sessions, and stands by. So it works again once the other one has ended."""
    with ledger_on(log.database) as ledger, log.publishing(), working(replica) as woken:
        some_history(ledger)
        wait_until_folded(replica, log.head())
        with working(replica):
            wait_until(lambda: wanting_to_copy(replica) == 2, "the worker that stands by")
            pause(woken.pid)
            took = seconds_to_fold(ledger, log, replica)
            assert wanting_to_copy(replica) == 1, "the sessions of the stopped one have ended"
            os.kill(woken.pid, signal.SIGCONT)
            wait_until(lambda: wanting_to_copy(replica) == 2, "the woken one to stand by")
            some_history(ledger)
            wait_until_folded(replica, log.head())
        some_history(ledger)
        wait_until_folded(replica, log.head())
        assert woken.poll() is None
    assert_the_tables_of(log, replica)
    assert took < AFTER_A_STOP_SECONDS, f"it took {took:.1f} s until the new events were folded"


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


def wanting_to_copy(replica: Replica) -> int:
    """The sessions that copy, or wait for their turn."""
    with connect(replica.database.url, application_name="test") as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'daybook-replica'"
        ).fetchone()
    assert row is not None
    return int(row[0])
