"""Registration, the verification of the e-mail address, and passwords that are changed or reset."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import uuid4

import psycopg
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.background import BackgroundTask
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, example
from api.commands.execution import command, people_of
from api.commands.routes import Caller, Intent
from api.gateway.documented import ALWAYS, problems_of
from api.gateway.failed_attempts import network_of
from api.gateway.persons import VISITOR
from api.gateway.problems import Problem
from api.gateway.routes import action
from api.people.bodies import MailToken, Name, NewPassword, Password
from api.people.checks import (
    Names,
    check_own_password,
    execute,
    in_thread,
    name_hashes,
    names_of,
    person_named,
    person_now,
    refuse_crowd,
    refuse_password,
    served_by,
)
from api.people.sessions import ends_rows
from api.queries.reading import PathId
from api.queries.response_types import one_of
from api.services import People, Services, services
from domain.people.person.mail import AskForMail
from domain.people.person.registration import ChangePassword, RegisterPerson, ResetPassword, VerifyEmail
from domain.people.person.state import PERSON, Person, Status
from domain.permissions import VISITORS
from eventstore.credentials.mail_tokens import Purpose, Refused
from eventstore.executor.reply_sinks import ExecutorError
from eventstore.keys.master_keys import SealingError
from eventstore.log.answers import Answer

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/people", tags=["people"])

_WORTHLESS = {
    "unknown": "This token was never sent, or a later mail has another one.",
    "used": "This token was used already.",
    "expired": "This token has expired; ask for another mail.",
    "superseded": "The password was set after this mail was sent; ask for another mail.",
}
NOBODY = Names("", "")
"""The names of somebody who was erased."""


class RegistrationBody(Body):
    """Register."""

    model_config = example(
        username="ada",
        email="ada@example.com",
        name="Ada Lovelace",
        password="Eleven-Steps-7-Up",  # noqa: S106 - an example
    )

    username: Annotated[str, StringConstraints(min_length=1, max_length=50)]
    email: Annotated[str, StringConstraints(min_length=1, max_length=254)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    password: NewPassword


class VerificationBody(Body):
    """Verify an e-mail address."""

    model_config = example(token="dbm_4fGx")  # noqa: S106 - an example

    token: MailToken


class ResetBody(VerificationBody):
    """Set a new password with the token of a mail."""

    model_config = example(token="dbm_4fGx", password="Eleven-Steps-7-Up")  # noqa: S106 - an example

    password: NewPassword


class MailBody(BaseModel):
    """Ask for a mail."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"name": "ada@example.com", "purpose": "reset"}]}
    )

    name: Name
    purpose: Literal["verify", "reset"]


class Asked(TypedDict):
    """A mail that was asked for."""

    asked: Literal[True]


class PasswordBody(Body):
    """Change the password."""

    model_config = example(current="Eleven-Steps-7-Up", password="Twelve-Steps-8-Up")  # noqa: S106 - an example

    current: Password
    password: NewPassword


class PersonWithStatus(Accepted):
    """A person who was registered, or whose status may have changed."""

    person: str
    status: Annotated[str, one_of(Status)]


class PasswordSet(Accepted):
    """A password that was set. Sessions have ended."""

    person: str
    set_by: Annotated[int, Field(description="The version of the event that set it")]


@command(router, "", makes=RegisterPerson, answer=PersonWithStatus, secret=True)
async def register_person(caller: Caller, body: RegistrationBody) -> Intent:
    """Register. A mail with a token follows; until the address is verified, nobody can sign in."""
    served, people = served_by(caller)
    if caller.recorded is None:
        refuse_crowd(people, caller.address)
        refuse_password(body.password, Names(body.username, body.email))
    hash = await in_thread(people.passwords.hash, body.password)
    of_username, of_email = await in_thread(name_hashes, people.hashes, body.username, body.email)
    registration = RegisterPerson(
        person=served.new_id(PERSON),
        username=body.username,
        email=body.email,
        name=body.name,
        username_hash=of_username,
        email_hash=of_email,
    )

    async def then(answer: Answer) -> Mapping[str, Any]:
        await in_thread(people.passwords.write, answer.result["person"], 1, hash)
        return {}

    return Intent(registration, created="person", then=then)


@command(router, "/verify-email", makes=VerifyEmail, answer=PersonWithStatus, status=200, secret=True)
async def verify_email(caller: Caller, body: VerificationBody) -> Intent:
    """Verify the e-mail address with the token that was mailed to it. Then the person can sign in."""
    person = await _owner_of(caller, body.token, "verify")
    await _use(caller, body.token, "verify")
    return Intent(VerifyEmail(person.id, person.email_hash), person.id)


_ASKED: dict[int | str, dict[str, Any]] = {
    **problems_of(*ALWAYS, 413, 415),
    202: {"description": "Asked for; the answer is the same whether there is such a person or not", "model": Asked},
}


@action(router, "/ask-for-mail", may=VISITORS, status_code=202, responses=_ASKED)
async def ask_for_mail(request: Request, body: MailBody) -> Response:
    """Ask for a mail with a token: to verify the address again, or to reset the password.

    The answer never tells whether there is such a person. A person gets few mails in an hour.
    """
    served, people = services(request), people_of(request)
    refuse_crowd(people, network_of(request.client.host if request.client else "-"))
    asks = BackgroundTask(_ask, served, people, body.name, body.purpose)  # after the answer: its time tells nothing
    return Response(b'{"asked":true}', 202, media_type="application/json", background=asks)


async def _ask(served: Services, people: People, name: str, purpose: Purpose) -> None:
    try:
        person = await in_thread(person_named, people, name)
        if person is not None:
            await execute(served, AskForMail(person.id, purpose), VISITOR, f"ask-for-mail-{uuid4()}")
    except (ExecutorError, psycopg.Error, SealingError) as error:
        logger.warning("a mail that was asked for could not be queued: %s", type(error).__name__)


@command(router, "/reset-password", makes=ResetPassword, answer=PasswordSet, status=200, secret=True)
async def reset_password(caller: Caller, body: ResetBody) -> Intent:
    """Set a new password with the token that was mailed. All sessions end.

    A password that breaks a rule does not use up the token.
    """
    served, people = served_by(caller)
    person = await _owner_of(caller, body.token, "reset")
    if caller.recorded is None:
        names = await in_thread(names_of, served, person.id)
        refuse_password(body.password, names or NOBODY)
    hash = await in_thread(people.passwords.hash, body.password)
    await _use(caller, body.token, "reset")
    return Intent(ResetPassword(person.id), person.id, then=_sets(caller, person.id, hash, None))


@command(router, "/{person}/password", makes=ChangePassword, answer=PasswordSet, status=200, secret=True)
async def change_password(caller: Caller, person: PathId, body: PasswordBody) -> Intent:
    """Change the password. All sessions end but the one of this request."""
    served, people = served_by(caller)
    if caller.recorded is None:
        await check_own_password(caller, person, body.current)
        names = await in_thread(names_of, served, person)
        refuse_password(body.password, names or NOBODY)
    hash = await in_thread(people.passwords.hash, body.password)
    but = caller.known.session if caller.known is not None else None
    return Intent(ChangePassword(person, but), person, then=_sets(caller, person, hash, but))


def _sets(caller: Caller, person: str, hash: str, but: str | None) -> Any:
    """After the event that set a password, write its row, and end the rows of the sessions."""
    _, people = served_by(caller)
    ends = ends_rows(caller, person, but)

    async def then(answer: Answer) -> Mapping[str, Any]:
        await in_thread(people.passwords.write, person, answer.result["set_by"], hash)
        await ends(answer)
        return {}

    return then


async def _owner_of(caller: Caller, token: str, purpose: Purpose) -> Person:
    """Whose mail had this token. Raises `Problem`, also for one that was sent before the password was set anew."""
    _, people = served_by(caller)
    if caller.recorded is None:
        refuse_crowd(people, caller.address)
    owner = await in_thread(people.mail_tokens.whose, token, purpose)
    person = None if owner is None else await in_thread(person_now, people, owner.person)
    if owner is None or person is None:
        raise _worthless("unknown")
    if purpose == "reset" and owner.version < person.password and caller.recorded is None:
        raise _worthless("superseded")
    return person


async def _use(caller: Caller, token: str, purpose: Purpose) -> None:
    """Use a token up for this command. Raises `Problem`."""
    _, people = served_by(caller)
    used = await in_thread(people.mail_tokens.use, token, purpose, caller.key)
    if isinstance(used, Refused):
        raise _worthless(used.reason)


def _worthless(reason: str) -> Problem:
    return Problem("mail_token", _WORTHLESS[reason], reason=reason)
