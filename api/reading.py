"""What every read has in common: its page, its cursor, and waiting for a position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query, Request
from psycopg import Connection
from starlette.responses import Response

from api.positions import cursor, read_token
from api.problems import Problem
from api.services import services
from api.views import json_response
from eventstore.read import read_head
from projections.composed import Listed
from projections.waiting import BehindError

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before")]
MinPosition = Annotated[
    str | None, Query(max_length=200, description="Wait, bounded, until this position is visible: read your writes")
]
Filter = Annotated[str | None, Query(max_length=200, pattern=r"^[ -~]*$")]
PathKey = Annotated[str, Path(max_length=255, pattern=r"^[ -~]+$")]
PathId = Annotated[str, Path(max_length=200, pattern=r"^[!-~]+$")]
DEFAULT_LIMIT = 50


@contextmanager
def reading(request: Request, projections: Sequence[str], min_position: str | None) -> Iterator[Connection[Any]]:
    """A connection on which all `projections` have come as far as asked. Raises `Problem`."""
    served = services(request)
    if min_position is not None:
        with served.reads() as connection:
            position = read_token(min_position, served.log, read_head(connection, served.log).epoch)
        try:
            served.checkpoints.wait(projections, position, served.limits.wait_seconds)
        except BehindError as behind:
            raise Problem(
                "not_yet_visible",
                f"{behind.projection} has reached position {behind.reached}, not yet {behind.position}.",
                projection=behind.projection,
                reached=behind.reached,
                asked=behind.position,
            ) from behind
    with served.reads() as connection:
        yield connection


def page(listed: Listed[T, Any], view: Callable[[T], dict[str, Any]]) -> Response:
    """A page of a list, with the cursor of the next one or null."""
    following = None if listed.next is None else cursor(listed.next)
    return json_response({"items": [view(item) for item in listed.items], "next": following})


def one(kind: str, id: str, found: T | None, view: Callable[[T], dict[str, Any]]) -> Response:
    """One thing with its version as ETag, or the problem that there is none."""
    if found is None:
        raise Problem("unknown", f"There is no {kind} {id}.", kind=kind, id=id)
    version = getattr(found, "version", None)
    return json_response(view(found), {} if version is None else {"ETag": f'"{version}"'})


def one_that_passes(found: T | None, filters: Mapping[str, str | None]) -> tuple[T, ...]:
    """What was found by a key of its own, unless it is not what the other filters ask for."""
    if found is None or any(asked not in (None, getattr(found, name)) for name, asked in filters.items()):
        return ()
    return (found,)
