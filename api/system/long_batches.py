"""The routes for what became of long batches: their senders' lists, how far one is, and each of its items."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from psycopg import Connection
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.gateway.principals import AUDITORS
from api.gateway.problems import Problem
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, PathId, one, page, reading
from api.queries.response_types import LogPosition, StreamVersion, one_of, page_of, values_of
from api.services import Services, services
from api.system.batches import BatchItemOutcome, ItemOfBatch, item_view
from domain.batch import DIGEST
from domain.kernel import Event
from domain.long_batch import LongBatchPartDone, LongBatchPartReceived, Status
from domain.permissions import EVERYONE, OF_PERSONS, may
from eventstore.log.answers import Outcome, count_outcomes, find_answers
from eventstore.log.read import read_stream
from projections.commands import long_batches as queries
from projections.commands.long_batches import LongBatchRow
from projections.engine.listing import Listed

router = APIRouter(prefix="/v1/long-batches", tags=["batches"])

READERS: Final = EVERYONE | OF_PERSONS | AUDITORS
StatusFilter = Annotated[str, choice(values_of(Status))] | None
COUNTED: Final = ("accepted", "refused", "expectation_failed", "key_reused")


class OutcomesOfLongBatch(TypedDict):
    """How many items of a long batch have each outcome."""

    accepted: int
    refused: int
    expectation_failed: int
    key_reused: Annotated[int, Field(description="Items whose key has the answer of another request")]
    unrecorded: Annotated[int, Field(description="Items without a recorded answer: malformed, unknown, forbidden")]
    waiting: Annotated[int, Field(description="Items that were not carried out, or whose part is not done yet")]


class LongBatch(TypedDict):
    """A long batch, and how far it is."""

    batch: str
    sender: str
    status: Annotated[str, one_of(Status)]
    cause: Annotated[
        str | None,
        Field(
            description="Why it was stopped: `asked` by somebody, or its `sender` may send nothing any more, it is "
            "`expired`, or parts of it are `lost`"
        ),
    ]
    stopped_by: str | None
    items: int
    received: Annotated[int, Field(description="Items that came")]
    parts: Annotated[int, Field(description="Parts that came; the next one has this number and one")]
    part_items: Annotated[int, Field(description="Items of each part but the last; 0 before the first came")]
    parts_done: Annotated[int, Field(description="Parts that were carried out")]
    outcomes: OutcomesOfLongBatch
    opened_at: datetime
    expires_at: Annotated[datetime, Field(description="When it is ended unless it has finished")]
    started_at: Annotated[datetime | None, Field(description="When its last part came")]
    ended_at: Annotated[datetime | None, Field(description="When it was finished or stopped")]
    version: StreamVersion
    position: LogPosition


class LongBatchItem(BatchItemOutcome):
    """What became of one item of a long batch: what its retry would be answered."""

    code: Annotated[
        str | None,
        Field(description="Why no answer is recorded: the code of the problem; null if there is one, or none yet"),
    ]


def long_batch_view(row: LongBatchRow) -> LongBatch:
    counts = {name: getattr(row, name) for name in (*COUNTED, "unrecorded")}
    outcomes: Any = {**counts, "waiting": row.items - sum(counts.values())}
    return {
        "batch": row.batch,
        "sender": row.sender,
        "status": row.status,
        "cause": row.cause,
        "stopped_by": row.stopped_by,
        "items": row.items,
        "received": row.received,
        "parts": row.parts,
        "part_items": row.part_items,
        "parts_done": row.done,
        "outcomes": outcomes,
        "opened_at": row.opened_at,
        "expires_at": row.expires_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "version": row.version,
        "position": row.position,
    }


@query(router, "", may=READERS, response=page_of(LongBatch), personal=True, projections=("long_batches",))
def list_long_batches(
    request: Request,
    status: StatusFilter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List one's own long batches in the order in which they were opened. Auditors and operators get all."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.long_batches(
            connection, sender=_sender(request), status=status, after=after, cursor=key, limit=limit
        )
    return page(listed, long_batch_view)


@query(router, "/{long_batch}", may=READERS, response=LongBatch, personal=True, projections=("long_batches",))
def get_long_batch(request: Request, long_batch: PathId) -> Response:
    """Get a long batch. The outcomes include the items of the part that is carried out now, or was when it was stopped.

    It is for the one who sent it. Auditors and operators may read all.
    """
    with reading(request) as connection:
        row = queries.long_batch(connection, long_batch, sender=_sender(request))
        under_way = {} if row is None else _under_way(services(request), connection, row)

    def view(row: LongBatchRow) -> LongBatch:
        shown = long_batch_view(row)
        outcomes: Any = shown["outcomes"]
        for name, number in under_way.items():
            outcomes[name] += number
        outcomes["waiting"] -= sum(under_way.values())
        return shown

    return one("long_batch", long_batch, row, view)


@query(
    router,
    "/{long_batch}/items",
    may=READERS,
    response=page_of(LongBatchItem),
    personal=True,
    projections=("long_batches",),
)
def list_long_batch_items(
    request: Request, long_batch: PathId, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """Get what became of each item that came, in order: the answer that is recorded under its key."""
    after: int = read_cursor(cursor, int) or 0
    served = services(request)
    with reading(request) as connection:
        row = queries.long_batch(connection, long_batch, sender=_sender(request))
        if row is None:
            raise Problem("unknown", f"There is no long_batch {long_batch}.", kind="long_batch", id=long_batch)
        named, codes = _named(served, connection, row, after, limit)
        keys = [(row.sender, key) for _, key, _ in named if key is not None]
        answers = find_answers(connection, served.log_number, keys) if keys else {}
    items = tuple(
        ItemOfBatch(number, key, digest, None if key is None else answers.get((row.sender, key)))
        for number, key, digest in named
    )
    last = after + len(items)

    def view(item: ItemOfBatch) -> dict[str, Any]:
        shown = item_view(served, item)
        return shown | {"code": codes.get(item.number) if shown["recorded_at"] is None else None}

    return page(Listed(items, last if items and last < row.received else None), view)


def _sender(request: Request) -> str | None:
    """Whose long batches the reader sees; None: those of all."""
    principal = request.scope["state"]["principal"]
    return None if may(principal, AUDITORS, services(request).clock()) else str(principal.id)


def _under_way(served: Services, connection: Connection[Any], row: LongBatchRow) -> dict[str, int]:
    """How many items of the part after those that are done have which outcome already."""
    if row.status not in ("running", "stopped") or row.done >= row.parts:
        return {}
    counts: dict[Outcome, int] = {}
    for event in _events(served, connection, row.batch, row.done + 1, 1):
        assert isinstance(event, LongBatchPartReceived)
        keys = [key or "" for key in event.keys]  # no answer has an empty key
        digests = [bytes.fromhex(digest) for digest in event.digests]
        counts = count_outcomes(connection, served.log_number, row.sender, keys, digests, DIGEST // 2)
    return {outcome.name.lower(): number for outcome, number in counts.items()}


def _named(
    served: Services, connection: Connection[Any], row: LongBatchRow, after: int, limit: int
) -> tuple[list[tuple[int, str | None, str]], dict[int, str]]:
    """Number, key and digest of at most `limit` items after this one, and the codes of those without a record.

    The event of part 1 has version 2. After those of all parts come the start, and what became of part 1.
    """
    if after >= row.received:
        return [], {}
    first, parts = after // row.part_items, 2 + limit // row.part_items
    came = _events(served, connection, row.batch, first + 1, parts)
    done = _events(served, connection, row.batch, row.parts + 2 + first, parts) if row.done else []
    named = [
        (number, key, digest)
        for event in came
        if isinstance(event, LongBatchPartReceived)
        for number, (key, digest) in enumerate(zip(event.keys, event.digests, strict=True), event.first)
        if number > after
    ]
    codes = {
        item.item: item.code for event in done if isinstance(event, LongBatchPartDone) for item in event.unrecorded
    }
    return named[:limit], codes


def _events(served: Services, connection: Connection[Any], batch: str, after: int, limit: int) -> list[Event]:
    """Events of a long batch after this version. Raises the `CodecError` of the first one that cannot be decoded."""
    recorded = read_stream(connection, served.log_number, batch, after=after, limit=limit)
    events = served.codec.decode_many([(one.type, one.payload, one.stream, one.version) for one in recorded])
    for event in events:
        if isinstance(event, Exception):
            raise event
    return list(events)
