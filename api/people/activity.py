"""What a person did: commands and their refusals, and sign-ins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.people.access import OWN_OR_SUPERVISED, principal_of, refuse_foreign, refuse_on_replicas
from api.queries.positions import read_cursor, read_time_cursor, time_key
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, Cursor, Limit, PathId, page, reading
from api.queries.response_types import LogPosition, one_of, page_of
from api.services import services
from domain.kernel import Principal, Role
from domain.people.session import Why
from domain.permissions import may
from eventstore.log.activity import Before, Sent, origins_at, sent_by
from projections.engine.listing import Listed
from projections.people.sign_ins import SignInRow, sign_ins

router = APIRouter(prefix="/v1/people", tags=["people"])

ORIGINS_FOR: frozenset[Role] = frozenset({"audit"})
"""Who sees the addresses of others. Operators and administrators decide about people, and need no address for that."""


class Origin(TypedDict):
    """Where a command came from."""

    address: Annotated[str, Field(description="The network address of the client")]
    agent: Annotated[str, Field(description="The program of the client, as it calls itself")]


_Shown = Annotated[
    Origin | None, Field(description="Null once it is forgotten, and for all but the person and auditors")
]


class Activity(TypedDict):
    """A command that a person sent."""

    recorded_at: datetime
    actor: Annotated[str, Field(description="The id of the person, or the name of a token of theirs")]
    key: Annotated[str, Field(description="The idempotency key")]
    command: Annotated[str | None, Field(description="The type of the command; null if it left no event")]
    outcome: Literal["accepted", "refused", "expectation_failed"]
    status: Annotated[int, Field(description="The HTTP status of the answer")]
    rule: Annotated[str | None, Field(description="The rule that refused it")]
    streams: Annotated[list[str], Field(description="The streams that it wrote to and that its answer names")]
    position: Annotated[int | None, Field(description="The position in the log of its last event")]
    origin: _Shown


class SignIn(TypedDict):
    """A sign-in of a person."""

    session: Annotated[str, Field(description="The session that it opened")]
    opened_at: datetime
    second_factor: Annotated[bool, Field(description="Whether a second factor was used")]
    ended_at: Annotated[datetime | None, Field(description="When the session ended by itself or was ended alone")]
    ended_why: Annotated[str, one_of(Why)] | None
    position: LogPosition
    origin: _Shown


@query(
    router,
    "/{person}/activity",
    may=OWN_OR_SUPERVISED,
    response=page_of(Activity),
    personal=True,
    projections=("people",),
)
def list_activity(request: Request, person: PathId, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """List the commands that a person sent, newest first, for the person and for auditors.

    Commands that named something unknown, or that the person may not send, are not recorded.
    """
    refuse_on_replicas(request)
    served, principal = services(request), principal_of(request)
    after = read_time_cursor(cursor, more=2)
    before = None if after is None else Before(after[0], *after[1])
    tokens = () if served.principals is None else served.principals.of_person(person)
    with reading(request) as connection:
        refuse_foreign(request, connection, person)
        found = sent_by(connection, served.log_number, person, limit + 1, tokens=tokens, before=before)
    last = found[limit - 1] if len(found) > limit else None
    following = None if last is None else time_key(last.recorded_at, last.key, last.actor)
    shows_origin = _sees_origins(principal, person, served.clock())
    return page(Listed(tuple(found[:limit]), following), lambda sent: _view(sent, shows_origin))


@query(
    router,
    "/{person}/sign-ins",
    may=OWN_OR_SUPERVISED,
    response=page_of(SignIn),
    personal=True,
    projections=("sign_ins", "people"),
)
def list_sign_ins(request: Request, person: PathId, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """List the sign-ins of a person, newest first, for the person and for auditors."""
    refuse_on_replicas(request)
    served, key = services(request), read_cursor(cursor, int)
    with reading(request) as connection:
        refuse_foreign(request, connection, person)
        listed = sign_ins(connection, person, cursor=key, limit=limit)
        origins = {}
        if _sees_origins(principal_of(request), person, served.clock()):
            origins = origins_at(connection, served.log_number, [row.position for row in listed.items])
    return page(listed, lambda row: _sign_in_view(row, origins.get(row.position)))


def _sign_in_view(row: SignInRow, origin: str | None) -> SignIn:
    return {
        "session": row.session,
        "opened_at": row.opened_at,
        "second_factor": row.second_factor,
        "ended_at": row.ended_at,
        "ended_why": row.ended_why,
        "position": row.position,
        "origin": _origin(origin),
    }


def _origin(kept: str | None) -> Origin | None:
    if kept is None:
        return None
    address, _, agent = kept.partition(" ")
    return {"address": address, "agent": agent}


def _sees_origins(principal: Principal, person: str, at: datetime) -> bool:
    return principal.person == person or may(principal, ORIGINS_FOR, at)


def _view(sent: Sent, shows_origin: bool) -> Activity:
    return {
        "recorded_at": sent.recorded_at,
        "actor": sent.actor,
        "key": sent.key,
        "command": sent.command,
        "outcome": sent.outcome.name.lower(),  # type: ignore[typeddict-item]
        "status": sent.code,
        "rule": sent.rule,
        "streams": list(sent.streams),
        "position": sent.position,
        "origin": _origin(sent.origin) if shows_origin else None,
    }
