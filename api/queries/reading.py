"""The common parts of reads: pages, cursors, filters, and waiting for a position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import psycopg
from fastapi import Path, Query, Request
from psycopg import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.problems import Problem
from api.gateway.routes import Declaration
from api.queries.positions import cursor, read_token
from api.queries.responses import json_response
from api.services import Services, services
from domain.kernel import Principal
from domain.permissions import STAFF, may
from eventstore.log.read import read_head
from projections.engine.listing import EVERYTHING, Listed, Reader
from projections.engine.tables import NotPreparedError, outdated_among
from projections.engine.waiting import BehindError
from projections.registry import named

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="The most items to return")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the previous page")]
After = Annotated[
    int | None,
    Query(
        ge=0,
        lt=2**63,
        description="Only items with a `position` after this one. To poll a list, read all its pages by `next`; then "
        "pass the highest `position` seen so far: no item is missed",
    ),
]
MinPosition = Annotated[
    str | None,
    Query(
        max_length=200,
        description="Wait for a limited time until this position is visible, to read your own writes. A position "
        "beyond the end of the log is refused",
    ),
]
Filter = Annotated[str | None, Query(max_length=200, pattern=r"^[ -~]*$")]
PathKey = Annotated[str, Path(max_length=255, pattern=r"^[ -~]+$")]
PathId = Annotated[str, Path(max_length=200, pattern=r"^[!-~]+$")]
DEFAULT_LIMIT = 50


def projections_of(request: Request) -> tuple[str, ...]:
    """The projections that the route of this request declares."""
    declaration: Declaration = request.scope["endpoint"].declaration
    return declaration.projections


async def visible(request: Request, min_position: MinPosition = None) -> None:
    """A dependency: the read begins once all its projections have reached `min_position`. Raises `Problem`."""
    if min_position is not None:
        position = await run_in_threadpool(_position, services(request), min_position)
        await until_folded(request, position)


async def until_folded(request: Request, position: int) -> None:
    """Wait for a limited time until the projections of the route have reached a position. Raises `Problem`.

    A waiting read holds neither a thread nor a connection, so other reads do not wait for it.
    """
    served, projections = services(request), projections_of(request)
    if served.checkpoints.reached(projections) >= position:
        return
    limit: ConcurrencyLimit = request.app.state.waiting
    try:
        with limit.one(request.scope["state"]["principal"].id):
            await served.checkpoints.wait(projections, position, served.limits.wait_seconds)
    except BehindError as behind:
        raise not_yet_visible(behind.projection, behind.reached, behind.position) from behind


def not_yet_visible(projection: str, reached: int, asked: int) -> Problem:
    """The problem of a read of a position that a projection has not reached."""
    detail = f"{projection} has reached position {reached}, not yet {asked}."
    return Problem("not_yet_visible", detail, projection=projection, reached=reached, asked=asked)


@contextmanager
def reading(request: Request) -> Iterator[Connection[Any]]:
    """A connection to read the projections of the route.

    A rebuild replaces tables in one transaction, at the same position, so a statement sees the old or the new ones.
    Tables of another version of Daybook are read as they are. Raises `Problem` if that is not possible.
    """
    served, projections = services(request), projections_of(request)
    with served.reads() as connection:
        try:
            yield connection
        except psycopg.errors.FeatureNotSupported as error:  # a column's type changed after the statement was prepared
            connection.close()
            raise Problem("rebuilding", f"{', '.join(projections)} were replaced while they were read.") from error
        except psycopg.errors.ProgrammingError as error:
            if outdated := _outdated(connection, projections):
                names = ", ".join(outdated)
                raise Problem(
                    "rebuilding",
                    f"The tables of {names} were made by another version of Daybook and lack what this read needs: "
                    f"it is answered once they are rebuilt (daybook rebuild {' '.join(outdated)}).",
                    projections=outdated,
                ) from error
            raise


def reader_of(request: Request) -> Reader:
    """Who reads: staff and programs see everything, a customer what is theirs now."""
    principal: Principal = request.scope["state"]["principal"]
    now = services(request).clock()
    return EVERYTHING if may(principal, STAFF, now) else Reader(principal.person, now)


def _outdated(connection: Connection[Any], projections: Sequence[str]) -> list[str]:
    try:
        return outdated_among(connection, named(projections))
    except NotPreparedError:
        return []


def _position(served: Services, text: str) -> int:
    """The position of a token. Raises `Problem`."""
    with served.reads() as connection:
        return read_token(text, served.log, read_head(connection, served.log))


def page(listed: Listed[T, Any], view: Callable[[T], Mapping[str, object]]) -> Response:
    """A page of a list, with the cursor of the next page or null."""
    following = None if listed.next is None else cursor(listed.next)
    items = [view(item) for item in listed.items]
    return json_response({"items": items, "next": following}, items=len(items))


def one(kind: str, id: str, found: T | None, view: Callable[[T], Mapping[str, object]]) -> Response:
    """The response with one item, with its version as ETag. Raises `Problem` if it does not exist."""
    if found is None:
        raise Problem("unknown", f"There is no {kind} {id}.", kind=kind, id=id)
    version = getattr(found, "version", None)
    return json_response(view(found), {} if version is None else {"ETag": f'"{version}"'})


def one_that_passes(found: T | None, filters: Mapping[str, str | None], after: int | None) -> tuple[T, ...]:
    """The item that was found by a unique key; empty if it does not match the other filters."""
    if found is None or (after is not None and found.position <= after):  # type: ignore[attr-defined]
        return ()
    if any(asked not in (None, getattr(found, name)) for name, asked in filters.items()):
        return ()
    return (found,)
