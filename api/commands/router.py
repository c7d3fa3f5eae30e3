"""The lane of commands: the same routes, models and answers as FastAPI's, without its machinery around them.

FastAPI describes the routes and serves the reads. For a command the door has read, bounded and parsed the body by now;
what is left is to match the path, validate the body with the route's own model and run it. Going through FastAPI's
dependency solving, exit stacks and middleware for that costs more than deciding and appending the command does.
Whatever the lane is not sure about it leaves to FastAPI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.commands.routes import CommandRoutes
from api.gateway.problems import malformed_response


class CommandRouter:
    """Answers POST requests it knows the route of; passes all others to the application."""

    def __init__(
        self, app: FastAPI, routes: CommandRoutes, answer_error: Callable[[Request, Exception], Awaitable[Response]]
    ) -> None:
        self._app: ASGIApp = app
        self._fastapi = app
        self._routes = routes
        self._answer_error = answer_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._routes.match(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, names = found
        scope["app"] = self._fastapi
        request = Request(scope, receive)
        try:
            response = await route.run(request, route, route.validate(scope["state"]["body"]), names)
        except ValidationError as error:
            response = malformed_response(error.errors(include_url=False, include_context=False))
        except Exception as error:
            response = await self._answer_error(request, error)
        await response(scope, receive, send)
