"""Administrators: who they are, and how one is appointed or removed.

One stream has all of them, so that the last one is never removed, whatever happens at once. While there is none, or
only one, they are appointed on the machine (`daybook people first-administrator`). From two on it takes two persons:
one asks and another approves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, cast

from domain.aggregate import Aggregate, Broken, Decided, EventType
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Forbidden,
    NeedsStreams,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.people import approval
from domain.people.approval import Approval, ApprovalGiven
from domain.people.person.events import PersonRoleGranted, PersonRoleRevoked
from domain.people.person.state import Person
from domain.permissions import ADMINISTRATORS, OPERATORS

STREAM = "administrators"
ALONE = 1
"""With more administrators than this, one is appointed by two of them."""
MOST = 100
APPOINT, REMOVE = "administrator.appoint", "administrator.remove"
"""The actions that administrators ask for."""


class AdministratorAppointed(Event, frozen=True):
    """A person became an administrator. Their role is granted in the same unit."""

    person: str
    approval: str | None  # the request; None on the machine


class AdministratorRemoved(Event, frozen=True):
    """A person is no administrator any more. Their role is revoked in the same unit."""

    person: str
    approval: str


AdministratorsEvent: TypeAlias = AdministratorAppointed | AdministratorRemoved


class Administrators(Value, frozen=True):
    """The administrators, in the order in which they were appointed."""

    version: int
    persons: tuple[str, ...]


RULES: dict[str, str] = {
    "administrators_decide": (
        "There are {administrators} administrators: one of them asks for another one, and a second one approves."
    ),
    "administrator_already": "{person} is an administrator already.",
    "administrator_missing": "{person} is no administrator.",
    "administrator_last": "{person} is the last administrator and cannot be removed.",
    "administrator_count": "There are {most} administrators, which is the most.",
}


def evolve(state: Administrators | None, event: AdministratorsEvent) -> Administrators:
    """Return the administrators after the event."""
    persons = () if state is None else state.persons
    if isinstance(event, AdministratorAppointed):
        return Administrators(event.originator_version, (*persons, event.person))
    return Administrators(event.originator_version, tuple(one for one in persons if one != event.person))


# Commands


class AppointAdministrator(Value, frozen=True):
    """Appoint the first administrator, or the second. Only the machine itself sends this."""

    person: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (STREAM, self.person)


class _Ask(Value, frozen=True):
    approval: str
    person: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.approval, STREAM, self.person)


class AskForAdministrator(_Ask, frozen=True):
    """Ask another administrator to appoint a person."""


class AskForRemoval(_Ask, frozen=True):
    """Ask another administrator to remove one."""


class _OnRequest(Value, frozen=True):
    approval: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.approval, STREAM)


class ApproveAdministrator(_OnRequest, frozen=True):
    """Approve what another administrator asked for. It is carried out in the same unit."""


class RejectAdministrator(_OnRequest, frozen=True):
    """Reject what another administrator asked for."""


class WithdrawAdministrator(_OnRequest, frozen=True):
    """Withdraw a request of one's own."""


# Decisions


def appoint(command: AppointAdministrator, states: States, context: Context) -> Decision:
    if context.principal.how != "system":
        return Forbidden("The first administrators are appointed on the machine: daybook people first-administrator.")
    administrators = _administrators(states)
    if len(administrators.persons) > ALONE:
        return Refused("administrators_decide", {"administrators": len(administrators.persons)})
    return _appoint(command.person, None, administrators, states)


def ask_for_administrator(command: AskForAdministrator, states: States, context: Context) -> Decision:
    administrators, person = _administrators(states), found(states, command.person, Person)
    if person is None:
        return Unknown("person", command.person)
    refusal = _refuse_appointment(person, administrators)
    return refusal or _ask(command, APPOINT, states, context)


def ask_for_removal(command: AskForRemoval, states: States, context: Context) -> Decision:
    administrators, person = _administrators(states), found(states, command.person, Person)
    if person is None:
        return Unknown("person", command.person)
    refusal = _refuse_removal(person.id, administrators)
    return refusal or _ask(command, REMOVE, states, context)


def approve(command: ApproveAdministrator, states: States, context: Context) -> Decision:
    request = _request(command.approval, states)
    if isinstance(request, Unknown):
        return request
    if request.about not in states:
        return NeedsStreams((request.about,))
    given = approval.approve(request, context)
    if not isinstance(given, ApprovalGiven):
        return given
    administrators = _administrators(states)
    if request.action == APPOINT:
        done = _appoint(request.about, request.id, administrators, states)
    else:
        done = _remove(request.about, request.id, administrators, states)
    if not isinstance(done, Accepted):
        return done
    return Accepted((given, *done.events), {"approval": request.id, **done.result})


def reject(command: RejectAdministrator, states: States, context: Context) -> Decision:
    request = _request(command.approval, states)
    if isinstance(request, Unknown):
        return request
    event = approval.reject(request, context)
    return event if isinstance(event, Refused | Forbidden) else Accepted((event,), {"approval": request.id})


def withdraw(command: WithdrawAdministrator, states: States, context: Context) -> Decision:
    request = _request(command.approval, states)
    if isinstance(request, Unknown):
        return request
    event = approval.withdraw(request, context)
    return event if isinstance(event, Refused | Forbidden) else Accepted((event,), {"approval": request.id})


def _administrators(states: States) -> Administrators:
    return cast("Administrators | None", states[STREAM]) or Administrators(0, ())


def _request(id: str, states: States) -> Approval | Unknown:
    request = found(states, id, Approval)
    if request is None or request.action not in (APPOINT, REMOVE):
        return Unknown("approval", id)
    return request


def _ask(command: _Ask, action: str, states: States, context: Context) -> Decision:
    before = cast("Approval | None", states[command.approval])
    event = approval.ask(command.approval, before, action, command.person, context)
    if isinstance(event, Refused | Forbidden):
        return event
    return Accepted((event,), {"approval": command.approval, "until": event.until.isoformat()})


def _refuse_appointment(person: Person, administrators: Administrators) -> Refused | None:
    if person.id in administrators.persons:
        return Refused("administrator_already", {"person": person.id})
    if len(administrators.persons) >= MOST:
        return Refused("administrator_count", {"most": MOST})
    return person.refuse_unless("made an administrator", "active")


def _refuse_removal(person: str, administrators: Administrators) -> Refused | None:
    if person not in administrators.persons:
        return Refused("administrator_missing", {"person": person})
    if administrators.persons == (person,):
        return Refused("administrator_last", {"person": person})
    return None


def _appoint(id: str, request: str | None, administrators: Administrators, states: States) -> Decision:
    person = found(states, id, Person)
    if person is None:
        return Unknown("person", id)
    refusal = _refuse_appointment(person, administrators)
    if refusal is not None:
        return refusal
    appointed = AdministratorAppointed(STREAM, administrators.version + 1, id, request)
    granted = PersonRoleGranted(id, person.version + 1, "administrator", None, None)
    return Accepted((appointed, granted), {"person": id, "role": "administrator"})


def _remove(id: str, request: str, administrators: Administrators, states: States) -> Decision:
    refusal = _refuse_removal(id, administrators)
    if refusal is not None:
        return refusal
    person = cast(Person, states[id])
    removed = AdministratorRemoved(STREAM, administrators.version + 1, id, request)
    revoked = PersonRoleRevoked(id, person.version + 1, "administrator")
    return Accepted((removed, revoked), {"person": id, "role": "administrator"})


# What stored events are held to


def check(before: Administrators | None, events: Sequence[AdministratorsEvent], decided: Decided) -> Iterator[Broken]:
    """Find somebody who is appointed twice, removed without being one, the last one who is removed, and more than one
    who was appointed without an approval."""
    administrators = before or Administrators(0, ())
    for event in events:
        if isinstance(event, AdministratorAppointed):
            if event.person in administrators.persons:
                yield Broken(event, f"{event.person} is appointed again")
            if event.approval is None and len(administrators.persons) > ALONE:
                yield Broken(event, f"{event.person} is appointed without an approval beside {administrators.persons}")
        elif _refuse_removal(event.person, administrators) is not None:
            yield Broken(event, f"{event.person} is removed, and the administrators are {administrators.persons}")
        administrators = evolve(administrators, event)


def _stands_with_its_role(
    event: AdministratorsEvent, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """Who becomes an administrator gets the role in the same unit, and who is removed loses it.

    The request is approved in the same unit, too.
    """
    kind = PersonRoleGranted if isinstance(event, AdministratorAppointed) else PersonRoleRevoked
    if not any(isinstance(one, kind) and one.role == "administrator" for one in unit.get(event.person, ())):
        return f"the unit does not change the role of {event.person}"
    if event.approval is not None and not any(isinstance(one, ApprovalGiven) for one in unit.get(event.approval, ())):
        return f"the unit does not approve {event.approval}"
    return None


def _role_has_its_appointment(
    event: PersonRoleGranted | PersonRoleRevoked, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The role of an administrator changes only together with the list of administrators."""
    if event.role != "administrator":
        return None
    kind = AdministratorAppointed if isinstance(event, PersonRoleGranted) else AdministratorRemoved
    if any(isinstance(one, kind) and one.person == event.originator_id for one in unit.get(STREAM, ())):
        return None
    return f"{event.originator_id} gets or loses the role administrator, and the unit does not appoint or remove them"


AGGREGATE = Aggregate(
    name="administrators",
    prefix=STREAM,
    events=(
        EventType("administrator.appointed.v1", AdministratorAppointed),
        EventType("administrator.removed.v1", AdministratorRemoved),
    ),
    evolve=evolve,
    decisions={
        AppointAdministrator: appoint,
        AskForAdministrator: ask_for_administrator,
        AskForRemoval: ask_for_removal,
        ApproveAdministrator: approve,
        RejectAdministrator: reject,
        WithdrawAdministrator: withdraw,
    },
    rules={**RULES, **approval.RULES},
    may={
        AppointAdministrator: OPERATORS,
        AskForAdministrator: ADMINISTRATORS,
        AskForRemoval: ADMINISTRATORS,
        ApproveAdministrator: ADMINISTRATORS,
        RejectAdministrator: ADMINISTRATORS,
        WithdrawAdministrator: ADMINISTRATORS,
    },
    check=check,
    unit_rules={
        AdministratorAppointed: _stands_with_its_role,
        AdministratorRemoved: _stands_with_its_role,
        PersonRoleGranted: _role_has_its_appointment,
        PersonRoleRevoked: _role_has_its_appointment,
    },
)
