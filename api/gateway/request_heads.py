"""The head of a request: headers that come once, paths that have one spelling, queries that the route takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Scope

from api.gateway.routes import Found

SINGLETONS = {
    name.lower().encode(): name
    for name in (
        "Authorization",
        "Content-Encoding",
        "Content-Length",
        "Content-Type",
        "Host",
        "Idempotency-Key",
        "If-Match",
        "Last-Event-ID",
        "Origin",
        "Transfer-Encoding",
        "User-Agent",
    )
}
"""Headers with one value. If one is sent twice, two readers of the request could use different values."""

SLASHES_IN_NAMES = "/v1/commands/"
"""Below this path a name may have slashes: an idempotency key is any printable text."""

MOST_UNKNOWN = 10
"""Most unknown query parameters that a problem names."""

Rejection = tuple[str, str, dict[str, Any] | None]
"""Code, detail and figures of a problem."""


def joined(sent: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """One value for each header. Lines with the same name are one list (RFC 9110, 5.3)."""
    headers: dict[bytes, bytes] = {}
    for name, value in sent:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def refuse_repeated(sent: Iterable[tuple[bytes, bytes]]) -> Rejection | None:
    """The problem of a singleton header that came more than once."""
    times = dict.fromkeys(SINGLETONS, 0)
    for name, _ in sent:
        if name in times:
            times[name] += 1
    for name, count in times.items():
        if count > 1:
            figures = {"header": SINGLETONS[name], "times": count}
            return "malformed", f"The header {SINGLETONS[name]} came {count} times; send it once.", figures
    return None


def refuse_target(scope: Scope, found: Found | None) -> Rejection | None:
    """The problem of a path that has another spelling, or of a query that `found` does not take."""
    raw_path: bytes = scope.get("raw_path", b"")
    query: bytes = scope.get("query_string", b"")
    if b"%" in raw_path and (refusal := refuse_escapes(scope["method"], scope["path"], raw_path)):
        return refusal
    return refuse_query(scope["method"], query, found) if query else None


def refuse_query(method: str, query: bytes, found: Found | None) -> Rejection | None:
    """The problem of a query that names a parameter twice, or one that the route does not have."""
    sent = [name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
    declared = None if found is None else found.path.route(method)
    if len(set(sent)) < len(sent):
        return _repeated_parameter(sent)
    if found is None or declared is None:
        return None  # answered 404 or 405
    unknown = [name[:100] for name in sent if name not in declared.parameters][:MOST_UNKNOWN]
    if not unknown:
        return None
    names, known = ", ".join(map(repr, unknown)), ", ".join(declared.parameters) or "no query parameters"
    detail = f"{method} {found.path.template} does not take the query parameter {names}; it takes {known}."
    return "malformed", detail, {"unknown": unknown, "known": list(declared.parameters)}


def _repeated_parameter(sent: list[str]) -> Rejection:
    """The problem of a repeated parameter. No parameter is a list."""
    name, times = Counter(sent).most_common(1)[0]
    figures = {"parameter": name[:100], "times": times}
    return "malformed", f"The query names {name[:100]!r} {times} times; say it once.", figures


def refuse_escapes(method: str, path: str, raw_path: bytes) -> Rejection | None:
    """The problem of a path with percent signs that it must not have. `path` is the decoded path.

    The path identifies a command, so it has only one spelling, which every proxy reads alike. The path of a read may
    have escaped names, but no control characters and no slashes that look like part of a name until they are decoded.
    """
    if method not in ("GET", "HEAD", "OPTIONS"):
        return escaped_command(raw_path.decode("latin-1"))
    if any(character < " " or character == "\x7f" for character in path):
        return "malformed", f"The path {path[:100]!r} has control characters; send it without.", None
    if b"%2f" in raw_path.lower() and not path.startswith(SLASHES_IN_NAMES):
        detail = f"The path {raw_path[:100].decode('latin-1')!r} has an escaped slash; no name in it has one."
        return "malformed", detail, None
    return None


def escaped_command(path: str) -> Rejection:
    """The problem of a command's path with a percent sign: no name in it needs one."""
    detail = f"The path {path[:100]!r} has a percent sign; write the path of a command without escapes."
    return "malformed", detail, None


def is_repeated(key: str) -> bool:
    """Whether a key repeats the same text with commas between.

    Two Idempotency-Key headers become such a key when a proxy joins headers of one name. A client that adds the header
    at each attempt would send `K`, then `K, K`. That is another key, so the command would be executed again.
    """
    first, *others = (part.strip() for part in key.split(","))
    return bool(others) and all(other == first for other in others)
