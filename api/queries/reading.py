"""The common parts of reads: pages, cursors, filters, and waiting for a position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, Request
from psycopg import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.gateway.concurrency_limit import ConcurrencyLimit
from api.gateway.problems import Problem
from api.queries.positions import cursor, read_token
from api.queries.responses import json_response
from api.services import Services, services
from eventstore.log.read import read_head
from projections.engine.checkpoint import read_rebuilds
from projections.engine.listing import Listed
from projections.engine.waiting import BehindError

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="The most items to return")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the previous page")]
After = Annotated[
    int | None,
    Query(
        ge=0,
        lt=2**63,
        description="Only items with a `position` after this one. To poll a list, pass the highest `position` seen "
        "so far: no item is missed",
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


def visible(*projections: str) -> Any:
    """A dependency: the read begins once all `projections` have reached `min_position`. Raises `Problem`.

    A waiting read holds neither a thread nor a connection, so other reads do not wait for it.
    """

    async def wait(request: Request, min_position: MinPosition = None) -> None:
        request.scope["state"]["projections"] = projections
        if min_position is None:
            return
        served = services(request)
        position = await run_in_threadpool(_position, served, min_position)
        if served.checkpoints.reached(projections) >= position:
            return
        limit: ConcurrencyLimit = request.app.state.waiting
        try:
            with limit.one(request.scope["state"]["principal"].name):
                await served.checkpoints.wait(projections, position, served.limits.wait_seconds)
        except BehindError as behind:
            raise Problem(
                "not_yet_visible",
                f"{behind.projection} has reached position {behind.reached}, not yet {behind.position}.",
                projection=behind.projection,
                reached=behind.reached,
                asked=behind.position,
            ) from behind

    return Depends(wait)


@contextmanager
def reading(request: Request) -> Iterator[Connection[Any]]:
    """A connection to read the projections of the route. Raises `Problem` if one of them is being rebuilt.

    It checks before and after the read, because a rebuild may begin, and even end, while the tables are read.
    """
    served, projections = services(request), request.scope["state"]["projections"]
    with served.reads() as connection:
        before = _rebuild_counts(connection, served.log, projections)
        try:
            yield connection
        finally:
            after = _rebuild_counts(connection, served.log, projections)
            if after != before:
                raise Problem("rebuilding", f"{', '.join(projections)} were rebuilt while they were read.")


def _rebuild_counts(connection: Connection[Any], log: str, projections: Sequence[str]) -> list[int]:
    """How often each projection was rebuilt. Raises `Problem` if one is being rebuilt."""
    rebuilds = read_rebuilds(connection, log, projections)
    for one in rebuilds:
        if one.until is not None:
            raise Problem(
                "rebuilding",
                f"{one.projection} is being rebuilt: it has reached position {one.position} of {one.until}.",
                projection=one.projection,
                reached=one.position,
                until=one.until,
            )
    return [one.rebuilds for one in rebuilds]


def _position(served: Services, text: str) -> int:
    """The position of a token. Raises `Problem`."""
    with served.reads() as connection:
        return read_token(text, served.log, read_head(connection, served.log))


def page(listed: Listed[T, Any], view: Callable[[T], Mapping[str, object]]) -> Response:
    """A page of a list, with the cursor of the next page or null."""
    following = None if listed.next is None else cursor(listed.next)
    return json_response({"items": [view(item) for item in listed.items], "next": following})


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
