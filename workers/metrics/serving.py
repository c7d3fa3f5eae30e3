"""Serves the metrics on a port of their own: `GET /metrics`, one request a connection, everything bounded.

Each process has its own port. The processes of the API share one port for clients, where each request can reach another
process; the counters of a scrape would jump between them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Final

from eventstore.tracebacks import traceback_of
from workers.metrics.exposition import CONTENT_TYPE, page_of
from workers.metrics.sources import Source
from workers.settings import Settings, SettingsError, variable

MOST_CONNECTIONS: Final = 8
"""Connections at once; one more is closed."""
MOST_HEAD_BYTES: Final = 8 * 1024
END_OF_HEAD: Final = b"\r\n\r\n"
HEAD_SECONDS, WRITE_SECONDS = 5.0, 5.0
"""Until the head of a request is complete, and until its answer is read."""
MOST_PORT: Final = 65_535

logger = logging.getLogger(__name__)


@contextmanager
def metrics_served(settings: Settings, sources: Sequence[Source], processes: int = 1) -> Iterator[int | None]:
    """Serve the figures of these sources while the context lasts, if the settings name a port.

    `processes` of a kind share the settings: each takes the first free port from the one that is named on, so that the
    successor of one that was killed takes its port. Yields the port. Raises `SettingsError` if none is free.
    """
    if settings.metrics_port is None:
        yield None
        return
    with _listening(settings, settings.metrics_port, processes) as listening:
        server = _Server(listening, page_of(sources))
        thread = Thread(target=server.run, name="metrics", daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.stop()
            thread.join()


def _listening(settings: Settings, first: int, processes: int) -> socket.socket:
    """A socket on the first free port of those that these processes share. Raises `SettingsError`."""
    last = first + processes - 1
    name = variable("metrics_port")
    if last > MOST_PORT:
        raise SettingsError(f"{name} is {first}, and {processes} processes need ports up to {last}: set a lower one")
    family = socket.AF_INET6 if ":" in settings.metrics_host else socket.AF_INET
    reason = ""
    for port in range(first, last + 1):
        try:
            return socket.create_server((settings.metrics_host, port), family=family)
        except OSError as error:
            reason = error.strerror or type(error).__name__
    raise SettingsError(
        f"none of the ports {first} to {last} on {settings.metrics_host} can be used for metrics ({reason}): "
        f"stop what listens there, or set {name} to another"
    )


class _Server:
    """A server with an event loop in its own thread."""

    def __init__(self, listening: socket.socket, page: Callable[[], bytes]) -> None:
        self._listening = listening
        self._page = page
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._open = 0

    def run(self) -> None:
        """Serve until `stop`."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """End. Called on another thread."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._connected, sock=self._listening, limit=MOST_HEAD_BYTES - len(END_OF_HEAD)
        )
        await self._stop.wait()
        server.close()  # the runner cancels the connections that are open

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MOST_CONNECTIONS:
                await self._answer(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.transport.abort()  # the client has left, or was too slow
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(END_OF_HEAD)
        except asyncio.LimitOverrunError:
            writer.write(_response(b"431 Request Header Fields Too Large", b""))
        else:
            writer.write(await self._response_to(head))
        writer.transport.set_write_buffer_limits(0)  # so that `drain` waits until all of it is sent
        async with asyncio.timeout(WRITE_SECONDS):
            await writer.drain()

    async def _response_to(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if path != b"/metrics":
            return _response(b"404 Not Found", b"The metrics are at /metrics.\n")
        if method not in (b"GET", b"HEAD"):
            return _response(b"405 Method Not Allowed", b"", b"Allow: GET, HEAD\r\n")
        try:
            body = await asyncio.to_thread(self._page)
        except Exception as fault:
            logger.error("the metrics failed with %s", traceback_of(fault))
            return _response(b"500 Internal Server Error", b"")
        answer = _response(b"200 OK", body)
        return answer if method == b"GET" else answer.removesuffix(body)


def _response(status: bytes, body: bytes, more: bytes = b"") -> bytes:
    kind = CONTENT_TYPE.encode()
    head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%bConnection: close\r\n\r\n"
    return head % (status, kind, len(body), more) + body
