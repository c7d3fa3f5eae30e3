"""Compares transfers over HTTP, one in each request, with empty POSTs that have the same guard and validation."""

from __future__ import annotations

from bench.harness import oracle, wrk
from bench.harness.load import Sample, measurement
from bench.harness.result import Comparison, ScenarioResult
from bench.harness.server import Server
from bench.harness.serving import serving
from bench.harness.settings import Settings

CONNECTIONS = (1, 16, 64, 256)
EXPECTED_AT = 64
TRANSFER, EMPTY, PLAIN = "transfer", "empty validated POST", "empty validated POST, served by FastAPI's own machinery"
PATHS = {TRANSFER: "/v1/transfers", EMPTY: "/v1/empty", PLAIN: "/v1/plain"}


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Measure transfers and empty requests in turn."""
    samples: dict[tuple[str, int], list[Sample]] = {}
    with server.database() as database:
        with serving(database, server.folder, settings) as (address, file, answered):
            runs = 0
            for repetition in range(-1, settings.repetitions):  # the first is a warm-up
                for connections in CONNECTIONS:
                    for kind, path in PATHS.items():
                        runs += 1
                        load = wrk.Load(address, connections, file, path, f"run-{runs}", settings.seed + runs)
                        sample = wrk.run(load, 2 * settings.seconds if repetition >= 0 else 1)
                        answered += sample.answered if kind == TRANSFER else 0
                        if repetition >= 0:
                            samples.setdefault((kind, connections), []).append(sample)
        # The API was stopped gracefully, so each request that wrk did not wait for is now in the log or lost.
        checked = oracle.check(database.url, answered, unanswered=sum(CONNECTIONS) * (settings.repetitions + 1))
    result = ScenarioResult(
        "http",
        "Transfers over HTTP, one a request",
        "wrk sends requests in a closed loop to one API process; wrk, API and PostgreSQL share the cores. "
        "Every transfer is authenticated, validated, recorded under its own key and durable before its answer. No "
        "projector runs. The empty POST sends the same body through the same request guard and validation, once "
        "through the command router, like commands, and once through FastAPI's machinery, for comparison.",
        [
            measurement(kind, {"connections": connections}, "requests/s", repeated)
            for (kind, connections), repeated in samples.items()
        ],
        checked=[*checked, "no request refused, no connection broken"],
    )
    transfer, empty, plain = (result.of(kind, connections=EXPECTED_AT) for kind in (TRANSFER, EMPTY, PLAIN))
    result.comparisons.append(Comparison(f"transfers a second at {EXPECTED_AT} connections", transfer.median, 3_000))
    assert transfer.latency is not None
    result.comparisons.append(
        Comparison(f"transfers at {EXPECTED_AT} connections: p99 in ms", transfer.latency.p99, at_most=50)
    )
    result.comparisons.append(
        Comparison("transfers ÷ empty validated POST", round(transfer.median / empty.median, 2), 0.5)
    )
    result.comparisons.append(Comparison(f"transfers ÷ {PLAIN}", round(transfer.median / plain.median, 2)))
    return result
