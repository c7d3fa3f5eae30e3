"""A command's route, declared once: FastAPI describes it, the lane runs it, a batch runs thousands of it.

A route is a function from a caller, a validated body and the names in its path to an `Intent`. How an intent gets its
key, its answer and its response is the same for all of them (`api.commands.execution`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from fastapi import Request
from fastapi.routing import APIRoute
from msgspec import Struct
from pydantic import BaseModel, TypeAdapter
from starlette.responses import Response

from api.gateway.principals import Principal
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


class Intent(Struct):
    """A command, and how its answer names things.

    `stream`: the one the route names, for `If-Match` and `ETag`; `created`: the member of the answer that names the one
    it makes, for `ETag` (a retry draws another id, which its first answer knows nothing of).
    """

    command: Any
    stream: str | None = None
    created: str | None = None


Build = Callable[..., "Intent | Awaitable[Intent]"]
Run = Callable[[Request, "CommandRoute", BaseModel, Mapping[str, str]], Awaitable[Response]]
B = TypeVar("B", bound=BaseModel)


class CommandRoute:
    """What is known of a command's route apart from HTTP."""

    def __init__(self, build: Build, run: Run, model: type[BaseModel], status: int) -> None:
        """`status`: of an accepted command."""
        self.build = build
        self.run = run
        self.status = status
        self.validate: Callable[[Any], BaseModel] = validator_of(model)


def validator_of(model: type[B]) -> Callable[[Any], B]:
    """What `model_validate` does, without its wrapping, which takes a fifth of the time. Raises `ValidationError`."""
    validate: Callable[[Any], B] = TypeAdapter(model).validator.validate_python
    return validate


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
            match = pattern.fullmatch(path)  # `$` alone also matches before a line feed at the end
            if match is not None:
                names = match.groupdict()
                return (declared, names) if all(_PLAIN.fullmatch(value) for value in names.values()) else None
        return None
