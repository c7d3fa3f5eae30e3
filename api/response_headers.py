"""The headers that every answer has: it is not kept, not guessed at, and no page may use it.

They are added where an answer leaves, as bytes made once: this is on the path of each command.
"""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import Message, Send

Headers = tuple[tuple[bytes, bytes], ...]


def _headers(cache: bytes, policy: bytes) -> Headers:
    return (
        (b"cache-control", cache),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", policy),
        (b"referrer-policy", b"no-referrer"),
    )


ANSWER = _headers(b"no-store", b"default-src 'none'; frame-ancestors 'none'")
"""Of all answers but those of the page that describes the API."""
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
PAGE = _headers(b"no-store", _PAGE_POLICY)
"""Of that page: it loads its own scripts and images, and asks this API."""
ASSET = _headers(b"private, max-age=3600", _PAGE_POLICY)
"""Of what it loads."""


def headed(send: Send, headers: Headers) -> Send:
    """A `send` that adds these headers to an answer."""

    def adding(message: Message) -> Awaitable[None]:  # without a coroutine of its own, which would cost as much again
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        return send(message)

    return adding
