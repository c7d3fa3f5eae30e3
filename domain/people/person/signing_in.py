"""What a person does about signing in: sessions, the second factor, recovery codes, API keys. And lockouts.

Secrets, codes and names of keys are rows beside the log (`eventstore.credentials`). Whether a code is right is decided
there; these commands come after that, and the rows name the versions of their events.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from domain.kernel import Accepted, Context, Decision, Event, Figure, Forbidden, Refused, States, Value
from domain.people.person.access import (
    about_person,
    forbid_other_than_self,
    forbid_other_than_self_or_administrator,
)
from domain.people.person.events import (
    PersonApiKeyEnded,
    PersonApiKeyMade,
    PersonApiKeyReplaced,
    PersonLockedOut,
    PersonRecoveryCodesMade,
    PersonSecondFactorRemoved,
    PersonSecondFactorSet,
    PersonSessionsEnded,
)
from domain.people.person.state import Person

API_KEY = "akey"
"""Prefix of the ids of API keys."""
MOST_API_KEYS = 20
MOST_AREAS = 20
MOST_KEY_ACCOUNTS = 100
LONGEST_OVERLAP = timedelta(days=30)
LONGEST_KEY = timedelta(days=366)
"""How long an API key may work, if it has an end."""

RULES: dict[str, str] = {
    "second_factor_missing": "{person} has no second factor; set one up first.",
    "api_key_exists": "There is an API key {key} already.",
    "api_key_count": "{person} has {most} API keys, which is the most; end one first.",
    "api_key_missing": "{person} has no API key {key} that works.",
    "api_key_until": "The API key would end at {until}; it ends after {now}, and within {days} days.",
    "api_key_overlap": "The old API key would work until {until}; that is after {now}, and within {days} days.",
}


class _OfPerson(Value, frozen=True):
    person: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person,)


class EndSessions(_OfPerson, frozen=True):
    """End all sessions of a person, but one."""

    but: str | None = None


class SetSecondFactor(_OfPerson, frozen=True):
    """Record that the person confirmed a second factor with a code."""


class RemoveSecondFactor(_OfPerson, frozen=True):
    """Remove the second factor: the person with a code, or an administrator for a person who lost theirs."""


class MakeRecoveryCodes(_OfPerson, frozen=True):
    """Give the person new recovery codes."""


class MakeApiKey(_OfPerson, frozen=True):
    """Make an API key. What is None has no bound."""

    key: str
    areas: tuple[str, ...]
    access: Literal["read", "command"]
    accounts: tuple[str, ...] | None = None
    until: datetime | None = None


class ReplaceApiKey(_OfPerson, frozen=True):
    """Replace an API key by another one with the same scope. The old one works until the overlap has ended."""

    key: str
    by: str
    overlap_until: datetime
    until: datetime | None = None


class EndApiKey(_OfPerson, frozen=True):
    """End an API key."""

    key: str


class RecordLockout(_OfPerson, frozen=True):
    """Record that so many sign-ins failed. Only the sign-in itself sends this."""

    failures: int


C = TypeVar("C", bound=_OfPerson)


def _of_active(
    forbid: Callable[[str, Context], Forbidden | None], verb: str
) -> Callable[[Callable[[C, Person, Context], Decision]], Callable[[C, States, Context], Decision]]:
    """Let only these do it, while the person may sign in."""

    def decorate(decide: Callable[[C, Person, Context], Decision]) -> Callable[[C, States, Context], Decision]:
        @about_person
        def active(command: C, person: Person, context: Context) -> Decision:
            return person.refuse_unless(verb, "active") or decide(command, person, context)

        def decided(command: C, states: States, context: Context) -> Decision:
            return forbid(command.person, context) or active(command, states, context)

        return decided

    return decorate


@_of_active(forbid_other_than_self_or_administrator, "signed out")
def end_sessions(command: EndSessions, person: Person, context: Context) -> Decision:
    return _accepted(person, PersonSessionsEnded(person.id, person.version + 1, command.but))


@_of_active(forbid_other_than_self, "changed")
def set_second_factor(command: SetSecondFactor, person: Person, context: Context) -> Decision:
    event = PersonSecondFactorSet(person.id, person.version + 1)
    return _accepted(person, event, set_by=event.originator_version)


@_of_active(forbid_other_than_self_or_administrator, "changed")
def remove_second_factor(command: RemoveSecondFactor, person: Person, context: Context) -> Decision:
    event = PersonSecondFactorRemoved(person.id, person.version + 1)
    return _refuse_without_second_factor(person) or _accepted(person, event, set_by=event.originator_version)


@_of_active(forbid_other_than_self, "changed")
def make_recovery_codes(command: MakeRecoveryCodes, person: Person, context: Context) -> Decision:
    event = PersonRecoveryCodesMade(person.id, person.version + 1)
    return _refuse_without_second_factor(person) or _accepted(person, event, set_by=event.originator_version)


@_of_active(forbid_other_than_self, "given an API key")
def make_api_key(command: MakeApiKey, person: Person, context: Context) -> Decision:
    refusal = _refuse_new_key(person, command.key, command.until, context)
    if refusal is not None:
        return refusal
    event = PersonApiKeyMade(
        originator_id=person.id,
        originator_version=person.version + 1,
        key=command.key,
        areas=tuple(sorted(set(command.areas))),
        access=command.access,
        accounts=None if command.accounts is None else tuple(sorted(set(command.accounts))),
        until=command.until,
    )
    return _accepted(person, event, key=event.key, set_by=event.originator_version)


@_of_active(forbid_other_than_self, "given an API key")
def replace_api_key(command: ReplaceApiKey, person: Person, context: Context) -> Decision:
    old = person.key(command.key, context.decided_at)
    if old is None:
        return _no_such_key(person, command.key)
    refusal = _refuse_new_key(person, command.by, command.until, context)
    if refusal is not None:
        return refusal
    now, until = context.decided_at, command.overlap_until
    if not now <= until <= now + LONGEST_OVERLAP:
        return Refused("api_key_overlap", _span(until, now, LONGEST_OVERLAP))
    ends = until if old.until is None else min(until, old.until)
    event = PersonApiKeyReplaced(person.id, person.version + 1, old.id, command.by, ends, command.until)
    return _accepted(person, event, key=event.by, replaced=old.id, set_by=event.originator_version)


@_of_active(forbid_other_than_self_or_administrator, "changed")
def end_api_key(command: EndApiKey, person: Person, context: Context) -> Decision:
    if all(key.id != command.key for key in person.keys):
        return _no_such_key(person, command.key)
    return _accepted(person, PersonApiKeyEnded(person.id, person.version + 1, command.key), key=command.key)


def record_lockout(command: RecordLockout, states: States, context: Context) -> Decision:
    if context.principal.how != "system":
        return Forbidden("A lockout is recorded by the sign-in itself.")
    return _record_lockout(command, states, context)


@about_person
def _record_lockout(command: RecordLockout, person: Person, context: Context) -> Decision:
    return _accepted(person, PersonLockedOut(person.id, person.version + 1, command.failures))


def _refuse_without_second_factor(person: Person) -> Refused | None:
    return None if person.second_factor else Refused("second_factor_missing", {"person": person.id})


def _refuse_new_key(person: Person, key: str, until: datetime | None, context: Context) -> Refused | None:
    if any(known.id == key for known in person.keys):
        return Refused("api_key_exists", {"key": key})
    if len(person.keys) >= MOST_API_KEYS:
        return Refused("api_key_count", {"person": person.id, "most": MOST_API_KEYS})
    now = context.decided_at
    if until is not None and not now < until <= now + LONGEST_KEY:
        return Refused("api_key_until", _span(until, now, LONGEST_KEY))
    return None


def _span(until: datetime, now: datetime, longest: timedelta) -> dict[str, Figure]:
    return {"until": until.isoformat(), "now": now.isoformat(), "days": longest.days}


def _no_such_key(person: Person, key: str) -> Refused:
    return Refused("api_key_missing", {"person": person.id, "key": key[:100]})


def _accepted(person: Person, event: Event, **more: Figure) -> Accepted:
    return Accepted((event,), {"person": person.id, **more})
