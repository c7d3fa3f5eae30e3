"""The routes for auditors: streams, the log, following the log, and the outcome of a command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

import orjson
from fastapi import APIRouter, Header, Query, Request
from psycopg import Connection
from pydantic import Field
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict

from api.commands.answers import AnyAccepted
from api.commands.bodies import NoMembers
from api.commands.execution import respond
from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.documented import ALWAYS, RecordedProblem, problems_of
from api.gateway.persons import Known
from api.gateway.principals import AUDITORS
from api.gateway.problems import Problem, problem
from api.gateway.routes import action
from api.queries.bundles import made
from api.queries.filters import choice
from api.queries.positions import read_token, token
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, Filter, Limit, PathId, PathKey
from api.queries.response_types import Position
from api.queries.responses import json_response
from api.services import Services, services
from domain.permissions import COMMANDERS, may
from domain.registry import AGGREGATES, CATALOGUE
from eventstore.log.answers import find_answers
from eventstore.log.codec import CodecError
from eventstore.log.event_view import event_view
from eventstore.log.read import Page, Recorded, read_head, read_log, read_stream

router = APIRouter(prefix="/v1", tags=["log"])


class RecordedGrant(TypedDict):
    """A role that the actor had for a time."""

    role: str
    until: datetime | None


class Actor(TypedDict):
    """Who sent a command. The oldest events have no roles."""

    how: Annotated[str, Field(description="How the actor proved who it is")]
    id: str
    roles: NotRequired[list[str]]
    person: NotRequired[Annotated[str, Field(description="The person behind it")]]
    grants: NotRequired[list[RecordedGrant]]


class EventMetadata(TypedDict):
    """The command that an event came from."""

    actor: Actor
    causation: str | None
    command: Annotated[str, Field(description="The type of the command")]
    correlation: Annotated[
        str, Field(description="The key of a single command; the id of the batch for an item of one")
    ]
    decided_at: datetime
    key: NotRequired[
        Annotated[
            str, Field(description="The idempotency key of the command. The oldest items of batches do not have it")
        ]
    ]
    rules: NotRequired[
        Annotated[int, Field(description="The version of the rules it was decided under. The oldest have none")]
    ]


class LogEvent(TypedDict):
    """An event of the log, with its sealed fields opened."""

    position: int
    unit_end: Annotated[int, Field(description="The position of the last event that was appended in the same unit")]
    stream: str
    version: Annotated[int, Field(description="Within the stream, from 1")]
    type: Annotated[str, Field(description="The stable name with its version, such as `account.opened.v1`")]
    recorded_at: datetime
    data: Annotated[dict[str, Any], Field(description="The members of the event. Amounts are integers of minor units")]
    metadata: EventMetadata


class StreamPage(TypedDict):
    """Events of a stream, oldest first."""

    events: list[LogEvent]
    after: Annotated[int | None, Field(description="Pass it as `after` to read on; null where the stream ends")]


class LogPage(TypedDict):
    """Events of the log in order, up to the end of a unit."""

    events: list[LogEvent]
    upto: Annotated[Position, Field(description="How far the log was searched: pass it as `after` to read on")]
    head: Annotated[Position, Field(description="The end of the log")]


class FollowedEvent(TypedDict):
    """A server-sent event of the log."""

    id: NotRequired[
        Annotated[
            Position,
            Field(description="Send it as `Last-Event-ID` to go on after this event. The event `restored` has none"),
        ]
    ]
    event: Annotated[
        str,
        Field(
            description="The type of the event; `restored` when the log was restored from a dump, which ends the stream"
        ),
    ]
    data: Annotated[LogEvent | RecordedProblem, Field(description="The event; the problem `position` for `restored`")]


class FollowTicket(TypedDict):
    """A ticket to follow the log."""

    ticket: Annotated[str, Field(description="For one `GET /v1/log/follow?ticket=…`")]
    expires_at: datetime


class RecordedCommand(TypedDict):
    """The outcome of a command."""

    actor: str
    key: Annotated[str, Field(description="The idempotency key")]
    outcome: Literal["accepted", "refused", "expectation_failed"]
    status: Annotated[int, Field(description="The HTTP status of the answer")]
    decided_at: Annotated[Position, Field(description="The position on which the decision was based")]
    recorded_at: datetime
    answer: Annotated[AnyAccepted | RecordedProblem, Field(description="The body of the answer")]
    receipt: NotRequired[
        Annotated[
            str | None,
            Field(
                description="With `receipt=true`: a bundle, to be saved as a file and checked with `daybook-verify`. "
                "Null until a checkpoint covers the command"
            ),
        ]
    ]


FOLLOW_POLL_SECONDS = 0.1
HEARTBEAT_POLLS = 100
FOLLOW_PAGE = 200


TicketToFollow = Annotated[  # the authentication reads and bounds it
    str | None, Query(description="A ticket from `POST /v1/log/follow-tickets`, instead of a token")
]
PREFIX_OF = {aggregate.prefix.rstrip("_:"): aggregate.prefix for aggregate in AGGREGATES}
"""The prefix of the streams of each category."""

TypeFilter = Annotated[str, choice(entry.name for entry in CATALOGUE)] | None
CategoryFilter = Annotated[str, choice(PREFIX_OF)] | None
_NO_MEMBERS = NoMembers()
_STREAMED: dict[int | str, dict[str, Any]] = {
    **problems_of(*ALWAYS),
    200: {
        "description": "Server-sent events; `x-item-schema` describes one",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "x-item-schema": {"$ref": "#/components/schemas/FollowedEvent"},
            }
        },
    },
}
_TICKET: dict[int | str, dict[str, Any]] = {
    **problems_of(*ALWAYS, 404, 413, 415),
    201: {"description": "A ticket", "model": FollowTicket},
}


def _views(served: Services, page: Sequence[Recorded]) -> list[dict[str, Any]]:
    """The events of a page. Raises the `CodecError` of the first one that cannot be decoded."""
    events = served.codec.decode_many([(one.type, one.payload, one.stream, one.version) for one in page])
    for event in events:
        if isinstance(event, CodecError):
            raise event
    return [event_view(recorded, event) for recorded, event in zip(page, events, strict=True)]


@query(router, "/streams/{stream}", may=AUDITORS, response=StreamPage, personal=True)
def get_stream(
    request: Request,
    stream: PathId,
    after: Annotated[int, Query(ge=0, lt=2**63, description="Version after which to begin")] = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """Get the events of a stream, oldest first."""
    served = services(request)
    with served.reads() as connection:
        events = read_stream(connection, served.log_number, stream, after=after, limit=limit)
        if not events:
            _must_reach(connection, served, stream, after)
    following = events[-1].version if len(events) == limit else None
    return json_response({"events": _views(served, events), "after": following}, items=len(events))


def _must_reach(connection: Any, served: Services, stream: str, version: int) -> None:
    """Raise `Problem` unless the stream has this version. A reader that began beyond the end would miss events."""
    if version and read_stream(connection, served.log_number, stream, after=version - 1, limit=1):
        return
    if not version or not read_stream(connection, served.log_number, stream, limit=1):
        raise Problem("unknown", f"There is no stream {stream}.", kind="stream", id=stream)
    raise Problem("position", f"Version {version} is beyond the end of the stream {stream}.")


@query(router, "/log", may=AUDITORS, response=LogPage, personal=True)
def get_log(
    request: Request,
    after: Annotated[str | None, Query(max_length=200, description="Position after which to begin")] = None,
    type: TypeFilter = None,
    category: CategoryFilter = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """Get a page of the log, up to the end of a unit. `upto` is the position up to which the log was searched."""
    served = services(request)
    with served.reads() as connection:
        head = read_head(connection, served.log)
        start = 0 if after is None else read_token(after, served.log, head)
        page = _read(connection, served, start, limit, type, category)
    return json_response(
        {
            "events": _views(served, page.events),
            "upto": token(served.log, head.epoch, page.upto),
            "head": token(served.log, head.epoch, head.position),
        },
        items=len(page.events),
    )


def _read(connection: Any, served: Services, after: int, limit: int, type: str | None, category: str | None) -> Page:
    types = None if type is None else (type,)
    prefix = None if category is None else PREFIX_OF[category]
    return read_log(connection, served.log_number, after, limit, types=types, prefix=prefix)


@query(
    router,
    "/log/follow",
    may=AUDITORS,
    personal=True,
    response=None,
    answers=_STREAMED,
    response_class=StreamingResponse,
)
async def follow_log(
    request: Request,
    after: Annotated[str | None, Query(max_length=200)] = None,
    type: TypeFilter = None,
    category: CategoryFilter = None,
    last_event_id: Annotated[str | None, Header(max_length=200)] = None,
    ticket: TicketToFollow = None,
) -> Response:
    """Follow the log as server-sent events, from a position on and for as long as the client listens.

    The id of each event is its position, so a client that reconnects with `Last-Event-ID` misses nothing. When the
    database is restored from a dump, the last event is `restored`: it has no id, and its data is the problem
    `position`.
    """
    served = services(request)
    start_token = last_event_id or after

    def begin() -> tuple[int, int]:
        with served.reads() as connection:
            head = read_head(connection, served.log)
            start = 0 if start_token is None else read_token(start_token, served.log, head)
            return head.epoch, start

    epoch, start = await asyncio.to_thread(begin)
    events = _events(served, epoch, start, type, category, _check_of_token(request))
    return _Following(events, request.app.state.followers)


@action(router, "/log/follow-tickets", may=AUDITORS, on_replicas=True, status_code=201, responses=_TICKET)
async def make_follow_ticket(request: Request, body: NoMembers = _NO_MEMBERS) -> Response:
    """Get a ticket to follow the log once, within 30 seconds, with the rights of the token of this request.

    It is for `EventSource`, which cannot send a token. It needs an origin in DAYBOOK_ALLOWED_ORIGINS.
    """
    tickets = services(request).tickets
    if tickets is None:
        raise Problem("no_route", "There are no tickets here: authentication is off, or no origin is allowed.")
    key = request.scope["state"]["token"]
    if key is None:
        raise Problem("forbidden", "Tickets are for tokens of the file; a person follows the log with an access token.")
    made = tickets.issue(key)
    return json_response({"ticket": made.text, "expires_at": made.expires}, status=201)


def _check_of_token(request: Request) -> Callable[[], Awaitable[bool]]:
    """Return a check that the token of this request is still valid. A stream may last longer than its token."""
    state, served = request.scope["state"], services(request)

    async def check() -> bool:
        if served.principals is None:
            return True
        if "again" in state:
            known = await asyncio.to_thread(state["again"])
            return isinstance(known, Known) and may(known.principal, AUDITORS, served.clock())
        return bool(served.principals.find(state["token"]) == state["principal"])

    return check


class _Following(StreamingResponse):
    """Server-sent events for one of a bounded number of clients.

    The response is counted before anything is sent, with no await after the check of the limit, and until it ends. The
    iterator cannot do this: if the client leaves before it starts, it never runs.
    """

    def __init__(self, events: AsyncIterator[bytes], followers: ConcurrencyLimit) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._followers = followers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events. Raises `Problem` at the limit."""
        with self._followers.one(scope["state"]["principal"].id):
            await super().__call__(scope, receive, send)


async def _events(
    served: Services,
    epoch: int,
    after: int,
    type: str | None,
    category: str | None,
    token_is_valid: Callable[[], Awaitable[bool]],
) -> AsyncIterator[bytes]:
    def read(after: int) -> tuple[list[bytes], int, int]:
        with served.reads() as connection:
            page = _read(connection, served, after, FOLLOW_PAGE, type, category)
            now = read_head(connection, served.log).epoch  # read after the page, so the page is not of a later epoch
        events = page.events if now == epoch else []
        sent = [_sent(served, epoch, *one) for one in zip(events, _views(served, events), strict=True)]
        return sent, page.upto, now

    yield b": following\n\n"
    quiet = 0
    while await token_is_valid():
        sent, upto, now = await asyncio.to_thread(read, after)
        if now != epoch:
            yield _restored(served, epoch, after, now)
            return
        for event in sent:
            yield event
        if upto > after:
            after, quiet = upto, 0
            continue
        quiet += 1
        if quiet % HEARTBEAT_POLLS == 0:
            yield b": nothing new\n\n"
        await asyncio.sleep(FOLLOW_POLL_SECONDS)
    yield b": the token is no longer valid\n\n"


def _sent(served: Services, epoch: int, recorded: Recorded, view: Mapping[str, Any]) -> bytes:
    data = json_response(view).body
    id = token(served.log, epoch, recorded.position)
    return b"id: " + id.encode() + b"\nevent: " + recorded.type.encode() + b"\ndata: " + bytes(data) + b"\n\n"


def _restored(served: Services, epoch: int, reached: int, now: int) -> bytes:
    """The last event of a stream whose log was restored. Later events belong to another history."""
    detail = f"The log was restored and is in epoch {now}; events were sent up to {token(served.log, epoch, reached)}."
    message = problem("position", f"{detail} Read it again from a position of this epoch.", {"epoch": now})
    return b"event: restored\ndata: " + orjson.dumps(message, option=orjson.OPT_SORT_KEYS) + b"\n\n"


@query(
    router,
    "/commands/{key:path}",
    may=COMMANDERS | AUDITORS,
    response=RecordedCommand,
    personal=True,
    tags=["commands"],
)
def get_command(
    request: Request,
    key: PathKey,
    actor: Filter = None,
    receipt: Annotated[
        bool,
        Query(description="Also a receipt: evidence that who sent it can keep, null until the log is sealed so far"),
    ] = False,
) -> Response:
    """Get the outcome of a command. Auditors and operators may name another `actor`."""
    served = services(request)
    who = sender(request, actor)
    with served.reads() as connection:
        found = find_answers(connection, served.log_number, [(who, key)]).get((who, key))
        if found is None:
            raise Problem("unknown", f"No answer is recorded for key {key} of {who}.", kind="command", id=key)
        asked = {"receipt": _receipt(connection, served.log_number, who, key)} if receipt else {}
    answer = found.answer
    rendered = respond(served, answer)
    return json_response(
        {
            "actor": who,
            "key": key,
            "outcome": answer.outcome.name.lower(),
            "status": answer.code,
            "decided_at": token(served.log, answer.epoch, answer.decided_position),
            "recorded_at": answer.recorded_at,
            "answer": orjson.Fragment(bytes(rendered.body)),
            **asked,
        }
    )


def sender(request: Request, actor: str | None) -> str:
    """Whose command is asked for: the caller's, or that of `actor`. Raises `Problem` if the caller may not ask."""
    principal = request.scope["state"]["principal"]
    if actor not in (None, principal.id) and not may(principal, AUDITORS, services(request).clock()):
        raise Problem("forbidden", f"{principal.id} may ask only for commands of its own.")
    who: str = actor or principal.id
    return who


def _receipt(connection: Connection[Any], log_number: int, actor: str, key: str) -> str | None:
    """The lines of the receipt; None if the command has no event, or no checkpoint covers it yet."""
    try:
        return made(connection, log_number, None, lambda evidence: evidence.receipt(actor, key)).decode()
    except Problem as problem:
        if problem.code != "unknown":
            raise
        return None
