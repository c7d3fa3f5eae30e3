"""The bounds of size and time for a connection, at each bound and past it. Uses sockets, without a database."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from time import monotonic
from typing import Any

import orjson
import pytest
from starlette.types import Receive, Scope, Send

from api.gateway.connections import ConnectionLimits
from tests.support.service import served
from tests.support.waiting import wait_until

LONG_SECONDS = 30
"""Longer than any part of a test: a test that waits so long has failed."""
HASTY = ConnectionLimits(head_bytes=2_000, head_seconds=0.4, idle_seconds=1, write_seconds=0.4, linger_seconds=0.5)
"""Limits with short times."""
PATIENT = ConnectionLimits(
    head_bytes=2_000,
    headers=20,
    target_bytes=500,
    head_seconds=LONG_SECONDS,
    idle_seconds=LONG_SECONDS,
    pipelined=4,
    linger_seconds=LONG_SECONDS,
)
"""Limits whose times are never reached."""
FEW = 5
HOST = b"Host: h\r\n"

Answer = tuple[int, dict[str, Any]]
"""Status and body."""


@dataclass
class Application:
    """Answers with the headers and the body of the request, and stores the paths of the requests."""

    paths: list[str] = field(default_factory=list)
    ended: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        try:
            await self._answer(scope, receive, send)
        finally:
            self.ended += 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while scope["method"] == "POST" and scope["path"] != "/unread":
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        if scope["path"] == "/endless":
            await receive()
            gone = asyncio.ensure_future(receive())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while not gone.done():
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
                await asyncio.sleep(0)
            return
        names = [name.decode() for name, _ in scope["headers"]]
        reply = orjson.dumps({"path": scope["path"], "headers": names, "body": body.decode()})
        length = (b"content-length", str(len(reply)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": reply})


@dataclass
class Server:
    """A running server: its address and its application."""

    url: str
    app: Application

    @contextmanager
    def client(self) -> Iterator[socket.socket]:
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=LONG_SECONDS) as client:
            yield client

    def ask(self, content: bytes, size: int = 1_000_000, count: int = 1) -> list[Answer]:
        """Send bytes in pieces of a size. Return the first answers; fewer if the connection is closed."""
        with self.client() as client:
            for start in range(0, len(content), size):
                client.sendall(content[start : start + size])
            came = b""
            found: list[Answer] = []
            while len(found) < count and (part := received(client, once=True)):
                came += part
                found = answers(came)
            return found


def server_with(limits: ConnectionLimits) -> Iterator[Server]:
    app = Application()
    with served(app, limits) as url:
        yield Server(url, app)


@pytest.fixture
def hasty() -> Iterator[Server]:
    yield from server_with(HASTY)


@pytest.fixture
def few() -> Iterator[Server]:
    yield from server_with(replace(PATIENT, connections=FEW))


@pytest.fixture(scope="module")
def patient() -> Iterator[Server]:
    yield from server_with(PATIENT)


def received(client: socket.socket, *, once: bool = False) -> bytes:
    """The next bytes, or all bytes until the server closes the connection."""
    content = b""
    try:
        while part := client.recv(65536):
            content += part
            if once:
                break
    except ConnectionResetError:
        pass
    return content


def answers(content: bytes) -> list[Answer]:
    """Statuses and bodies of the complete answers in the received bytes."""
    found: list[Answer] = []
    while content:
        head, end, rest = content.partition(b"\r\n\r\n")
        if not end:
            break
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        length = int(headers["content-length"])
        if len(rest) < length:
            break
        found.append((int(lines[0].split()[1]), orjson.loads(rest[:length])))
        if found[-1][0] >= 400:
            assert headers["content-type"] == "application/problem+json"
            assert headers["connection"] == "close"
        content = rest[length:]
    return found


def get(target: str = "/", *headers: bytes) -> bytes:
    return f"GET {target} HTTP/1.1\r\n".encode() + HOST + b"".join(headers) + b"\r\n"


def chunked(end: bytes, path: str = "/") -> bytes:
    head = f"POST {path} HTTP/1.1\r\n".encode() + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + b"3\r\nabc\r\n" + end


# ---------------------------------------------------------------------- sizes


def of_target(size: int) -> bytes:
    return get("/".ljust(size, "a"))


def of_headers(count: int) -> bytes:
    return get("/", *[b"A: b\r\n"] * (count - 1))


def of_head(size: int) -> bytes:
    rest = size - len(get("/", b"A: \r\n"))
    return get("/", b"A: " + b"b" * rest + b"\r\n")


def of_many_heads(size: int) -> bytes:
    """A head with the same number of bytes in names and in values."""
    rest = size - len(get("/", b"A: b\r\n" * 10))
    return get("/", b"A: b\r\n" * 9, b"A" * (rest // 2 + 1), b": ", b"b" * (rest - rest // 2 + 1), b"\r\n")


@pytest.mark.parametrize("size", [1_000_000, 20], ids=["at once", "in pieces"])
@pytest.mark.parametrize(
    ("of", "most", "status", "code", "message"),
    [
        (of_target, PATIENT.target_bytes, 414, "target_too_long", "501 bytes; 500 are"),
        (of_headers, PATIENT.headers, 431, "head_too_large", "21 headers; 20 are"),
        (of_head, PATIENT.head_bytes, 431, "head_too_large", "more than 2000 bytes"),
        (of_many_heads, PATIENT.head_bytes, 431, "head_too_large", "more than 2000 bytes"),
    ],
)
def test_a_head_at_its_bound_is_accepted_and_one_past_it_is_refused(
    patient: Server, of: Callable[[int], bytes], most: int, status: int, code: str, message: str, size: int
) -> None:
    if of is of_head:
        assert len(of(most)) == most
    assert [status for status, _ in patient.ask(of(most), size)] == [200]
    seen = len(patient.app.paths)
    [(answered, problem)] = patient.ask(of(most + 1), size)
    assert (answered, problem["code"], problem["figures"]) == (status, code, {"most": most})
    assert message in problem["detail"]
    assert problem["status"] == status
    assert len(patient.app.paths) == seen, "the application did not get the request"


def test_a_pipelined_head_has_the_same_bound(patient: Server) -> None:
    most = PATIENT.head_bytes
    assert [status for status, _ in patient.ask(get("/first") + of_head(most), count=2)] == [200, 200]
    seen, ended = len(patient.app.paths), patient.app.ended
    assert patient.ask(get("/first") + of_head(most + 1), count=2) == [], "the connection is closed without an answer"
    wait_until(lambda: patient.app.ended > ended, "the end of the first request", LONG_SECONDS)
    assert patient.app.paths[seen:] == ["/first"]


def test_a_large_body_does_not_count_as_head(patient: Server) -> None:
    body = b"b" * 100_000
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body)
    [(status, answered)] = patient.ask(head + body)
    assert (status, len(answered["body"])) == (200, len(body))
    parts = b"".join(b"1\r\nb\r\n" for _ in range(5_000))
    assert patient.ask(chunked(parts + b"0\r\n\r\n"))[0][1]["body"] == "abc" + "b" * 5_000


def test_a_header_without_end_is_not_kept_in_memory(hasty: Server) -> None:
    """A regression: 60 MB of such a header slowed all clients down and stayed in memory."""
    part = b"a" * 1_000_000
    tracemalloc.start()
    try:
        with hasty.client() as client:
            client.sendall(get("/")[:-2] + b"A: ")
            with pytest.raises((ConnectionError, TimeoutError)):  # noqa: PT012 - reset as soon as it has lingered
                while True:
                    client.sendall(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000, f"{peak} bytes at once"
    assert hasty.ask(get())[0][0] == 200


def test_a_client_that_is_still_sending_gets_the_refusal(patient: Server) -> None:
    with patient.client() as client:
        client.sendall(of_head(300_000))
        [(status, _)] = answers(received(client))
    assert status == 431


# ---------------------------------------------------------------------- time


def ended_after(client: socket.socket, part: bytes = b"") -> tuple[float, bytes]:
    """Send a part from time to time. Return the seconds until the server closes the connection, and its bytes."""
    began, content = monotonic(), b""
    client.settimeout(0.02 if part else LONG_SECONDS)
    while monotonic() - began < LONG_SECONDS:
        try:
            came = client.recv(65536)
        except TimeoutError:
            with suppress(ConnectionError):  # the end is read next
                client.sendall(part)
            continue
        except ConnectionError:
            break
        content += came
        if not came:
            break
    return monotonic() - began, content


@pytest.mark.parametrize("part", [b"", b"a"], ids=["nothing more", "a byte at a time"])
def test_a_head_that_is_not_whole_in_time_is_refused(hasty: Server, part: bytes) -> None:
    began = monotonic()
    with hasty.client() as client:
        client.sendall(b"GET / HTTP/1.1\r\nA: ")
        _, content = ended_after(client, part)
    seconds = monotonic() - began
    [(status, problem)] = answers(content)
    assert (status, problem["code"], problem["figures"]) == (408, "too_slow", {"seconds": HASTY.head_seconds})
    assert "head of the request was not whole after 0.4 seconds" in problem["detail"]
    assert HASTY.head_seconds * 0.9 < seconds < LONG_SECONDS / 2
    assert hasty.app.paths == []


def test_a_connection_without_a_request_is_closed(hasty: Server) -> None:
    with hasty.client() as client:
        assert received(client) == b""


def test_line_ends_before_a_request_do_not_keep_a_connection(hasty: Server) -> None:
    with hasty.client() as client:
        seconds, content = ended_after(client, b"\r\n")
    assert [status for status, _ in answers(content)] == [408]
    assert seconds < LONG_SECONDS / 2


def one_answer(client: socket.socket) -> None:
    """Read the answer to a request for `/`."""
    content = b""
    while not content.endswith(b"}"):
        content += client.recv(65536)


@pytest.mark.parametrize("part", [b"", b"A: b\r\n"], ids=["idle", "trickling"])
def test_the_next_head_has_a_time_limit_too(hasty: Server, part: bytes) -> None:
    with hasty.client() as client:
        client.sendall(get())
        one_answer(client)
        if part:
            client.sendall(b"GET / HTTP/1.1\r\n")
        _, content = ended_after(client, part)
    assert [status for status, _ in answers(content)] == ([408] if part else [])


@pytest.mark.parametrize("body", [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_the_rest_of_an_answered_body_does_not_keep_a_connection(hasty: Server, body: bytes) -> None:
    """A regression: each byte of the body restarted the wait for the next request."""
    part = b"a" if b"Length" in body else b"1\r\na\r\n"
    with hasty.client() as client:
        client.sendall(b"POST /unread HTTP/1.1\r\n" + HOST + body + part)
        one_answer(client)
        seconds, content = ended_after(client, part)
    assert content == b""
    assert seconds < LONG_SECONDS / 2


def test_the_connection_of_a_client_that_does_not_read_is_closed(hasty: Server) -> None:
    with hasty.client() as client:
        client.sendall(get("/endless"))
        wait_until(lambda: hasty.app.ended == 1, "the end of an answer that the client does not read", LONG_SECONDS)


# ---------------------------------------------------------------------- counts


def test_a_connection_above_the_limit_gets_a_problem(few: Server) -> None:
    with ExitStack() as clients:
        taken = []
        for _ in range(FEW):
            client = clients.enter_context(few.client())
            client.sendall(get("/endless"))
            assert client.recv(12) == b"HTTP/1.1 200"
            taken.append(client)
        with few.client() as refused:
            [(status, problem)] = answers(received(refused))
        assert (status, problem["code"], problem["figures"]) == (503, "busy", {"most": FEW})
        assert "5 connections, the most allowed" in problem["detail"]
        taken[0].close()

        def is_let_in() -> bool:
            with few.client() as client:
                client.sendall(get())
                return client.recv(12) == b"HTTP/1.1 200"

        wait_until(is_let_in, "a free place for another connection", LONG_SECONDS)


def test_the_number_of_pipelined_requests_is_limited(patient: Server) -> None:
    most = PATIENT.pipelined + 1
    assert [status for status, _ in patient.ask(get("/a") * most, count=most)] == [200] * most
    assert patient.ask(get("/b") * (most + 1), count=most) == [], "the connection is closed without an answer"


# ---------------------------------------------------------------------- bodies and other protocols


def test_trailers_are_not_used_as_headers(patient: Server) -> None:
    """A proxy that checks headers does not check trailers, and trailers come after the checks of the request."""
    for size in (1_000_000, 20):
        [(status, answered)] = patient.ask(chunked(b"0\r\nIdempotency-Key: k\r\nAuthorization: b\r\n\r\n"), size)
        assert (status, answered["headers"], answered["body"]) == (200, ["host", "transfer-encoding"], "abc")


@pytest.mark.parametrize("start", [b"0\r\nA: ", b"3;a="], ids=["a trailer", "a chunk's extension"])
def test_the_bytes_between_the_chunks_of_a_body_are_bounded(patient: Server, start: bytes) -> None:
    ended = patient.app.ended
    with patient.client() as client:
        client.sendall(chunked(start))
        with pytest.raises((ConnectionError, TimeoutError)):  # noqa: PT012 - the connection is closed
            while True:
                client.sendall(b"a" * 1_000)
        assert received(client) == b""
    wait_until(lambda: patient.app.ended > ended, "the end of the request", LONG_SECONDS)


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_an_upgrade_is_answered_as_http(patient: Server, protocol: bytes) -> None:
    upgrade = b"Connection: Upgrade\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\nUpgrade: %s\r\n" % protocol
    with patient.client() as client:
        client.sendall(get("/", upgrade))
        content = received(client)  # until the connection is closed
    assert [status for status, _ in answers(content)] == [200]
    assert b"connection: close" in content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no request\r\n\r\n", "is not valid HTTP/1.1"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "is not valid HTTP/1.1"),
        (get("/", b"A\0: b\r\n"), "is not valid HTTP/1.1"),
        (get("/", b"A: b\r\n", b"Content-Length: 1\r\nContent-Length: 2\r\n"), "is not valid HTTP/1.1"),
        (get("/", b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "is not valid HTTP/1.1"),
        ("GET /\u00e9 HTTP/1.1\r\n\r\n".encode(), "is not valid HTTP/1.1"),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", "request target"),
    ],
)
def test_what_is_not_http_gets_a_problem(patient: Server, content: bytes, message: str) -> None:
    [(status, problem)] = patient.ask(content)
    assert (status, problem["code"]) == (400, "malformed")
    assert message in problem["detail"]


def test_every_bound_is_tested_here() -> None:
    assert {one.name for one in fields(ConnectionLimits)} == {
        "connections", "head_bytes", "headers", "target_bytes", "head_seconds", "idle_seconds", "write_seconds",
        "pipelined", "linger_seconds",
    }  # fmt: skip
