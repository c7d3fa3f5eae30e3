"""The second factor of a person: set up, removed, and its recovery codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, example
from api.commands.execution import caller_of, command, people_of
from api.commands.routes import Caller, Intent
from api.gateway.documented import ALWAYS, problems_of
from api.gateway.failed_attempts import network_of
from api.gateway.problems import Problem
from api.gateway.routes import action
from api.people.bodies import Code, Password, ShownBefore, WithSecret
from api.people.checks import check_for_second_factor, confirm_code, in_thread, names_of, served_by, shown_before
from api.queries.reading import PathId
from api.queries.responses import json_response
from api.services import services
from domain.people.person.signing_in import MakeRecoveryCodes, RemoveSecondFactor, SetSecondFactor
from domain.permissions import SELF
from eventstore.log.answers import Answer

router = APIRouter(prefix="/v1/people", tags=["people"])

ISSUER = "Daybook"
"""The name under which an app lists the code."""


class PasswordOnlyBody(WithSecret):
    """State the own password once more."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"password": "Eleven-Steps-7-Up"}]}
    )

    password: Password


class CodeBody(WithSecret, Body):
    """Confirm a second factor."""

    model_config = example(code="123456")

    code: Code


class StatedPasswordBody(WithSecret, Body):
    """State the own password once more."""

    model_config = example(password="Eleven-Steps-7-Up")  # noqa: S106 - an example

    password: Password


class RemovalBody(WithSecret, Body):
    """Remove a second factor."""

    model_config = example(password="Eleven-Steps-7-Up")  # noqa: S106 - an example

    password: Annotated[
        Password | None, Field(description="The own password; an administrator states none for another person")
    ] = None


class Enrolment(TypedDict):
    """What an app needs to make codes. It is shown once."""

    secret: Annotated[str, Field(description="In base 32, to type in")]
    uri: Annotated[str, Field(description="`otpauth://…`, for a QR code")]


class SecondFactorChanged(Accepted):
    """A second factor that was removed."""

    person: str
    set_by: Annotated[int, Field(description="The version of the event")]


class RecoveryCodes(SecondFactorChanged):
    """A second factor that was set, or new recovery codes. The codes are shown once."""

    recovery_codes: NotRequired[Annotated[list[str], Field(description="Each works once, instead of a code")]]
    shown_before: NotRequired[ShownBefore]


_BEGUN: dict[int | str, dict[str, Any]] = {
    **problems_of(*ALWAYS, 413, 415),
    201: {"description": "A secret for an app", "model": Enrolment},
}


@action(router, "/{person}/second-factor/begin", may=SELF, status_code=201, responses=_BEGUN)
async def begin_second_factor(request: Request, person: PathId, body: PasswordOnlyBody) -> Response:
    """Get a secret for an app that makes codes. A code confirms it within an hour; before, it counts for nothing."""
    served, people, caller = services(request), people_of(request), caller_of(request)
    address = network_of(request.client.host if request.client else "-")
    await check_for_second_factor(caller.at(address), person, body.password)
    names = await in_thread(names_of, served, person)
    begun = await in_thread(people.second_factor.begin, person, names.username if names else person, ISSUER)
    if begun is None:
        raise Problem("busy", "Another secret was confirmed within the hour, and its event is on the way; try later.")
    return json_response({"secret": begun.secret.reveal(), "uri": begun.uri.reveal()}, status=201)


@command(router, "/{person}/second-factor", makes=SetSecondFactor, answer=RecoveryCodes, secret=True)
async def set_second_factor(caller: Caller, person: PathId, body: CodeBody) -> Intent:
    """Confirm the secret with a code. From now on a sign-in needs a code. Replaces the second factor before."""
    _, people = served_by(caller)
    if caller.recorded is None:
        if caller.principal.person != person:
            raise Problem("forbidden", f"Only {person} may do this.")
        await confirm_code(caller, person, body.code)

    async def then(answer: Answer) -> Mapping[str, Any]:
        await in_thread(people.second_factor.activate, person, answer.result["set_by"])
        return await _codes(caller, person, answer.result["set_by"])

    return Intent(SetSecondFactor(person), person, then=then)


@command(
    router,
    "/{person}/second-factor/remove",
    makes=RemoveSecondFactor,
    answer=SecondFactorChanged,
    status=200,
    secret=True,
)
async def remove_second_factor(caller: Caller, person: PathId, body: RemovalBody) -> Intent:
    """Remove the second factor and its recovery codes: of oneself, or by an administrator for who has lost theirs."""
    _, people = served_by(caller)
    if caller.recorded is None and caller.principal.person == person:
        if body.password is None:
            raise Problem("malformed", "password: state the own password to remove the own second factor.")
        await check_for_second_factor(caller, person, body.password)

    async def then(answer: Answer) -> Mapping[str, Any]:
        await in_thread(people.second_factor.remove, person, answer.result["set_by"])
        return {}

    return Intent(RemoveSecondFactor(person), person, then=then)


@command(router, "/{person}/recovery-codes", makes=MakeRecoveryCodes, answer=RecoveryCodes, secret=True)
async def make_recovery_codes(caller: Caller, person: PathId, body: StatedPasswordBody) -> Intent:
    """Get new recovery codes. Those before are worth nothing."""
    if caller.recorded is None:
        await check_for_second_factor(caller, person, body.password)

    async def then(answer: Answer) -> Mapping[str, Any]:
        return await _codes(caller, person, answer.result["set_by"])

    return Intent(MakeRecoveryCodes(person), person, then=then)


async def _codes(caller: Caller, person: str, version: int) -> Mapping[str, Any]:
    """The recovery codes of an event, the first time."""
    _, people = served_by(caller)
    codes = await in_thread(people.second_factor.make_codes, person, version)
    return shown_before() if codes is None else {"recovery_codes": [code.reveal() for code in codes]}
