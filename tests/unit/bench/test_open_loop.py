"""The open loop: requests are sent when they are due, and the wait behind others counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.harness import open_loop
from bench.harness.open_loop import COMMAND, READ, Plan

SERVICE_SECONDS = 0.02


def sent(tmp_path: Path, *, connections: int, reads: float = 0.0, status: int = 201) -> dict[str, list[int]]:
    """Latencies of ten requests, one every 5 ms, to a server that needs 20 ms for each."""
    accounts = tmp_path / "accounts"
    accounts.write_text("a\nb\n")

    serving: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        while (head := await reader.readline()) not in (b"", b"\r\n"):
            rest = await reader.readuntil(b"\r\n\r\n")
            length = rest.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            await asyncio.sleep(SERVICE_SECONDS)
            code = 200 if head.startswith(b"GET") else status
            writer.write(f"HTTP/1.1 {code} So\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        writer.close()

    async def load() -> dict[str, list[int]]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plan = Plan(f"http://127.0.0.1:{port}", str(accounts), "run", 1, 200.0, 0.05, connections, reads)
        try:
            return (await open_loop.send(plan))[1]
        finally:
            server.close()
            await asyncio.gather(*filter(None, serving), return_exceptions=True)

    return asyncio.run(load())


def test_every_request_is_answered_and_counted_by_its_kind(tmp_path: Path) -> None:
    latencies = sent(tmp_path, connections=10, reads=0.5)
    assert len(latencies[COMMAND]) + len(latencies[READ]) == 10
    assert all(latencies.values())


def test_the_latency_of_a_request_begins_when_it_is_due(tmp_path: Path) -> None:
    latencies = sent(tmp_path, connections=1)[COMMAND]
    # The last request is due after 45 ms, and its answer comes after ten times 20 ms.
    assert latencies[-1] >= 150_000
    assert latencies == sorted(latencies)


def test_any_other_answer_makes_no_result(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="503"):
        sent(tmp_path, connections=10, status=503)


class Wire(asyncio.Transport):
    """Stores the written bytes."""

    def __init__(self, written: list[bytes]) -> None:
        super().__init__()
        self._written = written

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._written.append(bytes(data))


def test_a_closed_connection_matters_only_with_a_request_on_it() -> None:
    async def lose() -> None:
        load, written = open_loop._Load(1), list[bytes]()
        idle, busy = open_loop._Connection(load), open_loop._Connection(load)
        idle.connection_made(Wire(written))
        idle.connection_lost(None)
        load.send(open_loop._Request(0.0, COMMAND, b"a transfer"))
        assert not written
        busy.connection_made(Wire(written))
        assert written == [b"a transfer"]
        assert not load.finished.done()
        busy.connection_lost(None)
        with pytest.raises(RuntimeError, match="broke"):
            await load.finished

    asyncio.run(lose())
