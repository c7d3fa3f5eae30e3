"""Metrics and traces of a running service: each command and each refusal is counted once, and traced in its request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from api.gateway.request_traces import MOST_COMMANDS
from domain.registry import RULES
from tests.integration.api.test_batches import item, send
from tests.support.metrics import Scraped, parsed
from tests.support.service import TOKENS, Service, served
from tests.support.tracing import SPAN_ID, TRACE_ID, TRACEPARENT, Remembered, attributes, ids
from workers.metrics.exposition import page_of
from workers.metrics.sources import of_executor, of_refusals

EUR = {"amount": "1.00", "currency": "EUR"}


def figures(service: Service) -> Scraped:
    services = service.services
    return parsed(page_of([of_executor(services.executor, RULES), of_refusals(services.refusals)])().decode())


class Growth:
    """How much the figures have grown since it was made."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._before = figures(service)

    def of(self, series: str) -> dict[str, float]:
        """The series of this name that have grown, by the values of their labels."""
        grown: dict[str, float] = {}
        for (name, labels), value in figures(self._service).items():
            more = value - self._before[name, labels]
            if name == series and more:
                grown[" ".join(value for _, value in sorted(labels) if value)] = more
        return grown


def test_each_command_is_counted_once_by_what_became_of_it(service: Service) -> None:
    account = service.account("5.00")
    growth = Growth(service)
    path = f"accounts/{account}/deposits"
    for _ in range(3):
        assert service.post(path, EUR, key="counted-once").status_code == 201
    assert service.post(path, {**EUR, "amount": "2.00"}, key="counted-once").status_code == 409
    for key in ("first", "second", "first"):
        refused = service.post(f"accounts/{account}/withdrawals", {**EUR, "amount": "100.00"}, key=f"counted-{key}")
        assert refused.json()["code"] == "below_minimum"
    assert service.post("accounts/acct_none/deposits", EUR).status_code == 404
    assert service.post(path, EUR, If_Match='"99"').status_code == 412
    assert service.post(path, {"amount": "1.00"}).status_code == 400, "it never became a command"
    assert growth.of("daybook_commands_total") == {
        "accepted": 1,
        "replayed": 3,
        "key_reused": 1,
        "refused below_minimum": 2,
        "unknown": 1,
        "expectation_failed": 1,
    }
    assert growth.of("daybook_events_total") == {"": 3 + 3}, "two entries and the transaction, and recorded refusals"
    assert growth.of("daybook_conflicts_total") == {}


def test_the_items_of_a_batch_are_counted_and_an_atomic_one_is_a_single_command(service: Service) -> None:
    account = service.account("5.00")
    growth = Growth(service)
    deposit = f"accounts/{account}/deposits"
    items = [item(deposit, EUR) for _ in range(7)] + [item(f"accounts/{account}/withdrawals", {**EUR, "amount": "99"})]
    assert send(service, json.dumps(items).encode()).status_code == 200
    atomic = [{"path": f"/v1/{deposit}", "body": EUR} for _ in range(4)]
    sent = send(service, json.dumps(atomic).encode(), headers={"Idempotency-Key": "one"}, params={"atomic": True})
    assert sent.status_code == 201, sent.text
    assert growth.of("daybook_commands_total") == {"accepted": 8, "refused below_minimum": 1}
    assert growth.of("daybook_events_total") == {"": 11 * 3 + 1}
    groups = growth.of("daybook_group_commands_count")[""]
    assert growth.of("daybook_append_seconds_count") == {"": groups}
    assert growth.of("daybook_group_commands_sum") == {"": 9}
    assert growth.of("daybook_append_seconds_sum")[""] > 0


def test_commands_that_find_no_room_are_counted(service: Service) -> None:
    account = service.account()
    growth = Growth(service)
    executor = service.services.executor
    limit, executor.queue_limit = executor.queue_limit, 0
    try:
        assert service.post(f"accounts/{account}/deposits", EUR).json()["code"] == "busy"
    finally:
        executor.queue_limit = limit
    assert growth.of("daybook_commands_turned_away_total") == {"queue_full": 1}
    assert growth.of("daybook_commands_total") == {}


def test_each_refusal_of_access_is_counted_once(service: Service) -> None:
    growth = Growth(service)
    assert service.get("log", role="command").status_code == 403  # by the guard
    internal = {"type": "penalties", "currency": "EUR", "name": "Penalties"}
    assert service.post("accounts", internal).status_code == 403  # by the route
    send(service, json.dumps([item("accounts", internal)] * 3).encode())  # by the items of a batch
    assert service.http.get("/v1/accounts").status_code == 401
    assert service.get("accounts").status_code == 200
    assert growth.of("daybook_access_refusals_total") == {"forbidden": 5, "unauthenticated": 1}


def test_refusals_that_the_access_log_leaves_out_are_counted(service18: Service) -> None:
    growth = Growth(service18)
    guesses = [service18.http.get("/v1/log", headers={"Authorization": f"Bearer wrong-{n}"}) for n in range(30)]
    codes = [guess.json()["code"] for guess in guesses]
    assert {"unauthenticated", "wrong_tokens"} == set(codes)
    counted = growth.of("daybook_access_refusals_total")
    assert counted == {code: codes.count(code) for code in set(codes)}


@pytest.mark.parametrize("role", TOKENS)
def test_the_port_of_clients_has_no_metrics(service18: Service, role: str) -> None:
    answer = service18.http.get("/metrics", headers={"Authorization": f"Bearer {TOKENS[role]}"})
    assert answer.status_code == 404
    assert service18.http.get("/metrics").status_code == 401


# Traces


@contextmanager
def traced(service: Service) -> Iterator[tuple[httpx.Client, Remembered]]:
    """A client of the same application behind traces, and what they remember."""
    remembered = Remembered()
    headers = {"Authorization": f"Bearer {TOKENS['command']}", "traceparent": TRACEPARENT}
    with (
        served(remembered.traces.requests(service.app)) as url,
        httpx.Client(base_url=url, headers=headers, timeout=30) as http,
    ):
        yield http, remembered


def test_a_command_is_traced_from_the_request_to_the_append(service: Service) -> None:
    account = service.account("5.00")
    with traced(service) as (http, remembered):
        done = http.post(f"/v1/accounts/{account}/deposits", json=EUR, headers={"Idempotency-Key": "traced"})
    assert done.status_code == 201, done.text
    whole, queue, decide, append = remembered.take(requests=1)
    assert [one.name for one in (queue, decide, append)] == ["queue", "decide", "append"]
    assert ids(whole)[0] == TRACE_ID
    assert ids(whole)[2] == SPAN_ID
    assert {ids(step)[2] for step in (queue, decide, append)} == {ids(whole)[1]}
    steps: list[int | None] = [whole.start_time]
    for step in (queue, decide, append):
        steps += [step.start_time, step.end_time]
    steps.append(whole.end_time)
    moments = [moment for moment in steps if moment is not None]
    assert len(moments) == 8
    # The clocks are compared anew for each step, so that neighbours can differ by some microseconds.
    assert all(later - earlier > -1_000_000 for earlier, later in pairwise(moments))
    found = attributes(append)
    last = int(done.json()["position"].rpartition(".")[2])
    assert (found["daybook.position.first"], found["daybook.position.last"]) == (last - 2, last)
    assert attributes(whole)["http.route"] == "/v1/accounts/{account}/deposits"
    written = "".join(span.to_json() for span in (whole, queue, decide, append))
    assert not [secret for secret in (account, "the-command", "traced", "127.0.0.1") if secret in written]


def test_a_retry_is_traced_as_one(service: Service) -> None:
    account = service.account("5.00")
    with traced(service) as (http, remembered):
        for _ in range(2):
            http.post(f"/v1/accounts/{account}/deposits", json=EUR, headers={"Idempotency-Key": "traced-again"})
    appends = [attributes(span) for span in remembered.take(requests=2) if span.name == "append"]
    assert [append["daybook.replayed"] for append in appends] == [False, True]


def test_the_traced_items_of_a_batch_are_bounded(service: Service) -> None:
    account = service.account("5.00")
    items = [
        {"key": f"traced-{n}", "path": f"/v1/accounts/{account}/deposits", "body": EUR}
        for n in range(MOST_COMMANDS + 5)
    ]
    atomic = [{"path": one["path"], "body": EUR} for one in items[:3]]
    with traced(service) as (http, remembered):
        assert http.post("/v1/batches", json=items).status_code == 200
        names = [span.name for span in remembered.take(requests=1)]
        assert names.count("append") == MOST_COMMANDS
        one = http.post("/v1/batches?atomic=true", json=atomic, headers={"Idempotency-Key": "traced-atomic"})
        assert one.status_code == 201, one.text
        [append] = [span for span in remembered.take(requests=1) if span.name == "append"]
    assert attributes(append)["daybook.command"] == "Together"


def test_reads_and_refused_requests_are_traced(service: Service) -> None:
    with traced(service) as (http, remembered):
        assert http.get("/v1/accounts/acct_none", headers={"Authorization": "none"}).status_code == 401
        assert http.get("/nothing").status_code == 404
    refused, nothing = remembered.take(requests=2)
    assert (refused.name, attributes(refused)["http.response.status_code"]) == ("GET /v1/accounts/{account}", 401)
    assert nothing.name == "GET"


def test_fastapi_traces_nothing_itself(service18: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its spans would have paths with ids, and its logs messages of errors."""
    made: list[Any] = []

    class Provider(TracerProvider):
        def get_tracer(self, *arguments: Any, **more: Any) -> Any:
            made.append(arguments)
            return super().get_tracer(*arguments, **more)

    provider = Provider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    assert service18.get("accounts/acct_none").status_code == 404
    assert made == []
