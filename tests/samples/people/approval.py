"""Samples of requests that another person approves. They have no commands of their own: administrators use them."""

from __future__ import annotations

from domain.people.administrators import AskForAdministrator
from domain.people.approval import APPROVAL
from tests.samples.people.person import one as person_one
from tests.samples.people.person import verified
from tests.samples.sample import Samples, StoredEvent, World
from tests.support.memory_ledger import By, by_person, new_id


def one(world: World) -> str:
    """A request."""
    first, other = person_one(world), person_one(world)
    world.executed(verified(other))
    id = new_id(APPROVAL)
    world.executed(By(by_person(first, "administrator"), AskForAdministrator(id, other)))
    return id


EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="approval.requested.v1",
        stream="appr_00000000000000000000000037",
        version=1,
        payload='{"about":"prsn_00000000000000000000000021","action":"administrator.remove","by":"prsn_sample","until":"2026-11-28T12:00:00Z"}',
        means={
            "action": "administrator.remove",
            "about": "prsn_00000000000000000000000021",
            "by": "prsn_sample",
            "until": "2026-11-28T12:00:00Z",
        },
    ),
    StoredEvent(
        type="approval.withdrawn.v1",
        stream="appr_00000000000000000000000037",
        version=2,
        payload='{"by":"prsn_sample"}',
        means={"by": "prsn_sample"},
    ),
    StoredEvent(
        type="approval.rejected.v1",
        stream="appr_00000000000000000000000039",
        version=2,
        payload='{"by":"prsn_00000000000000000000000021"}',
        means={"by": "prsn_00000000000000000000000021"},
    ),
    StoredEvent(
        type="approval.given.v1",
        stream="appr_00000000000000000000000044",
        version=2,
        payload='{"by":"prsn_sample"}',
        means={"by": "prsn_sample"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules={}, routes={}, life=None)
