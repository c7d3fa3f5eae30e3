"""The route of the history of a transaction: each change of its status, from its stream in the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.gateway.principals import EVERY_READER, REPORTERS
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, Cursor, Limit, PathId, one, page, reader_of, reading
from api.queries.response_types import LogPosition, StreamVersion, one_of, page_of
from api.services import services
from domain.accounts.details import TransactionCounted, TransactionDetailed
from domain.accounts.transaction.events import (
    TransactionApproved,
    TransactionCancelled,
    TransactionEvent,
    TransactionPended,
    TransactionRejected,
    TransactionReversed,
)
from domain.accounts.transaction.state import TransactionStatus, status_after
from domain.people.person.state import PERSON
from domain.permissions import may
from eventstore.log.codec import CodecError
from eventstore.log.read import Recorded, read_stream
from projections.accounts.transactions import queries
from projections.engine.listing import Listed
from projections.engine.rows import erasable

router = APIRouter(prefix="/v1", tags=["transactions"])

_SILENT = (TransactionDetailed, TransactionCounted)
"""Events that say nothing about the status. A stream has at most one of each."""


class ChangedBy(TypedDict):
    """Who sent the command of a change."""

    actor: str
    person: Annotated[str | None, Field(description="The person behind it")]
    key: Annotated[str | None, Field(description="The idempotency key of the command")]
    command: Annotated[str, Field(description="The type of the command")]


class StatusChange(TypedDict):
    """A change of the status of a transaction, or the approval of another person."""

    status: Annotated[str, one_of(TransactionStatus), Field(description="After it")]
    before: Annotated[
        Annotated[str, one_of(TransactionStatus)] | None, Field(description="The status before; null: it began")
    ]
    event: Annotated[str, Field(description="The type of the event")]
    recorded_at: datetime
    position: LogPosition
    version: StreamVersion
    by: Annotated[ChangedBy | None, Field(description="Null for who may not see it")]
    decided_by: Annotated[str | None, Field(description="The person who approved or rejected it")]
    awaits: Annotated[str | None, Field(description="What it began to wait for: request, approval or review")]
    reason: Annotated[str | None, Field(description="Why it was cancelled or rejected; null once it was erased")]
    reversed_by: Annotated[str | None, Field(description="The transaction that reverses it")]


@dataclass(frozen=True, slots=True)
class _Change:
    """An event of a transaction, and the status before it."""

    recorded: Recorded
    event: TransactionEvent
    before: TransactionStatus | None


@query(
    router,
    "/transactions/{transaction}/history",
    may=EVERY_READER,
    response=page_of(StatusChange),
    personal=True,
    projections=("transactions", "account_persons"),
)
def get_history(request: Request, transaction: PathId, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """Get each change of the status of a transaction, oldest first, with who sent the command and why.

    What was tried and refused is in `GET /v1/refusals?transaction=…`.
    """
    served, after = services(request), read_cursor(cursor, int) or 0
    with reading(request) as connection:
        if queries.transaction(connection, transaction, reader=reader_of(request)) is None:
            return one("transaction", transaction, None, dict)
        # The event of the cursor tells the status before the page.
        first, most = max(after - 1, 0), limit + 1 + len(_SILENT) + (after > 0)
        recorded = read_stream(connection, served.log_number, transaction, after=first, limit=most)
    events = served.codec.decode_many([(row.type, row.payload, row.stream, row.version) for row in recorded])
    changes = [one for one in _changes(recorded, events) if one.recorded.version > after]
    last = changes[limit - 1].recorded.version if len(changes) > limit else None
    principal = request.scope["state"]["principal"]
    all_actors = may(principal, REPORTERS, served.clock())
    return page(Listed(tuple(changes[:limit]), last), lambda one: _view(one, principal.person, all_actors))


def _changes(recorded: Sequence[Recorded], events: Sequence[Any]) -> Iterator[_Change]:
    """The events that are shown, each with the status before it. Raises the `CodecError` of one that has no form."""
    before: TransactionStatus | None = None
    for row, event in zip(recorded, events, strict=True):
        if isinstance(event, CodecError):
            raise event
        if not isinstance(event, _SILENT):
            yield _Change(row, event, before)
        before = status_after(event, before)


def _view(change: _Change, person: str | None, all_actors: bool) -> StatusChange:
    event, recorded = change.event, change.recorded
    status = status_after(event, change.before)
    assert status is not None, "the first event begins the transaction"
    by = _by(recorded.metadata)
    return {
        "status": status,
        "before": change.before,
        "event": recorded.type,
        "recorded_at": recorded.recorded_at,
        "position": recorded.position,
        "version": recorded.version,
        "by": by if all_actors or (person is not None and by["person"] == person) else None,
        "decided_by": event.by if isinstance(event, TransactionApproved | TransactionRejected) else None,
        "awaits": event.awaits if isinstance(event, TransactionPended) else None,
        "reason": erasable(event.reason)[0] if isinstance(event, TransactionCancelled | TransactionRejected) else None,
        "reversed_by": event.by if isinstance(event, TransactionReversed) else None,
    }


def _by(metadata: bytes) -> ChangedBy:
    found = orjson.loads(metadata)
    actor = found["actor"]
    id = actor["id"]
    person = actor.get("person", id if id.startswith(f"{PERSON}_") else None)
    return {"actor": id, "person": person, "key": found.get("key"), "command": found["command"]}
