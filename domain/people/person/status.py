"""The status of a person: suspended and reactivated, deleted and restored, each with a reason."""

from __future__ import annotations

from msgspec.structs import replace

from domain.kernel import Accepted, Context, Decision, Refused, States, Unknown, Value, found
from domain.people.person.access import forbid_other_than_self_or_administrator
from domain.people.person.events import PersonDeleted, PersonReactivated, PersonRestored, PersonSuspended
from domain.people.person.state import Person, evolve

RULES: dict[str, str] = {
    "person_is_administrator": "Person {person} is an administrator and cannot be {verb}; revoke that role first.",
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
    """Restore a deleted person."""


def suspend(command: SuspendPerson, states: States, context: Context) -> Decision:
    person = found(states, command.person, Person)
    if person is None:
        return Unknown("person", command.person)
    refusal = person.refuse_unless("suspended", "pending", "active") or refuse_administrator(person, "suspended")
    if refusal is not None:
        return refusal
    return _changed(person, PersonSuspended(person.id, person.version + 1, person.id, command.reason))


def reactivate(command: ReactivatePerson, states: States, context: Context) -> Decision:
    person = found(states, command.person, Person)
    if person is None:
        return Unknown("person", command.person)
    refusal = person.refuse_unless("reactivated", "suspended")
    if refusal is not None:
        return refusal
    return _changed(person, PersonReactivated(person.id, person.version + 1, person.id, command.reason))


def delete(command: DeletePerson, states: States, context: Context) -> Decision:
    forbidden = forbid_other_than_self_or_administrator(command.person, context)
    if forbidden is not None:
        return forbidden
    person = found(states, command.person, Person)
    if person is None:
        return Unknown("person", command.person)
    refusal = person.refuse_unless("deleted", "pending", "active", "suspended")
    refusal = refusal or refuse_administrator(person, "deleted")
    if refusal is not None:
        return refusal
    return _changed(person, PersonDeleted(person.id, person.version + 1, person.id, command.reason))


def restore(command: RestorePerson, states: States, context: Context) -> Decision:
    person = found(states, command.person, Person)
    if person is None:
        return Unknown("person", command.person)
    refusal = person.refuse_unless("restored", "deleted")
    if refusal is not None:
        return refusal
    return _changed(person, PersonRestored(person.id, person.version + 1, person.id, command.reason))


def refuse_administrator(person: Person, verb: str) -> Refused | None:
    """Return the refusal of a change that would take an administrator away unnoticed, or None."""
    if person.grant("administrator") is None:
        return None
    return Refused("person_is_administrator", {"person": person.id, "verb": verb})


def _changed(person: Person, event: PersonSuspended | PersonReactivated | PersonDeleted | PersonRestored) -> Accepted:
    return Accepted((event,), {"person": person.id, "status": replace(evolve(person, event)).status})
