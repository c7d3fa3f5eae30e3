"""Transfers in batches over HTTP, each with its own key and its own answer."""

from __future__ import annotations

from typing import NamedTuple

from bench.harness import bulk_client, oracle
from bench.harness.api_process import running_api
from bench.harness.bulk_client import Plan
from bench.harness.ledger import keep
from bench.harness.load import Sample, measurement
from bench.harness.result import Comparison, ScenarioResult
from bench.harness.server import Server
from bench.harness.serving import serving
from bench.harness.settings import Settings

SIZE = 5_000
BATCHES = 4
"""Batches of each connection in a repetition."""


class Kind(NamedTuple):
    """How batches are sent. Each of several API processes has separate clients and customers."""

    lines: bool
    connections: int  # connections to each process
    processes: int = 1


KINDS = {
    "lines, 1 connection": Kind(True, 1),
    "lines, 2 connections": Kind(True, 2),
    "array, 1 connection": Kind(False, 1),
    "lines, 2 API processes, 1 connection to each": Kind(True, 1, 2),
}
EXPECTED = 15_000


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Measure every kind in turn."""
    size, batches = (500, 2) if settings.quick else (SIZE, BATCHES)
    samples: dict[str, list[Sample]] = {name: [] for name in KINDS}
    with server.database() as database:
        with (
            serving(database, server.folder, settings) as (address, file, answered),
            running_api(database, server.folder, 1) as second,
        ):
            accounts = file.read_text().split()
            each_its_own = [
                (to, str(keep(accounts[n::2], server.folder, f"half-{n}"))) for n, to in enumerate((address, second))
            ]
            for repetition in range(-1, settings.repetitions):  # the first is a warm-up
                for name, kind in KINDS.items():
                    served = [(address, str(file))] if kind.processes == 1 else each_its_own
                    plans = [
                        Plan(
                            to,
                            customers,
                            f"{name}, {repetition}, {client}",
                            settings.seed + repetition * len(served) + client,
                            kind.connections,
                            batches,
                            size,
                            kind.lines,
                        )
                        for client, (to, customers) in enumerate(served)
                    ]
                    sample = bulk_client.run(*plans)
                    answered += sample.answered
                    if repetition >= 0:
                        samples[name].append(sample)
        checked = oracle.check(database.url, answered)
    result = ScenarioResult(
        "bulk",
        "Transfers in batches over HTTP",
        f"A separate process sends batches of {size} transfers to an API process. It makes the bodies before the clock "
        f"starts. Every transfer is validated, decided, recorded under its own key and durable before the answer to "
        f"its batch, which has an answer to each transfer. With two API processes, each has its own client and half of "
        f"the customers. Percentiles are of whole batches.",
        [
            measurement("batches", {"as": name, "size": size}, "transfers/s", repeated)
            for name, repeated in samples.items()
        ],
        checked=[*checked, "every item of every batch accepted"],
    )
    for processes, called in ((1, "one API process"), (2, "two API processes")):
        best = max(
            measured.median
            for measured, kind in zip(result.measurements, KINDS.values(), strict=True)
            if kind.processes == processes
        )
        result.comparisons.append(Comparison(f"transfers a second, {called}", best, EXPECTED))
    return result
