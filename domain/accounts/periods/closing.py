"""Closing a period, and sealing it with its figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from domain.accounts.periods.state import (
    PERIODS,
    ClosedPeriod,
    PeriodClosed,
    PeriodFigures,
    Periods,
    PeriodsCreated,
    PeriodSealed,
    periods,
)
from domain.codes import refuse_other_than_code
from domain.kernel import Accepted, Context, Decide, Decision, Event, Figure, Refused, Role, States, Value
from domain.money import show
from domain.permissions import OPERATORS, PROCESSES

MOST_PERIODS = 600
"""Most closed periods of a log: 50 years of months."""
MOST_FIGURES = 400
"""Most figures of a period, each of one currency and one type of account. They fit one event and one intent."""

# Commands


class ClosePeriod(Value, frozen=True):
    """Close the days of a period. Nothing is posted with a value date up to its end any more."""

    period: str
    name: str
    begins_on: date
    ends_on: date

    @property
    def streams(self) -> tuple[str, ...]:
        return (PERIODS,)


class SealPeriod(Value, frozen=True):
    """Record the figures of a closed period. Only its process sends this, once they are final."""

    period: str
    digest: str
    figures: tuple[PeriodFigures, ...]

    @property
    def streams(self) -> tuple[str, ...]:
        return (PERIODS,)


# Rules

RULES: dict[str, str] = {
    "period_order": "A period ends on the day it begins or later; this one is from {begins_on} to {ends_on}.",
    "period_not_over": "A period is closed after its last day; {ends_on} is not before today, {today} (UTC).",
    "period_not_next": (
        "The days before {open_from} are closed, so the next period begins on that day; this one begins on {begins_on}."
    ),
    "period_exists": "A period {name} is closed already, up to {ends_on}.",
    "period_count": "There are {most} closed periods, which is the most.",
    "period_not_closed": "The period {period} is not closed; it was never, or it was reopened.",
    "period_sealed": "The period {period} is sealed already.",
    "period_figures": "A period is sealed with at most {most} figures, one a currency and type; these are {count}.",
    "period_unbalanced": "The {currency} figures sum to {sum}; debits and credits must be equal.",
}

# Decisions


def close(command: ClosePeriod, states: States, context: Context) -> Decision:
    now = periods(states)
    refusal = refuse_other_than_code("name", command.name) or refuse_closing(
        now, command.period, command.name, command.begins_on, command.ends_on, context.today
    )
    if refusal is not None:
        return refusal
    events: list[Event] = [] if now.version else [PeriodsCreated(PERIODS, 1)]
    by, version = context.principal.id, now.version + len(events) + 1
    events.append(PeriodClosed(PERIODS, version, command.period, command.name, command.begins_on, command.ends_on, by))
    result: dict[str, Figure] = {
        "period": command.period,
        "name": command.name,
        "begins_on": command.begins_on.isoformat(),
        "ends_on": command.ends_on.isoformat(),
        "status": "closed",
    }
    return Accepted(tuple(events), result)


def seal(command: SealPeriod, states: States, context: Context) -> Decision:
    now = periods(states)
    period = now.find(command.period)
    if period is None:
        return Refused("period_not_closed", {"period": command.period})
    refusal = refuse_sealing(period, command.figures)
    if refusal is not None:
        return refusal
    event = PeriodSealed(PERIODS, now.version + 1, period.id, period.ends_on, command.digest, command.figures)
    return Accepted((event,), {"period": command.period, "status": "sealed"})


def refuse_closing(now: Periods, period: str, name: str, begins_on: date, ends_on: date, today: date) -> Refused | None:
    """Return the refusal of a closing, or None."""
    days: dict[str, Figure] = {"begins_on": begins_on.isoformat(), "ends_on": ends_on.isoformat()}
    if ends_on < begins_on:
        return Refused("period_order", days)
    if ends_on >= today:
        return Refused("period_not_over", {"ends_on": ends_on.isoformat(), "today": today.isoformat()})
    if len(now.closed) >= MOST_PERIODS:
        return Refused("period_count", {"most": MOST_PERIODS})
    namesake = next((one for one in now.closed if name == one.name or period == one.id), None)
    if namesake is not None:
        return Refused("period_exists", {"name": namesake.name, "ends_on": namesake.ends_on.isoformat()})
    if now.closed and begins_on != now.open_from:
        return Refused("period_not_next", {"open_from": now.open_from.isoformat(), "begins_on": begins_on.isoformat()})
    return None


def refuse_sealing(period: ClosedPeriod, figures: Sequence[PeriodFigures]) -> Refused | None:
    """Return the refusal to seal a closed period with these figures, or None."""
    if period.sealed:
        return Refused("period_sealed", {"period": period.id})
    if len(figures) > MOST_FIGURES:
        return Refused("period_figures", {"most": MOST_FIGURES, "count": len(figures)})
    sums: dict[str, int] = {}
    for one in figures:
        sums[one.currency] = sums.get(one.currency, 0) + one.credits - one.debits
    for currency, total in sums.items():
        if total != 0:
            return Refused("period_unbalanced", {"currency": currency, "sum": show(total, currency)})
    return None


DECISIONS: dict[type, Decide] = {ClosePeriod: close, SealPeriod: seal}
MAY: dict[type, frozenset[Role]] = {ClosePeriod: OPERATORS, SealPeriod: PROCESSES}
