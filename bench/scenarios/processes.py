"""Deposits, all of them against the one cash account, to several API processes on one log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise, product
from pathlib import Path
from statistics import median

from bench.harness import oracle, wrk
from bench.harness.api_process import running_api
from bench.harness.ledger import keep, running_ledger
from bench.harness.load import Sample, percentiles
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import FLUSHES, Flush, Server
from bench.harness.settings import Settings

PROCESSES = (1, 2, 3)
CONNECTIONS = 96
"""Shared alike among the processes, however many there are."""
PATH = "/v1/accounts/{account}/deposits"
SUBJECT = "deposits"
SHARED, APART = "shared", "apart"
CUSTOMERS = (APART, SHARED)
"""Whether each process has customers' accounts of its own, so that they meet at cash only, or all have the same."""
RISES, FAIR_SHARE = 1.0, 0.5

Setting = tuple[Flush, str, int]
"""The flush, whose accounts, and how many processes."""
Measured = Mapping[Setting, Sequence[Sequence[Sample]]]
"""For each repetition a sample of each process."""


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Every setting in turn, again and again."""
    measured: dict[Setting, list[list[Sample]]] = {}
    runs = 0
    with server.database() as database:
        with running_ledger(database) as ledger:
            accounts = ledger.open_accounts(settings.accounts)
        files, answered = _files(accounts, server.folder), ledger.answered
        with ExitStack() as stack:
            addresses = [stack.enter_context(running_api(database, server.folder, n)) for n in range(max(PROCESSES))]
            pool = stack.enter_context(ThreadPoolExecutor(max(PROCESSES)))
            for repetition in range(-1, settings.repetitions):  # the first is a warm-up
                for flush, customers, processes in product(FLUSHES, CUSTOMERS, PROCESSES):
                    server.flush(flush)
                    runs += 1
                    loads = [
                        wrk.Load(
                            addresses[number],
                            CONNECTIONS // processes,
                            files[customers][number],
                            PATH,
                            f"run-{runs}-{number}",
                            settings.seed + runs * max(PROCESSES) + number,
                        )
                        for number in range(processes)
                    ]
                    seconds = 2 * settings.seconds if repetition >= 0 else 1
                    samples = list(pool.map(lambda load, seconds=seconds: wrk.run(load, seconds), loads))
                    answered += sum(sample.answered for sample in samples)
                    if repetition >= 0:
                        measured.setdefault((flush, customers, processes), []).append(samples)
            server.flush("disk")
        checked = oracle.check(database.url, answered, unanswered=CONNECTIONS * runs)
    return ScenarioResult(
        "processes",
        "Several API processes on one log",
        f"Deposits over HTTP, one a request, each against the same cash account. {CONNECTIONS} connections, closed "
        "loop, shared alike among the processes, with one wrk for each; all of them and PostgreSQL share the cores. "
        f"Apart: each process is sent a third of {settings.accounts // 2} customers, always the same, so that they "
        f"meet at cash only. Shared: any process is sent any of {settings.accounts // 2} others, so what it remembers "
        "of one is often out of date. Of each: the median of each process.",
        [_measurement(setting, repeated) for setting, repeated in measured.items()],
        list(_compare(measured)),
        [*checked, "nobody given up: no answer but success, no connection broken"],
    )


def _files(accounts: Sequence[str], folder: Path) -> dict[str, list[Path]]:
    """For each way to share out customers, the file of the accounts that each process is sent: the same in all runs."""
    shared, apart = accounts[::2], accounts[1::2]
    return {
        SHARED: [keep(shared, folder, "shared")] * max(PROCESSES),
        APART: [keep(apart[n :: max(PROCESSES)], folder, f"apart-{n}") for n in range(max(PROCESSES))],
    }


def _measurement(setting: Setting, repeated: Sequence[Sequence[Sample]]) -> Measurement:
    flush, customers, processes = setting
    each = [f"{median(_rate([sample]) for sample in samples):,.0f}" for samples in zip(*repeated, strict=True)]
    return Measurement(
        SUBJECT,
        {
            "flush": flush,
            "customers": customers,
            "processes": processes,
            "of each": ", ".join(each),
        },
        "deposits/s",
        [round(_rate(samples), 1) for samples in repeated],
        percentiles(sample.latencies_us for samples in repeated for sample in samples),
    )


def _rate(samples: Sequence[Sample]) -> float:
    return sum(sample.answered / sample.seconds for sample in samples)


def _compare(measured: Measured) -> Iterator[Comparison]:
    for flush, customers in product(FLUSHES, CUSTOMERS):
        rates = {processes: median(map(_rate, measured[flush, customers, processes])) for processes in PROCESSES}
        for fewer, more in pairwise(PROCESSES):
            what = f"deposits, {more} processes ÷ {fewer}, customers {customers}, flush: {flush}"
            yield Comparison(what, round(rates[more] / rates[fewer], 2), RISES if customers == APART else None)
    for processes in PROCESSES[1:]:
        least = min(
            processes * _rate([sample]) / _rate(samples)
            for (_, _, these), repeated in measured.items()
            if these == processes
            for samples in repeated
            for sample in samples
        )
        what = f"least of a process ÷ its fair share, {processes} processes, in any repetition"
        yield Comparison(what, round(least, 2), FAIR_SHARE)
