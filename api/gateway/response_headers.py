"""Security headers of every response.

They are encoded once and added when a response is sent, because they take time in every command.
"""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import Message, Send

Headers = tuple[tuple[bytes, bytes], ...]


def _headers(cache: bytes, policy: bytes, *more: tuple[bytes, bytes]) -> Headers:
    return (
        (b"cache-control", cache),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", policy),
        *more,
    )


_NO_REFERRER = (b"referrer-policy", b"no-referrer")
ANSWER = _headers(b"no-store", b"default-src 'none'; frame-ancestors 'none'")
"""For every response except the documentation page and its files."""
_PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
PAGE = _headers(b"no-store", _PAGE_POLICY, _NO_REFERRER)
"""For the documentation page: it may load its own files and call this API."""
ASSET = _headers(b"private, max-age=3600", _PAGE_POLICY, _NO_REFERRER)
"""For the files of that page."""


def headed(send: Send, headers: Headers) -> Send:
    """A `send` that adds these headers to a response."""

    def adding(message: Message) -> Awaitable[None]:  # not a coroutine, which would double the cost
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        return send(message)

    return adding
