"""Clients that send a body too slowly get a problem, lose their connection, and do not block other clients."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import orjson
import pytest

from api.services import Limits
from tests.support.postgres import Server
from tests.support.service import TOKENS, Service, service_on

SECONDS = 0.5
"""The time for a whole body. A client that sends it at once needs a thousandth of it."""
PAUSE_SECONDS = 0.02
LENGTH = 1_000
COMMAND, BATCH = "/v1/posts", "/v1/batches"
DRAFT = {"author": "a", "title": "t", "body": "b"}


@pytest.fixture(scope="module")
def impatient(postgres18: Server) -> Iterator[Service]:
    limits = Limits(body_seconds=SECONDS, batch_seconds=SECONDS, batches=1)
    with postgres18.database() as database, service_on(database, limits=limits) as service:
        yield service


@contextmanager
def begun(service: Service, path: str, part: bytes, key: str = "slow", **more: str) -> Iterator[socket.socket]:
    """Begin a request of `LENGTH` bytes and send only this part, in one piece with the head. `more` has headers."""
    url = service.http.base_url
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {TOKENS['command']}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {LENGTH}\r\n"
    )
    head += "".join(f"{name}: {value}\r\n" for name, value in more.items()) + "\r\n"
    with socket.create_connection((url.host, url.port or 0), timeout=30) as client:
        client.sendall(head.encode() + part)
        yield client


def trickled(client: socket.socket, part: bytes) -> bytes:
    """Send a part from time to time until the server closes the connection. Return all that it sent."""
    answered, end = b"", monotonic() + 30
    client.settimeout(PAUSE_SECONDS)
    while monotonic() < end:
        try:
            received = client.recv(65536)
        except TimeoutError:
            client.sendall(part)
            continue
        if not received:
            return answered
        answered += received
    raise AssertionError("the server did not hang up")


def whole(service: Service, path: str, body: Any, key: str) -> bytes:
    """The status line of the answer to a request that comes at once: a client that stands still is not too slow."""
    with begun(service, path, orjson.dumps(body).ljust(LENGTH), key, Connection="close") as client:
        return client.makefile("rb").readline()


@pytest.mark.parametrize("part", [b"", b" "], ids=["nothing more", "a byte at a time"])
@pytest.mark.parametrize("path", [COMMAND, BATCH])
def test_a_body_that_is_not_whole_in_time_is_refused(impatient: Service, path: str, part: bytes) -> None:
    before, began = impatient.log_digest(), monotonic()
    with begun(impatient, path, part) as client:
        head, _, body = trickled(client, part).partition(b"\r\n\r\n")
    assert SECONDS <= monotonic() - began < 20
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head.lower()
    problem = orjson.loads(body)
    assert (problem["code"], problem["status"], problem["figures"]) == ("too_slow", 408, {"seconds": SECONDS})
    assert f"not whole after {SECONDS} seconds" in problem["detail"]
    assert impatient.log_digest() == before
    key = f"slow-{path}-{part!r}"
    assert whole(impatient, COMMAND, DRAFT, key) == b"HTTP/1.1 201 Created\r\n"
    assert whole(impatient, BATCH, [], f"{key}-batch") == b"HTTP/1.1 200 OK\r\n", "the limit has a free place again"
