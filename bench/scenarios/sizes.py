"""Compares long logs with short ones: commands, folding, start-up, and the memory of the API."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import ceil
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

import orjson
from psycopg import Connection

from bench.harness import history, oracle
from bench.harness.ledger import LOG, Ledger, codec_of, running_ledger, transfer, transfers
from bench.harness.load import percentiles
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Database, Server
from bench.harness.service import Service, running_service
from bench.harness.settings import Settings
from bench.harness.tables import empty_read_tables
from eventstore.executor.decided_commands import Submission
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.engine.runner import Runner
from projections.engine.tables import begin
from projections.registry import PROJECTIONS
from workers.clock_and_ids import new_id
from workers.tuning import tune_for_commands, tune_for_folding

DRAWN = 2_000
"""Most accounts in the commands of a repetition. The number is the same on every log. No account is drawn in two
repetitions, because its stream would be longer the second time."""
ALONE_OF = 20
"""The number of transfers in batches for each transfer that is made alone."""
PARTS = 5
"""Measurements to be compared are made in parts, one on each log in turn: commands within the same seconds, folds
within the same minute. The longest logs are folded in parts, the shorter ones completely in each turn."""
TOUCHED = 200_000
"""Accounts that the API sees. This is twice the number of states that it caches."""
LOOKS = 4
"""How often the memory of the API is measured during that."""
BATCH = 5_000

COLD, WARM, ALONE = "batch, accounts met for the first time", "batch, accounts met before", "one at a time"
FOLD, PART, START, MEMORY = "fold", "fold, part of the longest log", "start to ready", "API memory"
OF_NEWEST = " with the middle one's accounts in use"
"""One more log of the greatest length. Only its newest accounts take part in transfers, as many as on the middle log on
average. It shows the cost of a longer log without more accounts in use."""


@dataclass
class _Log:
    """A log of one length, and what was measured on it."""

    database: Database
    accounts: list[str]
    events: int  # number of loaded events
    answered: int  # number of accepted commands, with those of the history
    commands: dict[str, list[float]] = field(default_factory=dict)  # commands a second, by kind
    alone_us: list[list[int]] = field(default_factory=list)
    folds: list[tuple[int, float]] = field(default_factory=list)  # events and seconds of each turn
    starts: list[float] = field(default_factory=list)
    memory: dict[int, float] = field(default_factory=dict)  # MiB by number of accounts seen


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Measure commands and folds on every log in turn, and then the start and the memory of one log after the other."""
    sizes = (1, 2, 5) if settings.quick else (100, 1_000, 5_000)
    random = Random(settings.seed)
    with ExitStack() as stack:
        logs = []
        for blocks in sizes:
            database = stack.enter_context(server.database())
            loaded = history.load(database, blocks, random)
            logs.append(_Log(database, loaded.accounts, loaded.events, loaded.commands))
        drawn = min(DRAWN, len(logs[0].accounts) // settings.repetitions) // 2 * 2
        for log in logs:
            random.shuffle(log.accounts)
        for repetition in range(settings.repetitions):
            server.execute("CHECKPOINT")
            chosen = [log.accounts[repetition * drawn : (repetition + 1) * drawn] for log in logs]
            _measure_commands(logs, chosen, settings, random)
        in_use = len(logs[1].accounts) // 2
        database = stack.enter_context(server.database())
        loaded = history.load(database, sizes[-1], random, in_use)
        of_newest = _Log(database, loaded.accounts, loaded.events, loaded.commands)
        _measure_folds([*logs, of_newest])
        for repetition in range(settings.repetitions):
            for log in logs:
                with running_service(log.database) as service:
                    log.starts.append(round(service.ready_after, 3))
                    if log is logs[-1] and repetition == settings.repetitions - 1:
                        _measure_memory(log, service)
        checked = [oracle.check(log.database.url, log.answered) for log in (*logs, of_newest)][-1]
    result = ScenarioResult(
        "sizes",
        "Short and long logs",
        f"Logs of {', '.join(f'{log.events:,}' for log in logs)} events. COPY fills them with the rows that the "
        f"service would have written: an account with a deposit for every twenty events, and transfers between all "
        f"accounts. One more log has transfers only between the newest {in_use:,} accounts, as many as the middle log "
        f"has on average. Commands: in process, between {drawn:,} random accounts, which are not in the executor's "
        f"cache, in {PARTS} parts, each on every log in turn. Fold: all projections from position 0, in one worker "
        f"that reads ahead; each of {PARTS} turns folds the shorter logs from their beginning and the next part of "
        f"the longest ones. Start: from the start of the process until it is ready. Memory: resident, after transfers "
        f"over HTTP between accounts that are all different.",
        list(_measurements(logs, of_newest)),
        checked=[*checked, "every checkpoint at the head"],
    )
    result.comparisons.extend(_compare(result, logs, of_newest))
    return result


def _measure_commands(logs: Sequence[_Log], drawn: Sequence[Sequence[str]], settings: Settings, random: Random) -> None:
    """Measure each kind in parts, on every log in turn, so that compared figures are measured within seconds."""
    with ExitStack() as stack:
        ledgers = [stack.enter_context(running_ledger(log.database)) for log in logs]
        for kind in (COLD, WARM, ALONE):
            made = [_made(kind, accounts, settings, random) for accounts in drawn]
            for part in range(PARTS):
                for log, ledger, submissions in zip(logs, ledgers, made, strict=True):
                    _rate(log, ledger, kind, submissions[part::PARTS])
        for log, ledger in zip(logs, ledgers, strict=True):
            log.answered += ledger.answered


def _made(kind: str, drawn: Sequence[str], settings: Settings, random: Random) -> list[Submission]:
    if kind == COLD:
        return [transfer(source, target, random) for source, target in zip(drawn[::2], drawn[1::2], strict=True)]
    return transfers(drawn, settings.transfers if kind == WARM else settings.transfers // ALONE_OF, random)


def _rate(log: _Log, ledger: Ledger, kind: str, submissions: Sequence[Submission]) -> None:
    tune_for_commands()  # as the API does; it also excludes these submissions from the collector
    began = perf_counter()
    if kind == ALONE:
        latencies = []
        for submission in submissions:
            asked = perf_counter()
            ledger.execute([submission])
            latencies.append(round((perf_counter() - asked) * 1e6))
        log.alone_us.append(latencies)
    else:
        ledger.execute(submissions)
    log.commands.setdefault(kind, []).append(round(len(submissions) / (perf_counter() - began), 1))


def _measure_folds(logs: Sequence[_Log]) -> None:
    """Measure in turns. A turn folds a part of the longest logs, and each other log completely."""
    longest = max(log.events for log in logs)
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(log)) for log in logs]
        for turn in range(1, PARTS + 1):
            for log, worker in zip(logs, workers, strict=True):
                if log.events < longest and turn > 1:
                    empty_read_tables(log.database, LOG)
                    worker.runner.load()
                last = turn == PARTS or log.events < longest
                _fold(log, worker, worker.head if last else worker.head * turn // PARTS)


class _Worker(NamedTuple):
    connection: Connection[Any]
    runner: Runner
    head: int


@contextmanager
def _worker(log: _Log) -> Iterator[_Worker]:
    with (
        connect(log.database.projector_url, application_name="bench-projector") as connection,
        connect(log.database.projector_url, application_name="bench-ahead") as ahead,
    ):
        begin(connection, LOG, PROJECTIONS)
        head = read_head(connection, LOG)
        runner = Runner(connection, LOG, codec_of(log.database, ahead, head.log_number), PROJECTIONS, ahead=ahead)
        yield _Worker(connection, runner, head.position)


def _fold(log: _Log, worker: _Worker, upto: int) -> None:
    """Fold from the current position to this one, or to the end of its unit."""
    tune_for_folding()
    runner = worker.runner
    before = min(runner.positions.values())
    runner.head = upto  # as if the log ended here, so that it does not read ahead during another turn
    began = perf_counter()
    while min(runner.positions.values()) < upto and runner.step():
        pass
    seconds = perf_counter() - began
    (reached,) = set(runner.positions.values())
    if runner.stopped or reached < upto:
        raise oracle.WrongError(f"not all projections reached {upto}: {runner.positions}, {runner.stopped}")
    log.folds.append((reached - before, seconds))


def _measure_memory(log: _Log, service: Service) -> None:
    pairs = list(zip(log.accounts[:TOUCHED:2], log.accounts[1:TOUCHED:2], strict=False))
    step = ceil(len(pairs) / LOOKS)
    log.memory[0] = round(service.resident_mib(), 1)
    for start in range(0, len(pairs), step):
        part = pairs[start : start + step]
        for batch in range(0, len(part), BATCH):
            log.answered += _send(service, part[batch : batch + BATCH])
        log.memory[2 * (start + len(part))] = round(service.resident_mib(), 1)


def _send(service: Service, pairs: Sequence[tuple[str, str]]) -> int:
    """Send transfers between these accounts in one request. Returns their number. Raises `RuntimeError`."""
    lines = [
        orjson.dumps(
            {
                "key": new_id("key"),
                "path": "/v1/transfers",
                "body": {"source": source, "target": target, "amount": "0.01", "currency": "EUR"},
            }
        )
        for source, target in pairs
    ]
    connection = http.client.HTTPConnection(service.host)
    connection.request("POST", "/v1/batches", b"\n".join(lines), {"Content-Type": "application/x-ndjson"})
    response = connection.getresponse()
    answers = response.read()
    connection.close()
    if response.status != 200 or answers.count(b'"status":201') != len(pairs):
        raise RuntimeError(f"{response.status}: not all of {len(pairs)} transfers were accepted: {answers[:500]!r}")
    return len(pairs)


def rates_of(folds: Sequence[tuple[int, float]]) -> list[float]:
    """Events a second of each turn."""
    return [round(events / seconds, 1) for events, seconds in folds]


def overall(folds: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """The events and seconds of all turns together."""
    return sum(events for events, _ in folds), sum(seconds for _, seconds in folds)


def _measurements(logs: Sequence[_Log], of_newest: _Log) -> Iterator[Measurement]:
    for log in logs:
        for kind, rates in log.commands.items():
            latency = percentiles(log.alone_us) if kind == ALONE else None
            yield Measurement(kind, {"events": log.events}, "a second", rates, latency)
    longest = logs[-1]
    for log in logs[:-1]:
        yield Measurement(FOLD, {"events": log.events}, "events/s", rates_of(log.folds))
    for name, log in (("", longest), (OF_NEWEST, of_newest)):
        yield Measurement(FOLD + name, {"events": log.events}, "events/s", rates_of([overall(log.folds)]))
        for part, rate in enumerate(rates_of(log.folds), 1):
            yield Measurement(PART + name, {"events": log.events, "at": f"part {part} of {PARTS}"}, "events/s", [rate])
    for log in logs:
        yield Measurement(START, {"events": log.events}, "s", log.starts)
    for accounts, mib in longest.memory.items():
        yield Measurement(MEMORY, {"events": longest.events, "at": f"{accounts} accounts seen"}, "MiB", [mib])


def _compare(result: ScenarioResult, logs: Sequence[_Log], of_newest: _Log) -> Iterator[Comparison]:
    short, long = logs[0].events, logs[-1].events
    for kind in (COLD, WARM, ALONE):
        slowdown = result.of(kind, events=short).median / result.of(kind, events=long).median
        name = f"cost of a command on the longest log ÷ on the shortest: {kind}"
        yield Comparison(name, round(slowdown, 2), at_most=1.2)
    middle_one = logs[1].folds
    for log, name in ((logs[-1], ""), (of_newest, OF_NEWEST)):
        fold = result.of(FOLD + name, events=log.events).median
        yield Comparison(f"events a second folded, longest log{name}", fold, 50_000)
        for what, longer, beside in (
            (f"longest log{name} ÷ middle one", overall(log.folds), overall(middle_one)),
            (f"last part of the longest log{name} ÷ middle one in the same turn", log.folds[-1], middle_one[-1]),
        ):
            ratio = rates_of([longer])[0] / rates_of([beside])[0]
            yield Comparison(f"events a second folded, {what}", round(ratio, 2), 0.9)
    yield Comparison("seconds from start to ready, longest log", result.of(START, events=long).median, at_most=3.0)
    seen = sorted(logs[-1].memory)
    growth = logs[-1].memory[seen[-1]] / logs[-1].memory[seen[len(seen) // 2]]
    name = f"API memory with {seen[-1]:,} accounts seen ÷ with {seen[len(seen) // 2]:,}"
    yield Comparison(name, round(growth, 2), at_most=1.1)
