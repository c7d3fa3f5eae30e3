"""API keys: named, limited to areas, reads or commands, and accounts. A person makes them for programs of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NotRequired, ParamSpec

from fastapi import APIRouter, Request
from pydantic import AfterValidator, Field, StringConstraints
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import ACCOUNT_A, Body, Id, Instant, Nothing, example
from api.commands.execution import command, people_of
from api.commands.routes import Caller, Intent
from api.people.bodies import ShownBefore
from api.people.checks import in_thread, served_by, shown_before
from api.people.sessions import read_person
from api.queries.filters import choice
from api.queries.query import query
from api.queries.reading import PathId
from api.queries.responses import json_response
from api.services import services
from domain.people.person.signing_in import (
    API_KEY,
    LONGEST_OVERLAP,
    MOST_AREAS,
    MOST_KEY_ACCOUNTS,
    EndApiKey,
    MakeApiKey,
    ReplaceApiKey,
)
from domain.people.person.state import Person
from domain.permissions import ADMINISTRATORS, SELF
from eventstore.credentials.api_keys import ApiKey
from eventstore.credentials.scopes import Scope
from eventstore.credentials.store import CredentialsError
from eventstore.credentials.tokens import Secret
from eventstore.log.answers import Answer

router = APIRouter(prefix="/v1/people/{person}/api-keys", tags=["people"])

AREAS = ("accounts", "orders", "people", "posts", "processes", "system", "webhooks")
"""What an API key may be limited to. `system` has the log, commands, refusals and the state of the service."""
MOST_PER_MINUTE = 60_000
MOST_KEYS = 100

P = ParamSpec("P")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("the name of a key has printable characters only")
    return text


class KeyBody(Body):
    """Make an API key."""

    model_config = example(
        name="nightly report", areas=["accounts"], access="read", accounts=[ACCOUNT_A], until="2027-06-30T00:00:00Z"
    )

    name: Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_printable)]
    areas: Annotated[
        list[Annotated[str, choice(AREAS)]], Field(min_length=1, max_length=MOST_AREAS, description="What it is for")
    ]
    access: Annotated[Literal["read", "command"], Field(description="Commands include reading")] = "read"
    accounts: Annotated[
        list[Id] | None,
        Field(min_length=1, max_length=MOST_KEY_ACCOUNTS, description="The only accounts it may touch; null: any"),
    ] = None
    until: Annotated[Instant | None, Field(description="When it ends; null: it has no end")] = None
    per_minute: Annotated[int, Field(ge=1, le=MOST_PER_MINUTE, description="Requests it may send")] = 600


class ReplaceBody(Body):
    """Replace an API key."""

    model_config = example(overlap_seconds=86_400)

    overlap_seconds: Annotated[
        int,
        Field(ge=0, le=int(LONGEST_OVERLAP.total_seconds()), description="How long the old key works beside the new"),
    ]
    until: Annotated[Instant | None, Field(description="When the new key ends; null: it has no end")] = None


class KeyMade(Accepted):
    """An API key that was made. Its text is shown once, unless the key had ended before it could be."""

    person: str
    key: str
    set_by: Annotated[int, Field(description="The version of the event")]
    replaced: NotRequired[str]
    api_key: NotRequired[Annotated[str, Field(description="Send it as `Authorization: Bearer …`")]]
    shown_before: NotRequired[ShownBefore]


class KeyEnded(Accepted):
    """An API key that was ended."""

    person: str
    key: str


class KeyView(TypedDict):
    """An API key of a person, without its text."""

    key: str
    name: str
    prefix: Annotated[str, Field(description="The first characters of its text")]
    areas: list[str]
    access: str
    accounts: list[str] | None
    per_minute: int
    made_at: datetime
    until: datetime | None
    last_used_at: Annotated[datetime | None, Field(description="To a minute")]
    replaced_by: str | None
    works: bool


class KeyList(TypedDict):
    """The API keys of a person."""

    items: list[KeyView]


@command(router, "", makes=MakeApiKey, answer=KeyMade, secret=True)
async def make_api_key(caller: Caller, person: PathId, body: KeyBody) -> Intent:
    """Make an API key. It has the person's roles, without those that need a second factor, and never administrators'.

    It lends no more than its scope, cannot sign anybody in, and makes no other key.
    """
    served, people = served_by(caller)
    areas, accounts = frozenset(body.areas), None if body.accounts is None else frozenset(body.accounts)
    scope = Scope(areas, body.access, accounts)
    made = MakeApiKey(
        person=person,
        key=served.new_id(API_KEY),
        areas=tuple(sorted(areas)),
        access=body.access,
        accounts=None if accounts is None else tuple(sorted(accounts)),
        until=body.until,
    )

    async def then(answer: Answer) -> Mapping[str, Any]:
        return await _shown(
            caller,
            people.api_keys.create,
            answer.result["key"],
            person,
            answer.result["set_by"],
            name=body.name,
            scope=scope,
            per_minute=body.per_minute,
            expires_at=body.until,
        )

    return Intent(made, person, then=then)


@command(router, "/{key}/replace", makes=ReplaceApiKey, answer=KeyMade, secret=True)
async def replace_api_key(caller: Caller, person: PathId, key: PathId, body: ReplaceBody) -> Intent:
    """Replace an API key by another one with the same scope. Both work until the overlap has ended."""
    served, people = served_by(caller)
    overlap = timedelta(seconds=body.overlap_seconds)
    new = ReplaceApiKey(
        person=person,
        key=key,
        by=served.new_id(API_KEY),
        overlap_until=caller.context.decided_at + overlap,
        until=body.until,
    )

    async def then(answer: Answer) -> Mapping[str, Any]:
        by, version = answer.result["key"], answer.result["set_by"]
        return await _shown(caller, people.api_keys.rotate, key, by, version, overlap=overlap, expires_at=body.until)

    return Intent(new, person, then=then)


@command(router, "/{key}/end", makes=EndApiKey, answer=KeyEnded, status=200)
def end_api_key(caller: Caller, person: PathId, key: PathId, body: Nothing) -> Intent:
    """End an API key for good. An administrator may end anybody's."""
    _, people = served_by(caller)

    async def then(answer: Answer) -> Mapping[str, Any]:
        await in_thread(people.api_keys.end, answer.result["key"])
        return {}

    return Intent(EndApiKey(person, key), person, then=then)


@query(router, "", may=SELF | ADMINISTRATORS, response=KeyList, personal=True)
async def list_api_keys(request: Request, person: PathId) -> Response:
    """List the API keys of a person, those that have ended lately too."""
    people, now = people_of(request), services(request).clock()
    state = await in_thread(read_person, people, request, person)
    rows = await in_thread(people.api_keys.of, person, MOST_KEYS)
    return json_response({"items": [_view(row, state, now) for row in rows]})


async def _shown(
    caller: Caller, make: Callable[P, Secret | None], *args: P.args, **kwargs: P.kwargs
) -> Mapping[str, Any]:
    """The text of the key, the first time. A retry that comes when the key has ended already gets no text."""
    try:
        secret = await in_thread(make, *args, **kwargs)
    except CredentialsError:
        if caller.recorded is None:
            raise
        return {}
    return shown_before() if secret is None else {"api_key": secret.reveal()}


def _view(row: ApiKey, person: Person, now: datetime) -> KeyView:
    scope = row.scope
    return {
        "key": row.key,
        "name": row.name,
        "prefix": row.prefix,
        "areas": sorted(scope.areas),
        "access": scope.access,
        "accounts": None if scope.accounts is None else sorted(scope.accounts),
        "per_minute": row.per_minute,
        "made_at": row.created_at,
        "until": row.overlap_ends_at or row.expires_at,
        "last_used_at": row.last_used_at,
        "replaced_by": row.replaced_by,
        "works": row.ended_at is None and person.key(row.key, now) is not None,
    }
