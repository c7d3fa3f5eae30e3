"""The routes of evidence: bundles of an event, a command or a stream, for who does not trust the owner (ADR 73)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.gateway.principals import AUDITORS
from api.queries.bundles import BUNDLE, Since, bundle_response
from api.queries.query import query
from api.queries.reading import Filter, PathId, PathKey
from api.system.log import sender
from domain.permissions import COMMANDERS

router = APIRouter(prefix="/v1/proof/bundle", tags=["proof"])


@query(router, "/event/{position}", may=AUDITORS, response=None, answers=BUNDLE, response_class=Response, personal=True)
def get_event_bundle(request: Request, position: Annotated[int, Path(ge=1, lt=2**63)], since: Since = None) -> Response:
    """Get the evidence that an event is on the log: its leaf, the proof and a signed checkpoint, as JSON Lines."""
    return bundle_response(request, since, lambda evidence: evidence.of_event(position))


@query(
    router,
    "/command/{key:path}",
    may=COMMANDERS | AUDITORS,
    response=None,
    answers=BUNDLE,
    response_class=Response,
    personal=True,
)
def get_command_bundle(request: Request, key: PathKey, actor: Filter = None, since: Since = None) -> Response:
    """Get the evidence of what was answered to a command, with each event of its unit, as JSON Lines.

    Auditors and operators may name another `actor`.
    """
    who = sender(request, actor)
    return bundle_response(request, since, lambda evidence: evidence.of_command(who, key))


@query(router, "/stream/{stream}", may=AUDITORS, response=None, answers=BUNDLE, response_class=Response, personal=True)
def get_stream_bundle(request: Request, stream: PathId, since: Since = None) -> Response:
    """Get the evidence of all events of a stream, and that none was left out, as JSON Lines."""
    return bundle_response(request, since, lambda evidence: evidence.of_stream(stream))
