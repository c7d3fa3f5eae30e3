"""The application: the door, the routes, and the answers to what goes wrong."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from api.door import Door
from api.problems import Problem, problem_response
from api.routes import accounts, health, log, orders, posts, transactions
from api.services import Services

logger = logging.getLogger(__name__)
MOST_FINDINGS = 10


def create_app(services: Services) -> ASGIApp:
    """The ASGI application over these services, which it neither starts nor stops."""
    app = FastAPI(
        title="Daybook",
        summary="An event-sourced ledger.",
        description="Commands are posted with an `Idempotency-Key`; every answer tells its position in the log.",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.followers = asyncio.Semaphore(services.limits.followers)
    for room in (accounts, transactions, orders, posts, log, health):
        app.include_router(room.router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(psycopg.OperationalError, _database)
    app.add_exception_handler(PoolTimeout, _database)
    app.add_exception_handler(Exception, _fault)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return Door(app, services)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error.code, error.detail, error.figures)


async def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    findings = [_finding(found) for found in error.errors()[:MOST_FINDINGS]]
    return problem_response("malformed", "; ".join(findings) + ".", {"findings": findings})


def _finding(found: dict[str, Any]) -> str:
    where = ".".join(str(part)[:60] for part in found["loc"] if part not in ("body", "query", "path")) or "body"
    said = str(found["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{where}: {said}"[:300]


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem_response("no_route", "There is nothing at this address; see /docs.")
    if error.status_code == 405:
        return problem_response("method", "This address does not take this method; see /docs.", None, error.headers)
    return problem_response("malformed", str(error.detail))


async def _database(_: Request, error: Exception) -> Response:
    return problem_response("unavailable", f"The database does not answer: {type(error).__name__}.")


async def _fault(request: Request, error: Exception) -> Response:
    # The path and the class only: a message could quote what a person wrote.
    logger.error("%s %s failed: %s", request.method, request.url.path, type(error).__name__, exc_info=error)
    return problem_response("internal", "Something went wrong here; it has been logged.")


def _describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, with the token and the idempotency key that the door and the execution ask for."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
        )
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        for operations in schema["paths"].values():
            for method, operation in operations.items():
                operation["responses"].pop("422" if method == "get" else "", None)
                if method == "post":
                    operation.setdefault("parameters", []).extend(_COMMAND_HEADERS)
        app.openapi_schema = schema
    return app.openapi_schema


_COMMAND_HEADERS = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "Yours to choose; the same key and request again give the first answer again",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "example": "order-4711-payment",
    },
    {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "ETag the stream must still have, on routes that name one stream",
        "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
    },
]
