"""Closed-loop load: each caller sends the next request after an answer. Percentiles come from HDR histograms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Barrier, Thread
from time import perf_counter, perf_counter_ns

import uvloop
from hdrh.histogram import HdrHistogram

from bench.harness.result import Latency, Measurement

LONGEST_US = 120_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """The result of one repetition. `answered` includes the warm-up, but `latencies_us` and `seconds` do not.

    `commands` counts the commands that were sent, for a load with reads.
    """

    answered: int
    seconds: float
    latencies_us: list[int]
    commands: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_us) / self.seconds


def measurement(subject: str, parameters: dict[str, str | int], unit: str, samples: Sequence[Sample]) -> Measurement:
    """The measurement of repetitions that have no warm-up, so every answer counts."""
    rates = [round(sample.answered / sample.seconds, 1) for sample in samples]
    return Measurement(subject, parameters, unit, rates, percentiles(sample.latencies_us for sample in samples))


def percentiles(samples: Iterable[Sequence[int]]) -> Latency:
    """The percentiles of all these latencies together. Takes microseconds."""
    histogram = HdrHistogram(1, LONGEST_US, 3)
    for latencies in samples:
        for latency in latencies:
            histogram.record_value(max(1, latency))
    at = histogram.get_value_at_percentile
    p50, p90, p99, p999, highest = (at(percent) / 1000 for percent in (50, 90, 99, 99.9, 100))
    return Latency(p50, p90, p99, p999, highest)


def coroutine_callers(ask: Callable[[], Awaitable[None]], callers: int, warm_up: float, seconds: float) -> Sample:
    """Run callers as coroutines of one event loop, as the API does."""

    async def run() -> Sample:
        counts = _Counts(perf_counter() + warm_up, seconds)

        async def caller() -> None:
            while (began := perf_counter_ns()) < counts.end_ns:
                await ask()
                counts.add(began, perf_counter_ns())

        await asyncio.gather(*(caller() for _ in range(callers)))
        return counts.sample()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def thread_callers(ask: Callable[[], object], callers: int, warm_up: float, seconds: float) -> Sample:
    """Run callers as threads, for a blocking function."""
    every: list[_Counts] = []
    failures: list[BaseException] = []
    together = Barrier(callers + 1)

    def caller() -> None:
        together.wait()
        counts = _Counts(perf_counter() + warm_up, seconds)
        every.append(counts)
        try:
            while (began := perf_counter_ns()) < counts.end_ns:
                ask()
                counts.add(began, perf_counter_ns())
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=caller, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    together.wait()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return Sample(
        sum(counts.answered for counts in every), seconds, [latency for counts in every for latency in counts.latencies]
    )


class _Counts:
    """Counts answers. Latencies are only of the measured time, not of the warm-up or after the end."""

    def __init__(self, begin: float, seconds: float) -> None:
        self.begin_ns = int(begin * 1e9)
        self.end_ns = int((begin + seconds) * 1e9)
        self.answered = 0
        self.latencies: list[int] = []
        self._seconds = seconds

    def add(self, began_ns: int, ended_ns: int) -> None:
        self.answered += 1
        if self.begin_ns <= ended_ns < self.end_ns:
            self.latencies.append((ended_ns - began_ns) // 1000)

    def sample(self) -> Sample:
        return Sample(self.answered, self._seconds, self.latencies)
