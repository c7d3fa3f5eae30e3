"""Compares Daybook's fold with a projection of the `eventsourcing` library.

The library's log is a tenth as long, because its projection is slower. It has one table of balances, written as in its
documentation: a view that is a tracking recorder, and a projection that adds to a row and moves the tracking position
in one transaction for each event. Daybook folds all read tables, and for comparison that of the accounts alone. The
library's commits wait for the flush by default; Daybook's never do. So the library is measured both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from time import perf_counter, sleep
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, DomainEventProtocol, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import get_topic
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL

from bench.harness import history, oracle
from bench.harness.history import BLOCK_EVENTS
from bench.harness.ledger import LOG, codec_of
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Database, Server
from bench.harness.settings import Settings
from bench.harness.tables import empty_read_tables
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.engine import projection
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS, named
from workers.tuning import tune_for_folding

ACCOUNTS = 500
ALL, ONE = "Daybook, all projections", "Daybook, accounts alone"
STOCK, STOCK_UNFLUSHED = "ProjectionRunner, balances", "ProjectionRunner, balances, commits not flushed"
STOCKS = {STOCK: "on", STOCK_UNFLUSHED: "off"}
"""The `synchronous_commit` of each run of the library."""
STOCK_SHARE = 10
"""Daybook's log has this many times the events of the library's log. The library folds 100 to 200 events a second."""
LONGEST_SECONDS = 600.0
POLL_SECONDS = 0.02


class StockAccount(Aggregate):
    """An account as an aggregate of the library."""

    def __init__(self) -> None:
        self.balance = 0

    class Credited(Aggregate.Event):
        """Money was added to an account."""

        amount: int

    class Debited(Aggregate.Event):
        """Money was taken from an account."""

        amount: int

    @event(Credited)
    def credit(self, amount: int) -> None:
        """Add to the balance."""
        self.balance += amount

    @event(Debited)
    def debit(self, amount: int) -> None:
        """Take from the balance."""
        self.balance -= amount


class StockLedger(Application[UUID]):
    """An application of the library."""


class Balances(PostgresTrackingRecorder):
    """A view with a row for each account."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS balances (account uuid PRIMARY KEY, balance bigint NOT NULL)").format()
        )

    def add(self, account: UUID, amount: int, tracking: Tracking) -> None:
        """Add to a balance, and record the tracking position in the same transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO balances AS b VALUES (%s, %s)"
                " ON CONFLICT (account) DO UPDATE SET balance = b.balance + excluded.balance",
                (account, amount),
                prepare=True,
            )


class ProjectBalances(Projection[Balances]):
    """Folds debits and credits."""

    topics = (get_topic(StockAccount.Credited), get_topic(StockAccount.Debited))

    @singledispatchmethod
    def process_event(self, domain_event: DomainEventProtocol[UUID], tracking: Tracking) -> None:
        """Ignore other events."""

    @process_event.register
    def _(self, domain_event: StockAccount.Credited, tracking: Tracking) -> None:
        self.view.add(domain_event.originator_id, domain_event.amount, tracking)

    @process_event.register
    def _(self, domain_event: StockAccount.Debited, tracking: Tracking) -> None:
        self.view.add(domain_event.originator_id, -domain_event.amount, tracking)


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Measure every fold in turn, in each repetition."""
    blocks = max(1, settings.transfers // BLOCK_EVENTS // (5 if settings.quick else 1))
    random = Random(settings.seed)
    rates: dict[str, list[float]] = {name: [] for name in (ALL, ONE, *STOCKS)}
    with server.database() as ours, server.database(migrated=False) as theirs:
        loaded = history.load(ours, blocks, random)
        fewer = loaded.events // STOCK_SHARE
        moved = _fill(theirs, fewer, random)
        checked = oracle.check(ours.url, loaded.commands)
        for _ in range(settings.repetitions):
            rates[ALL].append(_fold(ours, PROJECTIONS))
            rates[ONE].append(_fold(ours, named(["accounts"])))
            for name, flushed in STOCKS.items():
                server.execute(f"ALTER DATABASE {theirs.name} SET synchronous_commit = {flushed}")
                rates[name].append(_run_stock(theirs, fewer, moved))
    result = ScenarioResult(
        "projection",
        "Folding, beside the library's ProjectionRunner",
        "Both logs are folded from their beginning. The library's log has fewer events, because it would take more "
        f"than a quarter of an hour: the debits and credits of {ACCOUNTS} accounts. Its projection is one table of "
        "balances.",
        [
            Measurement(name, {"events": fewer if name in STOCKS else loaded.events}, "events/s", measured)
            for name, measured in rates.items()
        ],
        checked=[*checked, "every checkpoint at the head", "the library's balances are those of its events"],
    )
    ratio = result.of(ALL).median / max(result.of(STOCK).median, result.of(STOCK_UNFLUSHED).median)
    name = "all our projections ÷ the library's one, at its best"
    result.comparisons.append(Comparison(name, round(ratio, 1)))
    return result


def _fold(database: Database, projections: Sequence[projection.Projection]) -> float:
    with (
        connect(database.projector_url, application_name="bench-projector") as connection,
        connect(database.projector_url, application_name="bench-ahead") as ahead,
    ):
        head = read_head(connection, LOG)
        empty_read_tables(database, LOG, projections)
        tune_for_folding()
        runner = Runner(connection, LOG, codec_of(database, ahead, head.log_number), projections, ahead=ahead)
        began = perf_counter()
        runner.run_to_head()
        rate = round(head.position / (perf_counter() - began), 1)
        if runner.stopped or set(runner.positions.values()) != {head.position}:
            raise oracle.WrongError(f"not all projections reached {head.position}: {runner.positions}")
    return rate


def _environment(database: Database) -> dict[str, str]:
    where = conninfo_to_dict(database.url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(where["dbname"]),
        "POSTGRES_HOST": str(where["host"]),
        "POSTGRES_PORT": str(where["port"]),
        "POSTGRES_USER": str(where["user"]),
        "POSTGRES_PASSWORD": "",
    }


def _fill(database: Database, events: int, random: Random) -> dict[UUID, int]:
    """Write events to the library's log. Returns the balances of its accounts."""
    with StockLedger(_environment(database)) as ledger:
        accounts = [StockAccount() for _ in range(min(ACCOUNTS, events // 2))]
        # The last event of each account is a movement, so the projection reads the last event of the log.
        movers = [*random.choices(accounts, k=events - 2 * len(accounts)), *accounts]
        for account in movers:
            move = account.credit if random.random() < 0.5 else account.debit
            move(random.randint(1, 10_000))
        ledger.save(*accounts)
        return {account.id: account.balance for account in accounts}


def _run_stock(database: Database, events: int, balances: dict[UUID, int]) -> float:
    """Events a second from the start of the runner until the last event is tracked."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        for table in ("balances", f"{ProjectBalances.name.lower()}_tracking"):
            connection.execute(f"DROP TABLE IF EXISTS {table}".encode())
        began = perf_counter()
        with ProjectionRunner(
            application_class=StockLedger,
            projection_class=ProjectBalances,
            view_class=Balances,
            env=_environment(database),
        ) as runner:
            while not runner.view.has_tracking_id(runner.app.name, events):
                if runner.is_interrupted.is_set() or perf_counter() - began > LONGEST_SECONDS:
                    raise oracle.WrongError(f"the library's projection stopped at {runner.view.max_tracking_id('')}")
                sleep(POLL_SECONDS)
            rate = round(events / (perf_counter() - began), 1)
        found: dict[UUID, int] = dict(connection.execute("SELECT account, balance FROM balances").fetchall())
    if found != balances:
        raise oracle.WrongError("the library's projection has other balances than its events")
    return rate
