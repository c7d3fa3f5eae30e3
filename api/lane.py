"""The lane of commands: the same endpoints, models and answers as FastAPI's routes, without its machinery around them.

FastAPI describes the routes and serves the reads. For a command the door has read, bounded and parsed the body by now;
what is left is to match the path, validate the body with the route's own model and call the route's own endpoint.
Going through FastAPI's dependency solving, exit stacks and middleware for that costs more than deciding and appending
the command does. Whatever the lane is not sure about it leaves to FastAPI.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import malformed_response

_PLAIN = re.compile(r"[!-~]{1,200}")

Endpoint = Callable[..., Awaitable[Response]]


class Lane:
    """Answers POST requests it knows the route of; passes all others to the application."""

    def __init__(self, app: FastAPI, answer_error: Callable[[Request, Exception], Awaitable[Response]]) -> None:
        self._app: ASGIApp = app
        self._fastapi = app
        self._answer_error = answer_error
        self._fixed: dict[str, tuple[Endpoint, type[BaseModel]]] = {}
        self._patterns: list[tuple[re.Pattern[str], Endpoint, type[BaseModel]]] = []

    def add(self, route: APIRoute) -> None:
        """Take over a route, if it is a command's: a POST with a body."""
        model = route.body_field.field_info.annotation if route.body_field is not None else None
        if route.methods != {"POST"} or not (isinstance(model, type) and issubclass(model, BaseModel)):
            return
        if "{" in route.path:
            self._patterns.append((route.path_regex, route.endpoint, model))
        else:
            self._fixed[route.path] = (route.endpoint, model)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._match(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        endpoint, model, parameters = found
        scope["app"] = self._fastapi
        request = Request(scope, receive)
        try:
            response = await endpoint(request, body=model.model_validate(scope["state"]["body"]), **parameters)
        except ValidationError as error:
            response = malformed_response(error.errors(include_url=False, include_context=False))
        except Exception as error:
            response = await self._answer_error(request, error)
        await response(scope, receive, send)

    def _match(self, scope: Scope) -> tuple[Endpoint, type[BaseModel], dict[str, Any]] | None:
        path = scope["path"]
        fixed = self._fixed.get(path)
        if fixed is not None:
            return (*fixed, {})
        for pattern, endpoint, model in self._patterns:
            match = pattern.match(path)
            if match is not None:
                parameters = match.groupdict()
                if all(_PLAIN.fullmatch(value) for value in parameters.values()):
                    return endpoint, model, parameters
                return None
        return None
