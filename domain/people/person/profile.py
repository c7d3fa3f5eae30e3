"""What a person says about themselves: profile, settings and consent. Nobody else changes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import TypeVar

from domain.codes import refuse_other_than_code
from domain.kernel import Accepted, Context, Decision, Event, Refused, States, Value
from domain.people.names import refuse_name
from domain.people.person.access import about_person, forbid_other_than_self
from domain.people.person.events import (
    PersonConsentGiven,
    PersonConsentWithdrawn,
    PersonProfileChanged,
    PersonSettingsChanged,
)
from domain.people.person.state import MOST_CONSENTS, Consent, Person

MOST_BIOGRAPHY, MOST_LOCATION, MOST_WEBSITE = 1_000, 100, 255
OLDEST = 130
"""Years. Nobody has lived longer."""
_TIME_ZONE = re.compile(r"UTC|[A-Z][A-Za-z_-]{1,30}(/[A-Z][A-Za-z0-9_+-]{1,30}){1,2}", re.ASCII)
_WEBSITE = re.compile(r"https?://[^\s/?#@\\:]+(:[0-9]{1,5})?([/?#]\S*)?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2}|-[0-9]{3})?", re.ASCII)

RULES: dict[str, str] = {
    "profile_text": "The {field} has {characters} characters; it has 1 to {most}.",
    "website_malformed": "The website is no address that begins with https:// or http:// and has a host.",
    "birth_date": "The date of birth is not in the {years} years up to {today}.",
    "time_zone_malformed": "{time_zone!r} is no name of a time zone (IANA), such as Europe/Prague.",
    "language_malformed": "{language!r} is no language tag (BCP 47), such as en or pt-BR.",
    "consent_unchanged": "{person} has agreed to version {text_version} of {purpose} already.",
    "consent_missing": "{person} has not agreed to {purpose}.",
    "consent_count": "{person} has agreed to {most} purposes, which is the most.",
}


class _OnSelf(Value, frozen=True):
    person: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person,)


class ChangeProfile(_OnSelf, frozen=True):
    """Replace the profile. What is None is not stated."""

    name: str
    biography: str | None = None
    location: str | None = None
    website: str | None = None
    birth_date: date | None = None


class ChangeSettings(_OnSelf, frozen=True):
    """Replace the settings."""

    time_zone: str
    language: str


class GiveConsent(_OnSelf, frozen=True):
    """Agree to a version of a text, for a purpose."""

    purpose: str
    text_version: str


class WithdrawConsent(_OnSelf, frozen=True):
    """No longer agree."""

    purpose: str


S = TypeVar("S", bound=_OnSelf)


def _by_self(decide: Callable[[S, Person, Context], Decision]) -> Callable[[S, States, Context], Decision]:
    """Let only the person themselves do it, while they may sign in."""

    @about_person
    def active(command: S, person: Person, context: Context) -> Decision:
        return person.refuse_unless("changed", "active") or decide(command, person, context)

    def decided(command: S, states: States, context: Context) -> Decision:
        return forbid_other_than_self(command.person, context) or active(command, states, context)

    return decided


@_by_self
def change_profile(command: ChangeProfile, person: Person, context: Context) -> Decision:
    refusal = refuse_name(command.name) or _refuse_texts(command) or _refuse_birth_date(command.birth_date, context)
    if refusal is not None:
        return refusal
    event = PersonProfileChanged(
        originator_id=person.id,
        originator_version=person.version + 1,
        person=person.id,
        name=command.name,
        biography=command.biography,
        location=command.location,
        website=command.website,
        birth_date=None if command.birth_date is None else command.birth_date.isoformat(),
    )
    return _accepted(person, event)


@_by_self
def change_settings(command: ChangeSettings, person: Person, context: Context) -> Decision:
    if _TIME_ZONE.fullmatch(command.time_zone) is None:
        return Refused("time_zone_malformed", {"time_zone": command.time_zone[:60]})
    if _LANGUAGE.fullmatch(command.language) is None:
        return Refused("language_malformed", {"language": command.language[:60]})
    return _accepted(person, PersonSettingsChanged(person.id, person.version + 1, command.time_zone, command.language))


@_by_self
def give_consent(command: GiveConsent, person: Person, context: Context) -> Decision:
    refusal = refuse_other_than_code("purpose", command.purpose) or refuse_other_than_code(
        "version of the text", command.text_version
    )
    if refusal is not None:
        return refusal
    if Consent(command.purpose, command.text_version) in person.consents:
        figures = {"person": person.id, "purpose": command.purpose, "text_version": command.text_version}
        return Refused("consent_unchanged", dict(figures))
    known = any(consent.purpose == command.purpose for consent in person.consents)
    if not known and len(person.consents) >= MOST_CONSENTS:
        return Refused("consent_count", {"person": person.id, "most": MOST_CONSENTS})
    return _accepted(person, PersonConsentGiven(person.id, person.version + 1, command.purpose, command.text_version))


@_by_self
def withdraw_consent(command: WithdrawConsent, person: Person, context: Context) -> Decision:
    if all(consent.purpose != command.purpose for consent in person.consents):
        return Refused("consent_missing", {"person": person.id, "purpose": command.purpose[:100]})
    return _accepted(person, PersonConsentWithdrawn(person.id, person.version + 1, command.purpose))


def _refuse_texts(command: ChangeProfile) -> Refused | None:
    for field, text, most in (
        ("biography", command.biography, MOST_BIOGRAPHY),
        ("location", command.location, MOST_LOCATION),
        ("website", command.website, MOST_WEBSITE),
    ):
        if text is not None and not 1 <= len(text) <= most:
            return Refused("profile_text", {"field": field, "characters": len(text), "most": most})
    website = command.website
    if website is not None and not (website.isprintable() and _WEBSITE.fullmatch(website)):
        return Refused("website_malformed", {})
    return None


def _refuse_birth_date(birth_date: date | None, context: Context) -> Refused | None:
    if birth_date is None or (birth_date <= context.today and context.today.year - birth_date.year <= OLDEST):
        return None
    return Refused("birth_date", {"years": OLDEST, "today": context.today.isoformat()})


def _accepted(person: Person, event: Event) -> Accepted:
    return Accepted((event,), {"person": person.id})
