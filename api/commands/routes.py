"""A command's route, declared once: FastAPI describes it, the command router runs it, a batch runs thousands of it.

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
from msgspec import Struct
from pydantic import BaseModel, TypeAdapter
from starlette.responses import Response

from api.gateway.principals import Principal
from api.gateway.routes import Declaration, Found
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRoute(Declaration):
    """What a command's route declares; `status`: of an accepted command."""

    build: Build
    run: Run
    validate: Callable[[Any], BaseModel]
    status: int


def validator_of(model: type[B]) -> Callable[[Any], B]:
    """What `model_validate` does, without its wrapping, which takes a fifth of the time. Raises `ValidationError`."""
    validate: Callable[[Any], B] = TypeAdapter(model).validator.validate_python
    return validate


def command_of(found: Found | None) -> tuple[CommandRoute, Mapping[str, str]] | None:
    """The command that is posted to a path, and the names in it; None where a name is not plain text."""
    if found is None:
        return None
    path, names = found
    command = path.post
    if not isinstance(command, CommandRoute) or (names and not all(map(_PLAIN.fullmatch, names.values()))):
        return None
    return command, names
