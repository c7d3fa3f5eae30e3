"""Open-loop load over HTTP from a separate process (`python -m bench.harness.open_loop`), which the caller starts.

Requests are due at a constant rate, even if earlier ones are not answered yet. A latency counts from the moment when
its request was due, so it includes the time that the request waited behind a slow one.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from time import perf_counter
from typing import NamedTuple, cast

import httptools
import orjson
import uvloop

from bench.harness import process, wrk
from bench.harness.api_process import TOKEN
from bench.harness.load import Sample

COMMAND, READ = "command", "read"
STATUS = {COMMAND: 201, READ: 200}
CONNECTIONS = 64
CLOSED, HALF = f"closed loop, {CONNECTIONS} connections", "open loop, half of that"
LEAST_RATE = 10.0
ANSWER_SECONDS = 60.0
"""Most seconds to wait for the last answers."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send at a constant rate: transfers and reads. `reads` is the share of reads."""

    address: str
    accounts: str  # file with one id on each line
    name: str  # of the run; part of every key
    seed: int
    rate: float
    seconds: float
    connections: int
    reads: float


def half_of(capacity: Sample, load: wrk.Load, seconds: float) -> Plan:
    """The same load at half of the rate that it reached in a closed loop."""
    rate = max(LEAST_RATE, 0.5 * capacity.answered / capacity.seconds)
    name = f"{load.run}-half"
    return Plan(load.address, str(load.accounts), name, load.seed, rate, seconds, load.connections, load.reads)


def run(plan: Plan) -> Mapping[str, Sample]:
    """Send all requests. Returns a sample by kind. Raises `subprocess.CalledProcessError` if one does not succeed."""
    answered = process.ask("bench.harness.open_loop", asdict(plan))
    return {kind: Sample(len(took), answered["seconds"], took) for kind, took in answered["latencies_us"].items()}


class _Request(NamedTuple):
    due: float  # in seconds of `perf_counter`
    kind: str
    content: bytes


class _Load:
    """Requests that are due, and free connections. The first free connection takes the first due request."""

    def __init__(self, number: int) -> None:
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies_us: dict[str, list[int]] = {COMMAND: [], READ: []}
        self.ended = 0.0
        self._number = number
        self._waiting: deque[_Request] = deque()
        self._free: list[_Connection] = []

    def send(self, request: _Request) -> None:
        """Send a request now, or as soon as a connection is free."""
        if self._free:
            self._free.pop().send(request)
        else:
            self._waiting.append(request)

    def freed(self, connection: _Connection) -> None:
        """Note that a connection is free. It takes the first waiting request."""
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._free.append(connection)

    def answered(self, request: _Request, status: int) -> None:
        """Note the answer to a request."""
        if status != STATUS[request.kind]:
            self.failed(f"{status} to {request.content!r}")
        self.ended = perf_counter()
        self.latencies_us[request.kind].append(round((self.ended - request.due) * 1e6))
        self._number -= 1
        if not self._number and not self.finished.done():
            self.finished.set_result(None)

    def closed(self, connection: _Connection) -> None:
        """Remove an idle connection that the server closed."""
        self._free.remove(connection)

    def failed(self, why: str) -> None:
        """End the load with an error."""
        if not self.finished.done():
            self.finished.set_exception(RuntimeError(why))


class _Connection(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._request: _Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._load.freed(self)

    def send(self, request: _Request) -> None:
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request.content)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Note the complete answer. Called by the parser."""
        assert self._request is not None
        request, self._request = self._request, None
        self._load.answered(request, self._parser.get_status_code())
        self._load.freed(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._request is None and error is None:
            self._load.closed(self)
        else:
            self._load.failed(f"a connection broke: {error}")


def _requests(plan: Plan) -> list[tuple[str, bytes]]:
    accounts = Path(plan.accounts).read_text().split()
    random = Random(plan.seed)
    host = f"Host: {plan.address.removeprefix('http://')}\r\nAuthorization: Bearer {TOKEN}\r\n"
    made = []
    for number in range(round(plan.rate * plan.seconds)):
        source, target = random.sample(accounts, 2)
        if random.random() < plan.reads:
            entries = random.choice(("", "/entries?newest_first=true&limit=20"))
            made.append((READ, f"GET /v1/accounts/{source}{entries} HTTP/1.1\r\n{host}\r\n".encode()))
            continue
        amount = f"{random.randint(1, 100)}.{random.randint(0, 99):02}"
        body = orjson.dumps({"source": source, "target": target, "amount": amount, "currency": "EUR"})
        head = (
            f"POST /v1/transfers HTTP/1.1\r\n{host}Idempotency-Key: {plan.name}-{number}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append((COMMAND, head.encode() + body))
    return made


async def send(plan: Plan) -> tuple[float, dict[str, list[int]]]:
    """Send all requests. Returns seconds until the last answer, and latencies by kind. Raises `RuntimeError`."""
    requests = _requests(plan)
    load = _Load(len(requests))
    host, _, port = plan.address.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()
    transports = [
        (await loop.create_connection(lambda: _Connection(load), host, int(port)))[0] for _ in range(plan.connections)
    ]
    began = perf_counter()
    try:
        for number, (kind, content) in enumerate(requests):
            due = began + number / plan.rate
            if (pause := due - perf_counter()) > 0:
                await asyncio.sleep(pause)
            load.send(_Request(due, kind, content))
        await asyncio.wait_for(load.finished, ANSWER_SECONDS)
    finally:
        for transport in transports:
            transport.close()
    return load.ended - began, load.latencies_us


def _main() -> None:
    plan = Plan(**orjson.loads(sys.stdin.buffer.read()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds, latencies_us = runner.run(send(plan))
    sys.stdout.buffer.write(orjson.dumps({"seconds": seconds, "latencies_us": latencies_us}))


if __name__ == "__main__":
    _main()
