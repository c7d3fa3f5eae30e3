"""Measures deposits through several API processes on one log. All of them debit the same cash account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.harness import oracle, processors, wrk
from bench.harness.api_process import running_api
from bench.harness.ledger import keep, running_ledger
from bench.harness.load import Sample, percentiles
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import FLUSHES, Flush, Server
from bench.harness.settings import Settings

PROCESSES = (1, 2, 3)
CONNECTIONS = 96
"""Connections in all, shared equally among any number of processes. They fill the processors of a small machine."""
CONNECTIONS_EACH = 12
"""Connections of each process, if every process has its own clients."""
TOGETHER, OWN = f"{CONNECTIONS} in all", f"{CONNECTIONS_EACH} of each"
PATH = "/v1/accounts/{account}/deposits"
SUBJECT = "deposits"
SHARED, APART = "shared", "apart"
"""`shared`: all processes use the same customers. `apart`: each has its own, so they share only the cash account."""
RISES, FAIR_SHARE = 1.0, 0.5

ARRANGEMENTS = ((TOGETHER, APART), (TOGETHER, SHARED), (OWN, APART))
"""The connections and customers of each arrangement."""

Setting = tuple[Flush, tuple[str, str], int]
"""The flush, the arrangement, and the number of processes."""


class Repetition(NamedTuple):
    """One repetition: a sample of each process, and the busy share of all processors."""

    samples: Sequence[Sample]
    busy: float


Measured = Mapping[Setting, Sequence[Repetition]]


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Measure every setting in turn, in each repetition."""
    measured: dict[Setting, list[Repetition]] = {}
    runs = unanswered = 0
    with server.database() as database:
        with running_ledger(database) as ledger:
            accounts = ledger.open_accounts(settings.accounts)
        files, answered = _files(accounts, server.folder), ledger.answered
        with ExitStack() as stack:
            addresses = [stack.enter_context(running_api(database, server.folder, n)) for n in range(max(PROCESSES))]
            pool = stack.enter_context(ThreadPoolExecutor(max(PROCESSES)))
            for repetition in range(-1, settings.repetitions):  # the first is a warm-up
                for flush, (connections, customers), processes in product(FLUSHES, ARRANGEMENTS, PROCESSES):
                    server.flush(flush)
                    runs += 1
                    each = CONNECTIONS // processes if connections == TOGETHER else CONNECTIONS_EACH
                    unanswered += each * processes
                    loads = [
                        wrk.Load(
                            addresses[number],
                            each,
                            files[customers][number],
                            PATH,
                            f"run-{runs}-{number}",
                            settings.seed + runs * max(PROCESSES) + number,
                        )
                        for number in range(processes)
                    ]
                    seconds = 2 * settings.seconds if repetition >= 0 else 1
                    with processors.watched() as busy:
                        samples = list(pool.map(lambda load, seconds=seconds: wrk.run(load, seconds), loads))
                    answered += sum(sample.answered for sample in samples)
                    if repetition >= 0:
                        setting = flush, (connections, customers), processes
                        measured.setdefault(setting, []).append(Repetition(samples, busy.share))
            server.flush("disk")
        checked = oracle.check(database.url, answered, unanswered=unanswered)
    return ScenarioResult(
        "processes",
        "Several API processes on one log",
        f"Deposits over HTTP, one in each request, all against the same cash account. {CONNECTIONS} connections in a "
        f"closed loop are shared equally among the processes, or each process has {CONNECTIONS_EACH}; there is one wrk "
        "for each process. All programs and PostgreSQL share the cores. Busy: the share of the cores that was used by "
        f"all programs. Apart: each process gets always the same third of {settings.accounts // 2} customers, so the "
        f"processes share only the cash account. Shared: each process gets any of {settings.accounts // 2} other "
        "customers, so its cached states are often out of date. Of each: the median of each process.",
        [_measurement(setting, repeated) for setting, repeated in measured.items()],
        list(_compare(measured)),
        [*checked, "nobody given up: no answer but success, no connection broken"],
    )


def _files(accounts: Sequence[str], folder: Path) -> dict[str, list[Path]]:
    """The files of accounts for each process, by the arrangement of customers. They are the same in all runs."""
    shared, apart = accounts[::2], accounts[1::2]
    return {
        SHARED: [keep(shared, folder, "shared")] * max(PROCESSES),
        APART: [keep(apart[n :: max(PROCESSES)], folder, f"apart-{n}") for n in range(max(PROCESSES))],
    }


def _measurement(setting: Setting, repeated: Sequence[Repetition]) -> Measurement:
    flush, (connections, customers), processes = setting
    by_process = zip(*(one.samples for one in repeated), strict=True)
    each = [f"{median(_rate([sample]) for sample in samples):,.0f}" for samples in by_process]
    return Measurement(
        SUBJECT,
        {
            "flush": flush,
            "connections": connections,
            "customers": customers,
            "processes": processes,
            "of each": ", ".join(each),
            "busy": f"{median(one.busy for one in repeated):.0%}",
        },
        "deposits/s",
        [round(_rate(one.samples), 1) for one in repeated],
        percentiles(sample.latencies_us for one in repeated for sample in one.samples),
    )


def _rate(samples: Sequence[Sample]) -> float:
    return sum(sample.answered / sample.seconds for sample in samples)


def _compare(measured: Measured) -> Iterator[Comparison]:
    for flush, arrangement in product(FLUSHES, ARRANGEMENTS):
        connections, customers = arrangement
        rates = {
            processes: median(_rate(one.samples) for one in measured[flush, arrangement, processes])
            for processes in PROCESSES
        }
        for fewer, more in pairwise(PROCESSES):
            what = f"deposits, {more} processes ÷ {fewer}, connections {connections}, customers {customers}"
            ratio = round(rates[more] / rates[fewer], 2)
            yield Comparison(f"{what}, flush: {flush}", ratio, RISES if customers == APART else None)
    for processes in PROCESSES[1:]:
        least = min(
            processes * _rate([sample]) / _rate(one.samples)
            for (_, _, these), repeated in measured.items()
            if these == processes
            for one in repeated
            for sample in one.samples
        )
        what = f"least of a process ÷ its fair share, {processes} processes, in any repetition"
        yield Comparison(what, round(least, 2), FAIR_SHARE)
