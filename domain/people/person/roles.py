"""Roles of persons: an administrator grants and revokes them, for a time or without an end.

The role of administrators is not granted here: it takes two persons (`domain.people.administrators`).
"""

from __future__ import annotations

from datetime import datetime

from domain.codes import refuse_other_than_code
from domain.kernel import Accepted, Context, Decision, Refused, Value
from domain.people.person.access import about_person
from domain.people.person.events import PersonRole, PersonRoleGranted, PersonRoleRevoked
from domain.people.person.state import Person

RULES: dict[str, str] = {
    "role_of_administrators": "The role administrator is not granted or revoked alone: another administrator approves.",
    "role_of_self": "{person} cannot grant a role to themselves.",
    "role_until": "The role would end at {until}, and it is {now}.",
    "role_missing": "{person} does not have the role {role}.",
}


class GrantRole(Value, frozen=True):
    """Grant a role to a person. It replaces a grant of the same role."""

    person: str
    role: PersonRole
    context: str | None = None
    until: datetime | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person,)


class RevokeRole(Value, frozen=True):
    """Take a role from a person."""

    person: str
    role: PersonRole

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person,)


@about_person
def grant(command: GrantRole, person: Person, context: Context) -> Decision:
    refusal = person.refuse_unless("given a role", "pending", "active") or refuse_other_than_code(
        "context", command.context
    )
    if refusal is not None:
        return refusal
    if command.role == "administrator":
        return Refused("role_of_administrators", {})
    if context.principal.person == command.person:
        return Refused("role_of_self", {"person": person.id})
    if command.until is not None and command.until <= context.decided_at:
        return Refused("role_until", {"until": command.until.isoformat(), "now": context.decided_at.isoformat()})
    event = PersonRoleGranted(person.id, person.version + 1, command.role, command.context, command.until)
    return Accepted((event,), {"person": person.id, "role": command.role})


@about_person
def revoke(command: RevokeRole, person: Person, context: Context) -> Decision:
    if command.role == "administrator":
        return Refused("role_of_administrators", {})
    if person.grant(command.role) is None:
        return Refused("role_missing", {"person": person.id, "role": command.role})
    return Accepted(
        (PersonRoleRevoked(person.id, person.version + 1, command.role),), {"person": person.id, "role": command.role}
    )
