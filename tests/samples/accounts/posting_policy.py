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
    ChangeRiskRules,
    PostingPolicy,
)
from domain.accounts.risk.rules import (
    MOST_POINTS,
    AverageRule,
    DailyRule,
    HourlyRule,
    RiskRules,
    YoungRule,
)
from domain.accounts.thresholds import Threshold, thresholds
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


def risk() -> dict[str, Any]:
    """Risk rules that no sample has asked for before. They are off: other samples move money as they like."""
    return {
        "on": False,
        "average": {"points": 30, "times": 5, "history": next(_numbers) - 9_999},
        "hourly": {"points": 25, "count": 10},
        "daily": {"points": 40, "above": {"EUR": "5000.00"}},
        "young": {"points": 35, "days": 30, "above": {"EUR": "1000.00"}},
    }


ROUTES = {
    "/v1/policies/posting": lambda world: Request({}, change()),
    "/v1/policies/risk": lambda world: Request({}, risk()),
}

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
    "risk_bounds": RuleSample(
        given=(),
        broken=ChangeRiskRules(RiskRules(True, average=AverageRule(MOST_POINTS + 1, 5, 1))),
        sentence="The figure average.points of the risk rules is 0 to 1000; this one is 1001.",
        kept=(ChangeRiskRules(RiskRules(True, average=AverageRule(MOST_POINTS, 5, 1))),),
    ),
    "risk_thresholds": RuleSample(
        given=(),
        broken=ChangeRiskRules(RiskRules(True, 20, 40, 39)),
        sentence="The points for monitor, verify and block do not fall; these are 20, 40 and 39.",
        kept=(ChangeRiskRules(RiskRules(True, 20, 40, 40)),),
    ),
    "risk_unchanged": RuleSample(
        given=(ChangeRiskRules(RiskRules(True)),),
        broken=ChangeRiskRules(RiskRules(True)),
        sentence="The risk rules already are what they would be changed to.",
        kept=(ChangeRiskRules(RiskRules(False)),),
    ),
    "policy_unchanged": RuleSample(
        given=(ChangePostingPolicy(3),),
        broken=ChangePostingPolicy(3),
        sentence="The posting policy already is what it would be changed to.",
        kept=(ChangePostingPolicy(4),),
    ),
}

# Risk rules that a life can set. One watches whatever is paid, and the others let most of it pass.
LIVELY = (
    RiskRules(on=False),
    RiskRules(True, average=AverageRule(20, 5, 3), hourly=HourlyRule(20, 0)),
    RiskRules(True, daily=DailyRule(40, (Threshold("EUR", 20_000),)), young=YoungRule(35, 9, thresholds({"JPY": 500}))),
    RiskRules(True, 20, 40, 45, hourly=HourlyRule(45, 5)),
)

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """A policy that changes now and then. It seldom refuses, because the lives of accounts post at today's date."""
    [days] = [policy.most_days_back for policy in ledger.of(PostingPolicy)] or [None]
    if chance.random() < 0.3:
        return ChangeRiskRules(chance.choice(LIVELY))
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
        "posting_policy.risk_rules_changed.v1",
        POSTING_POLICY,
        4,
        '{"rules":{"average":{"history":3,"points":20,"times":5},"block":70,"daily":null,"hourly":{"count":3,"points":20},"monitor":20,"on":true,"verify":40,"young":null}}',
        {
            "rules": {
                "on": True,
                "monitor": 20,
                "verify": 40,
                "block": 70,
                "average": {"points": 20, "times": 5, "history": 3},
                "hourly": {"points": 20, "count": 3},
                "daily": None,
                "young": None,
            }
        },
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
