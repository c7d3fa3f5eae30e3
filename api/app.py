"""Builds the application from the request guard, the routes and the handlers of errors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from api import registry
from api.commands.router import CommandRouter
from api.gateway.access_log import REFUSED, AccessLog, AccessLogMiddleware
from api.gateway.authentication import Authentication
from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.cross_origin import CrossOrigin
from api.gateway.error_middleware import ErrorMiddleware
from api.gateway.methods import HeadAsGet
from api.gateway.principals import PUBLIC
from api.gateway.problems import (
    FAULT,
    PROBLEMS,
    Problem,
    malformed_response,
    newer_event,
    problem_response,
    unavailable,
)
from api.gateway.proxies import TrustedProxies
from api.gateway.request_guard import RequestGuard
from api.gateway.routes import Declaration, Found, FoundRoute, RouteTable, declare
from api.openapi import describe
from api.services import Services
from api.system import docs_page
from eventstore.executor.followed_states import StaleError
from eventstore.keys.master_keys import MasterKeyError
from eventstore.log.codec import UnknownTypeError
from eventstore.tracebacks import traceback_of

logger = logging.getLogger(__name__)


def create_app(services: Services) -> ASGIApp:
    """Return the ASGI application. It uses these services, but neither starts nor stops them."""
    app = FastAPI(
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},  # it has paths with ids
    )
    app.state.services = services
    limits = services.limits
    app.state.batches = _limit(services, limits.batches, "batches are under way")
    app.state.waiting = _limit(services, limits.waiting, "reads wait for their min_position")
    app.state.followers = _limit(services, limits.followers, "clients follow the log")
    for route in app.router.routes:  # the route of the OpenAPI description, made by FastAPI
        declare(route.endpoint, Declaration(may=PUBLIC))  # type: ignore[attr-defined]
    routes = RouteTable([*registry.routes(), *app.router.routes, *docs_page.docs_routes()])
    app.state.routes = routes
    app.router.routes[:] = [FoundRoute()]
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(ErrorMiddleware, answer_error=_answer_error)
    app.add_middleware(HeadAsGet)
    app.openapi = lru_cache(lambda: describe(registry.routes()))  # type: ignore[method-assign]
    access = AccessLog(services.clock, services.refusals, services.recorder)
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
    """A limit for requests of a kind. Without authentication there is one principal, which may use all of it."""
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


async def _stale(request: Request, error: Exception) -> Response:
    """The message is left out: it names a stream, and whoever signs in must not learn whose."""
    return await _problem(request, Problem("unavailable", "What this needs to know cannot be looked up now."))


async def _newer_event(request: Request, error: Exception) -> Response:
    assert isinstance(error, UnknownTypeError)
    return await _problem(request, newer_event(f"{error}.", error.stream, error.type))


async def _fault(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed with %s", request.method, request.url.path, traceback_of(error))
    return problem_response("internal", FAULT)


_Handler = Callable[[Request, Exception], Awaitable[Response]]

_HANDLERS: dict[type[Exception], _Handler] = {
    Problem: _problem,
    RequestValidationError: _malformed,
    HTTPException: _http,
    psycopg.OperationalError: _database,  # PoolTimeout is a subclass
    MasterKeyError: _master_key,
    UnknownTypeError: _newer_event,
    StaleError: _stale,
    Exception: _fault,
}


async def _answer_error(request: Request, error: Exception) -> Response:
    """The answer to an error by the handlers above, for requests that do not pass through FastAPI."""
    return await next(_HANDLERS[kind] for kind in type(error).__mro__ if kind in _HANDLERS)(request, error)
