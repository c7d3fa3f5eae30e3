"""Bounds HTTP connections: the size of the head of a request, the time it takes, and the number of connections.

uvicorn bounds none of these. A request that is refused here has not reached the application, so this module writes the
answer, with the same problem details. It counts with integers, once for each read from the socket.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import httptools
import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from api.gateway.problems import MEDIA_TYPE, RETRY_SECONDS, problem
from api.gateway.response_headers import ANSWER

BYTES_AROUND_A_HEADER = len(": \r\n")
BYTES_AROUND_A_TARGET = len("  HTTP/1.1\r\n\r\n")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of the connections of one process."""

    connections: int = 1_000  # at once
    head_bytes: int = 32 * 1024  # request line and headers; also the bytes between two parts of a chunked body
    headers: int = 100
    target_bytes: int = 8 * 1024  # path and query
    head_seconds: float = (
        10.0  # from the connection, or from the first byte of a later head, until the head is complete
    )
    idle_seconds: int = 5  # between two requests
    write_seconds: float = 60.0  # in which the client reads nothing of an answer
    pipelined: int = 16  # requests that wait for the one that is being answered
    linger_seconds: float = 2.0  # in which a client that still sends can read why it is refused


def server_options(limits: ConnectionLimits) -> dict[str, Any]:
    """The options of uvicorn that set these bounds. Every server of the application uses them."""
    return {
        "http": cast(type[asyncio.Protocol], partial(BoundedConnection, limits)),
        "ws": "none",
        "timeout_keep_alive": limits.idle_seconds,
        "access_log": False,
        "server_header": False,
    }


class _RefusedError(Exception):
    """A head is over a bound. The error has the code, the detail and the bound of the problem."""

    def __init__(self, code: str, detail: str, most: int) -> None:
        super().__init__(detail)
        self.code = code
        self.most = most


class BoundedConnection(HttpToolsProtocol):
    """A connection of uvicorn that refuses requests over a bound and closes when a request takes too long."""

    cycle: Any  # None before the first request; the annotation of uvicorn omits it

    def __init__(
        self,
        limits: ConnectionLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._pending = 0  # bytes of the reads after the one that last completed a head or a part of a body
        self._read = 0  # bytes of the read that is being parsed
        self._shared = 0  # bytes of the read that last completed one: the next head may begin in it
        self._refused = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------ life of the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the connection, or refuse it if there are too many."""
        super().connection_made(transport)
        most = self._limits.connections
        if len(self.connections) > most:
            self._refused = True
            self._answer("busy", f"There are {most} connections, the most allowed; try again.", {"most": most})
            self._close()
        else:
            self._head_timer = self.loop.call_later(self._limits.head_seconds, self._out_of_time)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel every timer."""
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes as uvicorn does, and count those of an incomplete head."""
        if self._refused:
            return  # bytes are read and dropped, so that the client can read the answer
        self._unset_keepalive_if_required()
        self._read = len(data)
        self._pending += self._read
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._refuse_unparsed(error)
            return
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # answered as HTTP/1.1; later bytes of the connection are ignored
        if self._pending > self._limits.head_bytes:
            most = self._limits.head_bytes
            self._refuse("head_too_large", _too_large(most), {"most": most})
        elif self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            # These bytes are part of the next head, or the rest of a body whose request was already answered.
            self._head_timer = self.loop.call_later(self._limits.head_seconds, self._out_of_time)

    # ------------------------------------------------------------------ called by the parser

    def on_headers_complete(self) -> None:
        """Start the request. Raises `_RefusedError` if its head is over a bound."""
        limits = self._limits
        if (
            self._pending + self._shared > limits.head_bytes
            or len(self.headers) > limits.headers
            or len(self.url) > limits.target_bytes
            or len(self.pipeline) >= limits.pipelined
        ):
            self._check_head()
        self._pending = 0
        self._shared = self._read
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()
        self.headers = []  # the parser adds the trailers of the body here; they are not headers of the request

    def on_body(self, body: bytes) -> None:
        """Pass on a part of a body."""
        self._pending = 0
        self._shared = self._read
        super().on_body(body)

    def _check_head(self) -> None:
        limits = self._limits
        if len(self.url) > limits.target_bytes:
            detail = f"The request target has {len(self.url)} bytes; {limits.target_bytes} are allowed."
            raise _RefusedError("target_too_long", detail, limits.target_bytes)
        if len(self.headers) > limits.headers:
            detail = f"The request has {len(self.headers)} headers; {limits.headers} are allowed."
            raise _RefusedError("head_too_large", detail, limits.headers)
        size = len(self.parser.get_method()) + len(self.url) + BYTES_AROUND_A_TARGET
        size += sum([len(name) + len(value) + BYTES_AROUND_A_HEADER for name, value in self.headers])
        if size > limits.head_bytes:
            raise _RefusedError("head_too_large", _too_large(limits.head_bytes), limits.head_bytes)
        if len(self.pipeline) >= limits.pipelined:
            detail = f"More than {limits.pipelined} requests wait for the answer to the one before."
            raise _RefusedError("too_many", detail, limits.pipelined)

    # ------------------------------------------------------------------ writing

    def pause_writing(self) -> None:
        """Wait for the client to read, for a limited time."""
        super().pause_writing()
        self._bound_writing()

    def resume_writing(self) -> None:
        """Continue writing: the client has read."""
        super().resume_writing()
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()
            self._write_timer = None

    def on_response_complete(self) -> None:
        """Start the next request or wait for it. Bound the time to read the last answer of a closed connection."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._bound_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        self._close()

    def _bound_writing(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self._limits.write_seconds, self.transport.abort)

    def _close(self) -> None:
        self.transport.close()
        self._bound_writing()

    # ------------------------------------------------------------------ refusing

    def _out_of_time(self) -> None:
        """End a connection without a complete head in time. It gets an answer if a part of the head has arrived."""
        self._head_timer = None
        if self.transport.is_closing():
            return
        begun = self._pending and (self.cycle is None or not self.cycle.more_body)
        if begun:
            seconds = self._limits.head_seconds
            detail = f"The head of the request was not whole after {seconds:g} seconds."
            self._refuse("too_slow", detail, {"seconds": seconds})
        else:
            self._close()

    def _refuse_unparsed(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, _RefusedError):
            self._refuse(cause.code, f"{cause}", {"most": cause.most})
        elif cause is not None:
            self._refuse("malformed", "The request target is not the path and query of a URL in ASCII.", None)
        else:
            self._refuse("malformed", f"The request is not valid HTTP/1.1: {error}.", None)

    def _refuse(self, code: str, detail: str, figures: dict[str, Any] | None) -> None:
        """Answer with a problem and end the connection. While another answer is being sent, only end the connection."""
        self._refused = True
        if self.pipeline or not (self.cycle is None or self.cycle.response_complete):
            self._close()
            return
        self._answer(code, detail, figures)
        self.flow.resume_reading()
        self.transport.write_eof()
        if self._head_timer is not None:
            self._head_timer.cancel()
        # Do not close at once: later bytes of the client would reset the connection, and the answer would be lost.
        self._head_timer = self.loop.call_later(self._limits.linger_seconds, self._close)

    def _answer(self, code: str, detail: str, figures: dict[str, Any] | None) -> None:
        message = problem(code, detail, figures)
        body = orjson.dumps({**message, "instance": ""}, option=orjson.OPT_SORT_KEYS)
        headers = [
            *self.server_state.default_headers,
            *ANSWER,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if message["status"] in (429, 503):
            headers.append((b"retry-after", str(RETRY_SECONDS).encode()))
        lines = b"".join([name + b": " + value + b"\r\n" for name, value in headers])
        self.transport.write(STATUS_LINE[message["status"]] + lines + b"\r\n" + body)


def _too_large(most: int) -> str:
    return f"The request line and the headers have more than {most} bytes."
