"""Signing in, refreshing, signing out, and the list of sessions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, Nothing, example
from api.commands.execution import command, people_of
from api.commands.routes import Caller, Intent
from api.gateway.access_tokens import AccessToken
from api.gateway.documented import ALWAYS, problems_of
from api.gateway.persons import Known
from api.gateway.problems import Problem
from api.gateway.routes import action
from api.people.bodies import Code, Name, Password, RefreshToken, ShownBefore, WithSecret
from api.people.checks import (
    by_system,
    check_code,
    check_password,
    in_thread,
    person_named,
    served_by,
    shown_before,
)
from api.queries.query import query
from api.queries.reading import PathId
from api.queries.responses import json_response
from api.services import People, Services, services
from domain.kernel import Principal
from domain.people.person.signing_in import EndSessions
from domain.people.person.state import Person
from domain.people.session import BY_SYSTEM, SESSION, EndSession, OpenSession, Why
from domain.people.session import Session as SessionState
from domain.permissions import ADMINISTRATORS, SELF, VISITORS, may
from eventstore.credentials.rotation import Presented
from eventstore.credentials.sessions import Refreshed, Refused, Session
from eventstore.credentials.sweeper import RETENTION
from eventstore.log.answers import Answer

router = APIRouter(prefix="/v1", tags=["people"])

MOST_SESSIONS = 100
"""Of the newest sessions of a person that are listed."""


class SignInBody(WithSecret, Body):
    """Sign in."""

    model_config = example(name="ada", password="Eleven-Steps-7-Up", code="123456")  # noqa: S106 - an example

    name: Name
    password: Password
    code: Code | None = None


class RefreshBody(WithSecret):
    """Get new tokens."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"refresh_token": "dbr_4fGx"}]}
    )

    refresh_token: RefreshToken


class EndSessionsBody(Body):
    """End all sessions of a person."""

    model_config = example(but_this=True)

    but_this: Annotated[bool, Field(description="Whether the session of this request goes on")] = False


class Tokens(TypedDict):
    """The tokens of a session."""

    access_token: Annotated[str, Field(description="Send it as `Authorization: Bearer …`")]
    access_token_expires_at: datetime
    refresh_token: Annotated[str, Field(description="For one `POST /v1/sessions/refresh`, which gives the next one")]
    refresh_token_expires_at: datetime
    session_ends_at: Annotated[datetime, Field(description="Then the person has to sign in again, whatever they did")]


class SignedIn(Accepted):
    """A session that was opened. The tokens are shown once."""

    session: str
    person: str
    opened_on: Annotated[int, Field(description="The version of the person's stream")]
    access_token: NotRequired[str]
    access_token_expires_at: NotRequired[datetime]
    refresh_token: NotRequired[str]
    refresh_token_expires_at: NotRequired[datetime]
    session_ends_at: NotRequired[datetime]
    shown_before: NotRequired[ShownBefore]


class SessionEnds(Accepted):
    """A session that was ended."""

    session: str
    person: str


class SessionsEnd(Accepted):
    """Sessions that were ended."""

    person: str


class SessionView(TypedDict):
    """A session of a person."""

    session: str
    opened_at: datetime
    refreshed_at: datetime | None
    ends_at: datetime
    goes_on: bool
    ended_at: datetime | None
    ended_why: str | None
    this: Annotated[bool, Field(description="Whether it is the session of this request")]


class SessionList(TypedDict):
    """The newest sessions of a person."""

    items: list[SessionView]


@command(router, "/sign-in", makes=OpenSession, answer=SignedIn, secret=True)
async def sign_in(caller: Caller, body: SignInBody) -> Intent:
    """Sign in with username or e-mail address, password, and a code if the person has a second factor.

    After some failures in a row the next attempts have to wait: `sign_in_waits` says how long.
    """
    served, people = served_by(caller)
    new = served.new_id(SESSION)
    if caller.recorded is not None:  # this very request was accepted before
        again = OpenSession(session=new, person=caller.recorded.result["person"], password=0, second_factor=False)
        return Intent(again, created="session", then=_opens(served, people))
    person = await in_thread(person_named, people, body.name)
    version = await check_password(caller, person, body.name, body.password)
    assert person is not None, "nobody's password is never right"
    if person.second_factor:
        if body.code is None:
            raise Problem("code_needed", "This person has a second factor: send its code, or a recovery code, too.")
        await check_code(caller, person, body.code)
    used = bool(person.second_factor)
    opened = OpenSession(session=new, person=person.id, password=version, second_factor=used)
    return Intent(opened, created="session", then=_opens(served, people))


def _opens(served: Services, people: People) -> Any:
    """After the event, make the row of the session, and return its tokens.

    A retry makes the row if a crash prevented that. One that comes when the sweeper may have removed the row makes
    none: else who has an old request could open its session again, without another code.
    """

    async def then(answer: Answer) -> Mapping[str, Any]:
        result, at = answer.result, answer.recorded_at
        if answer.replayed and (at is None or at + RETENTION["sessions"] <= served.clock()):
            return shown_before()
        session, person = result["session"], result["person"]
        opened = await in_thread(people.sessions.open, session, person, result["opened_on"])
        if opened is None:
            return shown_before()
        return _tokens(people.tokens.issue(person, session, answer.epoch), opened)

    return then


def _tokens(access: AccessToken, refreshed: Refreshed) -> dict[str, Any]:
    return {
        "access_token": access.text,
        "access_token_expires_at": access.expires,
        "refresh_token": refreshed.token.reveal(),
        "refresh_token_expires_at": refreshed.idle_end,
        "session_ends_at": refreshed.ends_at,
    }


_REFRESHED: dict[int | str, dict[str, Any]] = {
    **problems_of(*ALWAYS, 413, 415),
    200: {"description": "New tokens", "model": Tokens},
}


@action(router, "/sessions/refresh", may=VISITORS, responses=_REFRESHED)
async def refresh_session(request: Request, body: RefreshBody) -> Response:
    """Get new tokens for a session that goes on. A refresh token works once: a second use ends the session.

    So a client that did not get the answer signs in again.
    """
    served, people = services(request), people_of(request)
    presented = await in_thread(people.sessions.find, body.refresh_token)
    if presented is None:
        raise Problem("unauthenticated", "This is no refresh token of this service.")
    states = await in_thread(people.states.load, (presented.person, presented.session))
    person, session = states[presented.person], states[presented.session]
    known = isinstance(person, Person) and isinstance(session, SessionState)
    if not known or session.ended is not None or not person.goes_on(session.id, session.opened_on):
        await in_thread(people.sessions.end, presented.session, "revoked")
        raise _over(presented.session)
    refreshed = await in_thread(people.sessions.refresh, body.refresh_token)
    if isinstance(refreshed, Refused):
        why = _found(presented, refreshed)
        if why is not None:
            await by_system(served, EndSession(presented.session, why), f"{presented.session}:refresh")
        raise _over(presented.session)
    access = people.tokens.issue(presented.person, presented.session, people.states.epoch)
    return json_response(_tokens(access, refreshed))


def _found(presented: Presented, refused: Refused) -> Why | None:
    """What ends a session that goes on as far as the log knows, or None.

    A process may have ended its row, and stopped before the event. Then the next use of a token makes up for it, so
    that access tokens end too.
    """
    why = presented.ended_why if refused.reason == "ended" else refused.reason
    return next((known for known in BY_SYSTEM if known == why), None)


def _over(session: str) -> Problem:
    return Problem("session_ended", f"The session {session} has ended; sign in again.", session=session)


@command(router, "/sessions/{session}/end", makes=EndSession, answer=SessionEnds, status=200)
def end_session(caller: Caller, session: PathId, body: Nothing) -> Intent:
    """Sign out: end a session of one's own. An administrator may end anybody's."""
    _, people = served_by(caller)

    async def then(answer: Answer) -> Mapping[str, Any]:
        own = caller.principal.person == answer.result["person"]
        await in_thread(people.sessions.end, session, "signed out" if own else "revoked")
        return {}

    return Intent(EndSession(session), session, then=then)


@command(router, "/people/{person}/sessions/end", makes=EndSessions, answer=SessionsEnd, status=200)
def end_sessions(caller: Caller, person: PathId, body: EndSessionsBody) -> Intent:
    """End all sessions of a person, or all but the one of this request."""
    but = caller.known.session if body.but_this and caller.known is not None else None
    return Intent(EndSessions(person, but), person, then=ends_rows(caller, person, but))


def ends_rows(caller: Caller, person: str, but: str | None) -> Any:
    """After the event that ended the sessions of a person, end their rows."""
    _, people = served_by(caller)

    async def then(answer: Answer) -> Mapping[str, Any]:
        await in_thread(people.sessions.end_all, person, answer.result["versions"][person], but=but)
        return {}

    return then


@query(router, "/people/{person}/sessions", may=SELF | ADMINISTRATORS, response=SessionList, personal=True)
async def list_sessions(request: Request, person: PathId) -> Response:
    """List the newest sessions of a person, those that have ended too."""
    people = people_of(request)
    state = await in_thread(read_person, people, request, person)
    rows = await in_thread(people.sessions.of, person, MOST_SESSIONS)
    known: Known | None = request.scope["state"].get("known")
    this = None if known is None else known.session
    now = services(request).clock()
    return json_response({"items": [_view(row, state, this, now) for row in rows]})


def _view(row: Session, person: Person, this: str | None, now: datetime) -> SessionView:
    goes_on = row.ended_at is None and now < row.ends_at and person.goes_on(row.session, row.version)
    return {
        "session": row.session,
        "opened_at": row.opened_at,
        "refreshed_at": row.refreshed_at,
        "ends_at": row.ends_at,
        "goes_on": goes_on,
        "ended_at": row.ended_at,
        "ended_why": row.ended_why,
        "this": row.session == this,
    }


def read_person(people: People, request: Request, person: str) -> Person:
    """A person as of now, for themselves or an administrator. Raises `Problem`: for anybody else there is none."""
    principal: Principal = request.scope["state"]["principal"]
    own = principal.person == person or may(principal, ADMINISTRATORS, services(request).clock())
    state = people.states.load([person])[person] if own else None
    if not isinstance(state, Person):
        raise Problem("unknown", f"There is no person {person}.", kind="person", id=person)
    return state
