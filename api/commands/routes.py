"""The declaration of a command's route. FastAPI, the command router and batches use it.

A route is a function from a caller, a validated body and the names in its path to an `Intent`. Keys, answers and
responses are handled in the same way for all intents (`api.commands.execution`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeVar

from fastapi import Request
from msgspec import Struct
from pydantic import BaseModel, TypeAdapter
from starlette.responses import Response

from api.gateway.persons import Known
from api.gateway.routes import Declaration, Found
from api.services import CommandServices
from domain.kernel import Context, Principal
from eventstore.log.answers import Answer

_PLAIN = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal of a request, the context of the decision, and the services.

    `known` is set if a person sent the request in a session, or by an API key. Routes with a secret also get the key
    of the command, the address of the client, and the recorded answer if the command was accepted before: then nothing
    is checked again that was checked then.
    """

    services: CommandServices
    principal: Principal
    context: Context
    known: Known | None = None
    key: str = ""
    address: str = "-"
    recorded: Answer | None = None

    def at(self, address: str) -> Caller:
        """The same caller, at this address."""
        return replace(self, address=address)

    @property
    def today(self) -> date:
        """The calendar date in UTC. It is the value date of commands without one."""
        return self.context.today


class Intent(Struct):
    """A command, and the stream that `If-Match` and `ETag` refer to.

    `stream` is the stream that the route names. `created` is the result field with the id of a new stream. A retry
    generates another id, so the ETag uses the recorded one.

    `then` is called with the answer once the command is accepted, and again for each retry: it writes rows beside the
    log that name its events, and returns members that are added to the answer and recorded nowhere. A command of a
    batch is accepted without it, so only what another request repairs may depend on it, unless the route has a secret.
    """

    command: Any
    stream: str | None = None
    created: str | None = None
    then: Then | None = None


Then = Callable[[Answer], Awaitable[Mapping[str, Any]]]
Build = Callable[..., "Intent | Awaitable[Intent]"]
Run = Callable[[Request, "CommandRoute", BaseModel, Mapping[str, str]], Awaitable[Response]]
B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRoute(Declaration):
    """What a command's route declares. `makes` is the class of the command, `status` that of an accepted answer.

    `secret`: its body or its answer has a secret. The digest of the request is keyed then, so that nobody finds the
    secret by trying; it is sent alone; and a retry gets the answer without what is shown once.
    """

    makes: type[Any]
    build: Build
    run: Run
    validate: Callable[[Any], BaseModel]
    status: int
    secret: bool = False


def validator_of(model: type[B]) -> Callable[[Any], B]:
    """Return a faster `model_validate`: its wrapper takes a fifth of the time. The result raises `ValidationError`."""
    validate: Callable[[Any], B] = TypeAdapter(model).validator.validate_python
    return validate


def command_of(found: Found | None) -> tuple[CommandRoute, Mapping[str, str]] | None:
    """The command of a path, and the names in the path. None if there is no command or a name is not plain text."""
    if found is None:
        return None
    path, names = found
    command = path.post
    if not isinstance(command, CommandRoute) or (names and not all(map(_PLAIN.fullmatch, names.values()))):
        return None
    return command, names
