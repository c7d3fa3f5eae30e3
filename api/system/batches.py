"""The routes for batches that were recorded: how many items have which outcome, and the outcome of each item.

A batch names the keys of its items. What became of an item is the answer that is recorded under its key, as a retry of
the item would get it, so nothing is stored twice and nothing has to be folded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Request
from psycopg import Connection
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import AnyAccepted
from api.commands.execution import respond
from api.commands.recorded_batches import RecordedBatch, all_pieces, decoded_pieces, recorded_batch
from api.gateway.documented import RecordedProblem
from api.gateway.principals import AUDITORS
from api.gateway.problems import problem
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, Cursor, Limit, PathId, page
from api.queries.response_types import page_of
from api.queries.responses import json_response
from api.services import Services, services
from domain.batch import DIGEST, BatchSubmitted
from domain.permissions import EVERYONE, OF_PERSONS
from eventstore.log.answers import Outcome, RecordedAnswer, count_outcomes, find_answers
from eventstore.log.read import read_stream
from projections.engine.listing import Listed

router = APIRouter(prefix="/v1", tags=["batches"])

OutcomeOfItem = Literal["accepted", "refused", "expectation_failed", "key_reused", "not_recorded"]
NOT_RECORDED = "not_recorded"
KEY_REUSED = Outcome.KEY_REUSED.name.lower()


class OutcomesOfBatch(TypedDict):
    """How many items of a batch have each outcome."""

    accepted: int
    refused: int
    expectation_failed: int
    key_reused: Annotated[int, Field(description="Items whose key has the answer of another request")]
    not_recorded: Annotated[
        int, Field(description="Items without a recorded answer: not carried out yet, or malformed, unknown, forbidden")
    ]


class BatchOutcome(TypedDict):
    """A batch that was recorded, and how far it is."""

    batch: str
    actor: Annotated[str, Field(description="Who sent it")]
    key: Annotated[str, Field(description="The `Idempotency-Key` of the batch")]
    items: int
    submitted_at: datetime
    outcomes: OutcomesOfBatch


class BatchItemOutcome(TypedDict):
    """What became of one item of a batch: what its retry would be answered."""

    item: Annotated[int, Field(description="The number of the item in the batch, from 1")]
    key: Annotated[str | None, Field(description="The key of the item; null if no command could come from the item")]
    outcome: OutcomeOfItem
    status: Annotated[int | None, Field(description="The status of the answer; null if none is recorded")]
    recorded_at: datetime | None
    body: Annotated[AnyAccepted | RecordedProblem | None, Field(description="The answer; null if none is recorded")]


@dataclass(frozen=True, slots=True)
class ItemOfBatch:
    """An item, and the answer that is recorded under its key."""

    number: int
    key: str | None
    digest: str
    found: RecordedAnswer | None


@query(router, "/batches/{batch}", may=EVERYONE | OF_PERSONS | AUDITORS, response=BatchOutcome, personal=True)
def get_batch(request: Request, batch: PathId) -> Response:
    """Get a batch that was posted with an `Idempotency-Key`: how many of its items have which outcome.

    It is for the one who sent it. Auditors and operators may read all.
    """
    served = services(request)
    with served.reads() as connection:
        found = recorded_batch(request, connection, batch)
        pieces = all_pieces(served, connection, found)
        keys = [key or "" for piece in pieces for key in piece.keys]  # no answer has an empty key
        digests = [bytes.fromhex(digest) for piece in pieces for digest in piece.digests]
        counts = count_outcomes(connection, served.log_number, found.actor, keys, digests, DIGEST // 2)
    counted = {outcome.name.lower(): counts.get(outcome, 0) for outcome in Outcome if outcome <= Outcome.KEY_REUSED}
    del counted[Outcome.UNKNOWN.name.lower()]  # it is never recorded
    return json_response(
        {
            "batch": batch,
            "actor": found.actor,
            "key": found.key,
            "items": found.first.items,
            "submitted_at": found.submitted_at,
            "outcomes": counted | {NOT_RECORDED: found.first.items - sum(counted.values())},
        }
    )


@query(
    router,
    "/batches/{batch}/items",
    may=EVERYONE | OF_PERSONS | AUDITORS,
    response=page_of(BatchItemOutcome),
    personal=True,
)
def list_batch_items(request: Request, batch: PathId, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """Get what became of each item of a batch, in order: the answer that is recorded under its key."""
    after: int = read_cursor(cursor, int) or 0
    served = services(request)
    with served.reads() as connection:
        found = recorded_batch(request, connection, batch)
        named = _named(served, connection, found, after, limit)
        keys = [(found.actor, key) for _, key, _ in named if key is not None]
        answers = find_answers(connection, served.log_number, keys) if keys else {}
    items = tuple(
        ItemOfBatch(number, key, digest, None if key is None else answers.get((found.actor, key)))
        for number, key, digest in named
    )
    last = after + len(items)
    return page(Listed(items, last if items and last < found.first.items else None), lambda one: item_view(served, one))


def _named(
    served: Services, connection: Connection[Any], found: RecordedBatch, after: int, limit: int
) -> list[tuple[int, str | None, str]]:
    """Number, key and digest of at most `limit` items after this one."""
    size, batch = len(found.first.keys), found.first.originator_id
    if after >= found.first.items:
        return []
    pieces: Iterable[BatchSubmitted] = [found.first]
    if after + limit > size:  # pieces have as many items as the first, so the page is in at most two of them
        recorded = read_stream(connection, served.log_number, batch, after=after // size, limit=2 + limit // size)
        pieces = decoded_pieces(served, recorded)
    named = [
        (number, key, digest)
        for piece in pieces
        for number, (key, digest) in enumerate(zip(piece.keys, piece.digests, strict=True), piece.first)
        if number > after
    ]
    return named[:limit]


def item_view(served: Services, item: ItemOfBatch) -> dict[str, Any]:
    """An item as it is answered. The answer of another request is not its own: a retry would be refused."""
    view = {"item": item.number, "key": item.key}
    found = item.found
    if found is None:
        return view | {"outcome": NOT_RECORDED, "status": None, "recorded_at": None, "body": None}
    if found.request_hash[: DIGEST // 2].hex() != item.digest:
        message = problem("key_reused", "This key came with another request before; choose a new one.")
        return view | {"outcome": KEY_REUSED, "status": message["status"], "recorded_at": None, "body": message}
    answer = found.answer
    return view | {
        "outcome": answer.outcome.name.lower(),
        "status": answer.code,
        "recorded_at": answer.recorded_at,
        "body": orjson.Fragment(bytes(respond(served, answer).body)),
    }
