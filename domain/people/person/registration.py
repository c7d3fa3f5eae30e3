"""Registration of persons, the verification of their e-mail address, and that a password was set.

A visitor registers: somebody whom nobody knows yet. Whether a token that was mailed is right, and whether an old
password is, is decided where credentials are kept; these commands come after that.
"""

from __future__ import annotations

from typing import Literal, cast

from domain.claims import Claim, take
from domain.kernel import Accepted, Context, Decision, Personal, Refused, States, Value
from domain.people.names import email_claim, refuse_email, refuse_name, refuse_username, username_claim
from domain.people.person.access import about_person, forbid_other_than_self
from domain.people.person.events import (
    PersonEmailVerified,
    PersonPasswordSet,
    PersonRegistered,
    PersonSessionsEnded,
)
from domain.people.person.state import Person

RULES: dict[str, str] = {
    "person_exists": "Person {person} exists already.",
    "username_taken": "This username is in use.",
    "email_taken": "This e-mail address is in use.",
    "email_verified_already": "The e-mail address of {person} is verified already.",
    "email_changed": "The e-mail address of {person} is another one now; ask for a new mail.",
}


class RegisterPerson(Value, frozen=True):
    """Register a person. The hashes are keyed, and made of the forms of the username and the address."""

    person: str
    username: str
    email: str
    name: str
    username_hash: str
    email_hash: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person, username_claim(self.username_hash), email_claim(self.email_hash))


class VerifyEmail(Value, frozen=True):
    """Record that a token, which was mailed to the address of this hash, came back."""

    person: str
    email_hash: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person,)


class ChangePassword(Value, frozen=True):
    """Record that the person, who stated the old password, sets a new one. All sessions end but the one named."""

    person: str
    but: str | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person,)


class ResetPassword(Value, frozen=True):
    """Record that a visitor with a token that was mailed to the person sets a new password. All sessions end."""

    person: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person,)


def register(command: RegisterPerson, states: States, context: Context) -> Decision:
    """Decide a registration. Both names are claimed in the unit, so of two at once only one is registered."""
    if states[command.person] is not None:
        return Refused("person_exists", {"person": command.person})
    refusal = refuse_username(command.username) or refuse_email(command.email) or refuse_name(command.name)
    if refusal is not None:
        return refusal
    username, email = username_claim(command.username_hash), email_claim(command.email_hash)
    username_taken = take(cast(Claim | None, states[username]), username, command.person)
    if username_taken is None:
        return Refused("username_taken", {})
    email_taken = take(cast(Claim | None, states[email]), email, command.person)
    if email_taken is None:
        return Refused("email_taken", {})
    registered = PersonRegistered(
        originator_id=command.person,
        originator_version=1,
        person=command.person,
        username=command.username,
        email=command.email,
        name=cast(Personal, command.name),
        username_hash=command.username_hash,
        email_hash=command.email_hash,
    )
    return Accepted((registered, username_taken, email_taken), {"person": command.person, "status": "pending"})


@about_person
def verify_email(command: VerifyEmail, person: Person, context: Context) -> Decision:
    """Decide a verification. A suspended person stays suspended."""
    refusal = person.refuse_unless("verified", "pending", "active", "suspended")
    if refusal is not None:
        return refusal
    if person.email_verified:
        return Refused("email_verified_already", {"person": person.id})
    if person.email_hash != command.email_hash:
        return Refused("email_changed", {"person": person.id})
    event = PersonEmailVerified(person.id, person.version + 1, command.email_hash)
    status = "active" if person.status == "pending" else person.status
    return Accepted((event,), {"person": person.id, "status": status})


def change_password(command: ChangePassword, states: States, context: Context) -> Decision:
    return forbid_other_than_self(command.person, context) or _set_password(command, states, context)


def reset_password(command: ResetPassword, states: States, context: Context) -> Decision:
    return _set_password(command, states, context)


@about_person
def _set_password(command: ChangePassword | ResetPassword, person: Person, context: Context) -> Decision:
    refusal = person.refuse_unless("given a new password", "pending", "active")
    if refusal is not None:
        return refusal
    how: Literal["changed", "reset"] = "changed" if isinstance(command, ChangePassword) else "reset"
    event = PersonPasswordSet(person.id, person.version + 1, how)
    but = command.but if isinstance(command, ChangePassword) else None
    ended = PersonSessionsEnded(person.id, person.version + 2, but)
    return Accepted((event, ended), {"person": person.id, "set_by": event.originator_version})
