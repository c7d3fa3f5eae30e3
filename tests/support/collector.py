"""A collector of traces in the test process: takes OTLP over HTTP, and keeps the spans."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Received(NamedTuple):
    """A span. Ids are in hexadecimal digits; `parent` is empty for the first span of a trace."""

    service: str
    name: str
    trace: str
    parent: str
    attributes: dict[str, str | int]


class Collector:
    """The spans that were received, and the address for exporters."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Received] = []

    def named(self, name: str) -> list[Received]:
        """The spans with this name."""
        return [span for span in self.spans if span.name == name]

    def of_trace(self, trace: str) -> list[Received]:
        """The spans of this trace."""
        return [span for span in self.spans if span.trace == trace]

    def take(self, body: bytes) -> None:
        """Keep the spans of a request."""
        message = ExportTraceServiceRequest.FromString(body)
        for of_resource in message.resource_spans:
            of_process = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    values = {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
                    trace, parent = span.trace_id.hex(), span.parent_span_id.hex()
                    self.spans.append(Received(of_process["service.name"], span.name, trace, parent, values))


@contextmanager
def collector() -> Iterator[Collector]:
    """A running collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            received.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
