"""Samples of sessions."""

from __future__ import annotations

from random import Random
from typing import Any

from domain.kernel import Principal
from domain.people.person.registration import ChangePassword
from domain.people.person.signing_in import SetSecondFactor
from domain.people.person.state import Person
from domain.people.session import SESSION, EndSession, OpenSession, Session
from tests.samples.people import routes
from tests.samples.people.person import SIGN_IN, active, by_self, verified
from tests.samples.people.person import one as person_one
from tests.samples.sample import RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import VISITOR, By, MemoryLedger, by_person, new_id

REFRESH: Principal = SIGN_IN


def opened(session: str = "sess_1", password: int = 1, *, second_factor: bool = False) -> By:
    """A person signs in."""
    return By(VISITOR, OpenSession(session, "prsn_ada", password, second_factor))


def ended(session: str = "sess_1") -> By:
    """The person signs out."""
    return By(by_person("prsn_ada"), EndSession(session))


def one(world: World) -> str:
    """A session that goes on."""
    person = person_one(world)
    world.executed(verified(person))
    id = new_id(SESSION)
    world.executed(By(VISITOR, OpenSession(id, person, 1, False)))
    return id


CHANGED = by_self(ChangePassword("prsn_ada"))

RULES = {
    "session_exists": RuleSample(
        given=(*active(), opened()),
        broken=opened(),
        sentence="There is a session sess_1 already.",
        kept=(opened("sess_2"),),
    ),
    "session_over": RuleSample(
        given=(*active(), opened(), ended()),
        broken=ended(),
        sentence="The session sess_1 has ended already.",
        kept=(opened("sess_2"), ended("sess_2")),
    ),
    "password_changed": RuleSample(
        given=(*active(), CHANGED),
        broken=opened(password=1),
        sentence="The password of prsn_ada was changed meanwhile; sign in with the new one.",
        kept=(opened(password=3),),
    ),
    "second_factor_needed": RuleSample(
        given=(*active(), by_self(SetSecondFactor("prsn_ada"))),
        broken=opened(),
        sentence="prsn_ada has a second factor; sign in with a code too.",
        kept=(opened(second_factor=True),),
    ),
}


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """People sign in and out, and sometimes a token is used twice."""
    people = [person for person in ledger.of(Person) if person.status == "active"]
    open_ones = [session for session in ledger.of(Session) if session.ended is None]
    if open_ones and chance.random() < 0.5:
        session = chance.choice(open_ones)
        if chance.random() < 0.2:
            return By(REFRESH, EndSession(session.id, "reused"))
        return By(by_person(session.person), EndSession(session.id))
    person = chance.choice(people) if people else None
    password, second = (person.password, bool(person.second_factor)) if person else (1, False)
    id = person.id if person else "prsn_nobody"
    return By(VISITOR, OpenSession(ledger.new_id(SESSION), id, password, second))


EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="session.opened.v1",
        stream="sess_0000000000000000000000000q",
        version=1,
        payload='{"opened_on":3,"person":"prsn_sample","second_factor":true}',
        means={"person": "prsn_sample", "opened_on": 3, "second_factor": True},
    ),
    StoredEvent(
        type="session.ended.v1",
        stream="sess_00000000000000000000000012",
        version=2,
        payload='{"person":"prsn_sample","why":"signed_out"}',
        means={"person": "prsn_sample", "why": "signed_out"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes={}, life=life, of_people=routes.OF_SESSIONS)
