"""Compares the event store with the stock recorder of the `eventsourcing` library. Each command has one event of 200
bytes.

Daybook does more work: every command has its own key, which is looked up and recorded with its answer, and positions
are dense. The stock recorder runs on the same server, with a connection for each of its threads. It is measured by
default and with its database functions. Daybook is compared with its best figure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn
from uuid import uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from bench.harness import oracle
from bench.harness.load import Sample, coroutine_callers, percentiles, thread_callers
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import FLUSHES, Database, Flush, Server
from bench.harness.settings import Settings
from domain.kernel import Accepted, Event
from eventstore.executor.asynchronous import AsyncExecutor
from eventstore.executor.decided_commands import Submission
from eventstore.executor.executor import Executor
from eventstore.log.answers import Answer, Codes, Outcome
from eventstore.postgres.connect import connect
from workers.clock_and_ids import new_id

CALLERS = (1, 16, 64)
EXPECTED: dict[Flush, float] = {"disk": 6.0, "1 ms": 10.0}
"""The expected ratio to the stock recorder's best, at 64 callers."""
BODY = b'{"filler":"' + b"x" * 187 + b'"}'
METADATA = b'{"actor":{"how":"token","id":"bench"}}'
CODES = Codes(accepted=201, refused=422, expectation_failed=409)
HASH = hashlib.sha256(BODY).digest()
COROUTINES, THREADS = "Daybook, callers as coroutines", "Daybook, callers as threads"
STOCK, STOCK_FUNCTIONS = "stock recorder", "stock recorder, database functions"

Measure = Callable[[int, float, float], Sample]
"""Measures with a number of callers, seconds of warm-up, and seconds to measure."""


@dataclass(frozen=True, slots=True)
class Append:
    """A command that is always accepted."""

    streams = ()


class _Codec:
    def encode_all(
        self, events: Iterable[Event], commuting: Sequence[bool] | None = None, *, dry_run: bool = False
    ) -> tuple[list[str], list[bytes]]:
        count = len(list(events))
        return ["bench.appended.v1"] * count, [BODY] * count

    def forget_keys(self) -> None:
        pass

    def decode_many(self, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Event]:
        return [Event(stream, version) for _, _, stream, version in stored]


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Measure every system, flush and number of callers in turn, in each repetition."""
    samples: dict[tuple[str, str, int], list[Sample]] = {}
    with server.database() as ours, server.database(migrated=False) as theirs, _executor(ours) as executor:
        systems: dict[str, Measure] = {
            COROUTINES: partial(_measure_coroutines, executor),
            THREADS: partial(thread_callers, partial(_append, executor)),
            STOCK: partial(_measure_stock, theirs, "stock", False),
            STOCK_FUNCTIONS: partial(_measure_stock, theirs, "stock_functions", True),
        }
        for _ in range(settings.repetitions):
            for flush in FLUSHES:
                server.flush(flush)
                for callers in CALLERS:
                    for name, measure in systems.items():
                        sample = measure(callers, settings.warm_up, settings.seconds)
                        samples.setdefault((name, flush, callers), []).append(sample)
        server.flush("disk")
        checked = oracle.check(ours.url, _answered(samples, COROUTINES, THREADS))
        for name, table in ((STOCK, "stock"), (STOCK_FUNCTIONS, "stock_functions")):
            _check_stock(theirs.url, table, _answered(samples, name))
    result = ScenarioResult(
        "store",
        "Appends at the store, beside the stock recorder",
        "Each command appends one event of 200 bytes on a new stream, in a closed loop. Daybook's commands go through "
        "the executor, which records each one under its key. The stock recorder inserts one event in each call, and "
        "each of its threads has a connection.",
        [
            Measurement(
                name,
                {"flush": flush, "callers": callers},
                "appends/s",
                [round(sample.rate, 1) for sample in repeated],
                percentiles(sample.latencies_us for sample in repeated),
            )
            for (name, flush, callers), repeated in sorted(samples.items(), key=_order)
        ],
        checked=[*checked, "events of the stock recorder equal its answers"],
    )
    result.comparisons.extend(_compare(result))
    return result


def _order(item: tuple[tuple[str, str, int], object]) -> tuple[int, int, int]:
    name, flush, callers = item[0]
    return FLUSHES.index(flush), (COROUTINES, THREADS, STOCK, STOCK_FUNCTIONS).index(name), callers


def _compare(result: ScenarioResult) -> Iterator[Comparison]:
    for flush in FLUSHES:
        for stock in (STOCK, STOCK_FUNCTIONS):
            best = max(result.of(stock, flush=flush, callers=callers).median for callers in CALLERS)
            for name in (COROUTINES, THREADS):
                ours = result.of(name, flush=flush, callers=64).median
                what = f"{name}, 64 of them ÷ best of the {stock} at any number of threads, flush: {flush}"
                yield Comparison(what, round(ours / best, 2), EXPECTED[flush] if name == COROUTINES else None)


@contextmanager
def _executor(database: Database) -> Iterator[Executor]:
    with connect(database.api_url, application_name="bench") as connection:
        connection.execute("SELECT log.create_log('main')")
    with Executor(
        lambda: connect(database.api_url, application_name="bench-executor"),
        "main",
        _Codec(),
        _decide,
        lambda state, event: event,
        _no_refusal,
        transient_prefixes=("bench_",),
    ) as executor:
        yield executor


def _no_refusal(*refused: object) -> NoReturn:
    raise AssertionError(f"nothing is refused here: {refused}")


def _decide(command: Append, states: Mapping[str, Any], stream: str) -> Accepted:
    return Accepted((Event(stream, 1),), {})


def _submission() -> Submission:
    key = new_id("key")
    return Submission(
        command=Append(),
        actor="bench",
        key=key,
        request_hash=HASH,
        metadata=METADATA,
        context=f"bench_{key}",
        codes=CODES,
    )


def _measure_coroutines(executor: Executor, callers: int, warm_up: float, seconds: float) -> Sample:
    commands = AsyncExecutor(executor)  # an instance belongs to one event loop

    async def ask() -> None:
        _accepted(await commands.execute(_submission()))

    return coroutine_callers(ask, callers, warm_up, seconds)


def _append(executor: Executor) -> None:
    _accepted(executor.execute([_submission()])[0])


def _accepted(answer: Answer) -> None:
    assert answer.outcome is Outcome.ACCEPTED, answer


def _measure_stock(
    database: Database, table: str, functions: bool, callers: int, warm_up: float, seconds: float
) -> Sample:
    where = conninfo_to_dict(database.url)
    datastore = PostgresDatastore(
        str(where["dbname"]),
        str(where["host"]),
        str(where["port"]),
        str(where["user"]),
        "",
        pool_size=callers,
        connect_timeout=30,
        enable_db_functions=functions,
    )
    try:
        recorder = PostgresApplicationRecorder(datastore, events_table_name=table)
        recorder.create_table()
        datastore.pool.wait(30)

        def insert() -> None:
            recorder.insert_events([StoredEvent(uuid4(), 1, "bench:Appended", BODY)])

        return thread_callers(insert, callers, warm_up, seconds)
    finally:
        datastore.close()


def _answered(samples: Mapping[tuple[str, str, int], list[Sample]], *names: str) -> int:
    return sum(sample.answered for (name, _, _), repeated in samples.items() if name in names for sample in repeated)


def _check_stock(url: str, table: str, answered: int) -> None:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    if row != (answered,):
        raise oracle.WrongError(f"{table} holds {row} events and {answered} were answered")
