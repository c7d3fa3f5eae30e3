"""Problem details (RFC 9457) from one catalogue of codes. Every answer that is not a success is made here.

The catalogue has the codes of the API. Refusals by a business rule have the codes of `domain.registry.RULES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from domain.kernel import Principal
from domain.registry import RULES, explain

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1
UPGRADE_SECONDS = 10
"""What a client waits for a process that has to be upgraded. Each try costs it a read of the stream."""

PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request is not what this route takes"),
    "content_type": (400, "The body must be application/json"),
    "host": (400, "This host name is not served here"),
    "key_missing": (400, "A command needs an Idempotency-Key header of 1 to 255 printable ASCII characters"),
    "position": (400, "The position is not one of this log"),
    "unauthenticated": (401, "A bearer token is needed"),
    "token_expired": (401, "The bearer token has expired"),
    "sign_in_failed": (401, "Name, password or code is wrong"),
    "code_needed": (401, "The second factor is needed too"),
    "session_ended": (401, "The session has ended"),
    "forbidden": (403, "The role of this token does not allow this"),
    "unknown": (404, "There is no such thing"),
    "no_route": (404, "There is nothing at this address"),
    "method": (405, "This address does not take this method"),
    "too_slow": (408, "The request did not come whole in time"),
    "versions_stale": (409, "A stream is not at the version the body expects"),
    "key_reused": (409, "The idempotency key belongs to another request"),
    "version_stale": (412, "The stream is not at the version If-Match names"),
    "too_large": (413, "The body is too large"),
    "target_too_long": (414, "The request target is too long"),
    "encoding": (415, "The body must be sent without a content encoding"),
    "read_only": (421, "This is a replica, which answers reads only"),
    "password_rules": (422, "The new password breaks a rule"),
    "mail_token": (422, "The token of the mail is worth nothing"),
    "refused": (422, "A business rule refuses this"),
    "too_many": (429, "Too much of this principal is under way; send the next when something is answered"),
    "sign_in_waits": (429, "Too many attempts failed; wait"),
    "key_rate": (429, "The API key sends more requests a minute than it may"),
    "wrong_tokens": (429, "Too many wrong tokens came from this address"),
    "head_too_large": (431, "The request line and the headers are too large"),
    "busy": (503, "Too much is waiting; try again"),
    "unavailable": (503, "The outcome is not known; ask again with the same Idempotency-Key"),
    "newer_event": (503, "A newer version of Daybook wrote to this stream; upgrade this process"),
    "not_yet_visible": (503, "The read model has not reached min_position yet; try again"),
    "rebuilding": (503, "The read model is being rebuilt; try again"),
    "internal": (500, "An internal error"),
}
"""The HTTP status and the title of each code."""

FAULT = "Something went wrong here; it has been logged."
"""The sentence of an internal error."""
STATUS_CODES = tuple(sorted({status for status, _ in PROBLEMS.values()}))


class Problem(Exception):
    """Ends a request. It has the code, the sentence and the figures of the problem that is answered."""

    def __init__(self, code: str, detail: str, /, **figures: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.figures = figures


def too_large(most: int, what: str = "The body") -> Problem:
    """The problem of a body, or of `what`, with more bytes than are allowed."""
    return Problem("too_large", f"{what} is larger than {most} bytes.", most=most)


def too_slow(seconds: float) -> Problem:
    """The problem of a body that is not complete in time. The connection is closed with the answer."""
    return Problem("too_slow", f"The body was not whole after {seconds:g} seconds.", seconds=seconds)


def encoded(coding: str) -> Problem:
    """The problem of a compressed body."""
    return Problem("encoding", f"The body is sent as {coding[:40]}; send it plain, without Content-Encoding.")


def forbidden(principal: Principal, why: str) -> Problem:
    """The problem of a command that this principal may not send."""
    return Problem("forbidden", why, principal=principal.id, role=", ".join(principal.all_roles))


def unavailable(error: Exception) -> Problem:
    """The problem of a database that fails. Its own message is left out, because it may quote rows."""
    return Problem("unavailable", f"The database does not answer: {type(error).__name__}.")


def newer_event(sentence: str, stream: str, type: str) -> Problem:
    """The problem of a stream with an event that a newer version of Daybook wrote."""
    return Problem("newer_event", sentence, stream=stream, type=type, retry_after=UPGRADE_SECONDS)


class ProblemResponse(Response):
    """A response with problem details. `instance`, the address of the request, is added when it is sent."""

    def __init__(self, problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        status: int = problem["status"]
        sent = dict(headers or {})
        if status in (429, 503):
            sent["Retry-After"] = str(problem.get("figures", {}).get("retry_after", RETRY_SECONDS))
        if status == 401:
            sent["WWW-Authenticate"] = "Bearer"
        if status == 408:
            sent["Connection"] = "close"  # the rest of the request is not read
        super().__init__(orjson.dumps(problem, option=orjson.OPT_SORT_KEYS), status, sent, MEDIA_TYPE)
        self._problem = problem
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        answered = orjson.dumps({**self._problem, "instance": quote(scope["path"])}, option=orjson.OPT_SORT_KEYS)
        await Response(answered, self.status_code, self._sent, MEDIA_TYPE)(scope, receive, send)


def problem(code: str, detail: str, figures: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The problem of a code of the catalogue or of `domain.registry.RULES`."""
    status, title = PROBLEMS["refused" if code in RULES else code]
    return {
        "type": f"urn:daybook:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **({"figures": figures} if figures else {}),
    }


def refusal(rule: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """The problem of a command that a business rule refuses."""
    return problem(rule, explain(rule, figures), figures)


def problem_response(
    code: str, detail: str, figures: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The response for a code of the catalogue or of `domain.registry.RULES`."""
    return ProblemResponse(problem(code, detail, figures), headers)


MOST_FINDINGS = 10
MOST_FINDING = 2_000
"""Most characters of a finding. The longest one lists the names of all events."""


def malformed(errors: Sequence[Any]) -> dict[str, Any]:
    """The problem of a request that does not fit its model: each finding names the field.

    `allowed` in its figures lists the values of a field with few values.
    """
    findings = [_finding(error) for error in errors[:MOST_FINDINGS]]
    allowed = {_field(error): error["ctx"]["allowed"] for error in errors if "allowed" in error.get("ctx", {})}
    figures = {"findings": findings, **({"allowed": allowed} if allowed else {})}
    return problem("malformed", "; ".join(findings) + ".", figures)


def malformed_response(errors: Sequence[Any]) -> Response:
    """The response to a request that does not fit its model."""
    return ProblemResponse(malformed(errors))


def _finding(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{_field(error)}: {message}"[:MOST_FINDING]


def _field(error: Mapping[str, Any]) -> str:
    """The name of the field that an error is about."""
    return ".".join(str(part)[:60] for part in error["loc"] if part not in ("body", "query", "path")) or "body"
