"""A connection on a test transport, which shows when it is closed and when it is aborted."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from api.gateway.connections import BoundedConnection, ConnectionLimits

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


class Stuck:
    """A transport whose client reads nothing, so after a close it still waits for the client."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def is_closing(self) -> bool:
        return "close" in self.calls

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str) -> None: ...


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"a"})


def connection(transport: Stuck, limits: ConnectionLimits) -> BoundedConnection:
    config = Config(answer, lifespan="off", ws="none", log_level="warning")
    config.load()
    made = BoundedConnection(limits, config, ServerState(), {}, asyncio.get_running_loop())
    made.connection_made(cast(asyncio.Transport, transport))
    return made


@pytest.mark.parametrize("idle", [True, False], ids=["idle", "after the last answer"])
def test_a_closed_connection_whose_client_does_not_read_is_aborted(idle: bool) -> None:
    async def run() -> list[str]:
        transport = Stuck()
        made = connection(transport, ConnectionLimits(write_seconds=0))
        if idle:
            made.timeout_keep_alive_handler()
        else:
            made.data_received(REQUEST)
        while "abort" not in transport.calls:
            await asyncio.sleep(0)
        made.connection_lost(None)
        return transport.calls

    assert asyncio.run(asyncio.wait_for(run(), 30))[:2] == ["close", "abort"]


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
    ids=["no body", "a body", "chunks"],
)
def test_the_next_head_has_its_bound_with_any_size_of_reads(first: bytes) -> None:
    """The head may begin in the read in which the previous request ends."""
    most = 600
    head = b"GET / HTTP/1.1\r\nHost: h\r\nA: %s\r\n\r\n"

    async def is_closed(content: bytes, at: int) -> bool:
        transport = Stuck()
        made = connection(transport, ConnectionLimits(head_bytes=most))
        for read in (content[:at], content[at:]):
            if read:
                made.data_received(read)
        closed = transport.is_closing()
        made.connection_lost(None)
        return closed

    async def run() -> None:
        within = head % (b"a" * (most - len(head % b"")))
        over = within.replace(b"a", b"aa", 1)
        for at in range(1, len(first + over) + 1, 11):
            assert not await is_closed(first + within, at), at
            assert await is_closed(first + over, at), at

    asyncio.run(run())
