"""Erasure and export of persons: two persons decide, a legal hold forbids, and the machine carries it out.

An administrator asks, or the person themselves; an administrator who is another person approves. The owner of the
database carries it out (`daybook people erase`, `daybook people export`). An erasure begins with an event, so that no
hold can be placed while the key is being destroyed, and ends with an event, which releases the names (ADR 0042).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.claims import Claim, ClaimReleased, release
from domain.codes import RULES as CODE_RULES
from domain.codes import refuse_other_than_code
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
from domain.people.names import email_claim, username_claim
from domain.people.person.access import forbid_other_than_self_or_administrator
from domain.people.person.events import PersonDeleted
from domain.people.person.state import Person
from domain.people.person.status import RULES as STATUS_RULES
from domain.people.person.status import refuse_administrator
from domain.people.privacy_record import (
    PRIVACY_PREFIX,
    ErasureApproved,
    ErasureBegun,
    ExportApproved,
    LegalHoldLifted,
    LegalHoldPlaced,
    PersonErased,
    PersonExported,
    PrivacyEvent,
    PrivacyRecord,
    evolve,
    privacy_stream,
)
from domain.permissions import ADMINISTRATORS, OPERATORS, SELF

ERASE, EXPORT = "person.erase", "person.export"
"""The actions that are asked for."""
MOST_HOLDS = 20
"""Legal holds of one person at once."""

RULES: dict[str, str] = {
    "legal_hold": "{person} is under the legal hold {ground}, which forbids an erasure.",
    "legal_hold_exists": "{person} is under the legal hold {ground} already.",
    "legal_hold_missing": "{person} is not under the legal hold {ground}.",
    "legal_hold_count": "{person} is under {most} legal holds, which is the most.",
    "erasure_begun": "The erasure of {person} has begun; nothing else can be decided about it.",
    "approval_unusable": "{approval} cannot be used: it was used, replaced by a newer one, or not given.",
    "person_is_administrator": STATUS_RULES["person_is_administrator"],
}


# Commands


class _OnPerson(Value, frozen=True):
    person: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.person, privacy_stream(self.person))


class PlaceLegalHold(_OnPerson, frozen=True):
    """Forbid to erase a person, for a ground with a code."""

    ground: str
    reason: str


class LiftLegalHold(_OnPerson, frozen=True):
    """End a legal hold."""

    ground: str
    reason: str


class _Ask(Value, frozen=True):
    approval: str
    person: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.approval, self.person, privacy_stream(self.person))


class AskForErasure(_Ask, frozen=True):
    """Ask an administrator to approve that a person is erased."""


class AskForExport(_Ask, frozen=True):
    """Ask an administrator to approve that what is known about a person is exported."""


class _OnRequest(Value, frozen=True):
    approval: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.approval,)


class ApprovePrivacyRequest(_OnRequest, frozen=True):
    """Approve an erasure or an export that another person asked for. The machine carries it out."""


class RejectPrivacyRequest(_OnRequest, frozen=True):
    """Reject an erasure or an export that another person asked for."""


class WithdrawPrivacyRequest(_OnRequest, frozen=True):
    """Withdraw a request of one's own for an erasure or an export."""


class _CarryOut(_OnPerson, frozen=True):
    approval: str


class BeginErasure(_CarryOut, frozen=True):
    """Begin an approved erasure. Only the machine itself sends this."""


class CompleteErasure(_CarryOut, frozen=True):
    """Record that the key was destroyed, at this position. Only the machine itself sends this."""

    erased_at: int


class RecordExport(_CarryOut, frozen=True):
    """Record an approved export, as of this position. Only the machine itself sends this."""

    as_of: int


# Decisions


def place(command: PlaceLegalHold, states: States, context: Context) -> Decision:
    refusal = refuse_other_than_code("ground", command.ground)
    if refusal is not None:
        return refusal
    record = _record(command.person, states)
    if isinstance(record, Unknown):
        return record
    refusal = _refuse_begun(record, command.person)
    if refusal is None and command.ground in record.holds:
        refusal = Refused("legal_hold_exists", {"person": command.person, "ground": command.ground})
    if refusal is None and len(record.holds) >= MOST_HOLDS:
        refusal = Refused("legal_hold_count", {"person": command.person, "most": MOST_HOLDS})
    event = LegalHoldPlaced(record.id, record.version + 1, command.person, command.ground, command.reason)
    return refusal or Accepted((event,), {"person": command.person, "ground": command.ground})


def lift(command: LiftLegalHold, states: States, context: Context) -> Decision:
    if context.principal.person == command.person:
        return Forbidden("Another administrator has to lift this hold: it is about who asks.")
    record = _record(command.person, states)
    if isinstance(record, Unknown):
        return record
    if command.ground not in record.holds:
        return Refused("legal_hold_missing", {"person": command.person, "ground": command.ground})
    event = LegalHoldLifted(record.id, record.version + 1, command.person, command.ground, command.reason)
    return Accepted((event,), {"person": command.person, "ground": command.ground})


def ask_for_erasure(command: AskForErasure, states: States, context: Context) -> Decision:
    return _ask(command, ERASE, states, context)


def ask_for_export(command: AskForExport, states: States, context: Context) -> Decision:
    return _ask(command, EXPORT, states, context)


def approve(command: ApprovePrivacyRequest, states: States, context: Context) -> Decision:
    request = _request(command.approval, states)
    if isinstance(request, Unknown):
        return request
    needed = (request.about, privacy_stream(request.about))
    if any(stream not in states for stream in needed):
        return NeedsStreams(needed)
    given = approval.approve(request, context)
    if not isinstance(given, ApprovalGiven):
        return given
    record = _record(request.about, states)
    if isinstance(record, Unknown):
        return record
    refusal = _refuse(request.action, record, cast(Person, states[request.about]))
    if refusal is not None:
        return refusal
    kind = ErasureApproved if request.action == ERASE else ExportApproved
    event = kind(record.id, record.version + 1, request.id)
    return Accepted((given, event), {"approval": request.id, "person": request.about, "action": request.action})


def reject(command: RejectPrivacyRequest, states: States, context: Context) -> Decision:
    request = _request(command.approval, states)
    if isinstance(request, Unknown):
        return request
    event = approval.reject(request, context)
    return event if isinstance(event, Refused | Forbidden) else Accepted((event,), _decided(request))


def withdraw(command: WithdrawPrivacyRequest, states: States, context: Context) -> Decision:
    request = _request(command.approval, states)
    if isinstance(request, Unknown):
        return request
    event = approval.withdraw(request, context)
    return event if isinstance(event, Refused | Forbidden) else Accepted((event,), _decided(request))


def begin(command: BeginErasure, states: States, context: Context) -> Decision:
    """Decide that an erasure begins. A person who is not deleted is deleted in the same unit."""
    record = _to_carry_out(command, states, context)
    if not isinstance(record, PrivacyRecord):
        return record
    person = cast(Person, states[command.person])
    refusal = _refuse(ERASE, record, person)
    if refusal is None and record.erasure != command.approval:
        refusal = _unusable(command)
    if refusal is not None:
        return refusal
    begun = ErasureBegun(record.id, record.version + 1, command.approval)
    result = {"person": person.id, "approval": command.approval}
    if person.status == "deleted":
        return Accepted((begun,), result)
    deleted = PersonDeleted(person.id, person.version + 1, person.id, f"Erased by {command.approval}")
    return Accepted((begun, deleted), result)


def complete(command: CompleteErasure, states: States, context: Context) -> Decision:
    """Decide that an erasure is done: the names that the person holds are released."""
    record = _to_carry_out(command, states, context)
    if not isinstance(record, PrivacyRecord):
        return record
    if record.begun != command.approval or record.erased_at is not None:
        return _unusable(command)
    person = cast(Person, states[command.person])
    claims = (username_claim(person.username_hash), email_claim(person.email_hash))
    if any(claim not in states for claim in claims):
        return NeedsStreams(claims)
    erased = PersonErased(record.id, record.version + 1, command.approval, command.erased_at)
    held = (found(states, claim, Claim) for claim in claims)
    released = tuple(release(claim) for claim in held if claim is not None and claim.holder == person.id)
    return Accepted((erased, *released), {"person": person.id, "approval": command.approval})


def record_export(command: RecordExport, states: States, context: Context) -> Decision:
    record = _to_carry_out(command, states, context)
    if not isinstance(record, PrivacyRecord):
        return record
    refusal = _refuse_begun(record, command.person)
    if refusal is None and record.export != command.approval:
        refusal = _unusable(command)
    event = PersonExported(record.id, record.version + 1, command.approval, command.as_of)
    return refusal or Accepted((event,), {"person": command.person, "approval": command.approval})


def _ask(command: _Ask, action: str, states: States, context: Context) -> Decision:
    forbidden = forbid_other_than_self_or_administrator(command.person, context)
    if forbidden is not None:
        return forbidden
    record = _record(command.person, states)
    if isinstance(record, Unknown):
        return record
    refusal = _refuse(action, record, cast(Person, states[command.person]))
    if refusal is not None:
        return refusal
    before = cast("Approval | None", states[command.approval])
    event = approval.ask(command.approval, before, action, command.person, context)
    if isinstance(event, Refused | Forbidden):
        return event
    return Accepted((event,), {"approval": command.approval, "until": event.until.isoformat()})


def _record(person: str, states: States) -> PrivacyRecord | Unknown:
    """The record of a person, which is empty until something is decided."""
    if found(states, person, Person) is None:
        return Unknown("person", person)
    stream = privacy_stream(person)
    return found(states, stream, PrivacyRecord) or PrivacyRecord(0, stream)


def _request(id: str, states: States) -> Approval | Unknown:
    request = found(states, id, Approval)
    if request is None or request.action not in (ERASE, EXPORT):
        return Unknown("approval", id)
    return request


def _decided(request: Approval) -> dict[str, str]:
    return {"approval": request.id, "person": request.about, "action": request.action}


def _to_carry_out(command: _CarryOut, states: States, context: Context) -> PrivacyRecord | Unknown | Forbidden:
    if context.principal.how != "system":
        return Forbidden(
            "What was approved is carried out on the machine: daybook people erase, daybook people export."
        )
    return _record(command.person, states)


def _unusable(command: _CarryOut) -> Refused:
    return Refused("approval_unusable", {"approval": command.approval})


def _refuse_begun(record: PrivacyRecord, person: str) -> Refused | None:
    return None if record.begun is None else Refused("erasure_begun", {"person": person})


def _refuse(action: str, record: PrivacyRecord, person: Person) -> Refused | None:
    """Return why this cannot be asked for, approved or carried out now, or None."""
    refusal = _refuse_begun(record, person.id)
    if refusal is not None or action == EXPORT:
        return refusal
    if record.holds:
        return Refused("legal_hold", {"person": person.id, "ground": record.holds[0]})
    return refuse_administrator(person, "erased")


# What stored events are held to


def check(before: PrivacyRecord | None, events: Sequence[PrivacyEvent], decided: Decided) -> Iterator[Broken]:
    """Find an erasure under a hold, an approval that is used twice, and what follows the beginning of an erasure."""
    record = before
    for event in events:
        person = event.originator_id.removeprefix(PRIVACY_PREFIX)
        now = record or PrivacyRecord(0, event.originator_id)
        if isinstance(event, LegalHoldPlaced | LegalHoldLifted) and event.person != person:
            yield Broken(event, f"{event.originator_id} has an event about {event.person}")
        refusal = None if isinstance(event, PersonErased) else _refuse_begun(now, person)
        if refusal is None and isinstance(event, ErasureApproved | ErasureBegun) and now.holds:
            refusal = Refused("legal_hold", {"person": person, "ground": now.holds[0]})
        if isinstance(event, LegalHoldLifted) and event.ground not in now.holds:
            refusal = Refused("legal_hold_missing", {"person": person, "ground": event.ground})
        if isinstance(event, LegalHoldPlaced):
            if event.ground in now.holds:
                refusal = Refused("legal_hold_exists", {"person": person, "ground": event.ground})
            elif len(now.holds) >= MOST_HOLDS:
                refusal = Refused("legal_hold_count", {"person": person, "most": MOST_HOLDS})
        if refusal is not None:
            yield refused(event, refusal, RULES)
        elif not _used_once(now, event):
            yield Broken(event, f"{event.originator_id} uses an approval that was used, replaced or not given")
        record = evolve(record, event)


def _used_once(record: PrivacyRecord, event: PrivacyEvent) -> bool:
    match event:
        case ErasureBegun():
            return record.erasure == event.approval
        case PersonErased():
            return record.begun == event.approval and record.erased_at is None
        case PersonExported():
            return record.export == event.approval
    return True


def _stands_with_its_approval(
    event: ErasureApproved | ExportApproved, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """What is approved stands with the approval, in one unit."""
    if any(isinstance(one, ApprovalGiven) for one in unit.get(event.approval, ())):
        return None
    return f"the unit does not approve {event.approval}"


def _releases_the_names(event: PersonErased, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The names of an erased person are free: a username and an address are released in the unit."""
    person = event.originator_id.removeprefix(PRIVACY_PREFIX)
    released = [
        one.originator_id
        for events in unit.values()
        for one in events
        if isinstance(one, ClaimReleased) and one.holder == person
    ]
    for kind in (username_claim(""), email_claim("")):
        if not any(claim.startswith(kind) for claim in released):
            return f"{person} is erased, and the unit does not release a claim {kind}…"
    return None


AGGREGATE = Aggregate(
    name="privacy",
    prefix=PRIVACY_PREFIX,
    events=(
        EventType("person.legal_hold_placed.v1", LegalHoldPlaced, "person", ("reason",), codes=("ground",)),
        EventType("person.legal_hold_lifted.v1", LegalHoldLifted, "person", ("reason",), codes=("ground",)),
        EventType("person.erasure_approved.v1", ErasureApproved),
        EventType("person.erasure_begun.v1", ErasureBegun),
        EventType("person.erased.v1", PersonErased),
        EventType("person.export_approved.v1", ExportApproved),
        EventType("person.exported.v1", PersonExported),
    ),
    evolve=evolve,
    decisions={
        PlaceLegalHold: place,
        LiftLegalHold: lift,
        AskForErasure: ask_for_erasure,
        AskForExport: ask_for_export,
        ApprovePrivacyRequest: approve,
        RejectPrivacyRequest: reject,
        WithdrawPrivacyRequest: withdraw,
        BeginErasure: begin,
        CompleteErasure: complete,
        RecordExport: record_export,
    },
    rules={**RULES, **approval.RULES, **CODE_RULES},
    may={
        PlaceLegalHold: ADMINISTRATORS,
        LiftLegalHold: ADMINISTRATORS,
        AskForErasure: SELF | ADMINISTRATORS,
        AskForExport: SELF | ADMINISTRATORS,
        ApprovePrivacyRequest: ADMINISTRATORS,
        RejectPrivacyRequest: ADMINISTRATORS,
        WithdrawPrivacyRequest: SELF | ADMINISTRATORS,
        BeginErasure: OPERATORS,
        CompleteErasure: OPERATORS,
        RecordExport: OPERATORS,
    },
    check=check,
    unit_rules={
        ErasureApproved: _stands_with_its_approval,
        ExportApproved: _stands_with_its_approval,
        PersonErased: _releases_the_names,
    },
)
