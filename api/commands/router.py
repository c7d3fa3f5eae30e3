"""The command router runs commands without the machinery of FastAPI, with the same routes, models and answers.

FastAPI describes the routes and serves the reads. For a command, the request guard has already found the route, and has
read, bounded and parsed the body. The router validates the body with the model of the route and runs the command.
Dependency solving, exit stacks and middleware of FastAPI would cost more than deciding and appending the command.
FastAPI answers requests that the router does not know, such as a path whose names are not plain text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.commands.routes import command_of
from api.gateway.problems import malformed_response


class CommandRouter:
    """Answers POST requests to the route of a command. Passes all other requests to the application."""

    def __init__(self, app: FastAPI, answer_error: Callable[[Request, Exception], Awaitable[Response]]) -> None:
        self._app: ASGIApp = app
        self._fastapi = app
        self._answer_error = answer_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        command = command_of(scope["state"]["found"]) if is_post else None
        if command is None:
            await self._app(scope, receive, send)
            return
        route, names = command
        scope["app"] = self._fastapi
        request = Request(scope, receive)
        try:
            response = await route.run(request, route, route.validate(scope["state"]["body"]), names)
        except ValidationError as error:
            response = malformed_response(error.errors(include_url=False, include_context=False))
        except Exception as error:
            response = await self._answer_error(request, error)
        await response(scope, receive, send)
