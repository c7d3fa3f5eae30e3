"""Is it alive, is it ready, how far behind."""

from __future__ import annotations

import psycopg
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.gateway.documented import HEALTH
from api.gateway.principals import PUBLIC, READERS
from api.gateway.problems import Problem
from api.queries.query import query
from api.queries.responses import json_response
from api.services import services
from projections.engine.lag import lag
from projections.registry import PROJECTIONS

router = APIRouter(prefix="/v1", tags=["operations"])


@query(router, "/health/live", may=PUBLIC, personal=False, answers=HEALTH)
async def live() -> Response:
    """The process answers."""
    return json_response({"status": "live"})


@query(router, "/health/ready", may=PUBLIC, personal=False, answers=HEALTH)
def ready(request: Request) -> Response:
    """The database answers, commands are executed, and no projection has stopped.

    Reads of a projection that is being rebuilt are answered 503 meanwhile; `rebuilding` names it.
    """
    served = services(request)
    try:
        with served.reads() as connection:
            found = lag(connection, served.log, PROJECTIONS)
    except psycopg.Error as error:
        raise Problem("unavailable", f"The database does not answer: {type(error).__name__}.") from error
    if not served.executor.running:
        raise Problem("unavailable", "The executor does not run.")
    if found.stopped:
        names = ", ".join(found.stopped)
        raise Problem("unavailable", f"Stopped: {names}. See GET /v1/lag.", stopped=list(found.stopped))
    rebuilding = [
        {"projection": one.projection, "position": one.position, "until": one.rebuild_until} for one in found.rebuilding
    ]
    return json_response({"status": "ready", "waiting": served.executor.waiting, "rebuilding": rebuilding})


@query(router, "/lag", may=READERS, personal=False)
def get_lag(request: Request) -> Response:
    """How far each projection is behind the head: events, and seconds since the oldest unprocessed one was recorded."""
    served = services(request)
    with served.reads() as connection:
        found = lag(connection, served.log, PROJECTIONS)
    return json_response(
        {
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
        }
    )
