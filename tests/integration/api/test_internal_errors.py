"""Internal errors on a real server: the message of the error is neither in the answer nor in the log."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from api.system import log
from eventstore.executor.asynchronous import AsyncExecutor
from projections.accounts.accounts import queries
from tests.support.service import TOKENS, Service

SECRET = "Ada Lovelace of 12 St James's Square"


def fail(*_: Any, **__: Any) -> Any:
    try:
        raise LookupError(SECRET)
    except LookupError as error:
        raise RuntimeError(f"no row of {SECRET}") from error


def failures(logged: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What is logged about errors. The line of the access log says that somebody asked."""
    return [record for record in logged.records if record.levelno >= logging.ERROR]


def assert_answered_and_logged(response: httpx.Response, logged: pytest.LogCaptureFixture) -> None:
    assert (response.status_code, response.json()["code"]) == (500, "internal"), response.text
    [record] = failures(logged)
    message = record.getMessage()
    assert f"{response.request.method} {response.request.url.path} failed with RuntimeError at" in message
    assert "caused by LookupError at" in message
    assert "test_internal_errors.py" in message, "the place in the code"
    assert SECRET not in logged.text + response.text


def test_a_read_that_fails(service: Service, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(queries, "account", fail)
    assert_answered_and_logged(service.get("accounts/acct_1"), logged)


def test_a_command_that_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(AsyncExecutor, "execute", fail)
    assert_answered_and_logged(service.post("posts", {"author": "a", "title": "t", "body": "b"}), logged)


def test_a_batch_that_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(AsyncExecutor, "execute_all", fail)
    item = {"key": "item-1", "path": "/v1/posts", "body": {"author": "a", "title": "t", "body": "b"}}
    assert_answered_and_logged(service.post("batches", [item]), logged)


def test_an_answer_that_fails_half_way_is_cut_off(
    service: Service, monkeypatch: pytest.MonkeyPatch, logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log, "_read", fail)
    headers = {"Authorization": f"Bearer {TOKENS['audit']}"}
    with service.http.stream("GET", "/v1/log/follow", headers=headers) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()
    assert "GET /v1/log/follow failed with RuntimeError at" in failures(logged)[0].getMessage()
    assert SECRET not in logged.text
