"""The problems that a route may answer with, for the OpenAPI description. Each area declares its other answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from api.gateway.problems import MEDIA_TYPE, PROBLEMS


class RecordedProblem(BaseModel):
    """Problem details (RFC 9457) without the address of the request."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="A stable code: from the API's catalogue, or that of the business rule that refused")
    figures: dict[str, Any] | None = Field(default=None, description="The figures that decided it")


class ProblemDetails(RecordedProblem):
    """Problem details (RFC 9457)."""

    instance: str = Field(description="The address of the request")


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers with these statuses, all of them problem details.

    They name the schema, which `api.openapi` adds. With a `model` FastAPI would build a validator for each answer of
    each route, which nothing uses: that was half of the time to import the routes.
    """
    titles = {status: "; ".join(t for s, t in PROBLEMS.values() if s == status) for status in statuses}
    return {
        status: {
            "description": titles[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


_OF_HEADS = (400, 408, 414, 431, 503)
ALWAYS = (*_OF_HEADS, 401, 403, 429)
READ = problems_of(*ALWAYS, 404)
HEALTH = problems_of(*_OF_HEADS)
