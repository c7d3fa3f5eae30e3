"""Who read what about whom."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.gateway.principals import AUDITORS
from api.gateway.problems import Problem
from api.people.access import OWN_OR_SUPERVISED, refuse_foreign, refuse_on_replicas
from api.queries.positions import read_time_cursor, time_key
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, Cursor, Filter, Limit, PathId, page, reading
from api.queries.response_types import page_of
from api.services import services
from eventstore.reads.listing import Before, RecordedRead, reads
from projections.engine.listing import Listed

router = APIRouter(prefix="/v1", tags=["people"])

MOST_ID = 2**63
Time = Annotated[AwareDatetime | None, Query(description="RFC 3339, with an offset from UTC")]


class Read(TypedDict):
    """A read of personal data by somebody other than the person themselves."""

    at: datetime
    principal: Annotated[str, Field(description="Who read")]
    person: Annotated[str | None, Field(description="The person behind the principal; null for a program")]
    route: Annotated[str, Field(description="The route, with the names of its parameters")]
    about: Annotated[
        str | None,
        Field(description="The id of the person or thing that was asked for; null for a list of everybody's"),
    ]
    items: Annotated[int | None, Field(description="How many items the answer had; null for a stream of events")]


def read_view(read: RecordedRead) -> Read:
    return {
        "at": read.at,
        "principal": read.principal,
        "person": read.person,
        "route": read.route,
        "about": read.about,
        "items": read.items,
    }


@query(
    router,
    "/people/{person}/reads",
    may=OWN_OR_SUPERVISED,
    response=page_of(Read),
    personal=True,
    projections=("people",),
)
def list_reads_about(request: Request, person: PathId, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT) -> Response:
    """List who else read about a person by the id of the person, newest first, for the person and for auditors."""
    refuse_on_replicas(request)
    before = _before(cursor)
    with reading(request) as connection:
        refuse_foreign(request, connection, person)
        found = reads(connection, services(request).log_number, limit + 1, about=person, not_by=person, before=before)
    return page(_listed(found, limit), read_view)


@query(router, "/reads", may=AUDITORS, response=page_of(Read), personal=True)
def list_reads(
    request: Request,
    principal: Filter = None,
    person: Filter = None,
    about: Filter = None,
    since: Annotated[Time, Query(alias="from")] = None,
    until: Annotated[Time, Query(alias="to")] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List recorded reads, newest first. `principal` and `person` read, `about` was read about.

    `from` is included, and `to` is not.
    """
    refuse_on_replicas(request)
    served, before = services(request), _before(cursor)
    with served.reads() as connection:
        found = reads(
            connection,
            served.log_number,
            limit + 1,
            principal=principal,
            person=person,
            about=about,
            read_from=since,
            read_before=until,
            before=before,
        )
    return page(_listed(found, limit), read_view)


def _listed(found: list[RecordedRead], limit: int) -> Listed[RecordedRead, str]:
    last = found[limit - 1] if len(found) > limit else None
    return Listed(tuple(found[:limit]), None if last is None else time_key(last.at, str(last.id)))


def _before(cursor: str | None) -> Before | None:
    """Where the page begins. Raises `Problem` for a cursor that is not one of this list."""
    after = read_time_cursor(cursor, more=1)
    if after is None:
        return None
    at, (id,) = after
    if not (id.isascii() and id.isdigit() and int(id) < MOST_ID):
        raise Problem("malformed", "The cursor is not one of this list.")
    return Before(at, int(id))
