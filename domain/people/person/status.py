"""The status of a person: suspended and reactivated, deleted and restored, each with a reason."""

from __future__ import annotations

from domain.kernel import Accepted, Context, Decision, Refused, States, Value, found
from domain.people.person.access import about_person, forbid_other_than_self_or_administrator
from domain.people.person.events import PersonDeleted, PersonReactivated, PersonRestored, PersonSuspended
from domain.people.person.state import Person, evolve
from domain.people.privacy_record import PrivacyRecord, privacy_stream

RULES: dict[str, str] = {
    "person_is_administrator": "Person {person} is an administrator and cannot be {verb}; revoke that role first.",
    "person_erased": "The erasure of {person} has begun, and they cannot be restored.",
}


class _ForAReason(Value, frozen=True):
    person: str
    reason: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person,)


class SuspendPerson(_ForAReason, frozen=True):
    """Keep a person from signing in until they are reactivated. All sessions end."""


class ReactivatePerson(_ForAReason, frozen=True):
    """Let a suspended person sign in again."""


class DeletePerson(_ForAReason, frozen=True):
    """Delete a person. Names stay claimed. Erasing what is known about them is another thing."""


class RestorePerson(_ForAReason, frozen=True):
    """Restore a deleted person, unless their erasure has begun."""

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person, privacy_stream(self.person))


@about_person
def suspend(command: SuspendPerson, person: Person, context: Context) -> Decision:
    refusal = person.refuse_unless("suspended", "pending", "active") or refuse_administrator(person, "suspended")
    return refusal or _changed(person, PersonSuspended(person.id, person.version + 1, person.id, command.reason))


@about_person
def reactivate(command: ReactivatePerson, person: Person, context: Context) -> Decision:
    refusal = person.refuse_unless("reactivated", "suspended")
    return refusal or _changed(person, PersonReactivated(person.id, person.version + 1, person.id, command.reason))


def delete(command: DeletePerson, states: States, context: Context) -> Decision:
    """Decide a deletion. Whoever may not delete is told nothing about the person."""
    return forbid_other_than_self_or_administrator(command.person, context) or _delete(command, states, context)


@about_person
def _delete(command: DeletePerson, person: Person, context: Context) -> Decision:
    refusal = person.refuse_unless("deleted", "pending", "active", "suspended")
    refusal = refusal or refuse_administrator(person, "deleted")
    return refusal or _changed(person, PersonDeleted(person.id, person.version + 1, person.id, command.reason))


def restore(command: RestorePerson, states: States, context: Context) -> Decision:
    record = found(states, privacy_stream(command.person), PrivacyRecord)
    if record is not None and record.begun is not None:
        return Refused("person_erased", {"person": command.person})
    return _restore(command, states, context)


@about_person
def _restore(command: RestorePerson, person: Person, context: Context) -> Decision:
    refusal = person.refuse_unless("restored", "deleted")
    return refusal or _changed(person, PersonRestored(person.id, person.version + 1, person.id, command.reason))


def refuse_administrator(person: Person, verb: str) -> Refused | None:
    """Return the refusal of a change that would take an administrator away unnoticed, or None."""
    if person.grant("administrator") is None:
        return None
    return Refused("person_is_administrator", {"person": person.id, "verb": verb})


def _changed(person: Person, event: PersonSuspended | PersonReactivated | PersonDeleted | PersonRestored) -> Accepted:
    return Accepted((event,), {"person": person.id, "status": evolve(person, event).status})
