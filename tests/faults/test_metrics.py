"""Metrics and traces of real processes: a killed worker, a database that is away, a collector that is away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx

from projections.registry import PROJECTIONS
from tests.faults.clients import deposit, open_accounts, opening, post
from tests.faults.world import Api, World
from tests.support.collector import Collector, Received, collector
from tests.support.metrics import Scraped, free_ports, is_served, scrape
from tests.support.tracing import TRACE_ID, TRACEPARENT
from tests.support.waiting import wait_until
from workers.ports import free_port

COMMANDS, UP = "daybook_commands_total", "daybook_database_up"
LAG_EVENTS, LAG_SECONDS = "daybook_projection_lag_events", "daybook_projection_lag_seconds"
SCRAPE_SECONDS = 10.0
"""A scrape is answered before that, whatever the database does: Prometheus waits for so long."""


def scrape_of_all(port: int) -> Scraped:
    """A scrape that has the figures of the database. One lacks them if the database takes two seconds for them."""
    found = [scrape(port)]

    def has_them() -> bool:
        found[:] = [scrape(port)]
        return found[0].of(UP) == 1

    wait_until(has_them, "a scrape with the database")
    return found[0]


def listeners(port: int) -> set[int]:
    """The processes that listen on this port."""
    wanted = f":{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {line.split()[9] for line in lines if line.split()[1].endswith(wanted) and line.split()[3] == "0A"}
    sockets = {f"socket:[{inode}]" for inode in inodes}
    return {int(process.name) for process in Path("/proc").glob("[0-9]*") if sockets.intersection(files_of(process))}


def files_of(process: Path) -> Iterator[str]:
    """What the process has open. Nothing of one that has ended meanwhile."""
    with suppress(OSError):
        for link in (process / "fd").iterdir():
            with suppress(OSError):  # it is closed meanwhile
                yield os.readlink(link)


def test_two_workers_count_their_own_and_the_successor_of_a_killed_one_takes_its_port(world: World) -> None:
    first = free_ports(2)
    api = world.api(workers=2, DAYBOOK_METRICS_PORT=str(first))
    ports = (first, first + 1)
    wait_until(lambda: all(map(is_served, ports)), "the metrics of both")
    (account,) = open_accounts(api, 1, "50.00")
    before = sum(scrape(port).of(COMMANDS, outcome="accepted", rule="") for port in ports)
    for number in range(40):
        assert deposit(api, account, f"counted {number}").status_code == 201
    assert deposit(api, account, "counted 0").status_code == 201
    after = [scrape(port) for port in ports]
    assert sum(one.of(COMMANDS, outcome="accepted", rule="") for one in after) - before == 40
    assert sum(one.of(COMMANDS, outcome="replayed", rule="") for one in after) == 1

    [killed], [other] = map(listeners, ports)
    kept = scrape(first + 1).of(COMMANDS, outcome="accepted", rule="")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: is_served(first) and listeners(first) != {killed}, "the successor's metrics")
    assert scrape(first).total(COMMANDS) == 0, "counters begin at zero with the process"
    assert listeners(first + 1) == {other}
    assert scrape(first + 1).of(COMMANDS, outcome="accepted", rule="") == kept


def test_metrics_are_served_while_the_database_is_away(world: World) -> None:
    first = free_ports(2)
    api = world.api(DAYBOOK_METRICS_PORT=str(first))
    (account,) = open_accounts(api, 1, "50.00")
    found = scrape_of_all(first)
    assert found.of("daybook_log_position") == world.head()
    assert {found.of(LAG_EVENTS, projection=one.name) for one in PROJECTIONS} == {world.head()}
    assert found.of("daybook_pool_connections", pool="reads") >= 1
    behind = found.of(LAG_SECONDS, projection="accounts")
    wait_until(lambda: scrape_of_all(first).of(LAG_SECONDS, projection="accounts") > behind + 1, "a lag that grows")

    world.projector(DAYBOOK_METRICS_PORT=str(first + 1))
    world.wait_until_folded()
    wait_until(lambda: is_served(first + 1), "the metrics of the projector")
    for port in (first, first + 1):
        wait_until(lambda port=port: scrape_of_all(port).total(LAG_EVENTS) == 0, "a scrape without lag")  # type: ignore[misc]
        assert scrape_of_all(port).total(LAG_SECONDS) == 0
    folded = scrape(first + 1)
    assert folded.of("daybook_folded_events_total", projection="accounts") > 0
    assert folded.of("daybook_page_seconds_count") >= 1

    accepted = scrape(first).of(COMMANDS, outcome="accepted", rule="")
    world.server.postgres.stop()
    try:
        for port in (first, first + 1):
            wait_until(lambda port=port: scrape(port).of(UP) == 0, "a scrape without the database")  # type: ignore[misc]
            began = time.monotonic()
            found = scrape(port)
            assert time.monotonic() - began < SCRAPE_SECONDS
            assert LAG_EVENTS not in found.names(), "an old lag would look like a new one"
        assert deposit(api, account, "refused").status_code == 503
        found = scrape(first)
        assert found.of(COMMANDS, outcome="accepted", rule="") == accepted
        assert found.of(COMMANDS, outcome="unavailable", rule="") == 1
    finally:
        world.start_postgres()
    for port in (first, first + 1):
        wait_until(lambda port=port: scrape(port).of(UP) == 1, "a scrape with the database")  # type: ignore[misc]
    assert deposit(api, account, "refused").status_code == 201
    assert scrape(first).of("daybook_reconnects_total") >= 1


def traced_api(world: World, to: Collector) -> Api:
    """An API that sends its traces at once."""
    return world.api(OTEL_EXPORTER_OTLP_ENDPOINT=to.url, OTEL_BSP_SCHEDULE_DELAY="50")


def traced(api: Api, account: str, key: str) -> int:
    """The last position of a deposit in the trace of a client."""
    path, body = f"/v1/accounts/{account}/deposits", {"amount": "1.00", "currency": "EUR"}
    headers = {"Authorization": "Bearer secret-of-command", "Idempotency-Key": key, "traceparent": TRACEPARENT}
    done = httpx.post(f"{api.url}{path}", json=body, headers=headers, timeout=30)
    assert done.status_code == 201, done.text
    return int(done.json()["position"].rpartition(".")[2])


def pages_with(collected: Collector, position: int) -> list[Received]:
    """The pages that had the event at this position."""
    ends = ("daybook.position.first", "daybook.position.last")
    found = [(page, [int(page.attributes[end]) for end in ends]) for page in collected.named("fold")]
    return [page for page, (first, last) in found if first <= position <= last]


def test_a_command_is_traced_from_the_request_to_the_fold(world: World) -> None:
    with collector() as collected:
        api = traced_api(world, collected)
        world.projector(OTEL_EXPORTER_OTLP_ENDPOINT=collected.url, OTEL_BSP_SCHEDULE_DELAY="50")
        (account,) = open_accounts(api, 1, "50.00")
        position = traced(api, account, "traced")
        wait_until(lambda: len(collected.of_trace(TRACE_ID)) == 4, "the spans of the request")
        wait_until(lambda: bool(pages_with(collected, position)), "the span of its page")
    mine = collected.of_trace(TRACE_ID)
    assert {span.name for span in mine} == {"POST /v1/accounts/{account}/deposits", "queue", "decide", "append"}
    assert {span.service for span in mine} == {"daybook-api"}
    [append] = [span for span in mine if span.name == "append"]
    assert append.attributes["daybook.position.last"] == position
    pages = pages_with(collected, position)
    assert {page.service for page in pages} == {"daybook-projector"}
    assert pages == pages_with(collected, position - 2), "a page has whole units"
    written = repr(collected.spans)
    assert not [secret for secret in (account, "the-command", "secret-of", "127.0.0.1", "Ada") if secret in written]


def test_a_collector_that_is_away_holds_neither_commands_nor_the_end(world: World) -> None:
    api = traced_api(world, Collector(f"http://127.0.0.1:{free_port()}"))  # nobody listens there
    (account,) = open_accounts(api, 1, "50.00")
    for number in range(5):
        began = time.monotonic()
        assert traced(api, account, f"away {number}") > 0
        assert time.monotonic() - began < SCRAPE_SECONDS
    assert post(api, "/v1/accounts", opening("ada"), "opened").status_code == 201
    running = api.running
    assert running is not None
    began = time.monotonic()
    running.terminate()
    running.wait(60)
    assert time.monotonic() - began < 2 * SCRAPE_SECONDS
    assert "Traceback" not in api.messages()
