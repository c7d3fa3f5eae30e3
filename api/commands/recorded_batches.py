"""A batch as it was recorded: who sent it, and which keys its items have. Who sent it reads it, and so do auditors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from fastapi import Request
from psycopg import Connection

from api.gateway.principals import AUDITORS
from api.gateway.problems import Problem
from api.services import Services, services
from domain.batch import BATCH, DIGEST, BatchSubmitted
from domain.permissions import may
from eventstore.log.answers import Outcome, find_answers
from eventstore.log.codec import CodecError
from eventstore.log.read import Recorded, read_stream

MOST_PIECES = 1_000
"""Pieces of a batch that are read at once. The largest batch that the settings allow has as many."""


@dataclass(frozen=True, slots=True)
class RecordedBatch:
    """A batch as it is recorded: who sent it, and its first piece."""

    actor: str
    key: str
    submitted_at: datetime
    first: BatchSubmitted


def recorded_batch(request: Request, connection: Connection[Any], batch: str) -> RecordedBatch:
    """The batch. Raises `Problem` if there is none, or if it is another's and the caller may not read all."""
    served = services(request)
    events = read_stream(connection, served.log_number, batch, limit=1) if batch.startswith(f"{BATCH}_") else []
    principal = request.scope["state"]["principal"]
    for recorded in events:
        metadata = orjson.loads(recorded.metadata)
        actor = metadata["actor"]["id"]
        if actor == principal.id or may(principal, AUDITORS, served.clock()):
            [first] = decoded_pieces(served, events)
            return RecordedBatch(actor, metadata["key"], recorded.recorded_at, first)
    raise Problem("unknown", f"There is no batch {batch}.", kind="batch", id=batch)


def all_pieces(served: Services, connection: Connection[Any], found: RecordedBatch) -> list[BatchSubmitted]:
    """All pieces of a batch."""
    first = found.first
    if len(first.keys) == first.items:
        return [first]
    others = read_stream(connection, served.log_number, first.originator_id, after=1, limit=MOST_PIECES)
    return [first, *decoded_pieces(served, others)]


def decoded_pieces(served: Services, recorded: Iterable[Recorded]) -> list[BatchSubmitted]:
    """The pieces of a batch. Raises the `CodecError` of the first one that cannot be decoded."""
    events = served.codec.decode_many([(one.type, one.payload, one.stream, one.version) for one in recorded])
    pieces = []
    for event in events:
        if isinstance(event, CodecError):
            raise event
        assert isinstance(event, BatchSubmitted)
        pieces.append(event)
    return pieces


def transactions_of(request: Request, connection: Connection[Any], batch: str) -> list[str]:
    """The transactions that the items of a batch made. Raises `Problem` as `recorded_batch`.

    An item whose key came with another request before made none.
    """
    served = services(request)
    found = recorded_batch(request, connection, batch)
    digests = {
        (found.actor, key): digest
        for piece in all_pieces(served, connection, found)
        for key, digest in zip(piece.keys, piece.digests, strict=True)
        if key is not None
    }
    answers = find_answers(connection, served.log_number, list(digests)) if digests else {}
    return [
        one.answer.result["transaction"]
        for key, one in answers.items()
        if one.answer.outcome is Outcome.ACCEPTED
        and "transaction" in one.answer.result
        and one.request_hash[: DIGEST // 2].hex() == digests[key]
    ]
