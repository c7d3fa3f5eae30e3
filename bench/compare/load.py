"""HTTP load that is the same for every revision: a fixed number of requests, which are made before the clock starts.

Requests with one transfer go over many connections of one event loop. Each connection is a closed loop: it sends the
next request after the answer to the last one. This takes a tenth of the CPU time that the API takes for them.
"""

from __future__ import annotations

import asyncio
import http.client
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from random import Random
from time import perf_counter
from typing import cast

import orjson
import uvloop

from bench.compare.program import CompareError

CURRENCY = "EUR"
RICH = "1000000000.00"
"""The money on each account: enough that no transfer is refused."""
TOO_MUCH = "9999999999999.99"
NDJSON = "application/x-ndjson"
TIMEOUT_SECONDS = 120.0
Item = tuple[str, dict[str, str]]
"""Path and body of an item."""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def transfers(accounts: Sequence[str], number: int, random: Random) -> Iterator[dict[str, str]]:
    """The bodies of transfers between accounts that are drawn with equal probability."""
    for _ in range(number):
        source, target = random.sample(accounts, 2)
        yield {"source": source, "target": target, "amount": f"0.{random.randint(1, 99):02d}", "currency": CURRENCY}


def refused(accounts: Sequence[str], number: int, random: Random) -> Iterator[dict[str, str]]:
    """The bodies of transfers that are refused: no account has so much money."""
    for body in transfers(accounts, number, random):
        yield {**body, "amount": TOO_MUCH}


def requests(bodies: Iterable[dict[str, str]], token: str, run: str) -> list[bytes]:
    """The bytes of HTTP requests with one transfer each. Their keys begin with `run`."""
    made = []
    for number, body in enumerate(bodies):
        content = orjson.dumps(body)
        head = (
            f"POST /v1/transfers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Idempotency-Key: {run}-{number}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        made.append(head.encode() + content)
    return made


def batches(items: Sequence[Item], size: int, run: str) -> list[bytes]:
    """The bodies of batches of these items, one on each line."""
    lines = [
        orjson.dumps({"key": f"{run}-{number}", "path": path, "body": body})
        for number, (path, body) in enumerate(items)
    ]
    return [b"\n".join(lines[start : start + size]) for start in range(0, len(lines), size)]


def send_each(port: int, made: Sequence[bytes], connections: int) -> float:
    """Send these requests over the connections. Returns seconds. Raises `CompareError` unless each is answered 201."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_send_each(port, made, connections))


def send_batches(port: int, token: str, bodies: Sequence[bytes], status: int = 201) -> tuple[float, list[bytes]]:
    """Send these batches in order. Returns (seconds, answers). Raises `CompareError` unless each has the status."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": NDJSON}
    answers = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)) as connection:
        began = perf_counter()
        for body in bodies:
            connection.request("POST", "/v1/batches", body, headers)
            response = connection.getresponse()
            answers.append(response.read())
            if response.status != 200:
                raise CompareError(f"a batch was answered {response.status}: {answers[-1][:500]!r}")
        seconds = perf_counter() - began
    sent = sum(body.count(b"\n") + 1 for body in bodies)
    as_asked = sum(_items_with(status, answer) for answer in answers)
    if as_asked != sent:
        raise CompareError(f"{as_asked} of {sent} items were answered {status}: {answers[0][:500]!r}")
    return seconds, answers


def _items_with(status: int, answer: bytes) -> int:
    """The number of items of a batch that were answered with this status. A problem says it in its body too."""
    return sum(orjson.loads(line)["status"] == status for line in answer.splitlines())


async def _send_each(port: int, made: Sequence[bytes], connections: int) -> float:
    loop = asyncio.get_running_loop()
    waiting = iter(made)
    callers = [_Caller(waiting, loop.create_future()) for _ in range(connections)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)  # type: ignore[misc]
    began = perf_counter()
    for caller in callers:
        caller.send_next()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        await asyncio.gather(*(caller.done for caller in callers))
    return perf_counter() - began


class _Caller(asyncio.Protocol):
    """A connection that sends a request, reads its answer and sends the next request."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None]) -> None:
        self.done = done
        self._requests = requests
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a transport of uvloop has the methods, but not the class

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data
        head, found, body = received.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 201 "):
            self._fail(f"a transfer was answered {head[:12]!r}: {body[:500]!r}")
            return
        length = _LENGTH.search(head)
        if length is None:
            self._fail(f"an answer has no Content-Length: {head!r}")
        elif len(body) >= int(length[1]):
            self._received = b""
            self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the server ended a connection: {error}")

    def send_next(self) -> None:
        """Send the next request, or close the connection if there is none."""
        assert self._transport is not None
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(CompareError(why))
            if self._transport is not None:
                self._transport.abort()
