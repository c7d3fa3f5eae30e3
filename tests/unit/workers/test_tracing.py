"""Traces: which spans are made, what they say and do not say, and that nothing is done without an exporter."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterable
from itertools import count
from time import monotonic_ns, time_ns
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode
from starlette.types import Message, Receive, Scope, Send

from api.gateway.request_traces import MOST_COMMANDS, TRACE, RequestTrace, times_of
from eventstore.log.answers import Answer, Outcome
from projections.engine.pages import PageDone
from tests.support.tracing import SPAN_ID, TRACE_ID, TRACEPARENT, Remembered, attributes, ids
from workers.settings import SettingsError
from workers.tracing import spans, traces_of
from workers.tracing.spans import parent_of

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
COLLECTOR = "http://127.0.0.1:1"


class Transfer:
    """A command."""


def answer(outcome: Outcome = Outcome.ACCEPTED, rule: str | None = None) -> Answer:
    recorded = outcome is not Outcome.UNKNOWN
    return Answer(
        outcome=outcome,
        code=201,
        rule=rule,
        result={"account": "acct_1"},
        decided_position=7,
        first_position=8 if recorded else None,
        last_position=10 if recorded else None,
        epoch=1,
    )


def request(
    to: Remembered,
    *,
    answers: Iterable[Answer | None] = (),
    status: int = 201,
    method: str = "POST",
    found: bool = True,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> dict[str, Any]:
    """A request with these commands; None is a command without an answer. Returns the state of the request."""
    path = SimpleNamespace(template="/v1/accounts/{account}/deposits")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["found"] = SimpleNamespace(path=path) if found else None
        for one in answers:
            times = times_of(scope["state"], Transfer())
            if times is not None and one is not None:
                times.begun_ns = times.queued_ns + 1_000
                times.decided_ns = times.queued_ns + 2_000
                times.sent_ns = times.queued_ns + 3_000
                times.appended_ns = times.queued_ns + 4_000
                times.group_size, times.answer = 5, one
        if status:
            await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Message) -> None:
        pass

    async def receive() -> Message:
        return {"type": "http.request"}

    scope: Scope = {"type": "http", "method": method, "path": "/v1/accounts/acct_1/deposits", "headers": [*headers]}
    asyncio.run(to.traces.requests(app)(scope, receive, send))  # type: ignore[arg-type]
    state: dict[str, Any] = scope["state"]
    return state


# Spans


def test_a_command_is_a_span_with_three_steps_in_the_trace_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = Remembered()
    apart = time_ns() - monotonic_ns()  # read once: a process can wait between the two clocks, and one can be set
    monkeypatch.setattr(spans, "time_ns", lambda: apart)
    monkeypatch.setattr(spans, "monotonic_ns", lambda: 0)
    before = monotonic_ns() + apart
    request(remembered, answers=[answer()], headers=[(b"traceparent", TRACEPARENT.encode())])
    whole, queue, decide, append = remembered.take()
    trace_id, span_id, parent = ids(whole)
    assert (trace_id, parent) == (TRACE_ID, SPAN_ID)
    assert whole.name == "POST /v1/accounts/{account}/deposits"
    assert attributes(whole) == {
        "http.request.method": "POST",
        "http.route": "/v1/accounts/{account}/deposits",
        "http.response.status_code": 201,
    }
    assert [step.name for step in (queue, decide, append)] == ["queue", "decide", "append"]
    assert {(ids(step)[0], ids(step)[2]) for step in (queue, decide, append)} == {(TRACE_ID, span_id)}
    for step in (queue, decide, append):
        assert step.start_time is not None
        assert step.end_time is not None
        assert before <= step.start_time < step.end_time
    assert attributes(queue) == {"daybook.command": "Transfer"}
    assert attributes(decide) == {"daybook.command": "Transfer", "daybook.group.commands": 5}
    assert attributes(append) == {
        "daybook.command": "Transfer",
        "daybook.group.commands": 5,
        "daybook.outcome": "accepted",
        "daybook.replayed": False,
        "daybook.log": "main",
        "daybook.epoch": 1,
        "daybook.position.first": 8,
        "daybook.position.last": 10,
    }


def test_no_attribute_has_an_id() -> None:
    remembered = Remembered()
    request(remembered, answers=[answer(), answer(Outcome.REFUSED, "below_minimum")])
    assert "acct_1" not in "".join(span.to_json() for span in remembered.take())


def test_a_refusal_has_its_rule_and_what_is_not_recorded_has_no_positions() -> None:
    remembered = Remembered()
    answers = [answer(Outcome.REFUSED, "below_minimum"), answer(Outcome.UNKNOWN, "unknown")]
    request(remembered, answers=answers, status=422)
    refused, unknown = [attributes(span) for span in remembered.take() if span.name == "append"]
    assert (refused["daybook.outcome"], refused["daybook.rule"]) == ("refused", "below_minimum")
    assert (refused["daybook.position.first"], refused["daybook.position.last"]) == (8, 10)
    assert unknown["daybook.outcome"] == "unknown"
    assert not [name for name in unknown if "position" in name]


def test_a_command_that_came_nowhere_has_no_steps() -> None:
    remembered = Remembered()
    request(remembered, answers=[None], status=503)
    [whole] = remembered.take()
    assert whole.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(("status", "code"), [(499, StatusCode.UNSET), (500, StatusCode.ERROR), (0, StatusCode.ERROR)])
def test_a_request_failed_with_500_or_without_an_answer(status: int, code: StatusCode) -> None:
    remembered = Remembered()
    request(remembered, status=status)
    [whole] = remembered.take()
    assert whole.status.status_code is code
    assert ("http.response.status_code" in attributes(whole)) == (status != 0)


def test_a_name_never_has_what_a_client_can_choose() -> None:
    remembered = Remembered()
    request(remembered, method="SECRET", found=False, status=404)
    [whole] = remembered.take()
    assert whole.name == "_OTHER"
    assert "http.route" not in attributes(whole)


@pytest.mark.parametrize("more", [0, 1])
def test_the_number_of_commands_of_a_request_is_bounded(more: int) -> None:
    traced = RequestTrace()
    state = {TRACE: traced}
    made = [times_of(state, Transfer()) for _ in range(MOST_COMMANDS + more)]
    assert len(traced.commands) == MOST_COMMANDS
    assert made.count(None) == more


def test_a_request_that_is_not_sampled_notes_nothing() -> None:
    remembered = Remembered(ALWAYS_OFF)
    state = request(remembered, answers=[answer()])
    assert TRACE not in state
    assert remembered.take() == []


def test_a_client_can_leave_its_trace_out() -> None:
    remembered = Remembered()
    request(remembered, answers=[answer()], headers=[(b"traceparent", TRACEPARENT.encode()[:-1] + b"0")])
    assert remembered.take() == []


def test_a_page_is_a_span_with_its_positions() -> None:
    remembered = Remembered()
    now = monotonic_ns()
    remembered.traces.page(PageDone(7, 10, {"orders": 1, "accounts": 2}, begun_ns=now - 5_000, ended_ns=now))
    [page] = remembered.take()
    assert (page.name, page.parent) == ("fold", None)
    assert page.start_time is not None
    assert page.end_time is not None
    assert page.end_time - page.start_time == 5_000, "the clocks are read once"
    assert attributes(page) == {
        "daybook.log": "main",
        "daybook.position.first": 8,
        "daybook.position.last": 10,
        "daybook.projections": ("accounts", "orders"),
        "daybook.events": 3,
    }


@pytest.mark.parametrize("where", range(6))
def test_a_process_that_waits_between_two_clocks_shows_its_steps_at_their_time(
    monkeypatch: pytest.MonkeyPatch, where: int
) -> None:
    """It stands still for a second, once, before one of the readings of the first two comparisons."""
    stood = 0
    readings = count()

    def read(clock: Callable[[], int]) -> int:
        nonlocal stood
        stood += 1_000_000_000 if next(readings) == where else 0
        return clock() + stood

    monkeypatch.setattr(spans, "monotonic_ns", lambda: read(monotonic_ns))
    monkeypatch.setattr(spans, "time_ns", lambda: read(time_ns))
    now, remembered = monotonic_ns(), Remembered()
    remembered.traces.page(PageDone(7, 10, {"orders": 1}, begun_ns=now - 5_000, ended_ns=now))
    [page] = remembered.take()
    assert page.end_time is not None
    assert abs(time_ns() - page.end_time) < 500_000_000


# The header of the client


def named(*values: bytes) -> str | None:
    """The trace that these headers name."""
    found = trace.get_current_span(parent_of([(b"traceparent", value) for value in values])).get_span_context()
    return f"{found.trace_id:032x}-{found.span_id:016x}" if found.is_valid else None


@pytest.mark.parametrize("value", [TRACEPARENT, TRACEPARENT.replace("00-", "01-", 1), TRACEPARENT[:-2] + "ff"])
def test_a_valid_traceparent_is_honoured(value: str) -> None:
    assert named(value.encode()) == f"{TRACE_ID}-{SPAN_ID}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        TRACEPARENT[:-1],
        TRACEPARENT + "0",
        TRACEPARENT + "-more",
        TRACEPARENT.upper(),
        TRACEPARENT.replace("00-", "ff-", 1),
        TRACEPARENT.replace(TRACE_ID, "0" * 32),
        TRACEPARENT.replace(SPAN_ID, "0" * 16),
        TRACEPARENT.replace("-", "_"),
        TRACEPARENT + "\n",
        "0" * 100_000,
    ],
)
def test_another_traceparent_is_ignored(value: str) -> None:
    assert named(value.encode()) is None


def test_a_traceparent_that_is_there_twice_is_ignored() -> None:
    assert named() is None
    assert named(TRACEPARENT.encode(), TRACEPARENT.encode()) is None


# Settings


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {ENDPOINT: ""},
        {ENDPOINT: COLLECTOR, "OTEL_SDK_DISABLED": "true"},
        {ENDPOINT: COLLECTOR, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_an_exporter_there_are_no_traces(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert traces_of("api", "main") is None


@pytest.mark.parametrize("name", [ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_an_endpoint_switches_traces_on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, COLLECTOR)
    traces = traces_of("api", "main")
    assert traces is not None
    traces.end()


def test_another_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, COLLECTOR)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'"):
        traces_of("api", "main")


def test_missing_packages_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, COLLECTOR)
    monkeypatch.setitem(sys.modules, "workers.tracing.spans", None)
    with pytest.raises(SettingsError, match=r"pip install 'daybook\[tracing\]'"):
        traces_of("api", "main")


def test_neither_sdk_nor_exporter_is_imported_without_an_endpoint() -> None:
    """Neither by the API nor by the projector; and the event store and the read models know nothing of Prometheus."""
    program = (
        "import sys, eventstore.executor.executor, projections.engine.follow\n"
        "print('prometheus_client' in sys.modules)\n"
        "import workers.serve, workers.work\n"
        "from workers.tracing import traces_of\n"
        "print(traces_of('api', 'main'))\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "None", "[]"]
