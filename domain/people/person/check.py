"""What stored events of persons are held to (`daybook verify`). The texts are sealed, so they are not looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from domain.aggregate import Broken, Decided, refused
from domain.claims import ClaimReleased, ClaimTaken
from domain.kernel import Event, Refused
from domain.people.names import email_claim, username_claim
from domain.people.person.events import (
    PersonApiKeyEnded,
    PersonApiKeyMade,
    PersonApiKeyReplaced,
    PersonConsentGiven,
    PersonConsentWithdrawn,
    PersonDeleted,
    PersonEmailVerified,
    PersonEvent,
    PersonMailAsked,
    PersonPasswordSet,
    PersonProfileChanged,
    PersonReactivated,
    PersonRecoveryCodesMade,
    PersonRegistered,
    PersonRestored,
    PersonRoleGranted,
    PersonRoleRevoked,
    PersonSecondFactorRemoved,
    PersonSecondFactorSet,
    PersonSessionsEnded,
    PersonSettingsChanged,
    PersonSuspended,
)
from domain.people.person.mail import RULES as MAIL_RULES
from domain.people.person.mail import refuse_often, refuse_purpose
from domain.people.person.registration import RULES as REGISTRATION_RULES
from domain.people.person.state import RULES, Person, Status, evolve
from domain.people.person.status import RULES as STATUS_RULES
from domain.people.person.status import refuse_administrator
from domain.people.privacy_record import PersonErased, privacy_stream


def check(before: Person | None, events: Sequence[PersonEvent], decided: Decided) -> Iterator[Broken]:
    """Find a change that the status does not allow, a text about another person, a name without its claim."""
    person = before
    for event in events:
        named = getattr(event, "person", event.originator_id)
        if named != event.originator_id:
            yield Broken(event, f"{event.originator_id} has an event about {named}")
        if isinstance(event, PersonRegistered):
            if person is not None:
                yield Broken(event, f"{person.id} is registered again")
            for claim in (username_claim(event.username_hash), email_claim(event.email_hash)):
                taken = ClaimTaken(claim, 0, event.originator_id)
                yield Broken(event, f"{event.originator_id} is registered, and {claim} is not claimed", unless=taken)
        elif person is not None:
            yield from _changed(person, event, decided)
        person = evolve(person, event)


def _changed(person: Person, event: PersonEvent, decided: Decided) -> Iterator[Broken]:
    refusal: Refused | None = None
    match event:
        case PersonEmailVerified():
            refusal = person.refuse_unless("verified", "pending", "active", "suspended")
            if person.email_verified or event.email_hash != person.email_hash:
                yield Broken(event, f"{person.id} verified an address that is verified already, or is another one")
        case PersonPasswordSet():
            refusal = person.refuse_unless("given a new password", "pending", "active")
        case PersonSuspended():
            refusal = person.refuse_unless("suspended", "pending", "active") or refuse_administrator(
                person, "suspended"
            )
        case PersonReactivated():
            refusal = person.refuse_unless("reactivated", "suspended")
        case PersonDeleted():
            refusal = person.refuse_unless("deleted", "pending", "active", "suspended")
            refusal = refusal or refuse_administrator(person, "deleted")
        case PersonRestored():
            refusal = person.refuse_unless("restored", "deleted")
        case PersonProfileChanged() | PersonSettingsChanged() | PersonConsentGiven():
            refusal = person.refuse_unless("changed", "active")
        case PersonConsentWithdrawn():
            if all(consent.purpose != event.purpose for consent in person.consents):
                yield Broken(event, f"{person.id} has not agreed to {event.purpose}")
        case PersonRoleGranted():
            refusal = person.refuse_unless("given a role", "pending", "active")
            if event.until is not None and event.until <= decided.decided_at:
                yield Broken(event, f"{person.id} gets a role that ended before")
        case (
            PersonSessionsEnded()
            | PersonSecondFactorSet()
            | PersonSecondFactorRemoved()
            | PersonRecoveryCodesMade()
            | PersonApiKeyMade()
            | PersonApiKeyReplaced()
            | PersonApiKeyEnded()
        ):
            yield from _about_signing_in(person, event)
        case PersonRoleRevoked():
            if person.grant(event.role) is None:
                yield Broken(event, f"{person.id} does not have the role {event.role}")
        case PersonMailAsked():
            refusal = refuse_purpose(person, event.purpose) or refuse_often(person, event.purpose, event.at)
            if event.at != decided.decided_at:
                yield Broken(event, f"{person.id} asked for a mail at another time than that of the decision")
    if refusal is not None:
        yield refused(event, refusal, {**RULES, **STATUS_RULES, **REGISTRATION_RULES, **MAIL_RULES})


def _about_signing_in(person: Person, event: PersonEvent) -> Iterator[Broken]:
    """Find what only a person who may sign in does, a second factor or an API key that is not there, a key twice."""
    required: tuple[Status, ...] = ("pending", "active") if isinstance(event, PersonSessionsEnded) else ("active",)
    refusal = person.refuse_unless("changed", *required)
    if refusal is not None:
        yield refused(event, refusal, RULES)
    keys = {key.id for key in person.keys}
    match event:
        case PersonSecondFactorRemoved() | PersonRecoveryCodesMade() if not person.second_factor:
            yield Broken(event, f"{person.id} has no second factor")
        case PersonApiKeyMade() if event.key in keys:
            yield Broken(event, f"{person.id} has an API key {event.key} already")
        case PersonApiKeyReplaced() if event.key not in keys or event.by in keys:
            yield Broken(event, f"{person.id} has {sorted(keys)}, and {event.by} takes the place of {event.key}")
        case PersonApiKeyEnded() if event.key not in keys:
            yield Broken(event, f"{person.id} has no API key {event.key}")
        case _:
            pass


def explained_claims(
    event: ClaimTaken | ClaimReleased, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """A username or an address is claimed only where its person is registered, and released only where the erasure of
    that person is recorded."""
    claim = event.originator_id
    if not claim.startswith((username_claim(""), email_claim(""))):
        return None
    registered = [one for one in unit.get(event.holder, ()) if isinstance(one, PersonRegistered)]
    takes = isinstance(event, ClaimTaken)
    if takes and any(claim in (username_claim(one.username_hash), email_claim(one.email_hash)) for one in registered):
        return None
    if takes:
        return f"{event.holder} takes {claim}, and its unit does not register a person with it"
    if any(isinstance(one, PersonErased) for one in unit.get(privacy_stream(event.holder), ())):
        return None
    return f"{event.holder} releases {claim}, and its unit does not record that they are erased"
