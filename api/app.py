"""The application: the door, the routes, and the answers to what goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from api import registry
from api.commands.batch_items import Item
from api.commands.router import CommandRouter
from api.commands.routes import CommandRoute
from api.gateway.access_log import REFUSED, AccessLog, AccessLogMiddleware
from api.gateway.authentication import Authentication
from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.cross_origin import CrossOrigin
from api.gateway.documented import BatchAnswer
from api.gateway.error_middleware import ErrorMiddleware
from api.gateway.methods import HeadAsGet
from api.gateway.principals import PUBLIC
from api.gateway.problems import MEDIA_TYPE, PROBLEMS, Problem, malformed_response, problem_response, unavailable
from api.gateway.proxies import TrustedProxies
from api.gateway.request_guard import RequestGuard
from api.gateway.routes import Declaration, DeclaredRoute, Found, FoundRoute, RouteTable, declare
from api.services import Services
from api.system import docs_page
from eventstore.keys.master_keys import MasterKeyError
from eventstore.tracebacks import traceback_of

logger = logging.getLogger(__name__)


def create_app(services: Services) -> ASGIApp:
    """The ASGI application over these services, which it neither starts nor stops."""
    app = FastAPI(
        title="Daybook",
        summary="An event-sourced ledger.",
        description="Commands are posted with an `Idempotency-Key`; every answer tells its position in the log.",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    limits = services.limits
    app.state.batches = _limit(services, limits.batches, "batches are under way")
    app.state.waiting = _limit(services, limits.waiting, "reads wait for their min_position")
    app.state.followers = _limit(services, limits.followers, "clients follow the log")
    for route in app.router.routes:  # FastAPI's own, for the description
        declare(route.endpoint, Declaration(may=PUBLIC))  # type: ignore[attr-defined]
    routes = RouteTable([*registry.routes(), *app.router.routes, *docs_page.docs_routes()])
    app.state.routes = routes
    app.router.routes[:] = [FoundRoute()]
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(ErrorMiddleware, answer_error=_answer_error)
    app.add_middleware(HeadAsGet)
    app.openapi = lambda: _describe(app, routes)  # type: ignore[method-assign]
    access = AccessLog(services.clock)
    app.state.access = access
    command_router = CommandRouter(app, _answer_error)
    outermost: ASGIApp = RequestGuard(
        command_router,
        services,
        Authentication(services, access),
        routes,
        watched=AccessLogMiddleware(command_router, access),
        response_headers=docs_page.HEADERS,
    )
    if services.allowed_origins:
        outermost = CrossOrigin(outermost, services.allowed_origins)
    if services.trusted_proxies:
        outermost = TrustedProxies(outermost, services.trusted_proxies, services.proxy_header)
    return outermost


def _limit(services: Services, most: int, taken: str) -> ConcurrencyLimit:
    """Places for all; while authentication is off everyone is the same principal, who may have all of them."""
    return ConcurrencyLimit(most, most if services.principals is None else services.limits.share_of(most), taken)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    if PROBLEMS.get(error.code, (0,))[0] in REFUSED:
        access: AccessLog = request.app.state.access
        access.refused(request.scope, PROBLEMS[error.code][0], error.code, request.scope["state"]["principal"])
    return problem_response(error.code, error.detail, error.figures)


async def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return malformed_response(error.errors())


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem_response("no_route", "There is nothing at this address; see /docs.")
    if error.status_code == 405:
        found: Found = request.scope["state"]["found"]
        allow = {"Allow": found.path.allow}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=allow)
        return problem_response("method", f"This address takes {allow['Allow']}; see /docs.", None, allow)
    return problem_response("malformed", str(error.detail))


async def _database(request: Request, error: Exception) -> Response:
    return await _problem(request, unavailable(error))


async def _master_key(request: Request, error: Exception) -> Response:
    return await _problem(request, Problem("unavailable", f"{error}."))


async def _fault(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed with %s", request.method, request.url.path, traceback_of(error))
    return problem_response("internal", "Something went wrong here; it has been logged.")


_Handler = Callable[[Request, Exception], Awaitable[Response]]

_HANDLERS: dict[type[Exception], _Handler] = {
    Problem: _problem,
    RequestValidationError: _malformed,
    HTTPException: _http,
    psycopg.OperationalError: _database,  # PoolTimeout is one too
    MasterKeyError: _master_key,
    Exception: _fault,
}


async def _answer_error(request: Request, error: Exception) -> Response:
    """What the handlers above make of an error, for those who do not go through FastAPI."""
    return await next(_HANDLERS[kind] for kind in type(error).__mro__ if kind in _HANDLERS)(request, error)


def _describe(app: FastAPI, routes: RouteTable) -> dict[str, Any]:
    """The OpenAPI description, with the token and the headers that the request guard and the commands read."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=app.description,
            routes=[declared.route for declared in routes.routes],
        )
        components = schema["components"]["schemas"]
        components["BatchItem"] = Item.model_json_schema()
        components["BatchAnswer"] = BatchAnswer.model_json_schema()
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        for declared in routes.routes:
            for method in declared.route.methods or ():
                operation = schema["paths"].get(declared.route.path_format, {}).get(method.lower())
                if operation is not None:
                    _describe_operation(operation, declared)
        app.openapi_schema = schema
    return app.openapi_schema


def _describe_operation(operation: dict[str, Any], declared: DeclaredRoute) -> None:
    declaration = declared.declaration
    for answer in operation["responses"].values():
        if MEDIA_TYPE in answer.get("content", {}):
            answer["content"].pop("application/json", None)
    if "public" in declaration.may:
        operation["security"] = []
    if isinstance(declaration, CommandRoute):
        headers = [_IDEMPOTENCY_KEY, *([_IF_MATCH] if "{" in declared.route.path else [])]
        operation.setdefault("parameters", []).extend(headers)
    elif declaration.reads_body:
        operation.setdefault("parameters", []).append(_KEY_OF_ATOMIC)
    else:
        operation["responses"].pop("422", None)  # FastAPI adds it; a request that is malformed is answered 400


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Yours to choose; the same key and request again give the first answer again. A key that is the "
    "same text twice with a comma between is refused: two headers of one key, joined on their way, become that",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "example": "order-4711-payment",
}
_KEY_OF_ATOMIC = _IDEMPOTENCY_KEY | {"required": False, "description": "Needed with `atomic`: the key of the whole"}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "ETag that the stream of this route must still have",
    "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
}
