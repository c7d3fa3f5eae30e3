"""Samples of privacy records: legal holds, erasures and exports."""

from __future__ import annotations

from random import Random
from typing import Any

from domain.claims import CLAIM_PREFIX, Claim
from domain.kernel import Principal
from domain.people.administrators import AppointAdministrator
from domain.people.approval import APPROVAL, OPEN_FOR, Approval
from domain.people.person.state import Person
from domain.people.privacy import (
    ERASE,
    EXPORT,
    MOST_HOLDS,
    ApprovePrivacyRequest,
    AskForErasure,
    AskForExport,
    BeginErasure,
    CompleteErasure,
    LiftLegalHold,
    PlaceLegalHold,
    RecordExport,
    RejectPrivacyRequest,
    WithdrawPrivacyRequest,
)
from domain.people.privacy_record import PrivacyRecord, privacy_stream
from tests.samples.people import routes
from tests.samples.people.person import MOMENT, active, by_administrator, by_self
from tests.samples.people.person import life as person_life
from tests.samples.people.person import one as person_one
from tests.samples.sample import RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import ADMINISTRATOR, MACHINE, NOW, By, MemoryLedger, by_person

ADA, BOB, EVE = "prsn_ada", "prsn_bob", "prsn_eve"
OTHER_ADMINISTRATOR = by_person("prsn_other", "administrator")
GROUND = "case-7"


def placed(person: str = ADA, ground: str = GROUND, reason: str = "A lawsuit") -> By:
    """An administrator places a legal hold."""
    return by_administrator(PlaceLegalHold(person, ground, reason))


def lifted(person: str = ADA, ground: str = GROUND) -> By:
    return by_administrator(LiftLegalHold(person, ground, "It is over"))


def erasure_asked(person: str = ADA, approval: str = "appr_1") -> By:
    """An administrator asks to erase a person."""
    return by_administrator(AskForErasure(approval, person))


def export_asked(person: str = ADA, approval: str = "appr_1") -> By:
    return by_administrator(AskForExport(approval, person))


def approved(approval: str = "appr_1", by: Principal = OTHER_ADMINISTRATOR) -> By:
    """Another administrator approves."""
    return By(by, ApprovePrivacyRequest(approval))


def begun(person: str = ADA, approval: str = "appr_1") -> By:
    """The machine begins an erasure."""
    return By(MACHINE, BeginErasure(person, approval))


def completed(person: str = ADA, approval: str = "appr_1", erased_at: int = 7) -> By:
    return By(MACHINE, CompleteErasure(person, approval, erased_at))


def exported(person: str = ADA, approval: str = "appr_1", as_of: int = 7) -> By:
    return By(MACHINE, RecordExport(person, approval, as_of))


def one(world: World) -> str:
    """The record of a person who is under a hold."""
    person = person_one(world)
    world.executed(placed(person))
    return privacy_stream(person)


# Rules

PEOPLE = (*active(ADA), *active(BOB))
ASKED = (*PEOPLE, erasure_asked())
APPROVED = (*ASKED, approved())
HELD = (*PEOPLE, placed())

RULES = {
    "legal_hold": RuleSample(
        given=HELD,
        broken=erasure_asked(),
        sentence="prsn_ada is under the legal hold case-7, which forbids an erasure.",
        kept=(lifted(), erasure_asked()),
    ),
    "legal_hold_exists": RuleSample(
        given=HELD,
        broken=placed(),
        sentence="prsn_ada is under the legal hold case-7 already.",
        kept=(placed(ground="case-8"),),
    ),
    "legal_hold_missing": RuleSample(
        given=HELD,
        broken=lifted(ground="case-8"),
        sentence="prsn_ada is not under the legal hold case-8.",
        kept=(lifted(),),
    ),
    "legal_hold_count": RuleSample(
        given=(*PEOPLE, *(placed(ground=f"case-{number}") for number in range(MOST_HOLDS))),
        broken=placed(ground="one-more"),
        sentence="prsn_ada is under 20 legal holds, which is the most.",
        kept=(lifted(ground="case-0"), placed(ground="one-more")),
    ),
    "erasure_begun": RuleSample(
        given=(*APPROVED, begun()),
        broken=placed(),
        sentence="The erasure of prsn_ada has begun; nothing else can be decided about it.",
        kept=(placed(BOB),),
    ),
    "approval_unusable": RuleSample(
        given=(*APPROVED, erasure_asked(approval="appr_2"), approved("appr_2")),
        broken=begun(),
        sentence="appr_1 cannot be used: it was used, replaced by a newer one, or not given.",
        kept=(begun(approval="appr_2"),),
    ),
    "person_is_administrator": RuleSample(
        given=(*PEOPLE, By(MACHINE, AppointAdministrator(ADA))),
        broken=erasure_asked(),
        sentence="Person prsn_ada is an administrator and cannot be erased; revoke that role first.",
        kept=(erasure_asked(BOB),),
    ),
    "approval_exists": RuleSample(
        given=ASKED,
        broken=erasure_asked(BOB),
        sentence="The request appr_1 exists already.",
        kept=(erasure_asked(BOB, "appr_2"),),
    ),
    "approval_outcome": RuleSample(
        given=APPROVED,
        broken=approved(),
        sentence="The request appr_1 was approved; only an open one can be approved.",
        kept=(erasure_asked(BOB, "appr_2"), approved("appr_2")),
    ),
    "approval_expired": RuleSample(
        given=ASKED,
        broken=By(OTHER_ADMINISTRATOR, ApprovePrivacyRequest("appr_1"), NOW + OPEN_FOR),
        sentence=(
            "The request appr_1 was open until 2026-11-28T12:00:00+00:00; it is 2026-11-28T12:00:00+00:00. Ask again."
        ),
        kept=(By(OTHER_ADMINISTRATOR, ApprovePrivacyRequest("appr_1"), NOW + OPEN_FOR - MOMENT),),
    ),
    "approval_by_self": RuleSample(
        given=ASKED,
        broken=approved(by=ADMINISTRATOR),
        sentence="prsn_admin asked for appr_1; another person has to decide it.",
        kept=(approved(),),
    ),
    "approval_of_another": RuleSample(
        given=ASKED,
        broken=By(OTHER_ADMINISTRATOR, WithdrawPrivacyRequest("appr_1")),
        sentence="Only prsn_admin, who asked for appr_1, can withdraw it.",
        kept=(by_administrator(WithdrawPrivacyRequest("appr_1")),),
    ),
    "not_a_code": no_code("ground", placed(ground="case 7"), placed(ground="case/7"), given=PEOPLE),
}

# A life

MOST_ERASED = 10
"""Persons whose erasure begins in one history, at most, so that others go on living."""


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Holds come and go; a few people are exported and erased."""
    people = ledger.of(Person)
    if len(people) < 3:
        return person_life(ledger, chance)
    carried_out = _carry_out(ledger)
    if carried_out is not None and chance.random() < 0.5:
        return carried_out
    requests = [one for one in ledger.of(Approval) if one.outcome == "open" and one.action in (ERASE, EXPORT)]
    if requests and chance.random() < 0.6:
        request, choice = requests[0], chance.random()
        if choice < 0.1:
            return By(by_person(request.by, "administrator"), WithdrawPrivacyRequest(request.id))
        return By(
            OTHER_ADMINISTRATOR,
            RejectPrivacyRequest(request.id) if choice < 0.2 else ApprovePrivacyRequest(request.id),
        )
    person = chance.choice((people[0], people[-1], chance.choice(people)))
    return _ask(ledger, person.id, chance)


def _ask(ledger: MemoryLedger, person: str, chance: Random) -> Any:
    choice, id = chance.random(), ledger.new_id(APPROVAL)
    record = ledger.states.get(privacy_stream(person))
    holds = record.holds if isinstance(record, PrivacyRecord) else ()
    if holds and choice < 0.4:
        return by_administrator(LiftLegalHold(person, chance.choice(holds), "It is\tover"))
    if choice < 0.4:
        return placed(person, f"case-{chance.randint(1, 9)}", "A lawsuit")
    begun = sum(one.begun is not None for one in ledger.of(PrivacyRecord))
    if choice < 0.7 or begun >= MOST_ERASED or person == ledger.of(Person)[0].id:
        return by_self(AskForExport(id, person)) if choice < 0.5 else export_asked(person, id)
    return by_self(AskForErasure(id, person)) if choice < 0.8 else erasure_asked(person, id)


def _carry_out(ledger: MemoryLedger) -> By | None:
    """What the machine has to do next, or None."""
    for record in ledger.of(PrivacyRecord):
        person = record.id.removeprefix("privacy:")
        if record.begun is not None and record.erased_at is None:
            return completed(person, record.begun, len(ledger.log))
        if record.begun is None and record.export is not None:
            return exported(person, record.export, len(ledger.log))
        if record.begun is None and record.erasure is not None and not record.holds and _may_be_erased(ledger, person):
            return begun(person, record.erasure)
    return None


def _may_be_erased(ledger: MemoryLedger, person: str) -> bool:
    return ledger[person].grant("administrator") is None


def check(ledger: MemoryLedger) -> None:
    """Whose erasure has begun is deleted, and who was erased holds no name."""
    held = {state.holder for state in ledger.of(Claim) if state.id.startswith((f"{CLAIM_PREFIX}u", f"{CLAIM_PREFIX}e"))}
    for record in ledger.of(PrivacyRecord):
        person = record.id.removeprefix("privacy:")
        assert record.begun is None or ledger[person].status == "deleted"
        assert record.erased_at is None or person not in held


EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="person.export_approved.v1",
        stream="privacy:prsn_sample",
        version=1,
        payload='{"approval":"appr_0000000000000000000000001c"}',
        means={"approval": "appr_0000000000000000000000001c"},
    ),
    StoredEvent(
        type="person.exported.v1",
        stream="privacy:prsn_sample",
        version=2,
        payload='{"approval":"appr_0000000000000000000000001c","as_of":70}',
        means={"approval": "appr_0000000000000000000000001c", "as_of": 70},
    ),
    StoredEvent(
        type="person.erasure_approved.v1",
        stream="privacy:prsn_00000000000000000000000022",
        version=1,
        payload='{"approval":"appr_00000000000000000000000034"}',
        means={"approval": "appr_00000000000000000000000034"},
    ),
    StoredEvent(
        type="person.erasure_begun.v1",
        stream="privacy:prsn_00000000000000000000000022",
        version=2,
        payload='{"approval":"appr_00000000000000000000000034"}',
        means={"approval": "appr_00000000000000000000000034"},
    ),
    StoredEvent(
        type="person.erased.v1",
        stream="privacy:prsn_00000000000000000000000022",
        version=3,
        payload='{"approval":"appr_00000000000000000000000034","erased_at":167}',
        means={"approval": "appr_00000000000000000000000034", "erased_at": 167},
    ),
    StoredEvent(
        type="person.legal_hold_placed.v1",
        stream="privacy:prsn_sample",
        version=3,
        payload='{"ground":"case-3","person":"prsn_sample","reason":"2.jcnL0qVXO0urlU0KHhtttLV3TPAwxpEDGqzPmQ8rZFMhTe2GKg=="}',
        means={"person": "prsn_sample", "ground": "case-3", "reason": "A lawsuit"},
    ),
    StoredEvent(
        type="person.legal_hold_lifted.v1",
        stream="privacy:prsn_sample",
        version=4,
        payload='{"ground":"case-3","person":"prsn_sample","reason":"2.SdPSo5H8ThW_NuZwVnOgcYPZMHUAM26wC3Fn6Qq1MxX6jAOalKE="}',
        means={"person": "prsn_sample", "ground": "case-3", "reason": "It is\tover"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes={}, of_people=routes.OF_PRIVACY, life=life, check=check)
