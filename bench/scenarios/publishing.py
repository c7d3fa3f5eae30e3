"""Measures publishing to Kafka while commands come: the lag at half of the capacity, and both rates in bulk."""

from __future__ import annotations

from contextlib import ExitStack
from time import perf_counter

import psycopg

from bench.harness import bulk_client, open_loop, oracle, wrk
from bench.harness.bulk_client import Plan
from bench.harness.load import Sample, measurement, percentiles
from bench.harness.open_loop import CLOSED, CONNECTIONS, HALF
from bench.harness.projector_process import PUBLISHED, running_publisher, wait_until_caught_up, watched_head
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Database, Server
from bench.harness.serving import serving
from bench.harness.settings import Settings
from workers.kafka.broker import Broker
from workers.ports import free_port

AT_MOST_MS = 1_000.0
"""The lag that is asked for at half of the rate of transfers."""
SIZE, BATCHES = 5_000, 6
"""Of the transfers in bulk, in a repetition."""
_POSITIONS = "SELECT l.position, p.position FROM log.logs l JOIN log.publications p USING (log)"


def run(settings: Settings, server: Server) -> ScenarioResult:
    """In each repetition: transfers without a publisher, with one, at half of that, and batches with and without."""
    alone: list[Sample] = []
    beside: list[Sample] = []
    half: list[Sample] = []
    lags: list[list[int]] = []
    bulk_alone: list[Sample] = []
    bulk_beside: list[Sample] = []
    published: list[float] = []
    behind: list[int] = []
    size, batches = (500, 2) if settings.quick else (SIZE, BATCHES)
    with ExitStack() as opened:
        database = opened.enter_context(server.database())
        broker = opened.enter_context(Broker(server.folder / "publishing-kafka", port=free_port()))
        address, file, answered = opened.enter_context(serving(database, server.folder, settings))

        def transfers(name: str, seconds: float) -> tuple[Sample, wrk.Load]:
            load = wrk.Load(address, CONNECTIONS, file, "/v1/transfers", name, settings.seed)
            return wrk.run(load, seconds), load

        def in_bulk(name: str) -> Sample:
            return bulk_client.run(Plan(address, str(file), name, settings.seed, 2, batches, size, lines=True))

        for repetition in range(-1, settings.repetitions):  # the first is a warm-up
            kept = repetition >= 0
            seconds = 2 * settings.seconds if kept else 1
            capacity, _ = transfers(f"alone-{repetition}", seconds)
            batches_alone = in_bulk(f"bulk-alone-{repetition}")
            with running_publisher(database, broker.address):
                with_publisher, load = transfers(f"beside-{repetition}", seconds)
                wait_until_caught_up(database, PUBLISHED)
                with watched_head(database, PUBLISHED) as lag:
                    at_half = open_loop.run(open_loop.half_of(with_publisher, load, seconds))[open_loop.COMMAND]
                _, before = _positions(database)
                batches_beside = in_bulk(f"bulk-beside-{repetition}")
                answered_at, (head, position) = perf_counter(), _positions(database)
                wait_until_caught_up(database, PUBLISHED)
                rate = (head - before) / (batches_beside.seconds + perf_counter() - answered_at)
            answered += sum(one.answered for one in (capacity, batches_alone, with_publisher, at_half, batches_beside))
            if kept:
                alone.append(capacity)
                beside.append(with_publisher)
                half.append(at_half)
                lags.append(lag)
                bulk_alone.append(batches_alone)
                bulk_beside.append(batches_beside)
                published.append(round(rate, 1))
                behind.append(head - position)
        checked = oracle.check(database.url, answered, unanswered=2 * CONNECTIONS * (settings.repetitions + 1))
    at_half_rate = measurement("transfers, publisher beside", {"load": HALF}, "transfers/s", half)
    head_lag = percentiles(lags)
    return ScenarioResult(
        "publishing",
        "Publishing while commands come",
        "Transfers over HTTP to one API process, one a request and in batches, without and with a publisher of the "
        "topic of the log beside it; client, API, publisher, broker and PostgreSQL share the cores. The lag of "
        "publishing is the time from when the head of the log was recorded until Kafka has committed it.",
        [
            measurement("transfers, no publisher", {"load": CLOSED}, "transfers/s", alone),
            measurement("transfers, publisher beside", {"load": CLOSED}, "transfers/s", beside),
            at_half_rate,
            Measurement("lag of publishing", {"load": HALF}, "transfers/s", at_half_rate.rates, head_lag),
            measurement("batches, no publisher", {"size": size}, "transfers/s", bulk_alone),
            measurement("batches, publisher beside", {"size": size}, "transfers/s", bulk_beside),
            Measurement("published from the first batch until all is", {"size": size}, "events/s", published),
            Measurement("not yet published at the last answer", {"size": size}, "events", [float(n) for n in behind]),
        ],
        [Comparison("p99 of the lag at half of the rate, in ms", round(head_lag.p99, 1), at_most=AT_MOST_MS)],
        [*checked, "no request refused, no connection broken"],
    )


def _positions(database: Database) -> tuple[int, int]:
    """The head, and the position that is published."""
    with psycopg.connect(database.url) as connection:
        row = connection.execute(_POSITIONS).fetchone()
    assert row is not None, "a topic is published"
    return int(row[0]), int(row[1])
