"""Compares transfers in process, in batches without HTTP, with a COPY of the rows that they store."""

from __future__ import annotations

from random import Random
from time import perf_counter

import psycopg

from bench.harness import oracle
from bench.harness.ledger import running_ledger, transfers
from bench.harness.raw_copy import RawCopy
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Server
from bench.harness.settings import Settings
from workers.tuning import tune_for_commands

DAYBOOK, COPY = "Daybook", "COPY of the same rows"


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Measure a batch and a copy of its rows in turn."""
    random = Random(settings.seed)
    rates: dict[str, list[float]] = {DAYBOOK: [], COPY: []}
    with (
        server.database() as database,
        running_ledger(database) as ledger,
        psycopg.connect(database.url, autocommit=True) as connection,
    ):
        accounts = ledger.open_accounts(settings.accounts)
        ledger.execute(transfers(accounts, settings.transfers // 4, random))
        raw = RawCopy(connection)
        for _ in range(settings.repetitions):
            before = raw.head()
            batch = transfers(accounts, settings.transfers, random)
            tune_for_commands()  # as the API does; it also excludes these submissions from the collector
            began = perf_counter()
            ledger.execute(batch)
            rates[DAYBOOK].append(settings.transfers / (perf_counter() - began))
            rates[COPY].append(settings.transfers / raw.seconds(before))
        checked = oracle.check(database.url, ledger.answered)
    result = ScenarioResult(
        "transfers",
        "Transfers in process, in batches",
        f"{settings.transfers} transfers a batch between {settings.accounts} accounts with limits, one executor. "
        "Commands are made before the clock starts. COPY is the upper limit: it copies the rows of each batch, three "
        "events and the record of the command for each transfer, in binary into tables with the same columns and "
        "indexes, in one transaction on one connection, without deciding anything.",
        [
            Measurement(name, {"batch": settings.transfers}, "transfers/s", [round(rate, 1) for rate in measured])
            for name, measured in rates.items()
        ],
        checked=[*checked, "as many rows copied as the log has"],
    )
    ours, limit = (result.of(name).median for name in rates)
    result.comparisons.append(Comparison("transfers a second", ours, 20_000))
    result.comparisons.append(Comparison("transfers ÷ COPY of the same rows", round(ours / limit, 2)))
    return result
