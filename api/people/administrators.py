"""Administrators: one asks for another one or for a removal, and a second one approves. And the sign-in policy."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, NotRequired

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, Nothing, Subject, example
from api.commands.execution import command, people_of
from api.commands.routes import Caller, Intent
from api.gateway.principals import AUDITORS
from api.people.checks import in_thread
from api.queries.filters import choice
from api.queries.query import query
from api.queries.reading import PathId
from api.queries.response_types import one_of, values_of
from api.queries.responses import json_response
from domain.people.administrators import (
    ApproveAdministrator,
    AskForAdministrator,
    AskForRemoval,
    RejectAdministrator,
    WithdrawAdministrator,
)
from domain.people.approval import APPROVAL
from domain.people.person.events import PersonRole
from domain.people.sign_in_policy import SIGN_IN_POLICY, ChangeSignInPolicy, sign_in_policy
from domain.permissions import ADMINISTRATORS, SELF

router = APIRouter(prefix="/v1", tags=["people"])


class AdministratorBody(Body):
    """Name a person."""

    model_config = example(person="prsn_01h455vb4pex5vsknk084sn02q")

    person: Subject


class SignInPolicyBody(Body):
    """Change the sign-in policy."""

    model_config = example(second_factor_roles=["administrator", "operator"])

    second_factor_roles: Annotated[
        list[Annotated[str, choice(values_of(PersonRole))]],
        Field(max_length=7, description="Roles that a person has only in a session with a second factor"),
    ]


class Asked(Accepted):
    """A request that another administrator has to approve."""

    approval: str
    until: Annotated[datetime, Field(description="From then on it cannot be approved")]


class ApprovalDecided(Accepted):
    """A request that was approved, rejected or withdrawn."""

    approval: str
    person: NotRequired[str]
    role: NotRequired[Annotated[str, one_of(PersonRole)]]


class PolicyChanged(Accepted):
    """A sign-in policy that was changed."""

    policy: str
    second_factor_roles: list[str]


class Policy(TypedDict):
    """The sign-in policy in force."""

    second_factor_roles: list[str]
    version: int


@command(router, "/administrators", makes=AskForAdministrator, answer=Asked)
def ask_for_administrator(caller: Caller, body: AdministratorBody) -> Intent:
    """Ask another administrator to appoint a person."""
    return Intent(AskForAdministrator(caller.services.new_id(APPROVAL), body.person), created="approval")


@command(router, "/administrators/remove", makes=AskForRemoval, answer=Asked)
def ask_for_removal(caller: Caller, body: AdministratorBody) -> Intent:
    """Ask another administrator to remove one. The last one cannot be removed."""
    return Intent(AskForRemoval(caller.services.new_id(APPROVAL), body.person), created="approval")


@command(
    router,
    "/administrators/requests/{approval}/approve",
    makes=ApproveAdministrator,
    answer=ApprovalDecided,
    status=200,
)
def approve_administrator(caller: Caller, approval: PathId, body: Nothing) -> Intent:
    """Approve what another administrator asked for. It is carried out at once."""
    return Intent(ApproveAdministrator(approval), approval)


@command(
    router, "/administrators/requests/{approval}/reject", makes=RejectAdministrator, answer=ApprovalDecided, status=200
)
def reject_administrator(caller: Caller, approval: PathId, body: Nothing) -> Intent:
    """Reject what another administrator asked for."""
    return Intent(RejectAdministrator(approval), approval)


@command(
    router,
    "/administrators/requests/{approval}/withdraw",
    makes=WithdrawAdministrator,
    answer=ApprovalDecided,
    status=200,
)
def withdraw_administrator(caller: Caller, approval: PathId, body: Nothing) -> Intent:
    """Withdraw a request of one's own."""
    return Intent(WithdrawAdministrator(approval), approval)


@command(router, "/policies/sign-in", makes=ChangeSignInPolicy, answer=PolicyChanged, status=200)
def change_sign_in_policy(caller: Caller, body: SignInPolicyBody) -> Intent:
    """Change which roles need a second factor. It counts from each person's next request on."""
    return Intent(ChangeSignInPolicy(tuple(body.second_factor_roles)), SIGN_IN_POLICY)  # type: ignore[arg-type]


@query(router, "/policies/sign-in", may=SELF | ADMINISTRATORS | AUDITORS, response=Policy, personal=False)
async def get_sign_in_policy(request: Request) -> Response:
    """Get the sign-in policy in force."""
    states = await in_thread(people_of(request).states.load, (SIGN_IN_POLICY,))
    policy = sign_in_policy(states[SIGN_IN_POLICY])
    return json_response({"second_factor_roles": list(policy.second_factor_roles), "version": policy.version})
