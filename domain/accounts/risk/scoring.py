"""The assessment of a transaction: its points by the risk rules, and what follows from them. Pure, and in integers.

It uses what the account itself has counted (`domain.accounts.account.usage`), so it is decided on the exact version of
the account.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.account.state import Account
from domain.accounts.risk.rules import Action, Factor, RiskRules
from domain.accounts.thresholds import amount_of
from domain.kernel import Value

DAYS = 30
"""Days of the average, today included."""


class Assessment(Value, frozen=True):
    """The points of a transaction, for which rules it got them, and what is done about it."""

    score: int
    action: Action
    factors: tuple[Factor, ...]


def assess(rules: RiskRules, account: Account, amount: int, at: datetime) -> Assessment | None:
    """Return the assessment of taking the amount from the account, or None if it has too few points to be recorded."""
    factors = tuple(factor for factor in _factors(rules, account, amount, at) if factor.points)
    score = sum(factor.points for factor in factors)
    if score < rules.monitor:
        return None
    return Assessment(score, action_of(score, rules), factors)


def action_of(score: int, rules: RiskRules) -> Action:
    """Return what is done about a transaction with at least the points to monitor it."""
    if score >= rules.block:
        return "block"
    return "verify" if score >= rules.verify else "monitor"


def _factors(rules: RiskRules, account: Account, amount: int, at: datetime) -> Iterator[Factor]:
    usage, currency, today = account.usage, account.profile.currency, at.date()
    if (average := rules.average) is not None:
        count, total = usage.in_days(today, DAYS)
        # An average of nothing would make any amount suspicious. A young account has no average yet.
        if count >= average.history and total > 0 and amount * count > average.times * total:
            yield Factor("average", average.points, amount, average.times * total // count)
    if (hourly := rules.hourly) is not None:
        made = usage.in_hour(at)[0] + 1
        if made > hourly.count:
            yield Factor("hourly", hourly.points, made, hourly.count)
    if (daily := rules.daily) is not None:
        allowed, used = amount_of(daily.above, currency), usage.on_day(today) + amount
        if allowed is not None and used > allowed:
            yield Factor("daily", daily.points, used, allowed)
    if (young := rules.young) is not None and (today - account.profile.opened_on).days < young.days:
        allowed = amount_of(young.above, currency)
        if allowed is not None and amount > allowed:
            yield Factor("young", young.points, amount, allowed)
