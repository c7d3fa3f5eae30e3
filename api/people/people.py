"""Persons: what they say about themselves, their status, and their roles. And who reads it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Request
from pydantic import Field, StringConstraints
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, Instant, IsoDate, Reason, Subject, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.persons import Known
from api.gateway.principals import AUDITORS
from api.gateway.problems import Problem
from api.people.registration import PersonWithStatus
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, PathId, one, page, reading
from api.queries.response_types import Erasable, LogPosition, StreamVersion, one_of, page_of, values_of
from api.queries.responses import json_response
from api.services import services
from domain.kernel import Principal
from domain.people.person.events import PersonRole
from domain.people.person.profile import ChangeProfile, ChangeSettings, GiveConsent, WithdrawConsent
from domain.people.person.roles import GrantRole, RevokeRole
from domain.people.person.state import Status
from domain.people.person.status import DeletePerson, ReactivatePerson, RestorePerson, SuspendPerson
from domain.permissions import ADMINISTRATORS, SELF, may
from projections.people import people as queries
from projections.people.people import PersonRow

router = APIRouter(prefix="/v1", tags=["people"])

READ_ANYBODY = ADMINISTRATORS | AUDITORS
"""Who reads about everybody. A person reads about themselves."""
StatusFilter = Annotated[str, choice(values_of(Status))] | None
Role = Annotated[str, choice(values_of(PersonRole))]


class ProfileBody(Body):
    """Replace the profile. A part that is left out is not stated any more."""

    model_config = example(name="Ada King", biography="Counts.", website="https://example.com/ada")

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    biography: Annotated[str, StringConstraints(min_length=1, max_length=1_000)] | None = None
    location: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    website: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    birth_date: IsoDate | None = None


class SettingsBody(Body):
    """Replace the settings."""

    model_config = example(time_zone="Europe/Prague", language="cs")

    time_zone: Annotated[str, StringConstraints(min_length=1, max_length=60), Field(description="Of the IANA database")]
    language: Annotated[str, StringConstraints(min_length=1, max_length=60), Field(description="A tag of BCP 47")]


class ConsentBody(Body):
    """Agree to a version of a text."""

    model_config = example(purpose="newsletter", text_version="2026-11")

    purpose: Subject
    text_version: Subject


class WithdrawalBody(Body):
    """No longer agree."""

    model_config = example(purpose="newsletter")

    purpose: Subject


class GrantBody(Body):
    """Grant a role."""

    model_config = example(role="author", context="case-7", until="2027-06-30T00:00:00Z")

    role: Role
    context: Annotated[Subject | None, Field(description="A code: what it is for")] = None
    until: Annotated[Instant | None, Field(description="When it ends; null: it has no end")] = None


class RevokeBody(Body):
    """Take a role away."""

    model_config = example(role="author")

    role: Role


class PersonChanged(Accepted):
    """A person whose profile, settings, consents or roles were changed."""

    person: str
    role: NotRequired[Annotated[str, one_of(PersonRole)]]


class RoleView(TypedDict):
    """A role of a person."""

    role: Annotated[str, one_of(PersonRole)]
    context: str | None
    until: datetime | None


class ConsentView(TypedDict):
    """What a person agreed to."""

    purpose: str
    text_version: str
    given_at: datetime


class Person(TypedDict):
    """A person as they are now."""

    person: str
    status: Annotated[str, one_of(Status)]
    username: Erasable
    email: Erasable
    name: Erasable
    names_erased: bool
    email_verified: bool
    reason: Annotated[str | None, Field(description="Why the status was changed last")]
    biography: str | None
    location: str | None
    website: str | None
    birth_date: str | None
    time_zone: str
    language: str
    roles: list[RoleView]
    consents: list[ConsentView]
    second_factor: Annotated[bool, Field(description="Whether a sign-in needs a code")]
    locked_out_at: Annotated[datetime | None, Field(description="When many sign-ins had failed last")]
    password_set_at: Annotated[datetime | None, Field(description="When the password was changed or reset last")]
    registered_at: datetime
    version: StreamVersion
    position: LogPosition


class Me(TypedDict):
    """Who sends this request."""

    principal: str
    how: Annotated[str, Field(description="token, session or api_key")]
    person: str | None
    session: str | None
    roles: Annotated[list[str], Field(description="The roles that count in this request")]
    withheld: Annotated[list[str], Field(description="Roles that need a session with a second factor")]


def person_view(row: PersonRow) -> Person:
    return {
        "person": row.person,
        "status": row.status,
        "username": row.username,
        "email": row.email,
        "name": row.name,
        "names_erased": row.names_erased,
        "email_verified": row.email_verified,
        "reason": row.reason,
        "biography": row.biography,
        "location": row.location,
        "website": row.website,
        "birth_date": row.birth_date,
        "time_zone": row.time_zone,
        "language": row.language,
        "roles": row.roles,  # type: ignore[typeddict-item]
        "consents": row.consents,  # type: ignore[typeddict-item]
        "second_factor": row.second_factor,
        "locked_out_at": row.locked_out_at,
        "password_set_at": row.password_set_at,
        "registered_at": row.registered_at,
        "version": row.version,
        "position": row.position,
    }


@command(router, "/people/{person}/profile", makes=ChangeProfile, answer=PersonChanged, status=200)
def change_profile(caller: Caller, person: PathId, body: ProfileBody) -> Intent:
    """Replace the own profile."""
    changed = ChangeProfile(
        person=person,
        name=body.name,
        biography=body.biography,
        location=body.location,
        website=body.website,
        birth_date=body.birth_date,
    )
    return Intent(changed, person)


@command(router, "/people/{person}/settings", makes=ChangeSettings, answer=PersonChanged, status=200)
def change_settings(caller: Caller, person: PathId, body: SettingsBody) -> Intent:
    """Replace the own settings."""
    return Intent(ChangeSettings(person, body.time_zone, body.language), person)


@command(router, "/people/{person}/consents", makes=GiveConsent, answer=PersonChanged, status=200)
def give_consent(caller: Caller, person: PathId, body: ConsentBody) -> Intent:
    """Agree to a version of a text."""
    return Intent(GiveConsent(person, body.purpose, body.text_version), person)


@command(router, "/people/{person}/consents/withdraw", makes=WithdrawConsent, answer=PersonChanged, status=200)
def withdraw_consent(caller: Caller, person: PathId, body: WithdrawalBody) -> Intent:
    """No longer agree."""
    return Intent(WithdrawConsent(person, body.purpose), person)


@command(router, "/people/{person}/suspend", makes=SuspendPerson, answer=PersonWithStatus, status=200)
def suspend_person(caller: Caller, person: PathId, body: Reason) -> Intent:
    """Keep a person from signing in. All their sessions and API keys are worth nothing within a second."""
    return Intent(SuspendPerson(person, body.reason), person)


@command(router, "/people/{person}/reactivate", makes=ReactivatePerson, answer=PersonWithStatus, status=200)
def reactivate_person(caller: Caller, person: PathId, body: Reason) -> Intent:
    """Let a suspended person sign in again."""
    return Intent(ReactivatePerson(person, body.reason), person)


@command(router, "/people/{person}/delete", makes=DeletePerson, answer=PersonWithStatus, status=200)
def delete_person(caller: Caller, person: PathId, body: Reason) -> Intent:
    """Delete oneself, or a person as an administrator. They can be restored; erasing what is known is another thing."""
    return Intent(DeletePerson(person, body.reason), person)


@command(router, "/people/{person}/restore", makes=RestorePerson, answer=PersonWithStatus, status=200)
def restore_person(caller: Caller, person: PathId, body: Reason) -> Intent:
    """Restore a deleted person."""
    return Intent(RestorePerson(person, body.reason), person)


@command(router, "/people/{person}/roles", makes=GrantRole, answer=PersonChanged, status=200)
def grant_role(caller: Caller, person: PathId, body: GrantBody) -> Intent:
    """Grant a role, for a time or without an end. It replaces a grant of the same role."""
    role: PersonRole = body.role  # type: ignore[assignment]  # one of them, as the body was validated
    return Intent(GrantRole(person=person, role=role, context=body.context, until=body.until), person)


@command(router, "/people/{person}/roles/revoke", makes=RevokeRole, answer=PersonChanged, status=200)
def revoke_role(caller: Caller, person: PathId, body: RevokeBody) -> Intent:
    """Take a role away."""
    role: PersonRole = body.role  # type: ignore[assignment]
    return Intent(RevokeRole(person, role), person)


@query(router, "/people", may=READ_ANYBODY, response=page_of(Person), personal=True, projections=("people",))
def list_people(
    request: Request,
    status: StatusFilter = None,
    username: Annotated[str | None, Field(max_length=50)] = None,
    email: Annotated[str | None, Field(max_length=254)] = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List persons in the order in which they were registered, for administrators and auditors."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.people(
            connection,
            status=status,  # type: ignore[arg-type]
            username=username,
            email=email,
            after=after,
            cursor=key,
            limit=limit,
        )
    return page(listed, person_view)


@query(router, "/people/{person}", may=SELF | READ_ANYBODY, response=Person, personal=True, projections=("people",))
def get_person(request: Request, person: PathId) -> Response:
    """Get one person: oneself, or anybody as an administrator or an auditor."""
    principal: Principal = request.scope["state"]["principal"]
    if principal.person != person and not may(principal, READ_ANYBODY, services(request).clock()):
        raise Problem("unknown", f"There is no person {person}.", kind="person", id=person)
    with reading(request) as connection:
        return one("person", person, queries.person(connection, person), person_view)


@query(router, "/me", may=SELF | AUDITORS, response=Me, personal=False)
async def get_me(request: Request) -> Response:
    """Get who sends this request, and the roles that count in it."""
    state: dict[str, Any] = request.scope["state"]
    principal: Principal = state["principal"]
    known: Known | None = state.get("known")
    now = services(request).clock()
    lasting = [grant.role for grant in principal.grants if grant.until is None or now < grant.until]
    return json_response(
        {
            "principal": principal.id,
            "how": principal.how,
            "person": principal.person,
            "session": None if known is None else known.session,
            "roles": [*principal.roles, *lasting],
            "withheld": [] if known is None else list(known.withheld),
        }
    )
