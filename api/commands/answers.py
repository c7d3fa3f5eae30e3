"""The answers to commands, for the OpenAPI description.

The answer to an accepted command has the result of its decision, as it was recorded. Each area declares the members of
its results. `Accepted` has the members of all results.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from api.gateway.documented import ALWAYS, problems_of
from api.queries.response_types import Position


class Accepted(TypedDict):
    """A command that was carried out."""

    outcome: Literal["accepted"]
    position: Annotated[Position, Field(description="Pass it as `min_position` to read what was written")]
    versions: Annotated[dict[str, int], Field(description="New versions of the streams")]


@with_config(ConfigDict(extra="allow"))
class AnyAccepted(Accepted):
    """A command that was carried out. It has more members, which depend on the command: ids, status, balances."""


class AcceptedTogether(Accepted):
    """An atomic batch that was carried out in one unit."""

    results: Annotated[
        list[dict[str, Any]],
        Field(description="For each item, in order: the members that its own answer would have besides these"),
    ]


class BatchAnswer(TypedDict):
    """The answer to one item of a batch. A single request would get the same answer."""

    key: Annotated[str | None, Field(description="The key of the item; null if no key could be read")]
    status: int
    body: Annotated[dict[str, Any], Field(description="The answer to the command, or the problem details")]
    version: NotRequired[Annotated[int, Field(description="The ETag of the answer")]]
    replayed: NotRequired[
        Annotated[bool, Field(description="Whether this is the recorded answer to an earlier request with this key")]
    ]


DRY_RUN = "Daybook-Dry-Run"
"""The header that marks the answer of a dry run."""

BATCH_OF = "Daybook-Batch"
"""The header with the id of a batch that was recorded."""

_HEADERS = {
    "Daybook-Position": {"schema": {"type": "string"}, "description": "Position of the answer in the log"},
    "Idempotency-Replayed": {
        "schema": {"type": "string"},
        "description": "`true` if this is the recorded answer to an earlier request with this key",
    },
    DRY_RUN: {
        "schema": {"type": "string"},
        "description": "`true` if the request asked for a dry run: nothing was recorded",
    },
    "ETag": {"schema": {"type": "string"}, "description": "Version of the stream that the route names"},
}
_ITEM = {"$ref": "#/components/schemas/BatchAnswer"}


def answers_of_command(answer: Any) -> dict[int | str, dict[str, Any]]:
    """The answers of a command's route. `answer` is the type of the answer to an accepted command."""
    accepted = {"description": "Carried out", "model": answer, "headers": _HEADERS}
    return {**problems_of(*ALWAYS, 404, 409, 412, 413, 415, 422), 200: accepted, 201: accepted}


ANSWERS_OF_BATCH: dict[int | str, dict[str, Any]] = {
    **answers_of_command(AcceptedTogether),
    200: {
        "description": "The answer to each item, in the order of the items",
        "headers": {
            BATCH_OF: {
                "schema": {"type": "string"},
                "description": "The id of the batch, if the request had an `Idempotency-Key`",
            }
        },
        "content": {
            "application/json": {"schema": {"type": "array", "items": _ITEM}},
            "application/x-ndjson": {
                "schema": {"type": "string", "description": "One answer on each line"},
                "x-item-schema": _ITEM,
            },
        },
    },
}
