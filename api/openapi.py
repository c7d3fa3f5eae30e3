"""The OpenAPI description of all routes.

FastAPI describes parameters, bodies and answers. This module adds what is read or sent outside of its routes: tokens,
the headers of commands, and the items of batches and of streams.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.routing import BaseRoute

from api.commands.answers import BatchAnswer
from api.commands.batch_items import Item
from api.commands.routes import CommandRoute
from api.gateway.documented import ProblemDetails
from api.gateway.problems import MEDIA_TYPE
from api.gateway.routes import DeclaredRoute, declared_route
from api.system.log import FollowedEvent

_SCHEMA: Final = "#/components/schemas/{model}"
_PARTS: Final = {
    "BatchItem": Item,
    "BatchAnswer": BatchAnswer,
    "FollowedEvent": FollowedEvent,
    "ProblemDetails": ProblemDetails,
}
"""Parts of bodies and answers that FastAPI does not describe."""
_OF_FASTAPI: Final = ("HTTPValidationError", "ValidationError")
"""Schemas of answers that Daybook never gives."""

_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Choose any text. The same key with the same request gets the first answer again. A key that "
    "repeats the same text with a comma between is refused, because two joined headers with one key look like this",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "example": "order-4711-payment",
}
_KEY_OF_ATOMIC: Final = _IDEMPOTENCY_KEY | {
    "required": False,
    "description": "Needed with `atomic`: the key of the whole batch. Without `atomic` it records the batch, so that "
    "`GET /v1/batches/{batch}` has the outcomes of its items; each item still has its own key",
}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag that the stream of this route must still have",
    "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
}


def describe(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The description of these routes. Raises `ValueError` if two operations have the same name."""
    declared = [declared_route(route) for route in routes]
    description = get_openapi(
        title="Daybook",
        version="1",
        summary="An event-sourced ledger.",
        description="Commands are posted with an `Idempotency-Key`; every answer has its position in the log.",
        routes=[one.route for one in declared],
    )
    components = description.setdefault("components", {})
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    description["security"] = [{"token": []}]
    _describe_parts(components.setdefault("schemas", {}))
    names: set[str] = set()
    for one in declared:
        for method in one.route.methods or ():
            operation = description["paths"].get(one.route.path_format, {}).get(method.lower())
            if operation is not None:
                _describe_operation(operation, one)
                if one.route.name in names:
                    raise ValueError(f"Two operations have the name {one.route.name}: rename the function of one.")
                names.add(one.route.name)
    return description


def text_of(description: dict[str, Any]) -> str:
    """The description as JSON text, in the form that is committed."""
    return orjson.dumps(description, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _describe_parts(schemas: dict[str, Any]) -> None:
    for name in _OF_FASTAPI:
        schemas.pop(name, None)
    for name, part in _PARTS.items():
        schema = TypeAdapter(part).json_schema(ref_template=_SCHEMA)
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema | {"title": name}


def _describe_operation(operation: dict[str, Any], declared: DeclaredRoute) -> None:
    declaration = declared.declaration
    operation["operationId"] = declared.route.name
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
