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

UNIFORM, HOT = "uniform", "hot"


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Uniform and hot in turn."""
    random = Random(settings.seed)
    rates: dict[str, list[float]] = {UNIFORM: [], HOT: []}
    with server.database() as database, running_ledger(database) as ledger:
        accounts = ledger.open_accounts(settings.accounts)
        ledger.execute(transfers(accounts, settings.transfers // 4, random))
        for _ in range(settings.repetitions):
            for kind, measured in rates.items():
                batch = transfers(accounts, settings.transfers, random, hot=kind == HOT)
                calm_collector()  # as the API does; it also leaves our own commands out
                began = perf_counter()
                ledger.execute(batch)
                measured.append(round(settings.transfers / (perf_counter() - began), 1))
        conflicts = ledger.executor.statistics.conflicts
        checked = oracle.check(database.url, ledger.answered)
    if conflicts:
        raise oracle.WrongError(f"{conflicts} conflicts with a single writer")
    result = ScenarioResult(
        "transfers",
        "Transfers in process, in batches",
        f"{settings.transfers} transfers a batch between {settings.accounts} accounts with limits, one executor. "
        "Hot: every transfer has the same account with limits on one side. Commands are made before the clock starts.",
        [
            Measurement("Daybook", {"accounts": kind, "batch": settings.transfers}, "transfers/s", measured)
            for kind, measured in rates.items()
        ],
        checked=[*checked, "no conflicts with a single writer"],
    )
    uniform, hot = (result.of("Daybook", accounts=kind).median for kind in (UNIFORM, HOT))
    result.comparisons.append(Comparison("transfers a second, uniform", uniform, 20_000))
    result.comparisons.append(Comparison("hot ÷ uniform", round(hot / uniform, 2), 0.8))
    return result
