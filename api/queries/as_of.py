"""`as_of`: the position of the log that a read is of, given as a position or as a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from psycopg import Connection
from starlette.concurrency import run_in_threadpool

from api.gateway.problems import Problem
from api.queries.positions import read_token, token
from api.queries.reading import projections_of, until_folded
from api.services import Services, services
from eventstore.log.read import Head, position_at, read_head, recorded_at
from projections.engine.checkpoint import folded

AsOfText = Annotated[
    str | None,
    Query(
        max_length=200,
        description="What was booked by then, included: a position such as `main.1.42` or `42`, or a time with its "
        "offset such as `2026-01-31T12:00:00Z`. A time is the position of the last event recorded by then. The read "
        "waits for it as for `min_position`",
        examples=["main.1.42"],
    ),
]
_NUMBER = re.compile("[0-9]{1,18}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT.*", re.ASCII)


@dataclass(frozen=True, slots=True)
class AsOf:
    """A position of the log, and the moment it stands for: the time that was asked for, or that of the event there."""

    position: int
    at: datetime


async def _as_of(request: Request, as_of: AsOfText = None) -> AsOf | None:
    """The position to read at, once the projections of the route have reached it. None for the newest one."""
    if as_of is None:
        return None
    found, reached = await run_in_threadpool(_found, services(request), as_of, projections_of(request))
    if reached < found.position:
        await until_folded(request, found.position)
    return found


OfPosition = Annotated[AsOf | None, Depends(_as_of)]
"""A parameter of a route that declares its projections: `as_of`, resolved."""


def _found(served: Services, text: str, projections: Sequence[str]) -> tuple[AsOf, int]:
    """What the text stands for, and how far these projections are folded. Raises `Problem`."""
    with served.reads() as connection:
        return resolve(connection, served.log, text), folded(connection, *projections)


def resolve(connection: Connection[Any], log: str, text: str, name: str = "as_of") -> AsOf:
    """What the text of the parameter `name` stands for.

    Raises `Problem` for one that is neither a position of this log nor a time.
    """
    head = read_head(connection, log)
    if _TIME.fullmatch(text):
        time = _read_time(text, name)
        return AsOf(position_at(connection, head, time), time)
    asked = token(log, head.epoch, int(text)) if _NUMBER.fullmatch(text) else text
    position = read_token(asked, log, head)
    return AsOf(position, _moment(connection, head, position))


def _moment(connection: Connection[Any], head: Head, position: int) -> datetime:
    found = recorded_at(connection, head.log_number, position)
    return datetime.min.replace(tzinfo=UTC) if found is None else found


def _read_time(text: str, name: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise ValueError
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        detail = f"{name}: {text[:80]!r} is not a time with its offset such as 2026-01-31T12:00:00Z (+ is sent as %2B)."
        raise Problem("malformed", detail) from None
