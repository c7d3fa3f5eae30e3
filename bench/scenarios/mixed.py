"""Measures reads and transfers together, four to one, while a projector runs."""

from __future__ import annotations

from bench.harness import open_loop, oracle, wrk
from bench.harness.load import Sample, measurement
from bench.harness.open_loop import CLOSED, CONNECTIONS, HALF
from bench.harness.projector_process import running_projector, wait_until_caught_up
from bench.harness.result import ScenarioResult
from bench.harness.server import Server
from bench.harness.serving import serving
from bench.harness.settings import Settings

READS = 0.8
BOTH, OF_KIND = "all requests", {open_loop.READ: "reads", open_loop.COMMAND: "transfers"}
LEFT = CONNECTIONS + 1
"""Commands of a run of wrk that may have no answer: one on each connection, and one to try its script."""


def run(settings: Settings, server: Server) -> ScenarioResult:
    """In each repetition, measure the capacity, and then half of that rate."""
    closed: list[Sample] = []
    opened: dict[str, list[Sample]] = {kind: [] for kind in OF_KIND}
    with server.database() as database:
        with (
            serving(database, server.folder, settings) as (address, file, answered),
            running_projector(database),
        ):
            for repetition in range(-1, settings.repetitions):  # the first is a warm-up
                seed = settings.seed + repetition
                load = wrk.Load(address, CONNECTIONS, file, "/v1/transfers", f"run-{repetition}", seed, reads=READS)
                capacity = wrk.run(load, 2 * settings.seconds if repetition >= 0 else 1)
                seconds = 2 * settings.seconds if repetition >= 0 else 1
                plan = open_loop.half_of(capacity, load, seconds)
                half = open_loop.run(plan)
                answered += max(0, capacity.commands - LEFT) + half[open_loop.COMMAND].answered
                if repetition >= 0:
                    closed.append(capacity)
                    for kind, samples in opened.items():
                        samples.append(half[kind])
            wait_until_caught_up(database)
        checked = oracle.check(database.url, answered, unanswered=LEFT * (settings.repetitions + 1))
        checked += oracle.check_tables(database.url)
    return ScenarioResult(
        "mixed",
        "Reads and transfers together",
        f"Over HTTP to one API process: {READS:.0%} of the requests read an account or the newest 20 of its entries, "
        "the others are transfers, one a request. One projector process folds beside them; client, API, projector and "
        "PostgreSQL share the cores. First in a closed loop; then half of that rate, constant, in an open loop: "
        "latencies count from the moment a request was due.",
        [
            measurement(BOTH, {"load": CLOSED}, "requests/s", closed),
            *(measurement(OF_KIND[kind], {"load": HALF}, "requests/s", samples) for kind, samples in opened.items()),
        ],
        checked=[*checked, "no request refused, no connection broken"],
    )
