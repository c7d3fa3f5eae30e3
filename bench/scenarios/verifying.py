"""Measures how fast `daybook verify` decodes events and holds them to the rules: alone, and in several processes."""

from __future__ import annotations

from random import Random
from time import perf_counter

from psycopg import IsolationLevel

from bench.harness import history, oracle
from bench.harness.ledger import LOG
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Database, Server
from bench.harness.settings import Settings
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from workers.verify import begin_examination, sum_of
from workers.verify.log import open_log
from workers.verify.processes import Processes, usual_number

BLOCKS, QUICK_BLOCKS = 300, 5
"""Of `bench.harness.history`, about a thousand events each."""
FASTEST = 20_000
"""Events a second of a process that are asked for."""


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Fill a log, then check it in each repetition, with one process and with as many as there are CPUs."""
    with server.database() as database:
        loaded = history.load(database, QUICK_BLOCKS if settings.quick else BLOCKS, Random(settings.seed))
        checked = oracle.check(database.url, loaded.commands)
        measured = [
            Measurement(
                "decode, fold and check",
                {"processes": number, "events": loaded.events},
                "events/s",
                [round(_rate(database, number), 1) for _ in range(settings.repetitions)],
            )
            for number in sorted({1, usual_number()})
        ]
    alone, together = measured[0], measured[-1]
    number = int(together.parameters["processes"])
    return ScenarioResult(
        "verify",
        "Holding a log to the rules",
        "The part of `daybook verify` that decodes every event twice: once in the order of positions, with the answers "
        "of their commands and the rules beside other events of a unit; and once in the order of streams, with the "
        "folds and the rules of each aggregate. Each event counts once. The processes share the machine with "
        "PostgreSQL, and their start is part of the time.",
        measured,
        [
            Comparison("events a second of one process", alone.median, FASTEST),
            Comparison("events a second of each of several processes", round(together.median / number, 1)),
        ],
        checked,
    )


def _rate(database: Database, number: int) -> float:
    with connect(database.settings.audit_url(), application_name="bench-verify") as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with connection.transaction(force_rollback=True):
            log = open_log(connection, read_head(connection, LOG))
            began = perf_counter()
            with begin_examination(log, LOG, Processes(number, database.settings.audit_url())) as results:
                checks = sum_of(log, results())
            seconds = perf_counter() - began
    if not all(check.ok for check in checks):
        raise oracle.WrongError(f"a sound log has findings: {[check.name for check in checks if not check.ok]}")
    return log.totals.events / seconds
