"""The risk rules: for what a transaction gets points, and from how many points on it is watched, reviewed or blocked.

They are a part of the posting policy and stand on its stream. Every posting reads that policy already, so a ledger
without risk rules pays nothing for them, and one with them reads no other stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from domain.accounts.thresholds import Threshold
from domain.kernel import Event, Figure, Refused, Value
from domain.money import MAX_AMOUNT, show

Action = Literal["monitor", "verify", "block"]
"""What is done with a transaction that has points: it is recorded, it waits for a review, or it is refused."""
RuleName = Literal["average", "hourly", "daily", "young"]

MOST_POINTS = 1_000
MOST_TIMES = 1_000
MOST_HISTORY = 10_000
MOST_COUNT = 1_000_000
MOST_DAYS = 36_500


class AverageRule(Value, frozen=True):
    """Points for an amount above so many times the average of the outgoing transactions of 30 days."""

    points: int
    times: int
    history: int  # so many transactions the account needs in the 30 days; with fewer, the rule gives no points


class HourlyRule(Value, frozen=True):
    """Points for more outgoing transactions than this in an hour, the new one included."""

    points: int
    count: int


class DailyRule(Value, frozen=True):
    """Points for more outgoing money than this in a UTC day, the new amount included."""

    points: int
    above: tuple[Threshold, ...]  # one a currency, in order of the currencies


class YoungRule(Value, frozen=True):
    """Points for an amount above this, in the first days of an account."""

    points: int
    days: int  # an account is young on so many days, beginning with that of its opening
    above: tuple[Threshold, ...]  # one a currency, in order of the currencies


class RiskRules(Value, frozen=True):
    """All risk rules. A rule that is None gives no points."""

    on: bool
    monitor: int = 20  # points
    verify: int = 40
    block: int = 70
    average: AverageRule | None = None
    hourly: HourlyRule | None = None
    daily: DailyRule | None = None
    young: YoungRule | None = None


OFF = RiskRules(on=False)
"""The rules of a log until they are changed."""


class RiskRulesChanged(Event, frozen=True):
    """The risk rules were changed. The event has all of them."""

    rules: RiskRules


class Factor(Value, frozen=True):
    """A risk rule that gave points, and why: it found more than it allows."""

    rule: RuleName
    points: int
    found: int  # an amount in minor units; of the rule `hourly` a number of transactions
    allowed: int  # in the same unit


RULES: dict[str, str] = {
    "risk_bounds": "The figure {figure} of the risk rules is {least} to {most}; this one is {value}.",
    "risk_thresholds": (
        "The points for monitor, verify and block do not fall; these are {monitor}, {verify} and {block}."
    ),
    "risk_unchanged": "The risk rules already are what they would be changed to.",
}


def refuse_rules(rules: RiskRules) -> Refused | None:
    """Return the refusal of rules out of bounds, or None."""
    for figure, value, least, most in _figures(rules):
        if not least <= value <= most:
            return Refused("risk_bounds", {"figure": figure, "least": least, "most": most, "value": value})
    for figure, thresholds in (("daily.above", rules.daily), ("young.above", rules.young)):
        for one in () if thresholds is None else thresholds.above:
            if not 0 <= one.amount <= MAX_AMOUNT:
                figures: dict[str, Figure] = {"figure": figure, "least": show(0, one.currency)}
                most_shown, value_shown = show(MAX_AMOUNT, one.currency), show(one.amount, one.currency)
                return Refused("risk_bounds", {**figures, "most": most_shown, "value": value_shown})
    if not rules.monitor <= rules.verify <= rules.block:
        points = {"monitor": rules.monitor, "verify": rules.verify, "block": rules.block}
        return Refused("risk_thresholds", points)
    return None


def _figures(rules: RiskRules) -> Iterator[tuple[str, int, int, int]]:
    """Yield each figure that is no amount: its name, its value, the least and the most."""
    yield "monitor", rules.monitor, 1, MOST_POINTS
    yield "verify", rules.verify, 1, MOST_POINTS
    yield "block", rules.block, 1, MOST_POINTS
    if rules.average is not None:
        yield "average.points", rules.average.points, 0, MOST_POINTS
        yield "average.times", rules.average.times, 1, MOST_TIMES
        yield "average.history", rules.average.history, 1, MOST_HISTORY
    if rules.hourly is not None:
        yield "hourly.points", rules.hourly.points, 0, MOST_POINTS
        yield "hourly.count", rules.hourly.count, 0, MOST_COUNT
    if rules.daily is not None:
        yield "daily.points", rules.daily.points, 0, MOST_POINTS
    if rules.young is not None:
        yield "young.points", rules.young.points, 0, MOST_POINTS
        yield "young.days", rules.young.days, 1, MOST_DAYS
