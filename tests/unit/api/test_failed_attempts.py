"""After many wrong tokens of an address in a minute, further ones are refused. A right token is always accepted."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.gateway.access_log import LOGGER, AccessLog, write_line
from api.gateway.authentication import Authentication
from api.gateway.failed_attempts import MOST, MOST_ADDRESSES, PERIOD_SECONDS, FailedAttempts, network_of
from api.gateway.principals import READERS, FixedPrincipals, TokenHolder, digest
from api.gateway.request_guard import RequestGuard
from api.gateway.routes import RouteTable
from api.queries.query import query
from api.services import Limits
from domain.kernel import Principal

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
GRANTS = {
    digest("right"): TokenHolder(Principal("reader", ("report",))),
    digest("late"): TokenHolder(Principal("late", ("report",)), NOW),
}


class Guarded:
    """A request guard for requests of any address, with a clock that tests set."""

    def __init__(self) -> None:
        self.seconds = 0.0
        router = APIRouter()
        query(router, "/v1/accounts/{account}", may=READERS, personal=True, response=None)(_account)
        services: Any = SimpleNamespace(
            reads_only=False,
            tickets=None,
            people=None,
            principals=FixedPrincipals(GRANTS, lambda: NOW),
            allowed_hosts=("testserver",),
            clock=lambda: NOW,
            limits=Limits(),
        )
        authentication = Authentication(services, AccessLog(lambda: NOW), lambda: self.seconds)
        self._guard = RequestGuard(_fine, services, authentication, RouteTable(router.routes))

    def get(self, token: str | None, address: str = "203.0.113.7", path: str = "/v1/accounts/acct_1") -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.request("GET", path, headers, address)

    def request(self, method: str, path: str, headers: dict[str, str], address: str) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._guard, client=(address, 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(send())


def _account(account: str) -> Response:
    return Response(account)


async def _fine(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b"{}")(scope, receive, send)


@pytest.fixture
def guard() -> Guarded:
    return Guarded()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", LOGGER)
    return caplog


def written(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == LOGGER]


def test_after_the_limit_wrong_tokens_are_refused_for_a_time(guard: Guarded) -> None:
    assert [guard.get("wrong").status_code for _ in range(MOST)] == [401] * MOST
    guard.seconds = 20.5
    slowed = guard.get("wrong")
    assert (slowed.status_code, slowed.json()["code"]) == (429, "wrong_tokens")
    assert slowed.headers["Retry-After"] == "40"
    assert "10 wrong tokens came from this address within a minute; try again in 40 sec" in slowed.json()["detail"]
    guard.seconds = PERIOD_SECONDS
    assert guard.get("wrong").status_code == 401


def test_a_right_token_is_accepted_whatever_others_send(guard: Guarded) -> None:
    for _ in range(MOST + 5):
        guard.get("wrong")
    assert guard.get("right").status_code == 200
    assert guard.get("wrong", "203.0.113.8").status_code == 401, "another address"


def test_no_token_and_an_expired_one_do_not_count(guard: Guarded) -> None:
    assert {guard.get(None).status_code for _ in range(MOST + 5)} == {401}
    assert {guard.get("late").json()["code"] for _ in range(MOST + 5)} == {"token_expired"}


def test_an_ipv6_network_of_a_subscriber_counts_as_one_address(guard: Guarded) -> None:
    for number in range(MOST):
        assert guard.get("wrong", f"2001:db8:0:7::{number}").status_code == 401
    assert guard.get("wrong", "2001:db8:0:7:ffff::1").status_code == 429
    assert guard.get("wrong", "2001:db8:0:8::1").status_code == 401


@pytest.mark.parametrize(
    ("address", "counted"),
    [("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::/64"), ("-", "-"), ("x" * 99, "x" * 50)],
)
def test_addresses_that_are_counted_together(address: str, counted: str) -> None:
    assert network_of(address) == counted


def test_the_number_of_counted_addresses_is_bounded() -> None:
    refusals = FailedAttempts(lambda: 0.0)
    refusals.add("first")
    for number in range(MOST_ADDRESSES - 1):
        refusals.add(str(number))
    assert refusals.add("first").number == 2, "it came again, so another address is dropped"
    refusals.add("one more")
    assert refusals.add("0").number == 1
    assert refusals.add("first").number == 3


def test_each_refusal_is_a_line_up_to_a_limit(guard: Guarded, lines: pytest.LogCaptureFixture) -> None:
    for token in ("wrong", None):
        lines.clear()
        for _ in range(MOST + 5):
            guard.get(token)
        *first, last = written(lines)
        line: dict[str, Any] = {
            "at": "2026-06-01T12:00:00+00:00", "event": "access.refused", "principal": None, "role": None,
            "address": "203.0.113.7", "method": "GET", "route": "/v1/accounts/{account}", "ids": {}, "status": 401,
            "code": "unauthenticated",
        }  # fmt: skip
        assert first == [line] * MOST
        assert (last["event"], last["address"], last["seconds"]) == ("access.slowed", "203.0.113.7", 60)


def test_a_refused_role_is_a_line_with_its_principal(guard: Guarded, lines: pytest.LogCaptureFixture) -> None:
    guard.request("POST", "/v1/accounts/acct_1", {"Authorization": "Bearer right"}, "203.0.113.7")
    [line] = written(lines)
    wanted = {"principal": "reader", "role": "report", "method": "POST", "route": "/v1/accounts/{account}"}
    assert wanted.items() <= line.items()
    assert (line["ids"], line["status"], line["code"]) == ({"account": "acct_1"}, 403, "forbidden")


def test_no_token_and_nothing_of_the_query_is_written(guard: Guarded, lines: pytest.LogCaptureFixture) -> None:
    guard.get("guessed-secret", path="/v1/accounts/ada@example.com?owner=ada%0Alovelace")
    guard.request("GET", "/v1/accounts", {"Authorization": "hidden-scheme"}, "203.0.113.7")
    guard.get("guessed-secret", path="/nowhere/ada@example.com")
    assert [line["route"] for line in written(lines)] == ["/v1/accounts/{account}", None, None]
    for personal in ("guessed", "hidden", "ada"):
        assert personal not in lines.text


def test_a_line_is_one_line(guard: Guarded, lines: pytest.LogCaptureFixture) -> None:
    guard.request("POST", "/v1/accounts/a%0Ab%1B%7F%E2%80%A8", {"Authorization": "Bearer right"}, "203.0.113.7")
    write_line("x", NOW, text="\x85\u2028\n\x7f")
    for record in lines.records:
        assert all(" " <= character <= "~" for character in record.getMessage())
    assert written(lines)[0]["ids"] == {"account": "a\nb\x1b\x7f\u2028"}
