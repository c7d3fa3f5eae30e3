"""Where the figures come from. A source is a function that reads the figures of one thing; it is called by a scrape.

A source copies numbers that are counted anyway, so it holds no lock of a command and cannot slow one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from psycopg_pool import ConnectionPool

from api.gateway.access_log import REFUSED
from api.gateway.problems import PROBLEMS
from domain.registry import MANAGERS
from eventstore.executor.executor import Executor
from eventstore.executor.statistics import OUTCOMES, TURNED_AWAY
from eventstore.histogram import Histogram
from eventstore.log.answers import Outcome
from eventstore.reads.recorder import Statistics
from projections.engine.lag import Lag
from projections.engine.pages import PageDone
from projections.people.mails import OpenMails
from projections.processes.work import OPEN, Counts
from projections.webhooks.webhooks import Behind
from workers.metrics import catalogue
from workers.metrics.catalogue import Metric
from workers.proof.asking import REASONS
from workers.proof.asking import Counts as AskCounts
from workers.proof.sealer import Counts as SealCounts
from workers.webhooks.worker import Counts as DeliveryCounts

REFUSALS: Final = (*(code for code, (status, _) in PROBLEMS.items() if status in REFUSED), "wrong_tokens")
"""The codes of refused access."""
OTHER_RULE: Final = "other"
PAGE_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Sample(NamedTuple):
    """A figure. `labels` are the values of the metric's labels, in their order."""

    metric: Metric
    value: float | Histogram
    labels: tuple[str, ...] = ()


Source = Callable[[], Iterable[Sample]]
"""Returns the figures as they are now. It may take a bounded time, and does not raise."""


def of_executor(executor: Executor, rules: Collection[str]) -> Source:
    """The figures of an executor. `rules` are the codes that may be values of a label."""

    def read() -> Iterator[Sample]:
        done = executor.statistics
        for labels, number in _commands(done.answers.by_outcome(), rules).items():
            yield Sample(catalogue.COMMANDS, number, labels)
        for reason in TURNED_AWAY:
            yield Sample(catalogue.TURNED_AWAY, done.turned_away[reason], (reason,))
        yield Sample(catalogue.QUEUE, executor.waiting)
        yield Sample(catalogue.QUEUE_LIMIT, executor.queue_limit)
        yield Sample(catalogue.GROUP_COMMANDS, done.group_sizes)
        yield Sample(catalogue.APPEND_SECONDS, done.append_seconds)
        yield Sample(catalogue.EVENTS, done.events)
        yield Sample(catalogue.CONFLICTS, done.conflicts)
        yield Sample(catalogue.LOCKED_GROUPS, done.locked_groups)
        yield Sample(catalogue.DISCARDED_GROUPS, done.discarded)
        yield Sample(catalogue.RECONNECTS, done.reconnects)

    return read


def _commands(counted: Mapping[tuple[str, str | None], int], rules: Collection[str]) -> dict[tuple[str, str], int]:
    """The number of commands by outcome and rule. All of them are there from the start, so that each growth is seen."""
    refused = Outcome.REFUSED.name.lower()
    shown = {(outcome, ""): 0 for outcome in OUTCOMES if outcome != refused}
    shown |= {(refused, rule): 0 for rule in (*rules, OTHER_RULE)}
    for (outcome, rule), number in counted.items():
        known = "" if rule is None else rule if rule in rules else OTHER_RULE
        shown[outcome, known] += number
    return shown


def of_refusals(refusals: Counter[str]) -> Source:
    """Refused accesses by the code of the problem."""
    return lambda: [Sample(catalogue.ACCESS_REFUSALS, refusals[code], (code,)) for code in REFUSALS]


def of_pools(pools: Mapping[str, ConnectionPool[Any]]) -> Source:
    """The figures of pools of connections, by their names."""

    def read() -> Iterator[Sample]:
        for name, pool in pools.items():
            found = pool.get_stats()  # it has no entry for what has not happened yet
            for metric, figure in _OF_POOL.items():
                yield Sample(metric, found.get(figure, 0), (name,))
            yield Sample(catalogue.POOL_WAIT_SECONDS, found.get("requests_wait_ms", 0) / 1000, (name,))

    return read


_OF_POOL: Final = {
    catalogue.POOL_CONNECTIONS: "pool_size",
    catalogue.POOL_IDLE: "pool_available",
    catalogue.POOL_LIMIT: "pool_max",
    catalogue.POOL_WAITING: "requests_waiting",
    catalogue.POOL_REQUESTS: "requests_num",
    catalogue.POOL_ERRORS: "requests_errors",
}


def of_recorder(statistics: Callable[[], Statistics]) -> Source:
    """The figures of the recorder of reads."""

    def read() -> Iterator[Sample]:
        done = statistics()
        yield Sample(catalogue.RECORDED_READS, done.written)
        yield Sample(catalogue.LOST_READS, done.lost)
        yield Sample(catalogue.WAITING_READS, done.waiting)

    return read


def of_lag(read_lag: Callable[[], Lag | None]) -> Source:
    """The lag of projections. None from `read_lag`: the database did not answer, and the lag is not known."""

    def read() -> Iterator[Sample]:
        found = read_lag()
        yield Sample(catalogue.DATABASE_UP, int(found is not None))
        if found is None:
            return
        yield Sample(catalogue.LOG_POSITION, found.head)
        for one in found.projections:
            labels = (one.projection,)
            yield Sample(catalogue.PROJECTION_POSITION, one.position, labels)
            yield Sample(catalogue.LAG_EVENTS, one.events, labels)
            yield Sample(catalogue.LAG_SECONDS, one.seconds, labels)
            yield Sample(catalogue.STOPPED, int(one.stopped is not None), labels)
        for topic in found.publications:
            labels = (topic.topic,)
            yield Sample(catalogue.PUBLISHED_POSITION, topic.position, labels)
            yield Sample(catalogue.PUBLISHED_LAG_EVENTS, topic.events, labels)
            yield Sample(catalogue.PUBLISHED_LAG_SECONDS, topic.seconds, labels)
            yield Sample(catalogue.PUBLISHED_WAITING, int(topic.waiting is not None), labels)

    return read


class Open(NamedTuple):
    """What is not done: processes, and mails."""

    processes: Counts
    mails: OpenMails


def of_processes(read_open: Callable[[], Open | None]) -> Source:
    """The figures of what is not done. None from `read_open`: the database did not answer, and they are not known."""

    def read() -> Iterator[Sample]:
        both = read_open()
        yield Sample(catalogue.PROCESSES_KNOWN, int(both is not None))
        if both is None:
            return
        found, mails = both
        open_ones = {(one.manager, one.status): one.processes for one in found.processes}
        for manager in MANAGERS:
            for status in OPEN:
                labels = (manager.name, status)
                yield Sample(catalogue.OPEN_PROCESSES, open_ones.get(labels, 0), labels)
        yield Sample(catalogue.TIMERS, found.timers)
        yield Sample(catalogue.TIMERS_DUE, found.timers_due)
        yield Sample(catalogue.TIMERS_LATE_SECONDS, found.late_seconds)
        yield Sample(catalogue.OPEN_MAILS, mails.waiting, ("waiting",))
        yield Sample(catalogue.OPEN_MAILS, mails.failed, ("failed",))
        yield Sample(catalogue.MAILS_LATE_SECONDS, mails.late_seconds)

    return read


def of_sealer(counts: SealCounts) -> Source:
    """The figures of a sealer. Before its first look it does not know how far tree and log are."""

    def read() -> Iterator[Sample]:
        yield Sample(catalogue.SEALED_EVENTS, counts.sealed)
        yield Sample(catalogue.CHECKPOINTS, counts.signed)
        yield Sample(catalogue.SEALER_READY, int(counts.size is not None))
        if counts.size is not None:
            yield Sample(catalogue.SEALED_POSITION, counts.size)
            yield Sample(catalogue.SEALED_HEADS_POSITION, counts.heads)
            yield Sample(catalogue.SEAL_LAG_EVENTS, counts.head - counts.size)

    return read


def of_asker(counts: Sequence[AskCounts]) -> Source:
    """The figures of what asks witnesses."""

    def read() -> Iterator[Sample]:
        for one in counts:
            size, at = one.size, one.at
            if size is not None and at is not None:
                yield Sample(catalogue.WITNESSED_POSITION, size, (one.name,))
                yield Sample(catalogue.WITNESSED_TIME, at.timestamp(), (one.name,))
            for reason in REASONS:
                yield Sample(catalogue.WITNESS_FAILURES, one.failures[reason], (one.name, reason))

    return read


def of_webhooks(counts: DeliveryCounts, read_behind: Callable[[], Behind | None]) -> Source:
    """The figures of webhooks. None from `read_behind`: the database did not answer, and they are not known."""

    def read() -> Iterator[Sample]:
        yield Sample(catalogue.DELIVERIES, counts.taken, ("taken",))
        yield Sample(catalogue.DELIVERIES, counts.failed, ("failed",))
        found = read_behind()
        yield Sample(catalogue.WEBHOOKS_KNOWN, int(found is not None))
        if found is None:
            return
        yield Sample(catalogue.WEBHOOKS_BY_STATUS, found.active, ("active",))
        yield Sample(catalogue.WEBHOOKS_BY_STATUS, found.disabled, ("disabled",))
        yield Sample(catalogue.FAILING_WEBHOOKS, found.failing)
        yield Sample(catalogue.WEBHOOK_LAG_EVENTS, found.events)

    return read


class Folding:
    """Counts the pages of a projector, on its thread."""

    def __init__(self, projections: Iterable[str]) -> None:
        self._seconds = Histogram(PAGE_SECONDS)
        self._events = dict.fromkeys(projections, 0)

    def page(self, done: PageDone) -> None:
        """Count a page."""
        self._seconds.add((done.ended_ns - done.begun_ns) / 1e9)
        for projection, events in done.events.items():
            self._events[projection] += events

    def read(self) -> Iterator[Sample]:
        """The figures, as a `Source`."""
        yield Sample(catalogue.PAGE_SECONDS, self._seconds)
        for projection, events in self._events.items():
            yield Sample(catalogue.FOLDED_EVENTS, events, (projection,))


class TopicCounts:
    """Counts the records of topics of commands."""

    def __init__(self) -> None:
        self.answered = 0
        self.left_out = 0

    def read(self) -> Iterator[Sample]:
        """The figures, as a `Source`."""
        yield Sample(catalogue.TOPIC_RECORDS, self.answered, ("answered",))
        yield Sample(catalogue.TOPIC_RECORDS, self.left_out, ("left_out",))
