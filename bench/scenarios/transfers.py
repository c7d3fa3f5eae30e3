"""Transfers in process, in batches: decide, encode and append, without HTTP. Three events each."""

from __future__ import annotations

from random import Random
from time import perf_counter

from bench.harness import oracle
from bench.harness.ledger import running_ledger, transfers
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Server
from bench.harness.settings import Settings
from workers.runtime import calm_collector


def run(settings: Settings, server: Server) -> ScenarioResult:
    """One batch after the other."""
    random = Random(settings.seed)
    rates: list[float] = []
    with server.database() as database, running_ledger(database) as ledger:
        accounts = ledger.open_accounts(settings.accounts)
        ledger.execute(transfers(accounts, settings.transfers // 4, random))
        for _ in range(settings.repetitions):
            batch = transfers(accounts, settings.transfers, random)
            calm_collector()  # as the API does; it also leaves our own commands out
            began = perf_counter()
            ledger.execute(batch)
            rates.append(round(settings.transfers / (perf_counter() - began), 1))
        checked = oracle.check(database.url, ledger.answered)
    measured = Measurement("Daybook", {"batch": settings.transfers}, "transfers/s", rates)
    return ScenarioResult(
        "transfers",
        "Transfers in process, in batches",
        f"{settings.transfers} transfers a batch between {settings.accounts} accounts with limits, one executor. "
        "Commands are made before the clock starts.",
        [measured],
        [Comparison("transfers a second", measured.median, 20_000)],
        checked,
    )
