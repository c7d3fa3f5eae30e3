"""The answers a route may give, for the OpenAPI description: nothing is answered that is not here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from api.gateway.problems import MEDIA_TYPE, PROBLEMS


class RecordedProblem(BaseModel):
    """Problem details (RFC 9457) without the address that was asked."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable: of the API's catalogue, or the business rule that refused")
    figures: dict[str, Any] | None = Field(default=None, description="What decided it")


class ProblemDetails(RecordedProblem):
    """RFC 9457."""

    instance: str = Field(description="The address that was asked")


class Accepted(BaseModel):
    """A command that was carried out. More members by command: ids, status, balances."""

    outcome: str
    position: str = Field(description="Pass it as `min_position` to read what was written")
    versions: dict[str, int] = Field(description="New versions of the streams")


class BatchAnswer(BaseModel):
    """What one item of a batch got: what a request of its own would have got."""

    key: str | None = Field(description="Of the item; null where it had none that could be read")
    status: int
    body: dict[str, Any] = Field(description="The answer, or the problem details")
    version: int | None = Field(default=None, description="The ETag of the answer")
    replayed: bool | None = Field(default=None, description="Whether it is the first answer, given again")


class FollowTicket(BaseModel):
    """A ticket to follow the log."""

    ticket: str = Field(description="For one `GET /v1/log/follow?ticket=…`")
    expires_at: datetime


def _answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    titles = {status: "; ".join(t for s, t in PROBLEMS.values() if s == status) for status in statuses}
    return {
        status: {
            "description": titles[status],
            "model": ProblemDetails,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


_OF_HEADS = (400, 408, 414, 431, 503)
_ALWAYS = (*_OF_HEADS, 401, 403, 429)
_DONE: dict[int | str, dict[str, Any]] = {
    200: {"description": "Carried out", "model": Accepted},
    201: {"description": "Carried out", "model": Accepted},
}
_HEADERS = {
    "Daybook-Position": {"schema": {"type": "string"}, "description": "Position of the answer in the log"},
    "Idempotency-Replayed": {"schema": {"type": "string"}, "description": "`true`: the first answer, given again"},
    "ETag": {"schema": {"type": "string"}, "description": "Version of the stream the route names"},
}
for _answer in _DONE.values():
    _answer["headers"] = _HEADERS

COMMAND: dict[int | str, dict[str, Any]] = {**_answers(*_ALWAYS, 404, 409, 412, 413, 415, 422), **_DONE}
BATCH: dict[int | str, dict[str, Any]] = {
    **COMMAND,
    200: {
        "description": "Each item's answer, in the order of the items",
        "content": {
            "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/BatchAnswer"}}},
            "application/x-ndjson": {"schema": {"type": "string", "description": "One answer a line"}},
        },
    },
    201: {**_DONE[201], "description": "All carried out, in one unit"},
}
TICKET: dict[int | str, dict[str, Any]] = {
    **_answers(*_ALWAYS, 404, 413, 415),
    201: {"description": "A ticket", "model": FollowTicket},
}
READ = _answers(*_ALWAYS, 404)
STREAMED: dict[int | str, dict[str, Any]] = {
    **_answers(*_ALWAYS),
    200: {"description": "Server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
}
HEALTH = _answers(*_OF_HEADS)
