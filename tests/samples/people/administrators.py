"""Samples of administrators."""

from __future__ import annotations

from random import Random
from typing import Any

from domain.people.administrators import (
    MOST,
    STREAM,
    Administrators,
    AppointAdministrator,
    ApproveAdministrator,
    AskForAdministrator,
    AskForRemoval,
    RejectAdministrator,
    WithdrawAdministrator,
)
from domain.people.approval import APPROVAL, OPEN_FOR, Approval
from domain.people.person.state import Person
from tests.samples.people import routes
from tests.samples.people.person import MOMENT, active
from tests.samples.people.person import life as person_life
from tests.samples.sample import RuleSample, Samples, StoredEvent
from tests.support.memory_ledger import MACHINE, NOW, By, MemoryLedger, by_person
from tests.support.people import administrators


def appointed(person: str) -> By:
    """The machine appoints."""
    return By(MACHINE, AppointAdministrator(person))


def by_administrator(person: str, command: Any) -> By:
    """An administrator sends it."""
    return By(by_person(person, "administrator"), command)


def asked(by: str, person: str, approval: str = "appr_1") -> By:
    return by_administrator(by, AskForAdministrator(approval, person))


def removal(by: str, person: str, approval: str = "appr_1") -> By:
    return by_administrator(by, AskForRemoval(approval, person))


def approved(by: str, approval: str = "appr_1") -> By:
    return by_administrator(by, ApproveAdministrator(approval))


def withdrawn(by: str, approval: str = "appr_1") -> By:
    return by_administrator(by, WithdrawAdministrator(approval))


def one(world: Any) -> str:
    """The stream of administrators, of whom there are two."""
    administrators(world)
    return STREAM


ADA, BOB, EVE, MAX = "prsn_ada", "prsn_bob", "prsn_eve", "prsn_max"
PEOPLE = (*active(ADA), *active(BOB), *active(EVE), *active(MAX))
ONE = (*PEOPLE, appointed(ADA))
TWO = (*ONE, appointed(BOB))
ASKED = (*TWO, asked(ADA, EVE))


def later(command: By, seconds: Any) -> By:
    """The same at a later time."""
    return By(command.principal, command.command, NOW + seconds)


MANY = tuple(f"prsn_m{number:03}" for number in range(2, MOST + 1))
ALL = (
    *TWO,
    *(
        step
        for number, id in enumerate(MANY, 1)
        for step in (*active(id), asked(ADA, id, f"appr_m{number}"), approved(BOB, f"appr_m{number}"))
    ),
)
"""Ninety-nine more: one too many for the last one who is asked for."""

RULES = {
    "administrators_decide": RuleSample(
        given=TWO,
        broken=appointed(EVE),
        sentence="There are 2 administrators: one of them asks for another one, and a second one approves.",
        kept=(asked(ADA, EVE), approved(BOB)),
    ),
    "administrator_already": RuleSample(
        given=TWO,
        broken=asked(ADA, BOB),
        sentence="prsn_bob is an administrator already.",
        kept=(asked(ADA, EVE),),
    ),
    "administrator_missing": RuleSample(
        given=TWO,
        broken=removal(ADA, EVE),
        sentence="prsn_eve is no administrator.",
        kept=(removal(ADA, BOB),),
    ),
    "administrator_last": RuleSample(
        given=ONE,
        broken=removal(ADA, ADA),
        sentence="prsn_ada is the last administrator and cannot be removed.",
        kept=(appointed(BOB), removal(ADA, ADA), approved(BOB)),
    ),
    "administrator_count": RuleSample(
        given=ALL[:-2],
        broken=asked(ADA, MAX, "appr_last"),
        sentence="There are 100 administrators, which is the most.",
        kept=(removal(ADA, MANY[0], "appr_last"),),
    ),
    "approval_exists": RuleSample(
        given=ASKED,
        broken=asked(ADA, MAX),
        sentence="The request appr_1 exists already.",
        kept=(asked(ADA, MAX, "appr_2"),),
    ),
    "approval_outcome": RuleSample(
        given=(*ASKED, approved(BOB)),
        broken=approved(BOB),
        sentence="The request appr_1 was approved; only an open one can be approved.",
        kept=(asked(ADA, MAX, "appr_2"), approved(EVE, "appr_2")),
    ),
    "approval_expired": RuleSample(
        given=ASKED,
        broken=later(approved(BOB), OPEN_FOR),
        sentence=(
            "The request appr_1 was open until 2026-11-28T12:00:00+00:00; it is 2026-11-28T12:00:00+00:00. Ask again."
        ),
        kept=(later(approved(BOB), OPEN_FOR - MOMENT),),
    ),
    "approval_by_self": RuleSample(
        given=ASKED,
        broken=approved(ADA),
        sentence="prsn_ada asked for appr_1; another person has to decide it.",
        kept=(approved(BOB),),
    ),
    "approval_of_another": RuleSample(
        given=ASKED,
        broken=withdrawn(BOB),
        sentence="Only prsn_ada, who asked for appr_1, can withdraw it.",
        kept=(withdrawn(ADA),),
    ),
}


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Administrators appoint and remove each other."""
    people = [person for person in ledger.of(Person) if person.status == "active"]
    found = ledger.states.get(STREAM)
    administrators = found.persons if isinstance(found, Administrators) else ()
    if len(administrators) < 2:
        others = [person.id for person in people if person.id not in administrators]
        return appointed(chance.choice(others)) if others else person_life(ledger, chance)
    by, other = chance.sample(administrators, 2)
    pending = [one for one in ledger.of(Approval) if one.outcome == "open"]
    if pending and chance.random() < 0.7:
        request = pending[0]
        if chance.random() < 0.2:
            return withdrawn(request.by, request.id)
        decision = RejectAdministrator if chance.random() < 0.3 else ApproveAdministrator
        return by_administrator(by, decision(request.id))
    id = ledger.new_id(APPROVAL)
    if len(administrators) > 4 or chance.random() < 0.4:
        return removal(by, other, id)
    return asked(by, chance.choice(people).id, id)


def check(ledger: MemoryLedger) -> None:
    """Who has the role is in the list, and the list never runs empty again."""
    found = ledger.states.get(STREAM)
    listed = set(found.persons) if isinstance(found, Administrators) else set()
    assert listed == {person.id for person in ledger.of(Person) if person.grant("administrator") is not None}
    assert listed or found is None


EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="administrator.appointed.v1",
        stream="administrators",
        version=1,
        payload='{"approval":null,"person":"prsn_sample"}',
        means={"person": "prsn_sample", "approval": None},
    ),
    StoredEvent(
        type="administrator.removed.v1",
        stream="administrators",
        version=3,
        payload='{"approval":"appr_00000000000000000000000044","person":"prsn_sample"}',
        means={"person": "prsn_sample", "approval": "appr_00000000000000000000000044"},
    ),
)

SAMPLES = Samples(
    events=EVENTS, one=one, rules=RULES, routes={}, life=life, check=check, of_people=routes.OF_ADMINISTRATORS
)
