"""Erasure and export of persons: legal holds, requests, and the decisions of administrators about them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, Description, Nothing, Subject, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import AUDITORS
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, page, reading
from api.queries.response_types import LogPosition, StreamVersion, one_of, page_of, values_of
from domain.people.approval import APPROVAL, Outcome
from domain.people.privacy import (
    ApprovePrivacyRequest,
    AskForErasure,
    AskForExport,
    LiftLegalHold,
    PlaceLegalHold,
    RejectPrivacyRequest,
    WithdrawPrivacyRequest,
)
from domain.people.privacy_record import privacy_stream
from domain.permissions import ADMINISTRATORS
from projections.people import approvals as queries
from projections.people.approvals import ApprovalRow

router = APIRouter(prefix="/v1", tags=["people"])

OutcomeFilter = Annotated[str, choice(values_of(Outcome))] | None


class LegalHoldBody(Body):
    """The ground of a legal hold, and why it is placed or lifted."""

    model_config = example(ground="case-4711", reason="The court asked for it")

    ground: Subject
    reason: Description


class RequestMade(Accepted):
    """A request that another person has to approve."""

    approval: str
    until: Annotated[datetime, Field(description="From then on it cannot be approved")]


class RequestDecided(Accepted):
    """A request that was approved, rejected or withdrawn."""

    approval: str
    person: str
    action: Annotated[str, Field(description="What was asked for: person.erase or person.export")]


class LegalHoldChanged(Accepted):
    """A legal hold that was placed or lifted."""

    person: str
    ground: str


class Approval(TypedDict):
    """A request that another person has to approve, as it is now."""

    approval: str
    action: Annotated[str, Field(description="What was asked for, such as administrator.appoint")]
    about: Annotated[str, Field(description="The id of what it is about")]
    by: Annotated[str, Field(description="The person who asked")]
    outcome: Annotated[str, one_of(Outcome)]
    decided_by: Annotated[str | None, Field(description="The person who decided or withdrew it; null while it is open")]
    until: Annotated[datetime, Field(description="From then on it cannot be approved")]
    requested_at: datetime
    version: StreamVersion
    position: LogPosition


def approval_view(row: ApprovalRow) -> Approval:
    """A request as it is answered."""
    return {
        "approval": row.approval,
        "action": row.action,
        "about": row.about,
        "by": row.by,
        "outcome": row.outcome,
        "decided_by": row.decided_by,
        "until": row.until,
        "requested_at": row.requested_at,
        "version": row.version,
        "position": row.position,
    }


@command(router, "/people/{person}/legal-holds", makes=PlaceLegalHold, answer=LegalHoldChanged)
def place_legal_hold(caller: Caller, person: PathId, body: LegalHoldBody) -> Intent:
    """Forbid to erase a person, for a ground."""
    return Intent(PlaceLegalHold(person, body.ground, body.reason), privacy_stream(person))


@command(router, "/people/{person}/legal-holds/lift", makes=LiftLegalHold, answer=LegalHoldChanged, status=200)
def lift_legal_hold(caller: Caller, person: PathId, body: LegalHoldBody) -> Intent:
    """End a legal hold."""
    return Intent(LiftLegalHold(person, body.ground, body.reason), privacy_stream(person))


@command(router, "/people/{person}/erasures", makes=AskForErasure, answer=RequestMade)
def ask_for_erasure(caller: Caller, person: PathId, body: Nothing) -> Intent:
    """Ask an administrator to approve that a person is erased: oneself, or for administrators anybody."""
    return Intent(AskForErasure(caller.services.new_id(APPROVAL), person), created="approval")


@command(router, "/people/{person}/exports", makes=AskForExport, answer=RequestMade)
def ask_for_export(caller: Caller, person: PathId, body: Nothing) -> Intent:
    """Ask an administrator to approve that what is known about a person is exported."""
    return Intent(AskForExport(caller.services.new_id(APPROVAL), person), created="approval")


@command(router, "/privacy-requests/{approval}/approve", makes=ApprovePrivacyRequest, answer=RequestDecided, status=200)
def approve_privacy_request(caller: Caller, approval: PathId, body: Nothing) -> Intent:
    """Approve an erasure or an export that another person asked for."""
    return Intent(ApprovePrivacyRequest(approval), approval)


@command(router, "/privacy-requests/{approval}/reject", makes=RejectPrivacyRequest, answer=RequestDecided, status=200)
def reject_privacy_request(caller: Caller, approval: PathId, body: Nothing) -> Intent:
    """Reject an erasure or an export that another person asked for."""
    return Intent(RejectPrivacyRequest(approval), approval)


@command(
    router, "/privacy-requests/{approval}/withdraw", makes=WithdrawPrivacyRequest, answer=RequestDecided, status=200
)
def withdraw_privacy_request(caller: Caller, approval: PathId, body: Nothing) -> Intent:
    """Withdraw a request of one's own."""
    return Intent(WithdrawPrivacyRequest(approval), approval)


@query(
    router,
    "/approvals",
    may=AUDITORS | ADMINISTRATORS,
    response=page_of(Approval),
    personal=True,
    projections=("approvals",),
)
def list_approvals(
    request: Request,
    outcome: OutcomeFilter = None,
    action: Filter = None,
    about: Filter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List requests that another person has to approve, in the order in which they were made.

    With `outcome=open` these are the open ones; one of them may have expired.
    """
    key = read_cursor(cursor, int)
    asked: dict[str, Any] = {"outcome": outcome, "action": action, "about": about, "after": after}
    with reading(request) as connection:
        return page(queries.approvals(connection, cursor=key, limit=limit, **asked), approval_view)
