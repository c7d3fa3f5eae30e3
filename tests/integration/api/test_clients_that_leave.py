"""Clients whose connection ends while they send: half a request has no effect, and is no internal error."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from urllib.parse import urlsplit

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.service import TOKENS, Service, served

LENGTH = 20


@contextmanager
def watched(app: ASGIApp) -> Iterator[tuple[str, Event]]:
    """The application on a separate server: its URL, and an event that is set at the end of a request."""
    through = Event()

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        finally:
            through.set()

    with served(watching) as url:
        yield url, through


def leave(url: str, path: str, key: str, part: bytes, kind: str = "application/json") -> None:
    """Begin to post `LENGTH` bytes, send only this part, and close the connection."""
    address = urlsplit(url)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {TOKENS['command']}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Type: {kind}\r\nContent-Length: {LENGTH}\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0)) as client:
        client.sendall(head.encode() + part)


@pytest.mark.parametrize("part", [b"", b"{", b"{}"], ids=["nothing", "a part", "a part that is JSON"])
def test_a_command_that_did_not_arrive_whole_is_not_executed(service: Service, part: bytes) -> None:
    lines = [{"sku": "sku", "name": "thing", "quantity": 1, "unit_price": "1.00"}]
    order = service.post("orders", {"customer": "c", "currency": "EUR", "lines": lines}).json()["order"]
    path, key, before = f"orders/{order}/confirm", f"left-{order}", service.log_digest()
    with watched(service.app) as (url, through):
        leave(url, f"/v1/{path}", key, part)
        assert through.wait(30)
    assert service.log_digest() == before
    confirmed = service.post(path, {"expected_versions": {order: 1}}, key=key)
    assert confirmed.status_code == 200, confirmed.text
    assert "Idempotency-Replayed" not in confirmed.headers


def test_a_batch_that_did_not_arrive_whole_has_no_effect_and_is_no_error(
    service: Service, logged: pytest.LogCaptureFixture
) -> None:
    before = service.log_digest()
    with watched(service.app) as (url, through):
        leave(url, "/v1/batches", "left", b"[")
        assert through.wait(30)
    assert [record.getMessage() for record in logged.records] == []
    assert service.log_digest() == before
