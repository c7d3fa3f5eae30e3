"""The routes of health: liveness, readiness, and the lag of the projections."""

from __future__ import annotations

from typing import Annotated, Literal

import psycopg
from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.gateway.documented import HEALTH
from api.gateway.principals import PUBLIC, READERS
from api.gateway.problems import Problem
from api.queries.query import query
from api.queries.responses import json_response
from api.services import services
from eventstore.log.copying import Copy, find_copy
from projections.engine import lag as lags
from projections.registry import PROJECTIONS


class Live(TypedDict):
    """The process answers."""

    status: Literal["live"]


class Rebuilding(TypedDict):
    """A projection whose tables are incomplete: a rebuild by an earlier version emptied them and was cut off."""

    projection: str
    position: Annotated[int, Field(description="The position it has reached")]
    until: Annotated[int, Field(description="The position from which on it is complete")]


class Ready(TypedDict):
    """The service answers commands and reads."""

    status: Literal["ready"]
    waiting: Annotated[int, Field(description="Commands that wait to be executed")]
    rebuilding: list[Rebuilding]


class ProjectionLag(TypedDict):
    """How far one projection is behind the head of the log."""

    projection: str
    position: Annotated[int, Field(description="The position it has reached")]
    events: Annotated[int, Field(description="The number of events that it has not folded yet")]
    seconds: Annotated[float, Field(description="Seconds since the oldest of these events was recorded")]
    stopped: Annotated[str | None, Field(description="Why it has stopped; null while it runs")]
    rebuild_until: Annotated[int | None, Field(description="The position from which on it is complete; null if it is")]


class CopyLag(TypedDict):
    """How far a copy of a log is behind its topic."""

    topic: Annotated[str, Field(description="The topic that is copied")]
    position: Annotated[int, Field(description="The last position that is copied")]
    records: Annotated[int, Field(description="Most records of the topic that are not copied yet")]
    waiting: Annotated[str | None, Field(description="Why nothing is copied; null while it is")]


class PublicationLag(TypedDict):
    """How far a topic on Kafka is behind the head of the log."""

    topic: Annotated[str, Field(description="The topic that the log is published to")]
    position: Annotated[int, Field(description="The last position that the topic has for certain")]
    events: Annotated[int, Field(description="The number of events that it does not have yet")]
    seconds: Annotated[float, Field(description="Seconds since the oldest of these events was recorded")]
    waiting: Annotated[str | None, Field(description="Why nothing is published; null while it is")]


class Lag(TypedDict):
    """How far the projections are behind the head of the log."""

    head: Annotated[int, Field(description="The last position of the log")]
    epoch: Annotated[int, Field(description="It rises with each restore of the log")]
    events: Annotated[int, Field(description="Of the projection that is furthest behind")]
    seconds: Annotated[float, Field(description="Of the projection that is furthest behind")]
    projections: list[ProjectionLag]
    publications: Annotated[list[PublicationLag], Field(description="The topics that the log is published to")]
    copies: Annotated[list[CopyLag], Field(description="The copy, if this log is one")]


router = APIRouter(prefix="/v1", tags=["operations"])


@query(router, "/health/live", may=PUBLIC, response=Live, personal=False, answers=HEALTH)
async def get_liveness() -> Response:
    """Check that the process answers."""
    return json_response({"status": "live"})


@query(router, "/health/ready", may=PUBLIC, response=Ready, personal=False, answers=HEALTH)
def get_readiness(request: Request) -> Response:
    """Check that the database answers, commands are executed, and no projection has stopped.

    `rebuilding` lists projections whose tables are incomplete, because a rebuild by an earlier version was cut off.
    """
    served = services(request)
    try:
        with served.reads() as connection:
            found = lags.lag(connection, served.log, PROJECTIONS)
    except psycopg.Error as error:
        raise Problem("unavailable", f"The database does not answer: {type(error).__name__}.") from error
    if not served.reads_only and not served.executor.running:
        raise Problem("unavailable", "The executor does not run.")
    if found.stopped:
        names = ", ".join(found.stopped)
        raise Problem("unavailable", f"Stopped: {names}. See GET /v1/lag.", stopped=list(found.stopped))
    rebuilding = [
        {"projection": one.projection, "position": one.position, "until": one.rebuild_until} for one in found.rebuilding
    ]
    return json_response({"status": "ready", "waiting": served.executor.waiting, "rebuilding": rebuilding})


@query(router, "/lag", may=READERS, response=Lag, personal=False)
def get_lag(request: Request) -> Response:
    """Get how far each projection is behind the head of the log.

    The lag is a number of events, and the seconds since the oldest of them was recorded. The topics that the log is
    published to stand beside; their lag does not count for readiness. Of a copy it also tells how far the copy is, and
    why nothing is copied, if so.
    """
    served = services(request)
    with served.reads() as connection:
        found = lags.lag(connection, served.log, PROJECTIONS)
        copy = find_copy(connection, served.log)
    answer: Lag = {
        "head": found.head,
        "epoch": found.epoch,
        "events": found.events,
        "seconds": round(found.seconds, 3),
        "projections": [
            {
                "projection": p.projection,
                "position": p.position,
                "events": p.events,
                "seconds": round(p.seconds, 3),
                "stopped": p.stopped,
                "rebuild_until": p.rebuild_until,
            }
            for p in found.projections
        ],
        "publications": [
            {
                "topic": p.topic,
                "position": p.position,
                "events": p.events,
                "seconds": round(p.seconds, 3),
                "waiting": p.waiting,
            }
            for p in found.publications
        ],
        "copies": [] if copy is None else [_copy_view(copy)],
    }
    return json_response(answer)


def _copy_view(copy: Copy) -> CopyLag:
    return {"topic": copy.topic, "position": copy.position, "records": copy.behind, "waiting": copy.waiting}
