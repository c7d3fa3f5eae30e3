"""The request guard: it checks each request before the application uses it.

It is plain ASGI, because each command passes it. It finds the route, and checks host, token, role, query, and size and
form of the body. The body is read once, as a whole, within a time limit and a size limit. It is parsed once and must be
JSON that a ledger can keep: no NUL, no lone surrogate, not nested too deep.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway.authentication import Authentication, Unread
from api.gateway.principals import READING
from api.gateway.problems import FAULT, Problem, encoded, problem_response, too_large, too_slow
from api.gateway.request_heads import Rejection, joined, refuse_repeated, refuse_target
from api.gateway.response_headers import ANSWER, Headers, headed
from api.gateway.routes import Found, RouteTable
from api.services import Services
from eventstore.tracebacks import traceback_of

logger = logging.getLogger(__name__)

OPERATOR = "operator"
MOST_DEPTH = 32
MOST_NESTED = 10_000
"""Most objects and arrays in a body. The largest command has two thousand."""


class RequestGuard:
    """Passes requests to the application, or answers them with a problem."""

    def __init__(
        self,
        app: ASGIApp,
        services: Services,
        authentication: Authentication,
        routes: RouteTable,
        *,
        watched: ASGIApp | None = None,
        response_headers: Mapping[str, Headers] = MappingProxyType({}),
    ) -> None:
        """`app` gets the commands of command clients. `watched`, the same with the access log, gets all other requests.

        `response_headers` has the headers of the paths that do not use the common ones.
        """
        self._app = app
        self._watched = watched or app
        self._response_headers = response_headers
        self._authentication = authentication
        self._routes = routes
        self._limits = services.limits
        self._hosts = frozenset(host.lower() for host in services.allowed_hosts)
        self._reads_only = services.reads_only
        self._held = 0  # bytes of the bodies of requests under way, complete or not
        self._held_of: Counter[str] = Counter()  # the same by principal, with one entry for each
        alone = services.principals is None  # without authentication there is only one principal
        self._share = services.limits.held_bytes if alone else services.limits.share_of(services.limits.held_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = headed(send, self._response_headers.get(scope["path"], ANSWER))
        sent = scope["headers"]
        headers: dict[bytes, bytes] = dict(sent)
        refusal = None
        if len(headers) != len(sent):
            headers, refusal = joined(sent), refuse_repeated(sent)
        found = self._routes.find(scope["path"])
        declared = None if found is None else found.path.route(scope["method"])
        scope.setdefault("state", {})["found"] = found
        try:
            admitted = None if refusal is not None else self._refuse(scope, headers, found)
            if isinstance(admitted, Unread):
                admitted = admitted.go_on(await run_in_threadpool(admitted.read))
        except Exception as error:  # the server would log its message
            logger.error("%s %s failed with %s", scope["method"], scope["path"], traceback_of(error))
            admitted = "internal", FAULT, None
        refusal = refusal or admitted or refuse_target(scope, found)
        if self._reads_only and refusal is None and declared is not None and scope["method"] not in READING:
            refusal = None if declared.declaration.on_replicas else _READ_ONLY
        if refusal is not None:
            await _answer_problem(refusal, scope, receive, send)
        elif scope["method"] in READING or (declared is not None and declared.declaration.reads_body):
            await self._chosen(scope)(scope, receive, send)
        else:
            await self._with_body(scope, headers, receive, send)

    def _chosen(self, scope: Scope) -> ASGIApp:
        """The application for this request: with the access log, unless it is a command of a command client."""
        is_command = scope["method"] == "POST" and OPERATOR not in scope["state"]["principal"].all_roles
        return self._app if is_command else self._watched

    async def _with_body(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        principal = scope["state"]["principal"].id
        try:
            body = await self._read(receive, headers, principal)
        except ClientDisconnect:
            return  # the received part may be JSON, but it is not the whole body; the client has left
        except Problem as detail:
            await _answer_problem((detail.code, detail.detail, detail.figures), scope, receive, send)
            return
        try:
            refusal = _refuse_body(scope, headers, body)
            if refusal is None:
                await self._chosen(scope)(scope, _again(body or b"{}", receive), send)
            else:
                await _answer_problem(refusal, scope, receive, send)
        finally:
            self._release(principal, len(body))

    async def _read(self, receive: Receive, headers: dict[bytes, bytes], principal: str) -> bytes:
        """Read the body and hold its bytes. Raises `ClientDisconnect` if it is incomplete, and `Problem`."""
        limits = self._limits
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limits.body_bytes:
            raise too_large(limits.body_bytes)
        message = _at_once(receive)
        if message is not None and not message.get("more_body", False):
            return self._hold(message, principal)
        body = bytearray()
        try:
            async with asyncio.timeout(limits.body_seconds):
                message = message or await receive()
                body += self._hold(message, principal)
                while message.get("more_body", False):
                    message = await receive()
                    body += self._hold(message, principal, len(body))
        except BaseException as error:
            self._release(principal, len(body))
            raise too_slow(limits.body_seconds) if isinstance(error, TimeoutError) else error from None
        return bytes(body)

    def _hold(self, message: Message, principal: str, before: int = 0) -> bytes:
        """Return a part of a body and count its bytes. `before` is the size of the earlier parts. Raises as `_read`."""
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        limits = self._limits
        if before + len(part) > limits.body_bytes:
            raise too_large(limits.body_bytes)
        if self._held + len(part) > limits.held_bytes:
            detail = f"The bodies of the requests under way have {self._held} bytes of {limits.held_bytes} allowed."
            raise Problem("busy", detail)
        if self._held_of[principal] + len(part) > self._share:
            held = self._held_of[principal]
            detail = f"The bodies of {principal} under way have {held} bytes of {self._share} allowed."
            raise Problem("too_many", detail, most=self._share)
        self._held += len(part)
        self._held_of[principal] += len(part)
        return part

    def _release(self, principal: str, size: int) -> None:
        self._held -= size
        self._held_of[principal] -= size

    def _refuse(self, scope: Scope, headers: dict[bytes, bytes], found: Found | None) -> Rejection | Unread | None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host[: host.rindex(":")] if ":" in host and not host.endswith("]") else host
        if name not in self._hosts and "*" not in self._hosts:
            return "host", f"The host {name[:100]!r} is not among those served: {', '.join(sorted(self._hosts))}.", None
        refusal = self._authentication.admit(scope, headers, found)
        scope["state"]["headers"] = headers
        return refusal


_READ_ONLY: Rejection = (
    "read_only",
    "This process serves a copy of the log, which takes no commands: send them to the API of the log itself.",
    None,
)


async def _answer_problem(refusal: Rejection, scope: Scope, receive: Receive, send: Send) -> None:
    code, detail, figures = refusal
    await problem_response(code, detail, figures)(scope, receive, send)


def _at_once(receive: Receive) -> Message | None:
    """The first message, if it has already arrived; else None.

    It nearly always has, and then no deadline is needed, which takes 8 µs. Otherwise close the coroutine. It has
    consumed nothing.
    """
    coming = receive().__await__()
    try:
        next(coming)
    except StopIteration as came:
        message: Message = came.value
        return message
    coming.close()
    return None


def _refuse_body(scope: Scope, headers: dict[bytes, bytes], body: bytes) -> Rejection | None:
    if not body:
        scope["state"]["body"] = {}
        return None
    coded = coding_of(headers.get(b"content-encoding"), body)
    if coded is not None:
        refused = encoded(coded)
        return refused.code, refused.detail, refused.figures
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != b"application/json":
        return "content_type", f"The body is {kind.decode('latin-1')[:100]!r}; send application/json.", None
    try:
        scope["state"]["body"] = parse(body)
    except UnkeptError as error:
        return "malformed", f"{error}.", error.figures
    return None


def coding_of(header: bytes | None, body: bytes | bytearray) -> str | None:
    """The content coding of a body, such as gzip: from its header, or from its first bytes if there is no header."""
    if header is not None and (coding := header.decode("latin-1").strip().lower()) not in ("", "identity"):
        return coding
    return "gzip" if body.startswith(_GZIP) else None


_GZIP = b"\x1f\x8b"


class UnkeptError(ValueError):
    """The bytes are not JSON that a ledger can keep."""

    def __init__(self, message: str, **figures: Any) -> None:
        super().__init__(message)
        self.figures = figures or None


def parse(body: bytes) -> Any:
    """Parse JSON. Raises `UnkeptError` if it is not JSON, is too deep, repeats a name in an object, or has a NUL."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnkeptError(f"The body is not JSON: {error}") from None
    _check(parsed, body)
    return parsed


def parse_each(bodies: Sequence[bytes]) -> list[Any | UnkeptError]:
    """Return the result or the error of `parse` for each body."""
    try:
        for body in bodies:
            _one_value(body)  # two bodies that are not JSON could be JSON when joined
        together = b"[%s]" % b",".join(bodies)
        parsed: list[Any] = orjson.loads(together)
    except (msgspec.DecodeError, RecursionError, orjson.JSONDecodeError):
        return [_caught(parse, body) for body in bodies]
    brackets = max([body.count(b"[") + body.count(b"{") for body in bodies], default=0)
    if brackets <= MOST_DEPTH and b"\\u0000" not in together and orjson.dumps(parsed) == together:
        return parsed  # nearly always; it takes half of the time
    return [_caught(_check, one, body) or one for one, body in zip(parsed, bodies, strict=True)]


def _caught(check: Callable[..., Any], *given: Any) -> Any:
    try:
        return check(*given)
    except UnkeptError as error:
        return error


_one_value = msgspec.json.Decoder(msgspec.Raw).decode


def _check(parsed: Any, body: bytes) -> None:
    """Raise `UnkeptError` if a ledger cannot keep the value."""
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH:
        _check_nesting(parsed)
    # No object repeats a name if encoding gives the same bytes, or if there are as many names as colons.
    unique = orjson.dumps(parsed) == body or body.count(b":") == _names(parsed)
    if not unique and (name := _repeated(body)) is not None:
        raise UnkeptError(f"The body names {name[:100]!r} twice in one object; say it once")
    if b"\\u0000" in body and _has_nul(parsed):
        raise UnkeptError("The body has a NUL character (U+0000), which cannot be stored")


def _check_nesting(value: Any) -> None:
    """Raise `UnkeptError` for too many levels, objects or arrays. Counts without recursion, and stops at a bound."""
    depth, count, level = 0, 0, [value]
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > MOST_DEPTH:
            raise UnkeptError(f"The body is nested deeper than {MOST_DEPTH} levels", most=MOST_DEPTH)
        if count > MOST_NESTED:
            raise UnkeptError(f"The body has more than {MOST_NESTED} objects and arrays", most=MOST_NESTED)
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]


def _names(value: Any) -> int:
    """The number of names in all objects. It is the number of colons, if no string has one and no name is repeated."""
    if isinstance(value, dict):
        return len(value) + sum([_names(inner) for inner in value.values() if isinstance(inner, dict | list)])
    if isinstance(value, list):
        return sum([_names(inner) for inner in value if isinstance(inner, dict | list)])
    return 0


def _repeated(body: bytes) -> str | None:
    """The first name that an object of the body repeats. Two readers might use different values of it."""
    found: list[str] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:
        names = Counter(name for name, _ in pairs)
        found.extend(name for name, times in names.items() if times > 1)

    json.loads(body, object_pairs_hook=keep)
    return found[0] if found else None


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, list):
        return any(_has_nul(item) for item in value)
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(item) for key, item in value.items())
    return False


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once more, then the later messages."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
