"""Metrics: names, labels and values of each figure, the bounds of their port, and a lag that never holds a scrape."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from threading import Event
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import ValidationError

from api.gateway.problems import PROBLEMS
from domain.people.mail import OPEN as OPEN_MAILS
from domain.registry import MANAGERS, RULES
from eventstore.executor.statistics import OUTCOMES, Statistics
from eventstore.log.publications import PublicationLag
from eventstore.reads.recorder import Statistics as Recorded
from projections.engine.lag import Lag, ProjectionLag
from projections.engine.pages import PageDone
from projections.people.mails import OpenMails
from projections.processes.work import OPEN, Counts, ManagerCount
from projections.webhooks.webhooks import Behind
from tests.support.metrics import Scraped, free_ports, parsed, scrape
from tests.support.waiting import wait_until
from workers.metrics import reader as readers
from workers.metrics import serving
from workers.metrics.catalogue import LABELS, METRICS, Metric
from workers.metrics.exposition import page_of
from workers.metrics.reader import Reader
from workers.metrics.serving import metrics_served
from workers.metrics.sources import (
    REFUSALS,
    Folding,
    Open,
    Sample,
    Source,
    TopicCounts,
    of_asker,
    of_executor,
    of_lag,
    of_pools,
    of_processes,
    of_recorder,
    of_refusals,
    of_sealer,
    of_webhooks,
)
from workers.proof.asking import Counts as AskCounts
from workers.proof.sealer import Counts as SealCounts
from workers.settings import Settings, SettingsError
from workers.up import _metrics_port
from workers.webhooks.worker import Counts as DeliveryCounts

SERIES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
KNOWN = Lag(
    head=20,
    epoch=1,
    projections=(
        ProjectionLag("orders", 20, 0, 0.0, None, None),
        ProjectionLag("posts", 12, 8, 2.5, "at position 13, post.drafted.v1 on post_1: broken", None),
    ),
    publications=(PublicationLag("daybook.main.1.log", 18, 2, 0.5, "Kafka cannot be used"),),
)
COUNTED = Open(
    Counts((ManagerCount("publication", "waiting", 4), ManagerCount("hold_expiry", "attention", 1)), 5, 2, 1.5),
    OpenMails(waiting=3, failed=1, late_seconds=7.5),
)


def executor(statistics: Statistics | None = None) -> Any:
    return SimpleNamespace(statistics=statistics or Statistics(), waiting=3, queue_limit=10)


def pool(**figures: int) -> Any:
    return SimpleNamespace(get_stats=lambda: figures)


def page(*sources: Source) -> Scraped:
    return parsed(page_of(sources)().decode())


BEHIND = Behind(active=4, disabled=1, failing=3, events=70)


def sources_of_all_processes() -> dict[str, list[Source]]:
    folding = Folding(["orders", "posts"])
    api = [
        of_executor(executor(), RULES),
        of_refusals(Counter()),
        of_pools({"reads": pool()}),
        of_lag(lambda: KNOWN),
        of_recorder(lambda: Recorded(written=3, lost=2, waiting=1)),
    ]
    return {
        "api": api,
        "projector": [folding.read, of_lag(lambda: KNOWN)],
        "processes": [of_processes(lambda: COUNTED)],
        "topics": [of_executor(executor(), RULES), TopicCounts().read],
        "batches": [of_executor(executor(), RULES)],
        "asker": [of_asker([AskCounts("auditor.example", 7, datetime(2026, 11, 30, tzinfo=UTC), Counter(away=2))])],
        "sealer": [of_sealer(SealCounts(sealed=5, signed=2, size=7, head=9))],
        "webhooks": [of_webhooks(DeliveryCounts(taken=5, failed=2), lambda: BEHIND)],
    }


# Names


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_name_follows_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"daybook(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search("milli|_ms|minutes", metric.name), "base units"
    assert metric.help
    assert metric.help[0].isupper() or metric.help[0].isdigit()
    assert set(metric.labels) <= LABELS.keys()


@pytest.mark.parametrize(
    "process", ["api", "projector", "processes", "topics", "webhooks", "batches", "sealer", "asker"]
)
def test_a_process_shows_what_the_catalogue_says_and_nothing_else(process: str) -> None:
    declared = {one.name + ending for one in METRICS if process in one.processes for ending in SERIES[one.kind]}
    shown = page(*sources_of_all_processes()[process]).names()
    own = {name for name in shown if name.startswith("process_")}
    assert shown - own == declared
    assert "process_cpu_seconds_total" in own
    assert len({one.name for one in METRICS}) == len(METRICS)


def test_each_label_has_the_values_that_the_page_describes() -> None:
    of = sources_of_all_processes()
    sources = [
        *of["api"],
        of["projector"][0],
        *of["processes"],
        of["topics"][1],
        *of["asker"],
        *of["webhooks"],
    ]  # the others too
    values: dict[str, set[str]] = {}
    for _, labels in page(*sources):
        for name, value in labels:
            values.setdefault(name, set()).add(value)
    assert values.keys() == {*LABELS, "le"}
    assert values["rule"] == {"", "other", *RULES}
    assert values["outcome"] == set(OUTCOMES)
    refused = {code for code, (status, _) in PROBLEMS.items() if status in (401, 403)}
    assert values["code"] == set(REFUSALS) == {*refused, "wrong_tokens"}
    assert values["result"] == {"answered", "left_out", "taken", "failed"}
    assert values["manager"] == {manager.name for manager in MANAGERS}
    assert values["status"] == {*OPEN, *OPEN_MAILS, "active", "disabled"}
    for label in ("outcome", "reason", "code", "status"):
        assert set(re.findall("`(.*?)`", LABELS[label])) == values[label]


# Values


def test_the_figures_of_an_executor() -> None:
    done = Statistics(groups=2, commands=5, events=9, conflicts=1, locked_groups=2, discarded=3, reconnects=4)
    done.answers.accepted = 5
    done.answers.others.update({("refused", "below_minimum"): 2, ("refused", "of_another_version"): 1})
    done.answers.others["replayed", None] = 4
    done.turned_away["queue_full"] = 6
    done.group_sizes.add(2)
    done.group_sizes.add(3)
    done.append_seconds.add(0.002)
    found = page(of_executor(executor(done), RULES))
    commands = "daybook_commands_total"
    assert found.of(commands, outcome="accepted", rule="") == 5
    assert found.of(commands, outcome="refused", rule="below_minimum") == 2
    assert found.of(commands, outcome="refused", rule="other") == 1, "the values of a label are bounded"
    assert found.of(commands, outcome="replayed", rule="") == 4
    assert found.total(commands) == 12
    assert found.of("daybook_commands_turned_away_total", reason="queue_full") == 6
    assert found.of("daybook_commands_turned_away_total", reason="principal_busy") == 0
    assert (found.of("daybook_queue_commands"), found.of("daybook_queue_limit_commands")) == (3, 10)
    buckets = [found.of("daybook_group_commands_bucket", le=le) for le in ("1.0", "2.0", "4.0", "512.0", "+Inf")]
    assert buckets == [0, 1, 2, 2, 2]
    assert (found.of("daybook_group_commands_sum"), found.of("daybook_group_commands_count")) == (5, 2)
    assert found.of("daybook_append_seconds_bucket", le="0.001") == 0
    assert found.of("daybook_append_seconds_bucket", le="0.002") == 1
    figures = ("events", "conflicts", "locked_groups", "discarded_groups", "reconnects")
    assert [found.of(f"daybook_{name}_total") for name in figures] == [9, 1, 2, 3, 4]


def test_the_figures_of_recorded_reads() -> None:
    found = page(of_recorder(lambda: Recorded(written=3, lost=2, waiting=1)))
    figures = ("recorded_reads_total", "lost_reads_total", "waiting_reads")
    assert [found.of(f"daybook_{name}") for name in figures] == [3, 2, 1]


def test_each_series_is_there_before_the_first_command() -> None:
    found = page(of_executor(executor(), RULES))
    shown = {labels for name, labels in found if name == "daybook_commands_total"}
    assert len(shown) == len(RULES) + len(OUTCOMES), "each rule, the other rules, and each other outcome"
    assert found.total("daybook_commands_total") == 0


def test_the_figures_of_a_pool() -> None:
    reads = pool(pool_size=2, pool_available=1, pool_max=8, requests_waiting=3, requests_num=7, requests_wait_ms=1500)
    found = page(of_pools({"reads": reads}))
    names = ("connections", "idle_connections", "limit_connections", "waiting_requests", "requests_total")
    assert [found.of(f"daybook_pool_{name}", pool="reads") for name in names] == [2, 1, 8, 3, 7]
    assert found.of("daybook_pool_wait_seconds_total", pool="reads") == 1.5
    assert found.of("daybook_pool_errors_total", pool="reads") == 0


def test_the_lag_of_each_projection() -> None:
    found = page(of_lag(lambda: KNOWN))
    assert (found.of("daybook_database_up"), found.of("daybook_log_position")) == (1, 20)
    names = ("position", "lag_events", "lag_seconds", "stopped")
    for projection, values in {"orders": [20, 0, 0, 0], "posts": [12, 8, 2.5, 1]}.items():
        assert [found.of(f"daybook_projection_{name}", projection=projection) for name in names] == values


def test_without_a_database_the_page_has_all_but_the_lag() -> None:
    found = page(of_executor(executor(), RULES), of_lag(lambda: None))
    assert found.of("daybook_database_up") == 0
    assert found.of("daybook_queue_commands") == 3
    assert not [name for name in found.names() if name.startswith(("daybook_projection", "daybook_log"))]


def test_the_figures_of_a_projector() -> None:
    folding = Folding(["orders", "posts"])
    folding.page(PageDone(0, 10, {"orders": 4, "posts": 0}, begun_ns=0, ended_ns=30_000_000))
    folding.page(PageDone(10, 12, {"orders": 1}, begun_ns=0, ended_ns=1_000_000))
    found = page(folding.read)
    assert found.of("daybook_folded_events_total", projection="orders") == 5
    assert found.of("daybook_folded_events_total", projection="posts") == 0
    assert found.of("daybook_page_seconds_count") == 2
    assert found.of("daybook_page_seconds_sum") == pytest.approx(0.031)
    assert found.of("daybook_page_seconds_bucket", le="0.001") == 1


# The lag


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Asked(list[int]):
    """A number for each time that the database was asked."""

    def lag(self, connection: object) -> Lag:
        self.append(len(self))
        return KNOWN


@pytest.fixture
def asked() -> Asked:
    return Asked()


def connection() -> Any:
    return SimpleNamespace(close=lambda: None)


@pytest.mark.parametrize(("later", "times"), [(0.99, 1), (1.0, 2)])
def test_the_database_is_asked_once_a_second(clock: Clock, asked: Asked, later: float, times: int) -> None:
    with closing(Reader(connection, asked.lag, clock=clock)) as reader:
        assert [reader.read(), reader.read()] == [KNOWN, KNOWN]
        clock.seconds += later
        assert reader.read() == KNOWN
    assert len(asked) == times


def test_an_error_is_no_lag_and_the_next_reading_connects_again(clock: Clock, asked: Asked) -> None:
    refuse = [True]

    def connect() -> Any:
        if refuse[0]:
            raise psycopg.OperationalError("away")
        return connection()

    with closing(Reader(connect, asked.lag, clock=clock)) as reader:
        assert reader.read() is None
        refuse[0] = False
        assert reader.read() is None, "within the second it is not asked again"
        clock.seconds += readers.FRESH_SECONDS
        assert reader.read() == KNOWN
    assert len(asked) == 1


def test_a_database_that_does_not_answer_holds_no_scrape(clock: Clock, asked: Asked) -> None:
    answer, connects = Event(), []

    def connect() -> Any:
        connects.append(1)
        assert answer.wait(60)
        return connection()

    with closing(Reader(connect, asked.lag, patience_seconds=0.01, clock=clock)) as reader:
        assert [reader.read() for _ in range(3)] == [None] * 3
        clock.seconds += 60
        assert reader.read() is None
        assert len(connects) == 1, "one thread waits, however many scrapes come"
        answer.set()
        wait_until(lambda: reader.read() == KNOWN, "the lag")


def test_a_closed_reader_asks_no_more(asked: Asked) -> None:
    closed: list[int] = []
    reader = Reader(lambda: SimpleNamespace(close=lambda: closed.append(1)), asked.lag)  # type: ignore[arg-type,return-value]
    assert reader.read() == KNOWN
    reader.close()
    assert (reader.read(), len(asked), len(closed)) == (None, 1, 1)


# Processes


def test_the_figures_of_processes() -> None:
    shown = page(of_processes(lambda: COUNTED))
    assert shown["daybook_processes_known", frozenset()] == 1
    for status, number in (("waiting", 4), ("attention", 0)):
        labels = frozenset({("manager", "publication"), ("status", status)})
        assert shown["daybook_open_processes", labels] == number
    assert [shown[f"daybook_timers{end}", frozenset()] for end in ("", "_due", "_late_seconds")] == [5, 2, 1.5]
    mails = [shown["daybook_open_mails", frozenset({("status", one)})] for one in ("waiting", "failed")]
    assert [*mails, shown["daybook_mails_late_seconds", frozenset()]] == [3, 1, 7.5]


def test_the_figures_of_webhooks() -> None:
    shown = page(of_webhooks(DeliveryCounts(taken=5, failed=2), lambda: BEHIND))
    assert [shown.of("daybook_deliveries_total", result=one) for one in ("taken", "failed")] == [5, 2]
    assert [shown.of("daybook_webhooks", status=one) for one in ("active", "disabled")] == [4, 1]
    assert (shown.of("daybook_failing_webhooks"), shown.of("daybook_webhook_lag_events")) == (3, 70)
    unknown = page(of_webhooks(DeliveryCounts(), lambda: None))
    assert unknown.of("daybook_webhooks_known") == 0
    assert "daybook_webhooks" not in unknown.names()


def test_figures_that_the_database_did_not_give_are_left_out() -> None:
    shown = page(of_processes(lambda: None))
    assert {name for name in shown.names() if name.startswith("daybook")} == {"daybook_processes_known"}
    assert shown["daybook_processes_known", frozenset()] == 0


# The port


def figures() -> Iterable[Sample]:
    return of_refusals(Counter(forbidden=7))()


@contextmanager
def serving_page(source: Source = figures) -> Iterator[int]:
    with metrics_served(Settings(metrics_port=free_ports(1)), [source]) as port:
        assert port is not None
        yield port


def test_nothing_is_served_unless_a_port_is_set() -> None:
    with metrics_served(Settings(), [figures]) as port:
        assert port is None


def test_the_page_and_other_requests() -> None:
    with serving_page() as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        answer = http.get("/metrics?from=prometheus")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert parsed(answer.text).of("daybook_access_refusals_total", code="forbidden") == 7
        head = http.head("/metrics")
        assert (head.status_code, head.text) == (200, "")
        assert int(head.headers["Content-Length"]) > 100
        assert http.get("/").status_code == 404
        assert http.post("/metrics", content=b"x").status_code == 405


def test_a_fault_is_an_answer_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    message = "sec" + "ret"  # the line of the code is logged

    def broken() -> Iterable[Sample]:
        raise RuntimeError(message)

    with serving_page(broken) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
    assert (answer.status_code, answer.text) == (500, "")
    assert message not in caplog.text
    assert "RuntimeError" in caplog.text


def sent(port: int, data: bytes) -> bytes:
    """What comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(data)
        return client.makefile("rb").read()


@pytest.mark.parametrize(("size", "status"), [(serving.MOST_HEAD_BYTES, b"200"), (serving.MOST_HEAD_BYTES + 1, b"431")])
def test_the_size_of_a_head_is_bounded(size: int, status: bytes) -> None:
    start, end = b"GET /metrics HTTP/1.1\r\nX: ", b"\r\n\r\n"
    with serving_page() as port:
        answer = sent(port, start + b"x" * (size - len(start) - len(end)) + end)
    assert answer.split(b" ")[1] == status


def test_the_time_for_a_head_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.05)
    with serving_page() as port:
        assert sent(port, b"GET /metrics HTTP/1.1\r\n") == b"", "it is closed without an answer"


def test_the_number_of_connections_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 60)  # so that no silent connection makes room for another
    with serving_page() as port, ExitStack() as held:
        silent = [
            held.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
            for _ in range(serving.MOST_CONNECTIONS)
        ]
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
        silent.pop().close()
        wait_until(lambda: answers(lambda: scrape(port)), "the place of the one that left")


def answers(scraped: Callable[[], Scraped]) -> bool:
    try:
        return bool(scraped())
    except httpx.TransportError:
        return False


def test_processes_take_the_next_ports_and_a_successor_that_of_the_one_before() -> None:
    first = free_ports(2)
    settings = Settings(metrics_port=first)
    with metrics_served(settings, [figures], 2) as one:
        assert one == first
        with metrics_served(settings, [figures], 2) as two:
            assert two == first + 1
            with pytest.raises(SettingsError, match=f"none of the ports {first} to {first + 1} on 127.0.0.1"):
                metrics_served(settings, [figures], 2).__enter__()
        with metrics_served(settings, [figures], 2) as again:
            assert again == first + 1
            assert scrape(again).of("daybook_access_refusals_total", code="forbidden") == 7


def test_under_up_the_others_have_the_ports_after_those_of_the_api() -> None:
    settings = Settings(metrics_port=8110, workers=3)
    assert _metrics_port(settings, "serve") == {"DAYBOOK_METRICS_PORT": "8110"}, "it takes the next two as well"
    assert _metrics_port(settings, "work") == {"DAYBOOK_METRICS_PORT": "8113"}
    assert _metrics_port(settings, "work --processes") == {"DAYBOOK_METRICS_PORT": "8114"}
    assert _metrics_port(Settings(), "work") == {}


@pytest.mark.parametrize("port", [0, 65_536])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(ValidationError, match="metrics_port"):
        Settings(metrics_port=port)


def test_ports_above_the_highest_are_refused() -> None:
    with pytest.raises(SettingsError, match="DAYBOOK_METRICS_PORT is 65535, and 2 processes need ports up to 65536"):
        metrics_served(Settings(metrics_port=65_535), [figures], 2).__enter__()
