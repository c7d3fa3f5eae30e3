"""A command's route, declared once: FastAPI describes it, the lane runs it, a batch runs thousands of it.

A route is a function from a caller, a validated body and the names in its path to an `Intent`. How an intent gets its
key, its answer and its response is the same for all of them (`api.execution`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar, get_type_hints

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response

from api.documented import COMMAND
from api.principals import Principal
from api.services import Services
from domain.kernel import Context

_PLAIN = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who wants something, when, and what there is to do it with."""

    services: Services
    principal: Principal
    context: Context

    @property
    def today(self) -> date:
        """The calendar date in UTC: the value date of what names none."""
        return self.context.today


@dataclass(slots=True)
class Intent:
    """A command, and how its answer names things.

    `stream`: the one the route names, for `If-Match` and `ETag`; `created`: the member of the answer that names the one
    it makes, for `ETag` (a retry draws another id, which its first answer knows nothing of).
    """

    command: Any
    stream: str | None = None
    created: str | None = None


Build = Callable[..., "Intent | Awaitable[Intent]"]
Run = Callable[[Request, "CommandRoute", BaseModel, Mapping[str, str]], Awaitable[Response]]
B = TypeVar("B", bound=Build)


@dataclass(frozen=True, slots=True)
class CommandRoute:
    """What is known of a command's route apart from HTTP."""

    build: Build
    run: Run
    model: type[BaseModel]
    status: int  # of an accepted command

    async def intent(self, caller: Caller, body: BaseModel, names: Mapping[str, str]) -> Intent:
        """What the body asks for. Raises `Problem`."""
        built = self.build(caller, body=body, **names)
        return await built if not isinstance(built, Intent) else built


def command(router: APIRouter, path: str, run: Run, *, status: int = 201) -> Callable[[B], B]:
    """Declare a command's route: `build(caller, [names of the path,] body)` gives its intent, `run` carries it out."""

    def declare(build: B) -> B:
        hints = get_type_hints(build, include_extras=True)
        route = CommandRoute(build, run, hints["body"], status)

        async def endpoint(request: Request, body: BaseModel, **names: str) -> Response:
            return await run(request, route, body, names)

        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
            for name in inspect.signature(build).parameters
            if name != "caller"
        ]
        request = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
        endpoint.__signature__ = inspect.Signature([request, *parameters])  # type: ignore[attr-defined]
        endpoint.__name__, endpoint.__doc__ = build.__name__, build.__doc__
        endpoint.command = route  # type: ignore[attr-defined]
        router.post(path, status_code=status, responses=COMMAND)(endpoint)
        return build

    return declare


class CommandRoutes:
    """The commands' routes by their path."""

    def __init__(self) -> None:
        self._fixed: dict[str, CommandRoute] = {}
        self._patterns: list[tuple[re.Pattern[str], CommandRoute]] = []

    def add(self, route: APIRoute) -> None:
        """Keep a route, if it is a command's."""
        declared = getattr(route.endpoint, "command", None)
        if declared is None:
            return
        if "{" in route.path:
            self._patterns.append((route.path_regex, declared))
        else:
            self._fixed[route.path] = declared

    def match(self, path: str) -> tuple[CommandRoute, dict[str, str]] | None:
        """The route of a path, and the names in it."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, {}
        for pattern, declared in self._patterns:
            match = pattern.match(path)
            if match is not None:
                names = match.groupdict()
                return (declared, names) if all(_PLAIN.fullmatch(value) for value in names.values()) else None
        return None
