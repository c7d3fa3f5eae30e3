"""Samples of the posting policy."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Any

from domain.accounts.posting_policy import (
    COUNTED,
    LEAST_DAYS,
    MAY_COUNT,
    MOST_DAYS,
    POSTING_POLICY,
    ChangePostingPolicy,
    PostingPolicy,
)
from domain.money import MAX_AMOUNT
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import MemoryLedger

# Requests


_numbers = count(10_000)  # a log has one posting policy, and each request must change it


def change() -> dict[str, int]:
    """A change to what no sample has asked for before."""
    return {"most_days_back": next(_numbers)}


def one(world: World) -> str:
    """The policy, after a change."""
    world.do("policies/posting", change())
    return POSTING_POLICY


ROUTES = {"/v1/policies/posting": lambda world: Request({}, change())}

# Rules

RULES = {
    "policy_days": RuleSample(
        given=(),
        broken=ChangePostingPolicy(MOST_DAYS + 1),
        sentence="A value date can be allowed 0 to 36500 days back; this is 36501.",
        kept=(ChangePostingPolicy(MOST_DAYS), ChangePostingPolicy(LEAST_DAYS)),
    ),
    "policy_kind": RuleSample(
        given=(),
        broken=ChangePostingPolicy(None, ("reversal",)),
        sentence=(
            "Transactions of the kind reversal cannot count against outgoing limits; these can: capture, conversion, "
            "fee, interest, journal, payment, penalty, sweep, transfer, withdrawal."
        ),
        kept=(ChangePostingPolicy(None, tuple(sorted(MAY_COUNT))),),
    ),
    "policy_amount": RuleSample(
        given=(),
        broken=ChangePostingPolicy(None, None, {"EUR": -1}),
        sentence="More than -0.01 EUR would need another person; the amount is 0.00 to 9999999999999.99.",
        kept=(ChangePostingPolicy(None, None, {"EUR": 0, "JPY": MAX_AMOUNT}),),
    ),
    "policy_unchanged": RuleSample(
        given=(ChangePostingPolicy(3),),
        broken=ChangePostingPolicy(3),
        sentence="The posting policy already is what it would be changed to.",
        kept=(ChangePostingPolicy(4),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """A policy that changes now and then. It seldom refuses, because the lives of accounts post at today's date."""
    [days] = [policy.most_days_back for policy in ledger.of(PostingPolicy)] or [None]
    above = chance.choice([None, {}, {"EUR": MAX_AMOUNT - 1}])
    return ChangePostingPolicy(chance.choice([None, 9_000, 10_000]) if chance.random() < 0.9 else days, None, above)


# Events as they were stored

EVENTS = (
    StoredEvent("posting_policy.created.v1", POSTING_POLICY, 1, '{"most_days_back":null}', {"most_days_back": None}),
    StoredEvent(
        "posting_policy.changed.v1",
        POSTING_POLICY,
        2,
        '{"most_days_back":90}',
        {"most_days_back": 90, "counted_kinds": list(COUNTED), "approve_above": []},
    ),
    StoredEvent(
        "posting_policy.changed.v2",
        "policy:posting",
        2,
        '{"approve_above":[{"amount":999999999999998,"currency":"EUR"}],"counted_kinds":["withdrawal","transfer","payment","capture","conversion"],"most_days_back":null}',
        {
            "most_days_back": None,
            "counted_kinds": ["withdrawal", "transfer", "payment", "capture", "conversion"],
            "approve_above": [{"currency": "EUR", "amount": 999999999999998}],
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
