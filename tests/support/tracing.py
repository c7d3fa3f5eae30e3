"""Traces that a test can read, from the exporter of the SDK that keeps spans in memory."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanKind

from tests.support.waiting import wait_until
from workers.tracing.spans import Traces

SAMPLED: Sampler = ParentBased(ALWAYS_ON)
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


class Remembered:
    """Traces, and the spans that ended."""

    def __init__(self, sampler: Sampler = SAMPLED) -> None:
        self._spans = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.traces = Traces(provider, "main")

    def take(self, requests: int = 0) -> list[ReadableSpan]:
        """The spans that ended since the last call, in the order of their beginning.

        Waits for the end of so many requests: a client has its answer before that.
        """
        wait_until(lambda: len(self._ended_requests()) >= requests, f"the end of {requests} requests")
        taken = sorted(self._spans.get_finished_spans(), key=lambda span: span.start_time or 0)
        self._spans.clear()
        return taken

    def _ended_requests(self) -> list[ReadableSpan]:
        return [span for span in self._spans.get_finished_spans() if span.kind is SpanKind.SERVER]


def attributes(span: ReadableSpan) -> dict[str, object]:
    """The attributes of a span."""
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    """The ids of its trace, of the span, and of its parent."""
    context, parent = span.context, span.parent
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", None if parent is None else f"{parent.span_id:016x}"
