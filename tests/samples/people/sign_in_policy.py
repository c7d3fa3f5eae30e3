"""Samples of the sign-in policy."""

from __future__ import annotations

from random import Random
from typing import Any

from domain.people.sign_in_policy import SIGN_IN_POLICY, ChangeSignInPolicy
from tests.samples.people import routes
from tests.samples.people.person import by_administrator
from tests.samples.sample import RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import MemoryLedger


def one(world: World) -> str:
    """The policy, which each log has once."""
    world.executed(by_administrator(ChangeSignInPolicy(("administrator", "operator"))))
    return SIGN_IN_POLICY


RULES = {
    "sign_in_policy_unchanged": RuleSample(
        given=(),
        broken=by_administrator(ChangeSignInPolicy(("administrator",))),
        sentence="The sign-in policy already is what it would be changed to.",
        kept=(by_administrator(ChangeSignInPolicy(())),),
    ),
}


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """An administrator changes the roles that need a second factor."""
    return by_administrator(ChangeSignInPolicy(chance.choice(((), ("administrator",), ("administrator", "audit")))))


EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="sign_in_policy.changed.v1",
        stream="policy:sign-in",
        version=1,
        payload='{"second_factor_roles":["administrator","audit"]}',
        means={"second_factor_roles": ["administrator", "audit"]},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes={}, life=life, of_people=routes.OF_POLICIES)
