"""How much slower a long log is than a short one: commands, folding, start-up, and the memory of the API."""

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
"""Accounts that take part in the commands of a repetition, out of all there are: as many on every log, at most, and
none a second time, which would have a longer stream by then."""
ALONE_OF = 20
"""Of how many transfers in batches as many are made one at a time as one."""
PARTS = 5
"""What is compared is measured in parts, one of each log in turn: commands within the same seconds, folds within the
same minute. The longest logs are folded part by part, the shorter ones all over again between two parts."""
TOUCHED = 200_000
"""Accounts that the API sees: twice what it keeps the states of."""
LOOKS = 4
"""How often its memory is looked at meanwhile."""
BATCH = 5_000

COLD, WARM, ALONE = "batch, accounts met for the first time", "batch, accounts met before", "one at a time"
FOLD, PART, START, MEMORY = "fold", "fold, part of the longest log", "start to ready", "API memory"
OF_NEWEST = " with the middle one's accounts in use"
"""The log on which as many accounts take part in transfers, the newest, as on the middle log in the mean of its
length: what a longer log costs without more of them."""


@dataclass
class _Log:
    """A log of one length, and what was measured on it."""

    database: Database
    accounts: list[str]
    events: int  # that were loaded
    answered: int  # commands, with those of the history
    commands: dict[str, list[float]] = field(default_factory=dict)  # a second
    alone_us: list[list[int]] = field(default_factory=list)
    folds: list[tuple[int, float]] = field(default_factory=list)  # events and seconds, of each turn
    starts: list[float] = field(default_factory=list)
    memory: dict[int, float] = field(default_factory=dict)  # MiB, by accounts seen


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Commands and folds on every log in turn; then the rest, a log at a time."""
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
        f"Logs of {', '.join(f'{log.events:,}' for log in logs)} events, filled by COPY with what the service would "
        f"have written: an account for every twenty events, paid into; transfers between all the accounts there "
        f"are, on one log more between the newest {in_use:,}, as many as the middle log has in the mean. Commands: in "
        f"process, {drawn:,} accounts drawn out of all, by an executor that knows none of them yet, in {PARTS} parts, "
        f"each on every log in turn. Fold: all projections in one worker that reads ahead, from position 0; in each of "
        f"{PARTS} turns the shorter logs from their beginning and the next part of the longest ones. Start: from the "
        f"start of the process until it says that it is ready. Memory: resident, after transfers over HTTP between "
        f"accounts that are all different.",
        list(_measurements(logs, of_newest)),
        checked=[*checked, "every checkpoint at the head"],
    )
    result.comparisons.extend(_compare(result, logs, of_newest))
    return result


def _measure_commands(logs: Sequence[_Log], drawn: Sequence[Sequence[str]], settings: Settings, random: Random) -> None:
    """Of each kind a part on every log in turn, so that what is compared was measured within seconds."""
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
    tune_for_commands()  # as the API does; it also leaves our own commands out
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
    """In turns: a part of the longest logs, all of each other one."""
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
        runner = Runner(connection, LOG, codec_of(log.database, ahead, head.log), PROJECTIONS, ahead=ahead)
        yield _Worker(connection, runner, head.position)


def _fold(log: _Log, worker: _Worker, upto: int) -> None:
    """From where it stands to this position, or the end of its unit."""
    tune_for_folding()
    runner = worker.runner
    before = min(runner.positions.values())
    runner.head = upto  # as if the log ended there: it shall not read ahead into the turn of another
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
    """Transfers between these accounts in one request; every one of them must be accepted."""
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
    """Events a second, from events and seconds."""
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
