"""Cross-origin requests (CORS): browsers let pages of the allowed origins use the API."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.gateway.response_headers import ANSWER, headed

PREFLIGHT_SECONDS = 600
"""How long a browser may cache the answer to a preflight request."""
_SENT = b"Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID"
_SEEN = b"Daybook-Batch, Daybook-Position, ETag, Idempotency-Replayed, Location, Retry-After"


class CrossOrigin:
    """ASGI middleware that answers preflight requests and adds the CORS headers for the allowed origins.

    It protects nothing by itself: access depends on the token. There are no cookies, so a page can only send a token
    that it holds itself.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin not in self._origins:
            await self._app(scope, receive, headed(send, _VARIES))
            return
        allowed = (*_VARIES, (b"access-control-allow-origin", origin))
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await Response(status_code=204)(scope, receive, headed(send, (*ANSWER, *allowed, *_PREFLIGHT)))
        else:
            await self._app(scope, receive, headed(send, (*allowed, (b"access-control-expose-headers", _SEEN))))


_VARIES = ((b"vary", b"Origin"),)
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", _SENT),
    (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
)
