"""Measures how fast the projections fold an existing log from position 0: all of them, in one worker."""

from __future__ import annotations

from random import Random
from time import perf_counter

from bench.harness import oracle
from bench.harness.ledger import LOG, codec_of, running_ledger, transfers
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Database, Server
from bench.harness.settings import Settings
from bench.harness.tables import empty_read_tables
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from workers.tuning import tune_for_folding

SUBJECT = "one worker, all projections"


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Fill a log, then fold it from the beginning in each repetition."""
    rates: list[float] = []
    head = 0
    number = 2 * settings.transfers
    with server.database() as database:
        with running_ledger(database) as ledger:
            accounts = ledger.open_accounts(settings.accounts)
            ledger.execute(transfers(accounts, number, Random(settings.seed)))
        checked = oracle.check(database.url, ledger.answered)
        for _ in range(settings.repetitions):
            rate, head = fold_from_the_beginning(database)
            rates.append(round(rate, 1))
        checked += oracle.check_tables(database.url)
    measured = Measurement(SUBJECT, {"projections": len(PROJECTIONS), "events": head}, "events/s", rates)
    return ScenarioResult(
        "catch-up",
        "Catching up with the log",
        f"One worker folds these projections together from position 0: {', '.join(one.name for one in PROJECTIONS)}. "
        f"The log has {number} transfers between {settings.accounts} accounts. The worker reads ahead over a second "
        f"connection, as it does in production. Each position of the log counts as one event.",
        [measured],
        [Comparison("events a second", measured.median, 50_000)],
        checked,
    )


def fold_from_the_beginning(database: Database) -> tuple[float, int]:
    """Empty the read tables and fold the log. Returns the events a second, and the head.

    Raises `WrongError` if a projection does not reach the head.
    """
    with (
        connect(database.projector_url, application_name="bench-projector") as connection,
        connect(database.projector_url, application_name="bench-ahead") as ahead,
    ):
        head = read_head(connection, LOG)
        empty_read_tables(database, LOG)
        tune_for_folding()
        runner = Runner(connection, LOG, codec_of(database, ahead, head.log_number), PROJECTIONS, ahead=ahead)
        began = perf_counter()
        runner.run_to_head()
        rate = head.position / (perf_counter() - began)
        if runner.stopped or set(runner.positions.values()) != {head.position}:
            raise oracle.WrongError(f"not all projections reached {head.position}: {runner.positions}")
    return rate, head.position
