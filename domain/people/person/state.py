"""The state of a person and the fold of their events. It has no text about them, so it may be cached and kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from domain.kernel import Grant, Refused, Value
from domain.people.person.events import (
    MailPurpose,
    PersonApiKeyEnded,
    PersonApiKeyMade,
    PersonApiKeyReplaced,
    PersonConsentGiven,
    PersonConsentWithdrawn,
    PersonDeleted,
    PersonEmailVerified,
    PersonEvent,
    PersonLockedOut,
    PersonMailAsked,
    PersonPasswordSet,
    PersonProfileChanged,
    PersonReactivated,
    PersonRecoveryCodesMade,
    PersonRegistered,
    PersonRestored,
    PersonRole,
    PersonRoleGranted,
    PersonRoleRevoked,
    PersonSecondFactorRemoved,
    PersonSecondFactorSet,
    PersonSessionsEnded,
    PersonSettingsChanged,
    PersonSuspended,
)

PERSON = "prsn"
"""Prefix of the ids of persons."""
MOST_CONSENTS = 50
MOST_MAILS = 5
"""Most mails of a purpose in an hour that a person is sent because somebody asked: so many times are kept."""

Status = Literal["pending", "active", "suspended", "deleted"]
"""Only an active person can sign in. A pending one has not verified the e-mail address."""

RULES: dict[str, str] = {
    "person_status": "Person {person} is {status}; only a person who is {required} can be {verb}.",
}


class Consent(Value, frozen=True):
    """What a person agreed to, and in which version."""

    purpose: str
    text_version: str


class ApiKey(Value, frozen=True):
    """An API key that was not ended."""

    id: str
    version: int  # of the event that made it
    until: datetime | None


class MailsAsked(Value, frozen=True):
    """When mails of a purpose were asked for, the newest last."""

    purpose: MailPurpose
    at: tuple[datetime, ...]


class Person(Value, frozen=True):
    """A person at a version of their stream."""

    version: int
    id: str
    status: Status
    username_hash: str
    email_hash: str
    email_verified: bool = False
    before_deletion: Status | None = None  # what a restore gives back; None unless deleted
    grants: tuple[Grant, ...] = ()  # by role, in the order in which they were granted
    consents: tuple[Consent, ...] = ()
    time_zone: str = "UTC"
    language: str = "en"
    password: int = 1  # the version of the event that set it
    sessions_since: int = 0  # sessions that were opened on an earlier version have ended
    sessions_but: str | None = None  # except this one
    second_factor: int = 0  # the version of the event that set it; 0: there is none
    recovery_codes: int = 0  # the version of the event that gave the newest ones; 0: there are none
    keys: tuple[ApiKey, ...] = ()
    mails: tuple[MailsAsked, ...] = ()

    def refuse_unless(self, verb: str, *required: Status) -> Refused | None:
        """Return the refusal of a change that needs another status, or None."""
        if self.status in required:
            return None
        figures = {"person": self.id, "status": self.status, "required": " or ".join(required), "verb": verb}
        return Refused("person_status", dict(figures))

    def mails_asked(self, purpose: MailPurpose) -> tuple[datetime, ...]:
        """Return when mails of this purpose were asked for: the last `MOST_MAILS`, the newest last."""
        return next((asked.at for asked in self.mails if asked.purpose == purpose), ())

    def grant(self, role: PersonRole) -> Grant | None:
        """Return the grant of a role, also one that has ended, or None."""
        return next((grant for grant in self.grants if grant.role == role), None)

    def key(self, id: str, at: datetime) -> ApiKey | None:
        """Return an API key that works at this time, or None."""
        return next((key for key in self.keys if key.id == id and (key.until is None or at < key.until)), None)

    def goes_on(self, session: str, opened_on: int) -> bool:
        """Return whether a session that was opened on this version goes on, as far as the person is concerned."""
        return self.status == "active" and (opened_on >= self.sessions_since or session == self.sessions_but)

    def has(self, role: PersonRole, at: datetime) -> bool:
        """Return whether the person has a role at this time."""
        grant = self.grant(role)
        return grant is not None and (grant.until is None or at < grant.until)


def evolve(state: Person | None, event: PersonEvent) -> Person:
    """Return the person after the event. Raises ValueError if the stream does not begin with `PersonRegistered`."""
    version = event.originator_version
    if isinstance(event, PersonRegistered):
        return Person(version, event.originator_id, "pending", event.username_hash, event.email_hash)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with PersonRegistered")
    match event:
        case PersonEmailVerified():
            status = "active" if state.status == "pending" else state.status
            return replace(state, version=version, status=status, email_verified=True)
        case PersonSuspended():
            return replace(state, version=version, status="suspended", sessions_since=version, sessions_but=None)
        case PersonReactivated():
            return replace(state, version=version, status=_status(state))
        case PersonDeleted():
            return replace(
                state,
                version=version,
                status="deleted",
                before_deletion=state.status,
                sessions_since=version,
                sessions_but=None,
            )
        case PersonRestored():
            if state.before_deletion is None:
                raise ValueError(f"{state.id} is {state.status}; only a deleted person can have been restored")
            return replace(state, version=version, status=state.before_deletion, before_deletion=None)
        case PersonSettingsChanged():
            return replace(state, version=version, time_zone=event.time_zone, language=event.language)
        case PersonConsentGiven():
            others = _without(state.consents, event.purpose)
            return replace(state, version=version, consents=(*others, Consent(event.purpose, event.text_version)))
        case PersonConsentWithdrawn():
            return replace(state, version=version, consents=_without(state.consents, event.purpose))
        case PersonRoleGranted():
            grants = tuple(grant for grant in state.grants if grant.role != event.role)
            return replace(state, version=version, grants=(*grants, Grant(event.role, event.until)))
        case PersonRoleRevoked():
            return replace(
                state, version=version, grants=tuple(grant for grant in state.grants if grant.role != event.role)
            )
        case PersonPasswordSet():
            return replace(state, version=version, password=version)
        case PersonSessionsEnded():
            return replace(state, version=version, sessions_since=version, sessions_but=event.but)
        case PersonSecondFactorSet():
            return replace(state, version=version, second_factor=version, recovery_codes=version)
        case PersonSecondFactorRemoved():
            return replace(state, version=version, second_factor=0, recovery_codes=0)
        case PersonApiKeyMade():
            return replace(state, version=version, keys=(*state.keys, ApiKey(event.key, version, event.until)))
        case PersonApiKeyReplaced():
            old = next((key for key in state.keys if key.id == event.key), None)
            if old is None:
                raise ValueError(f"{state.id} has no API key {event.key}, which {event.by} replaces")
            keys = (*_other_keys(state, event.key), replace(old, until=event.overlap_until))
            return replace(state, version=version, keys=(*keys, ApiKey(event.by, version, event.until)))
        case PersonApiKeyEnded():
            return replace(state, version=version, keys=_other_keys(state, event.key))
        case PersonMailAsked():
            others_asked = tuple(asked for asked in state.mails if asked.purpose != event.purpose)
            times = (*state.mails_asked(event.purpose), event.at)[-MOST_MAILS:]
            return replace(state, version=version, mails=(*others_asked, MailsAsked(event.purpose, times)))
        case PersonRecoveryCodesMade():
            return replace(state, version=version, recovery_codes=version)
        case PersonProfileChanged() | PersonLockedOut():
            return replace(state, version=version)


def _status(person: Person) -> Status:
    """The status of a person who is no longer suspended."""
    return "active" if person.email_verified else "pending"


def _other_keys(person: Person, id: str) -> tuple[ApiKey, ...]:
    return tuple(key for key in person.keys if key.id != id)


def _without(consents: tuple[Consent, ...], purpose: str) -> tuple[Consent, ...]:
    return tuple(consent for consent in consents if consent.purpose != purpose)
