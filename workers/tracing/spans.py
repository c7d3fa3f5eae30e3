"""Spans: of a request with its commands, and of a page that a projector folds.

    request (server)   POST /v1/transfers
    ├─ queue           from the queue until its group is decided
    ├─ decide          its group is decided and encoded
    └─ append          its group is sent and answered; daybook.position.first and .last are those of its events
    fold               a trace of its own: a page, with daybook.position.first and .last

The spans of a command are made after the answer, from times that the executor notes. The commands of a group share
the steps decide and append, and each trace shows them. Events carry no trace ids (docs/adr/0030): the positions
of an append say which page folded it. Attributes have no ids, keys, names or paths with ids.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from threading import Thread
from time import monotonic_ns, time_ns
from typing import Final, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway.request_traces import TRACE, RequestTrace
from api.gateway.routes import Found
from eventstore.executor.decided_commands import CommandTimes
from eventstore.log.answers import Answer
from projections.engine.pages import PageDone

READINGS: Final = 3
"""How often the two clocks are read to compare them."""
END_SECONDS: Final = 2.0
"""The most that a process waits at its end until its last spans are sent."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
OTHER_METHOD: Final = "_OTHER"
"""The name for other methods in OpenTelemetry: a client can send any text."""

_TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_Attributes = dict[str, AttributeValue]


class Traces:
    """Makes the spans of one process. Thread-safe."""

    def __init__(self, provider: TracerProvider, log: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("daybook")
        self._log = log

    @classmethod
    def exported(cls, process: str, log: str) -> Self:
        """Traces that are sent to the collector that the environment names, as the service `daybook-PROCESS`."""
        named = "OTEL_SERVICE_NAME" in os.environ or "service.name" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {"service.name": f"daybook-{process}"})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider, log)

    def end(self) -> None:
        """Send what is left, for a bounded time: a collector that is away must not hold the end of a process."""
        ending = Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(END_SECONDS)

    def requests(self, app: ASGIApp) -> ASGIApp:
        """The application with a span for each request."""
        return _TracedRequests(app, self)

    def page(self, done: PageDone) -> None:
        """A span for a page that was folded. Used as `OnPage`."""
        begun, ended = _wall(done.begun_ns, done.ended_ns)
        span = self._tracer.start_span(
            "fold",
            Context(),
            kind=SpanKind.CONSUMER,
            start_time=begun,
            attributes={
                "daybook.log": self._log,
                "daybook.position.first": done.after + 1,
                "daybook.position.last": done.upto,
                "daybook.projections": sorted(done.events),
                "daybook.events": sum(done.events.values()),
            },
        )
        span.end(ended)

    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> Span:
        """Begin the span of a request, in the trace of the client if it names one."""
        return self._tracer.start_span("request", parent_of(headers), kind=SpanKind.SERVER)

    def commands(self, request: Span, commands: Iterable[tuple[str, CommandTimes]]) -> None:
        """The spans of the commands of a request."""
        within = trace.set_span_in_context(request, Context())
        for name, times in commands:
            command: _Attributes = {"daybook.command": name}
            group: _Attributes = {**command, "daybook.group.commands": times.group_size}
            self._step(within, "queue", times.queued_ns, times.begun_ns, command)
            self._step(within, "decide", times.begun_ns, times.decided_ns, group)
            self._step(within, "append", times.sent_ns, times.appended_ns, group | self._outcome(times.answer))

    def _step(self, within: Context, name: str, begun_ns: int, ended_ns: int, attributes: _Attributes) -> None:
        if ended_ns:  # else the command did not come so far
            begun, ended = _wall(begun_ns, ended_ns)
            self._tracer.start_span(name, within, attributes=attributes, start_time=begun).end(ended)

    def _outcome(self, answer: Answer | None) -> _Attributes:
        if answer is None:
            return {}
        found: _Attributes = {"daybook.outcome": answer.outcome.name.lower(), "daybook.replayed": answer.replayed}
        if answer.rule is not None:
            found["daybook.rule"] = answer.rule
        if answer.first_position is not None and answer.last_position is not None:
            found |= {
                "daybook.log": self._log,
                "daybook.epoch": answer.epoch,
                "daybook.position.first": answer.first_position,
                "daybook.position.last": answer.last_position,
            }
        return found


class _TracedRequests:
    """ASGI middleware: a span for each request, and those of its commands."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        span = self._traces.request(scope["headers"])
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        state = scope.setdefault("state", {})
        traced = RequestTrace()
        if span.is_recording():
            state[TRACE] = traced
        try:
            await self._app(scope, receive, sending)
        finally:
            if span.is_recording():
                _describe(span, scope["method"], state.get("found"), status)
                self._traces.commands(span, traced.commands)
            span.end()


def _describe(span: Span, method: str, found: Found | None, status: int) -> None:
    """Name the span by its route, never by its path: that has ids."""
    known = method if method in METHODS else OTHER_METHOD
    span.set_attribute("http.request.method", known)
    span.update_name(known)
    if found is not None:
        span.update_name(f"{known} {found.path.template}")
        span.set_attribute("http.route", found.path.template)
    if status:
        span.set_attribute("http.response.status_code", status)
    if status == 0 or status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def parent_of(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """The context that a client names in the header `traceparent` (W3C Trace Context), or an empty one.

    A header that is not valid, or is there twice, is ignored, as the specification asks. `tracestate` is not read.
    """
    sent = [value for name, value in headers if name == b"traceparent"]
    match = _TRACEPARENT.fullmatch(sent[0]) if len(sent) == 1 else None
    if match is None:
        return Context()
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    named = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(named), Context()) if named.is_valid else Context()


def _wall(begun: int, ended: int) -> tuple[int, int]:
    """The times of day, in nanoseconds, of two times of the monotonic clock.

    The clocks are read once for both. Between two readings the process may wait, and a span would end before it began.
    """
    apart = _apart()
    return begun + apart, ended + apart


def _apart() -> int:
    """How far the time of day is ahead of the monotonic clock, in nanoseconds.

    The process may wait between the two clocks, and then the step would be shown before its request. So the clocks are
    read several times, and the reading that took the least time counts.
    """
    best, least = 0, None
    for _ in range(READINGS):
        before, now, after = monotonic_ns(), time_ns(), monotonic_ns()
        if least is None or after - before < least:
            best, least = now - before, after - before
    return best
