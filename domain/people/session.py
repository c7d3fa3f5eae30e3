"""Sessions: a person who has signed in, on one device, until they sign out or the session is ended.

A session has a stream of its own, so that people who sign in often do not lengthen their own streams. Refresh tokens
are rows beside the log. A refresh leaves no event, but a refresh token that was used twice does. One event on the
person's stream ends all sessions of the person at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from msgspec.structs import replace

from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import Accepted, Context, Decision, Event, Refused, States, Unknown, Value, found
from domain.people.person.state import Person
from domain.permissions import ADMINISTRATORS, OPERATORS, SELF, VISITORS, may

SESSION = "sess"
"""Prefix of the ids of sessions."""

Why = Literal["signed_out", "revoked", "reused", "expired"]
"""Signed out by the person, revoked, a refresh token was used twice, or not used in time."""
BY_SYSTEM: frozenset[Why] = frozenset({"reused", "expired"})
"""Found by the refresh itself."""


class SessionOpened(Event, frozen=True):
    """A person signed in. It is the first event of its stream."""

    person: str
    opened_on: int  # the version of the person's stream that the sign-in was decided on
    second_factor: bool  # whether a second factor was used


class SessionEnded(Event, frozen=True):
    """The session has ended for good."""

    person: str
    why: Why


SessionEvent: TypeAlias = SessionOpened | SessionEnded


class Session(Value, frozen=True):
    """A session at a version of its stream."""

    version: int
    id: str
    person: str
    opened_on: int
    second_factor: bool
    ended: Why | None = None


RULES: dict[str, str] = {
    "session_exists": "There is a session {session} already.",
    "session_over": "The session {session} has ended already.",
    "password_changed": "The password of {person} was changed meanwhile; sign in with the new one.",
    "second_factor_needed": "{person} has a second factor; sign in with a code too.",
}


def evolve(state: Session | None, event: SessionEvent) -> Session:
    """Return the session after the event. Raises ValueError if the stream does not begin with `SessionOpened`."""
    if isinstance(event, SessionOpened):
        return Session(
            event.originator_version, event.originator_id, event.person, event.opened_on, event.second_factor
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with SessionOpened")
    return replace(state, version=event.originator_version, ended=event.why)


class OpenSession(Value, frozen=True):
    """Open a session for a person whose password was right, and whose code was, if `second_factor`.

    `password` is the version of the event that set the password that was compared.
    """

    session: str
    person: str
    password: int
    second_factor: bool

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.session, self.person)


class EndSession(Value, frozen=True):
    """End a session: the person themselves, an administrator, or the refresh that found a token used twice."""

    session: str
    why: Why = "signed_out"

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.session,)


def open_session(command: OpenSession, states: States, context: Context) -> Decision:
    """Decide a sign-in on the person as they are now: a password that was changed meanwhile opens nothing."""
    if states[command.session] is not None:
        return Refused("session_exists", {"session": command.session})
    person = found(states, command.person, Person)
    if person is None:
        return Unknown("person", command.person)
    refusal = person.refuse_unless("signed in", "active")
    if refusal is not None:
        return refusal
    if person.password != command.password:
        return Refused("password_changed", {"person": person.id})
    if person.second_factor and not command.second_factor:
        return Refused("second_factor_needed", {"person": person.id})
    event = SessionOpened(command.session, 1, person.id, person.version, command.second_factor)
    return Accepted((event,), {"session": command.session, "person": person.id, "opened_on": person.version})


def end_session(command: EndSession, states: States, context: Context) -> Decision:
    """Decide an end. A session of somebody else does not exist for a person who is no administrator."""
    session, principal = found(states, command.session, Session), context.principal
    system = principal.how == "system"
    anybody = system or may(principal, ADMINISTRATORS, context.decided_at)
    if session is None or not (anybody or principal.person == session.person):
        return Unknown("session", command.session)
    if session.ended is not None:
        return Refused("session_over", {"session": session.id})
    why: Why = command.why
    if not system:
        why = "signed_out" if principal.person == session.person else "revoked"
    event = SessionEnded(session.id, session.version + 1, session.person, why)
    return Accepted((event,), {"session": session.id, "person": session.person})


def check(before: Session | None, events: Sequence[SessionEvent], decided: Decided) -> Iterator[Broken]:
    """Find a session that is opened twice, ended twice, or ended for another person."""
    session = before
    for event in events:
        if isinstance(event, SessionOpened):
            if session is not None:
                yield Broken(event, f"{session.id} is opened again")
        elif session is not None and session.ended is not None:
            yield Broken(event, f"{session.id} is ended again")
        elif session is not None and session.person != event.person:
            yield Broken(event, f"{session.id} is of {session.person}, and ends for {event.person}")
        session = evolve(session, event)


AGGREGATE = Aggregate(
    name="session",
    prefix=f"{SESSION}_",
    events=(EventType("session.opened.v1", SessionOpened), EventType("session.ended.v1", SessionEnded)),
    evolve=evolve,
    decisions={OpenSession: open_session, EndSession: end_session},
    rules=RULES,
    may={OpenSession: VISITORS, EndSession: SELF | ADMINISTRATORS | OPERATORS},
    check=check,
    written_once=True,
)
