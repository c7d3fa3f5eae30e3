"""The access log: refused access, reads of personal data, and actions of operators.

Each line is a JSON object, written by a logger of its own. It contains the route and the ids in the path, never a
token, a body or a query value. Commands of command clients are not written: the event log records them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.gateway.principals import Principal

LOGGER = "daybook.access"
MOST_ID = 100
"""Characters of an id that are written."""
REFUSED = (401, 403)
"""Statuses of refused access."""

_logger = logging.getLogger(LOGGER)
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def personal(endpoint: _Endpoint) -> _Endpoint:
    """Declare that a route returns personal data, so that reads are written to the access log."""
    endpoint.personal = True  # type: ignore[attr-defined]
    return endpoint


def is_personal(endpoint: object) -> bool:
    """Whether a route returns personal data."""
    return getattr(endpoint, "personal", False) is True


def write_line(event: str, at: datetime, **fields: Any) -> None:
    """Write a line. It is printable ASCII: all other characters are escaped."""
    line = json.dumps({"at": at.astimezone(UTC).isoformat(), "event": event, **fields})
    _logger.info("%s", line.replace("\x7f", "\\u007f"))


class AccessLog:
    """Writes lines about requests."""

    def __init__(self, routes: Sequence[BaseRoute], clock: Callable[[], datetime]) -> None:
        self._routes = routes
        self._clock = clock

    def refused(self, scope: Scope, status: int, code: str, principal: Principal | None = None, **more: int) -> None:
        """Write that access was refused; `principal`: who asked, if known."""
        self._write("access.refused", scope, principal, status=status, code=code, **more)

    def slowed(self, scope: Scope, seconds: int) -> None:
        """Write that further refusals of this address are not written for some seconds."""
        self._write("access.slowed", scope, None, seconds=seconds)

    def answered(self, scope: Scope, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Write a read of personal data or an operator's command; `headers`: of the response."""
        principal: Principal = scope["state"]["principal"]
        if status in REFUSED:
            return  # written by `refused`
        if scope["method"] in ("GET", "HEAD"):
            if is_personal(scope.get("endpoint")):
                self._write("personal_data.read", scope, principal, status=status)
        elif _matched(self._routes, scope, Match.FULL) is not None:
            more = dict(scope["state"].get("batch", {}))
            if (position := headers.get(b"daybook-position")) is not None:
                more["position"] = position.decode("latin-1")
            self._write("operator.command", scope, principal, status=status, **more)

    def _write(self, event: str, scope: Scope, principal: Principal | None, **more: Any) -> None:
        route, ids = self._what(scope)
        if principal is None:
            ids = {}  # an unknown client can send any text
        client = scope.get("client")
        write_line(
            event,
            self._clock(),
            principal=None if principal is None else principal.name,
            role=None if principal is None else principal.role,
            address=None if client is None else client[0],
            method=scope["method"][:20],
            route=route,
            ids={name: str(value)[:MOST_ID] for name, value in ids.items()},
            **more,
        )

    def _what(self, scope: Scope) -> tuple[str | None, Mapping[str, Any]]:
        """The template of the route, if there is one, and the path parameters."""
        if (route := scope.get("route")) is not None:
            return route.path, scope["path_params"]
        found = _matched(self._routes, scope, Match.FULL, Match.PARTIAL)
        return (None, {}) if found is None else found


def _matched(routes: Sequence[BaseRoute], scope: Scope, *kinds: Match) -> tuple[str, Mapping[str, Any]] | None:
    """The template and path parameters of the first route with such a match, for requests that were not routed."""
    for kind in kinds:
        for route in routes:
            match, found = route.matches(scope)
            if match is kind:
                return getattr(route, "path", ""), found.get("path_params", {})
    return None


class AccessLogMiddleware:
    """ASGI middleware that writes to the access log before a response is sent."""

    def __init__(self, app: ASGIApp, access: AccessLog) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watching(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._access.answered(scope, message["status"], dict(message["headers"]))
            await send(message)

        await self._app(scope, receive, watching)
