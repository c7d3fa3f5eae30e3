"""Measures the lag of the read tables while transfers come at half of the capacity of the write side."""

from __future__ import annotations

from bench.harness import open_loop, oracle, wrk
from bench.harness.load import Sample, measurement, percentiles
from bench.harness.open_loop import CLOSED, CONNECTIONS, HALF
from bench.harness.projector_process import SAMPLE_SECONDS, running_projector, wait_until_caught_up, watched_head
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Server
from bench.harness.serving import serving
from bench.harness.settings import Settings

AT_MOST_MS = 100.0
TRANSFERS, LAG = "transfers", "head lag"


def run(settings: Settings, server: Server) -> ScenarioResult:
    """In each repetition, measure the capacity, and then the lag at half of it."""
    closed: list[Sample] = []
    opened: list[Sample] = []
    lags: list[list[int]] = []
    with server.database() as database:
        with (
            serving(database, server.folder, settings) as (address, file, answered),
            running_projector(database),
        ):
            for repetition in range(-1, settings.repetitions):  # the first is a warm-up
                seed = settings.seed + repetition
                load = wrk.Load(address, CONNECTIONS, file, "/v1/transfers", f"run-{repetition}", seed)
                capacity = wrk.run(load, 2 * settings.seconds if repetition >= 0 else 1)
                wait_until_caught_up(database)
                seconds = 4 * settings.seconds if repetition >= 0 else 1
                plan = open_loop.half_of(capacity, load, seconds)
                with watched_head(database) as lag:
                    half = open_loop.run(plan)[open_loop.COMMAND]
                answered += capacity.answered + half.answered
                if repetition >= 0:
                    closed.append(capacity)
                    opened.append(half)
                    lags.append(lag)
        checked = oracle.check(database.url, answered, unanswered=CONNECTIONS * (settings.repetitions + 1))
        checked += oracle.check_tables(database.url)
    at_half = measurement(TRANSFERS, {"load": HALF}, "transfers/s", opened)
    head_lag = percentiles(lags)
    return ScenarioResult(
        "lag",
        "How soon the read tables show it",
        "Transfers over HTTP, one a request, to one API process, with one projector process for all projections beside "
        "it; client, API, projector and PostgreSQL share the cores. First the capacity with the projector at work, in "
        "a closed loop; then half of that at a constant rate, in an open loop: latencies count from the moment a "
        f"request was due. Meanwhile the head of the log is taken every {SAMPLE_SECONDS * 1000:.0f} ms: its lag is the "
        "time from when it was recorded until the tables of every projection show it.",
        [
            measurement(TRANSFERS, {"load": CLOSED}, "transfers/s", closed),
            at_half,
            Measurement(LAG, {"load": HALF}, "transfers/s", at_half.rates, head_lag),
        ],
        [Comparison("p99 of the head lag at half of the capacity, in ms", round(head_lag.p99, 1), at_most=AT_MOST_MS)],
        [*checked, "no request refused, no connection broken"],
    )
