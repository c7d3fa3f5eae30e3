"""Posting to real sockets: which addresses are refused, TLS, deadlines, and answers that are none."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from tests.support.secure_kafka import Authority
from workers.ports import free_port
from workers.webhooks import sending
from workers.webhooks.addresses import Lookup, is_public, resolved
from workers.webhooks.failure import DeliveryError
from workers.webhooks.messages import Message
from workers.webhooks.sending import MOST_HEAD_BYTES, Answer, Https, target_of

MESSAGE = Message({"webhook-id": "whk_1:1"}, b'{"id":"1"}')
PATIENCE_SECONDS = 60.0
"""No test waits for so long, unless the machine stands still."""
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",  # noqa: S104 - it is refused
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",  # metadata at Alibaba
        "169.254.169.254",  # metadata at AWS, Azure, Google
        "168.63.129.16",  # the host at Azure
        "192.0.0.192",  # metadata at Oracle
        "192.0.2.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "224.0.1.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "fc00::1",
        "fd00:ec2::254",  # metadata at AWS
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::1",  # 6to4 of 127.0.0.1
        "2002:a9fe:a9fe::1",
        "2001:0:7f00:1::1",  # Teredo
    ],
)
def test_an_address_is_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(DeliveryError, match="address_refused"):
        found(lambda host, port: [PUBLIC, address])
    assert found(lambda host, port: [address], private=True) == [address]


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::6810:84e5", "64:ff9b::808:808", "1.1.1.1"])
def test_an_address_is_public(address: str) -> None:
    assert is_public(address)
    assert found(lambda host, port: [address]) == [address]


def found(lookup: Lookup, *, private: bool = False) -> Sequence[str]:
    return resolved("receiver.example", 443, PATIENCE_SECONDS, private=private, lookup=lookup)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "0"])
def test_a_spelling_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(DeliveryError, match="address_refused"):
        Https(allow_http=True, timeout_seconds=PATIENCE_SECONDS).post(f"http://{host}:{free_port()}/", MESSAGE)


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
def test_a_name_without_an_address(error: Exception) -> None:
    def fail(host: str, port: int) -> Sequence[str]:
        raise error

    def nothing(host: str, port: int) -> Sequence[str]:
        return []

    for lookup in (fail, nothing):
        with pytest.raises(DeliveryError, match="unresolvable"):
            found(lookup, private=True)


def test_a_look_up_that_never_ends_is_left() -> None:
    ended = Event()

    def wait(host: str, port: int) -> Sequence[str]:
        ended.wait(60)
        return [PUBLIC]

    with pytest.raises(DeliveryError, match="unresolvable"):
        resolved("receiver.example", 443, 0.05, private=True, lookup=wait)
    ended.set()


def test_the_name_is_looked_up_once_and_the_address_that_was_checked_is_used() -> None:
    """A name server that answers otherwise the second time gets nothing."""
    answers, asked = [["127.0.0.1"], ["10.0.0.1"]], []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers.pop(0)

    with answering(lambda connection: connection.sendall(OK)) as (port, requests):
        assert way(lookup=rebinding).post(f"http://receiver.example:{port}/a/b", MESSAGE) == 200
    assert asked == ["receiver.example"]
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[:2] == [b"POST /a/b HTTP/1.1", f"host: receiver.example:{port}".encode()]
    assert b"webhook-id: whk_1:1" in head
    assert body == MESSAGE.body


def test_another_address_is_tried_where_the_first_takes_no_connection() -> None:
    with answering(lambda connection: connection.sendall(OK)) as (port, _):
        twice = way(lookup=lambda host, port: ["127.0.0.9", "127.0.0.1"])
        assert twice.post(f"http://receiver.example:{port}/", MESSAGE) == 200


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_status_that_says_it_was_taken(status: int) -> None:
    assert answered(b"HTTP/1.1 %d\r\n\r\n" % status) == (None, status)


@pytest.mark.parametrize(
    ("answer", "cause", "status"),
    [
        (b"HTTP/1.1 301 Moved\r\nlocation: http://169.254.169.254/\r\n\r\n", "redirected", 301),
        (b"HTTP/1.1 307 Moved\r\nlocation: https://receiver.example/\r\n\r\n", "redirected", 307),
        (b"HTTP/1.1 400 Bad\r\n\r\n", "answered", 400),
        (b"HTTP/1.0 503 Busy\n\n", "answered", 503),
        (b"HTTP/1.1 410 Gone\r\n\r\n", "gone", 410),
        (b"HTTP/1.1 999 What\r\n\r\n", "answered", 999),
        (b"HTTP/2 200\r\n\r\n", "malformed", None),
        (b"220 mail.example ESMTP\r\n\r\n", "malformed", None),
        (b"HTTP/1.1 200 OK\r\n", "malformed", None),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * MOST_HEAD_BYTES, "malformed", None),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * MOST_HEAD_BYTES, "malformed", None),
        (b"\xff" * 10, "malformed", None),
        (b"", "unreachable", None),
    ],
)
def test_an_answer_that_does_not(answer: bytes, cause: str, status: int | None) -> None:
    assert answered(answer) == (cause, status)


def test_an_informational_answer_comes_before_the_real_one() -> None:
    assert answered(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") == (None, 200)


@pytest.mark.usefixtures("_found_at_once")
def test_a_receiver_that_drips_its_answer_has_the_same_deadline() -> None:
    """Each read is in time, and the whole is not."""
    ended = Event()

    def drip(connection: socket.socket) -> None:
        with suppress(OSError):
            while not ended.wait(0.02):
                connection.sendall(b"H")

    with answering(drip) as (port, _):
        began = monotonic()
        with pytest.raises(DeliveryError, match="too_slow"):
            way(0.3).post(f"http://127.0.0.1:{port}/", MESSAGE)
        assert 0.25 < monotonic() - began < PATIENCE_SECONDS
        ended.set()


@pytest.mark.usefixtures("_found_at_once")
def test_a_receiver_that_does_not_read_has_the_same_deadline() -> None:
    ended = Event()
    large = Message({}, b"x" * (32 * 1024 * 1024))
    with answering(lambda connection: ended.wait(60), reads=False) as (port, _):
        with pytest.raises(DeliveryError, match="too_slow"):
            way(0.3).post(f"http://127.0.0.1:{port}/", large)
        ended.set()


def test_nobody_listens() -> None:
    with pytest.raises(DeliveryError, match="unreachable"):
        way().post(f"http://127.0.0.1:{free_port()}/", MESSAGE)


def test_a_host_in_brackets_that_is_none() -> None:
    with pytest.raises(DeliveryError, match="unresolvable"):
        way().post("http://[1.2.3.4]/", MESSAGE)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://Receiver.example", "receiver.example", 443, "/", "receiver.example"),
        ("https://receiver.example:8443/a;b", "receiver.example", 8443, "/a;b", "receiver.example:8443"),
        ("http://[::1]:80/x", "::1", 80, "/x", "[::1]"),
    ],
)
def test_where_an_address_leads(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = target_of(url)
    assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)


MOST = 100
BODY = b"a line\n"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\ncontent-length: 7\r\n\r\n" + BODY,
         Answer(200, "text/plain", BODY)),
        (b"HTTP/1.1 409 Conflict\r\n\r\n" + BODY, Answer(409, "", BODY)),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\nmore", Answer(404, "", b"")),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\na l\r\n4\r\nine\n\r\n0\r\n\r\n",
         Answer(200, "", BODY)),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + BODY, Answer(200, "", BODY)),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * MOST, Answer(200, "", b"x" * MOST)),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MOST + 1), "malformed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n" + b"x" * (MOST + 1), "malformed"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1_000, "malformed"),
        (b"220 mail.example ESMTP\r\n\r\n", "malformed"),
        (b"", "unreachable"),
    ],
)  # fmt: skip
def test_an_answer_is_read_up_to_a_bound(answer: bytes, expected: Answer | str) -> None:
    with answering(lambda connection: connection.sendall(answer)) as (port, _):
        try:
            found: Answer | str = way().ask(f"http://127.0.0.1:{port}/", MESSAGE, MOST)
        except DeliveryError as error:
            found = error.cause
    assert found == expected


@pytest.mark.usefixtures("_found_at_once")
@pytest.mark.parametrize("begin", [b"", OK[:-2] + b"x: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_drips_has_the_same_deadline(begin: bytes) -> None:
    ended = Event()

    def drip(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(begin)
            while not ended.wait(0.02):
                connection.sendall(b"H")

    with answering(drip) as (port, _):
        began = monotonic()
        with pytest.raises(DeliveryError, match="too_slow"):
            way(0.3).ask(f"http://127.0.0.1:{port}/", MESSAGE, 1_000_000)
        assert 0.25 < monotonic() - began < PATIENCE_SECONDS
        ended.set()


def test_tls_is_checked_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    authority, names = Authority(tmp_path / "authority"), list[str | None]()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority.sign("server"))
    server.sni_callback = lambda connection, name, context: names.append(name)
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    with answering(lambda connection: connection.sendall(OK), tls=server) as (port, requests):

        def post(host: str, context: ssl.SSLContext) -> int:
            return way(context=context, lookup=lambda host, port: ["127.0.0.1"]).post(
                f"https://{host}:{port}/", MESSAGE
            )

        assert post("127.0.0.1", trusting) == 200
        for host, context in (("receiver.example", trusting), ("127.0.0.1", ssl.create_default_context())):
            with pytest.raises(DeliveryError, match="tls"):
                post(host, context)
    assert names[1] == "receiver.example", "the server is told the name"
    assert len(requests) == 1, "nothing was sent to a server that is not trusted"


def way(seconds: float = PATIENCE_SECONDS, **more: Any) -> Https:
    return Https(allow_http=True, allow_private=True, timeout_seconds=seconds, **more)


@pytest.fixture
def _found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up takes none of the time: else a machine that stalls would leave no time to send the request."""
    monkeypatch.setattr(sending, "resolved", lambda *_, **__: ["127.0.0.1"])


def answered(answer: bytes) -> tuple[str | None, int | None]:
    """The cause and the status that an answer gives."""
    with answering(lambda connection: connection.sendall(answer)) as (port, _):
        try:
            return None, way().post(f"http://127.0.0.1:{port}/", MESSAGE)
        except DeliveryError as error:
            return error.cause, error.status


@contextmanager
def answering(
    answer: Callable[[socket.socket], object], *, tls: ssl.SSLContext | None = None, reads: bool = True
) -> Iterator[tuple[int, list[bytes]]]:
    """A server that reads a request, answers so, and ends the connection. Yields its port and the requests."""
    requests: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with suppress(OSError):
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True)
                if reads:
                    requests.append(_request(connection))
                answer(connection)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            connection.close()

    listening = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1], requests
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def _request(connection: socket.socket) -> bytes:
    read = b""
    while not read.endswith(MESSAGE.body):
        more = connection.recv(65_536)
        if not more:
            break
        read += more
    return read
