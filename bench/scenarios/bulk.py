"""Transfers in batches over HTTP, each with its own key and its own answer."""

from __future__ import annotations

from bench.harness import bulk_client, oracle
from bench.harness.bulk_client import Plan
from bench.harness.load import Sample, measurement
from bench.harness.result import Comparison, ScenarioResult
from bench.harness.server import Server
from bench.harness.serving import serving
from bench.harness.settings import Settings

SIZE = 5_000
BATCHES = 4
"""A connection and repetition."""
KINDS = {"lines, 1 connection": (True, 1), "lines, 2 connections": (True, 2), "array, 1 connection": (False, 1)}


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Every kind in turn."""
    size, batches = (500, 2) if settings.quick else (SIZE, BATCHES)
    samples: dict[str, list[Sample]] = {kind: [] for kind in KINDS}
    with server.database() as database:
        with serving(database, server.folder, settings) as (address, file, answered):
            for repetition in range(-1, settings.repetitions):  # the first is a warm-up
                for kind, (lines, connections) in KINDS.items():
                    name = f"bulk-{repetition}-{lines:d}-{connections}"
                    seed = settings.seed + repetition
                    plan = Plan(address, str(file), name, seed, connections, batches, size, lines)
                    sample = bulk_client.run(plan)
                    answered += sample.answered
                    if repetition >= 0:
                        samples[kind].append(sample)
        checked = oracle.check(database.url, answered)
    result = ScenarioResult(
        "bulk",
        "Transfers in batches over HTTP",
        f"Batches of {size} transfers to one API process, from a process of its own that makes the bodies before the "
        f"clock starts. Every transfer is validated, decided, recorded under its own key and durable before the answer "
        f"of its batch, which has an answer for each. Percentiles are of whole batches.",
        [
            measurement("batches", {"as": kind, "size": size}, "transfers/s", repeated)
            for kind, repeated in samples.items()
        ],
        checked=[*checked, "every item of every batch accepted"],
    )
    best = max(kind.median for kind in result.measurements)
    result.comparisons.append(Comparison("transfers a second", best, 15_000))
    return result
