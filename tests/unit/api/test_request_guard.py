"""The requests that the guard accepts, and its answers to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import registry
from api.gateway.access_log import AccessLog
from api.gateway.authentication import Authentication
from api.gateway.principals import FixedPrincipals, TokenHolder, digest
from api.gateway.request_guard import MOST_DEPTH, MOST_NESTED, RequestGuard, UnkeptError, parse, parse_each
from api.gateway.routes import RouteTable
from api.services import Limits
from domain.kernel import Principal

MOST_BYTES = 1_000
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
GRANTS = {
    digest(f"token-{role}"): TokenHolder(Principal(f"the-{role}", (role,)))
    for role in ("command", "report", "audit", "operator")
}
GRANTS[digest("token-of-may")] = TokenHolder(Principal("the-late", ("command",)), NOW)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the result of the guard, and with the body as an application reads it."""
    state = scope["state"]
    read = (await receive())["body"].decode() if scope["method"] == "POST" else None
    answered = {"principal": state["principal"].id, "parsed": state.get("body"), "read": read}
    await Response(orjson.dumps(answered), 200, media_type="application/json")(scope, receive, send)


def guard(
    app: ASGIApp = echo,
    *,
    auth: bool = True,
    hosts: tuple[str, ...] = ("testserver",),
    held_bytes: int = 10_000,
    body_seconds: float = 30,
    share: float = 1.0,
) -> RequestGuard:
    services: Any = SimpleNamespace(
        reads_only=False,
        tickets=None,
        people=None,
        principals=FixedPrincipals(GRANTS, lambda: NOW) if auth else None,
        allowed_hosts=hosts,
        clock=lambda: NOW,
        limits=Limits(body_bytes=MOST_BYTES, body_seconds=body_seconds, held_bytes=held_bytes, principal_share=share),
    )
    authentication = Authentication(services, AccessLog(lambda: NOW))
    return RequestGuard(app, services, authentication, RouteTable(registry.routes()))


HEADERS = {"Authorization": "Bearer token-command", "Content-Type": "application/json"}


def post(content: Any, *, to: RequestGuard | None = None, **headers: str) -> httpx.Response:
    sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=to or guard())
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.post("/v1/transfers", content=content, headers=sent)

    return asyncio.run(send())


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_a_sound_request_passes_with_its_body_parsed() -> None:
    answered = post(b'{"a": 1}').json()
    assert answered == {"principal": "the-command", "parsed": {"a": 1}, "read": '{"a": 1}'}


def test_no_body_is_an_empty_object() -> None:
    answered = post(b"").json()
    assert (answered["parsed"], answered["read"]) == ({}, "{}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": Infinity}', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b'{"a": "\x00"}', "not JSON"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'{"a": [{"b": "\\u0000"}]}', "NUL"),
        (b'{"amount": "1.00", "amount": "9.00"}', "'amount' twice"),
        (b'{"lines": [{"a": 1, "\\u0061" : 2}]}', "'a' twice"),
        (b'{"a": "one: two", "b": {"c": 1, "c": {}}}', "'c' twice"),
        (nested(MOST_DEPTH + 1), "deeper than 32"),
    ],
)
def test_a_body_that_cannot_be_stored_is_malformed(content: bytes, message: str) -> None:
    answered = post(content)
    assert answered.status_code == 400
    assert answered.headers["content-type"] == "application/problem+json"
    problem = answered.json()
    assert problem["code"] == "malformed"
    assert message in problem["detail"]
    assert problem["instance"] == "/v1/transfers"


def test_the_answer_has_the_position_of_an_error_in_json() -> None:
    assert "column 7" in post(b'{"a": }').json()["detail"]


def test_many_objects_and_arrays_are_refused_with_their_bound() -> None:
    """The check comes before further checks of each object. A body of many objects took half a second before."""

    def of(count: int) -> bytes:
        return b'{"a":[%s]}' % b",".join([b"{}"] * (count - 2))

    assert parse(of(MOST_NESTED)) == {"a": [{}] * (MOST_NESTED - 2)}
    with pytest.raises(UnkeptError, match=f"more than {MOST_NESTED} objects and arrays"):
        parse(of(MOST_NESTED + 1))


def test_the_depth_that_is_allowed_passes() -> None:
    assert post(nested(MOST_DEPTH)).status_code == 200


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert post(b'{"a": "\\\\u0000"}').json()["parsed"] == {"a": "\\u0000"}


def test_a_name_may_be_repeated_in_another_object_and_in_a_text() -> None:
    assert post(b'{"a": "x: y", "b": [{"a": 1}, {"a": ":"}], "c": {"a": "\\"a\\": 1"}}').status_code == 200


def test_a_large_body_is_refused_with_its_bound() -> None:
    declared = post(b" " * (MOST_BYTES + 1))

    async def in_parts() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield b" " * 600

    undeclared = post(in_parts())
    for answered in (declared, undeclared):
        assert answered.status_code == 413
        assert answered.json()["figures"] == {"most": MOST_BYTES}


def test_the_bodies_of_all_running_requests_are_bounded_together() -> None:
    """Bodies up to the bound are accepted. One byte past it the next request is refused until another one ends."""
    inside = asyncio.Event()
    go_on = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        inside.set()
        await go_on.wait()
        await Response(status_code=201)(scope, receive, send)

    to = guard(waits, held_bytes=20)

    async def ask(client: httpx.AsyncClient, size: int) -> httpx.Response:
        return await client.post("/v1/transfers", content=b"{%s}" % (b" " * (size - 2)), headers=HEADERS)

    async def run() -> list[int]:
        transport = httpx.ASGITransport(app=to)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            first = asyncio.create_task(ask(client, 12))
            await inside.wait()
            refused = await ask(client, 9)
            assert refused.json()["code"] == "busy"
            assert "12 bytes of 20 allowed" in refused.json()["detail"]
            second = asyncio.create_task(ask(client, 8))
            go_on.set()
            answered = [await first, await second, await ask(client, 20), await ask(client, 21)]
            return [refused.status_code, *(answer.status_code for answer in answered)]

    assert asyncio.run(run()) == [503, 201, 201, 201, 503]


async def messages_to(to: RequestGuard, receive: Receive, role: str = "command") -> list[Message]:
    """The messages to a client whose request comes from `receive`."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"testserver"), (b"authorization", f"Bearer token-{role}".encode())]
    headers += [(b"content-type", b"application/json"), (b"content-length", b"8")]
    await to({"type": "http", "method": "POST", "path": "/v1/transfers", "headers": headers}, receive, send)
    return sent


PART = {"type": "http.request", "body": b'{"a": ', "more_body": True}
REST = {"type": "http.request", "body": b"1}", "more_body": False}
GONE = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("came", "executed"),
    [([GONE], 0), ([PART, GONE], 0), ([PART, PART, GONE], 0), ([PART, REST, GONE], 1)],
    ids=["nothing", "a part", "two parts", "all of it"],
)
def test_a_client_that_leaves_before_the_end_of_its_body_executes_nothing(came: list[Message], executed: int) -> None:
    messages, parsed = iter(came), []

    async def receive() -> Message:
        return next(messages)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        parsed.append(scope["state"]["body"])

    sent = asyncio.run(messages_to(guard(app), receive))
    assert (parsed, sent) == ([{"a": 1}] * executed, [])


def test_bodies_count_as_they_come() -> None:
    """Incomplete bodies count too. Otherwise slow clients could use more memory than the bound."""
    to = guard(held_bytes=20)

    async def run() -> list[int]:
        parts: asyncio.Queue[Message] = asyncio.Queue()
        slow = asyncio.create_task(messages_to(to, parts.get))
        parts.put_nowait({"type": "http.request", "body": b'{"a":       ', "more_body": True})
        while not parts.empty():
            await asyncio.sleep(0)

        async def whole() -> Message:
            return {"type": "http.request", "body": b'{"b": 12}'}

        refused = await messages_to(to, whole)
        assert b"have 12 bytes of 20 allowed" in refused[1]["body"]
        parts.put_nowait({"type": "http.request", "body": b"1,      ", "more_body": True})
        parts.put_nowait({"type": "http.request", "body": b"}", "more_body": False})
        too_many = await slow
        assert b"have 20 bytes of 20 allowed" in too_many[1]["body"]
        return [sent[0]["status"] for sent in (refused, too_many, await messages_to(to, whole))]

    assert asyncio.run(run()) == [503, 503, 200]


@pytest.mark.parametrize("auth", [True, False])
def test_one_principal_leaves_a_share_of_the_bytes_to_others(auth: bool) -> None:
    """Without authentication all clients are one principal, so no share applies."""
    to = guard(held_bytes=20, share=0.6, auth=auth)

    async def run() -> list[int]:
        parts: asyncio.Queue[Message] = asyncio.Queue()
        slow = asyncio.create_task(messages_to(to, parts.get))
        parts.put_nowait({"type": "http.request", "body": b'{"a":       ', "more_body": True})
        while not parts.empty():
            await asyncio.sleep(0)

        async def whole() -> Message:
            return {"type": "http.request", "body": b'{"b":1}'}

        own, another = await messages_to(to, whole), await messages_to(to, whole, "operator")
        if auth:
            problem = orjson.loads(own[1]["body"])
            assert (problem["code"], problem["figures"]) == ("too_many", {"most": 12})
            assert "bodies of the-command under way have 12 bytes of 12 allowed" in problem["detail"]
        parts.put_nowait({"type": "http.request", "body": b"1}" if not auth else b"", "more_body": False})
        await slow
        return [sent[0]["status"] for sent in (own, another, await messages_to(to, whole))]

    assert asyncio.run(run()) == [429 if auth else 200, 200, 200]


@pytest.mark.parametrize("came", [[], [PART], [PART, PART]], ids=["nothing", "a part", "two parts"])
def test_a_body_that_does_not_come_in_time_is_refused_and_not_kept(came: list[Message]) -> None:
    to = guard(held_bytes=14, body_seconds=0.01)
    messages = iter(came)

    async def stays_away() -> Message:
        return next(messages, None) or await asyncio.get_running_loop().create_future()

    async def as_much_as_may_be() -> Message:
        return {"type": "http.request", "body": b"{}".ljust(14)}

    async def run() -> None:
        start, answered = await messages_to(to, stays_away)
        assert (start["status"], orjson.loads(answered["body"])["code"]) == (408, "too_slow")
        assert (b"connection", b"close") in start["headers"]
        assert (await messages_to(to, as_much_as_may_be))[0]["status"] == 200

    asyncio.run(run())


def test_a_complete_body_needs_no_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting a deadline takes longer than everything else that the guard does with a command."""

    async def whole() -> Message:
        return {"type": "http.request", "body": b"{}"}

    monkeypatch.setattr(asyncio, "timeout", None)
    assert asyncio.run(messages_to(guard(), whole))[0]["status"] == 200


def test_another_content_type_is_refused() -> None:
    answered = post(b"{}", Content_Type="text/plain")
    assert (answered.status_code, answered.json()["code"]) == (400, "content_type")
    assert post(b"{}", Content_Type="application/json; charset=utf-8").status_code == 200


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic token-command", "token-command"])
def test_the_answer_without_a_token_explains_how_to_send_one(authorization: str) -> None:
    answered = post(b"{}", Authorization=authorization)
    assert (answered.status_code, answered.json()["code"]) == (401, "unauthenticated")
    assert answered.headers["www-authenticate"] == "Bearer"


def test_an_expired_token_gets_a_separate_message() -> None:
    answered = post(b"{}", Authorization="Bearer token-of-may")
    assert (answered.status_code, answered.json()["code"]) == (401, "token_expired")
    assert "the-late expired at 2026-06-01T12:00:00+00:00" in answered.json()["detail"]


def test_the_refusal_of_a_role_names_it() -> None:
    answered = post(b"{}", Authorization="Bearer token-report")
    assert answered.status_code == 403
    assert answered.json()["figures"] == {"principal": "the-report", "role": "report"}


def test_without_authentication_the_principal_is_anyone() -> None:
    assert post(b"{}", to=guard(auth=False), Authorization="").json()["principal"] == "anyone"


@pytest.mark.parametrize("host", ["evil.example", "testserver.evil.example", "", "testserver:80:80"])
def test_another_host_is_refused(host: str) -> None:
    answered = post(b"{}", Host=host)
    assert (answered.status_code, answered.json()["code"]) == (400, "host")


@pytest.mark.parametrize("host", ["testserver", "TESTSERVER:8000", "[::1]", "[::1]:8000"])
def test_hosts_are_served_on_every_port(host: str) -> None:
    assert post(b"{}", to=guard(hosts=("testserver", "[::1]")), Host=host).status_code == 200


PLAIN = [b'{"a":1,"b":[true,null,"x"]}', b'{"key":"k","body":{"amount":"0.01"}}', b"7", b"[]"]
ODD = [
    b'{ "a" : 1 }',
    b'{"a":1}\r',
    b'{"a":1,"a":2}',
    b'{"a":"b:c"}',
    b'{"a":"\\u0000"}',
    b'{"a":"\\\\u0000"}',
    b'{"a":"\\ud800"}',
    b'{"a":1}{"b":2}',
    b'{"a":1},{"b":2}',
    b"not json",
    b"",
    b'"\xff"',
    b'{"a":1.0}',
    b'{"a":' + b"[" * (MOST_DEPTH - 1) + b"]" * (MOST_DEPTH - 1) + b"}",
    b'{"a":' + b"[" * MOST_DEPTH + b"]" * MOST_DEPTH + b"}",
    b"[" * 3_000,
]
SPLIT = [
    [b'{"a":1', b'"b":2},{"c":3}'],  # two invalid bodies that would be two valid ones after joining with a comma
    [b'{"a":[1', b"2]}", b'{"b":1},{"c":1}'],
    [b'"a', b'b","c"'],
    [b"[1", b"2],3"],
]


def answered(bodies: list[bytes]) -> list[Any]:
    """The result of `parse` for each body, or its error."""
    results: list[Any] = []
    for body in bodies:
        try:
            results.append(parse(body))
        except UnkeptError as error:
            results.append((str(error), error.figures))
    return results


@pytest.mark.parametrize(
    "bodies", [[], PLAIN, ODD, *SPLIT, *([*PLAIN, odd, *PLAIN] for odd in ODD), *([*PLAIN, *split] for split in SPLIT)]
)
def test_many_bodies_are_parsed_like_each_alone(bodies: list[bytes]) -> None:
    each = [(str(one), one.figures) if isinstance(one, UnkeptError) else one for one in parse_each(bodies)]
    assert each == answered(bodies)


async def _unread() -> Message:
    raise AssertionError("the body was read")


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        ("report", "POST", "/v1/transfers", 403),
        ("audit", "POST", "/v1/batches", 403),
        ("command", "GET", "/v1/log", 403),
        ("report", "DELETE", "/v1/accounts/acct_1", 403),
        ("report", "POST", "/v1/log/follow-tickets", 403),
        ("report", "OPTIONS", "/v1/transfers", 200),
        ("report", "GET", "/v1/nothing", 200),
    ],
)
def test_a_forbidden_role_is_refused_before_body_and_query_are_read(
    role: str, method: str, path: str, status: int
) -> None:
    """Requests that the role may make go on to the application."""
    headers = [(b"host", b"testserver"), (b"authorization", b"Bearer token-" + role.encode())]
    query = b"unknown=1" if status == 403 else b""
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": headers}
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def fine(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"{}")(scope, receive, send)

    asyncio.run(guard(fine)(scope, _unread, send))
    assert sent[0]["status"] == status
    assert status != 403 or orjson.loads(sent[1]["body"])["code"] == "forbidden"
