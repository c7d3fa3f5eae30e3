"""Which days are closed: the events of periods, their state, and what a posting asks of it.

A period is a range of days. Its stream has all of them, and every posting reads it, so a posting is decided before or
after a closing and never beside it. Periods are closed in the order of their days, without a gap. So one day says
everything that a posting asks: the first one that is open.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, TypeAlias

from msgspec.structs import replace

from domain.kernel import Event, Personal, Refused, States, Value

PERIODS = "periods"
"""The name of the stream. Each log has one."""
PERIOD = "per"
"""Prefix of the ids of periods."""

# Events


class PeriodsCreated(Event, frozen=True):
    """The log has no closed period yet. It is the first event of the stream."""


class PeriodClosed(Event, frozen=True):
    """A period was closed: from then on nothing is posted with a value date up to its end."""

    period: str
    name: str
    begins_on: date
    ends_on: date
    by: str  # id of the principal


class PeriodFigures(Value, frozen=True):
    """The debits and credits of the accounts of one type in one currency, with value dates up to the end of a period.

    Amounts are in minor units. They are sums, so they have no bound.
    """

    currency: str
    type: str
    accounts: int  # that have entries
    debits: int
    credits: int


class PeriodSealed(Event, frozen=True):
    """The figures of a closed period: its trial balance, and a digest of the balances of all accounts."""

    period: str
    ends_on: date
    digest: str  # SHA-256, hexadecimal
    figures: tuple[PeriodFigures, ...]  # sorted by currency and type


class PeriodReopeningAsked(Event, frozen=True):
    """A person asks to reopen the newest period. The request is in the same unit, and replaces the one before."""

    period: str
    approval: str  # id of the request
    by: str  # the person who asks; their key seals the reason
    reason: Personal


class PeriodReopened(Event, frozen=True):
    """The newest period is open again. Another person approved it in the same unit."""

    period: str
    approval: str
    by: str  # the person who approved


class YearClosingAsked(Event, frozen=True):
    """An operator asks that the year that ends with the newest period is closed. A process reads the balances then."""

    period: str
    ends_on: date
    by: str  # id of the principal


class YearClosed(Event, frozen=True):
    """The balances of income and expense at the end of the period were moved to equity, in the same unit."""

    period: str
    ends_on: date
    transactions: tuple[str, ...]  # one a currency; none if there was nothing to move


class YearEndReversed(Event, frozen=True):
    """A transaction that closed the year was wholly reversed, in the same unit."""

    period: str
    transaction: str


PeriodsEvent: TypeAlias = (
    PeriodsCreated
    | PeriodClosed
    | PeriodSealed
    | PeriodReopeningAsked
    | PeriodReopened
    | YearClosingAsked
    | YearClosed
    | YearEndReversed
)

# State


class ClosedPeriod(Value, frozen=True):
    """A period that is closed."""

    id: str
    name: str
    begins_on: date
    ends_on: date
    sealed: bool = False
    asked: str | None = None  # the newest request to reopen it
    year: Literal["asked", "closed"] | None = None  # whether the year that ends with it is closed
    year_end: tuple[str, ...] = ()  # the transactions that closed it and are not wholly reversed


class Periods(Value, frozen=True):
    """The closed periods, in the order of their days."""

    version: int
    closed: tuple[ClosedPeriod, ...] = ()
    open_from: date = date.min  # the first open day

    @property
    def newest(self) -> ClosedPeriod | None:
        """The period that was closed last."""
        return self.closed[-1] if self.closed else None

    def find(self, id: str) -> ClosedPeriod | None:
        """Return a closed period by its id, or None."""
        return next((period for period in self.closed if period.id == id), None)

    def refuse_value_date(self, value_date: date) -> Refused | None:
        """Return the refusal of a value date that is closed, or None."""
        if value_date >= self.open_from:
            return None
        period = next(period for period in self.closed if value_date <= period.ends_on)
        figures = {"value_date": value_date.isoformat(), "period": period.id, "name": period.name}
        until, first = period.ends_on.isoformat(), self.open_from.isoformat()
        return Refused("period_closed", {**figures, "ends_on": until, "open_from": first})

    def refuse_late(self, late_for: date) -> Refused | None:
        """Return the refusal of a late fact about a day that is open, or None."""
        if late_for < self.open_from:
            return None
        return Refused("late_for_open_day", {"late_for": late_for.isoformat()})


RULES: dict[str, str] = {
    "period_closed": (
        "The value date {value_date} is closed: the period {name} closed the days up to {ends_on}. The first open day "
        "is {open_from}."
    ),
    "late_for_open_day": "The day {late_for} is not closed; post with that value date instead of naming it as late.",
}
"""The rules of every posting."""


def evolve(state: Periods | None, event: PeriodsEvent) -> Periods:
    """Return the periods after the event."""
    version, now = event.originator_version, state or Periods(0)
    match event:
        case PeriodsCreated():
            return replace(now, version=version)
        case PeriodClosed():
            period = ClosedPeriod(event.period, event.name, event.begins_on, event.ends_on)
            return Periods(version, (*now.closed, period), event.ends_on + timedelta(days=1))
        case PeriodSealed():
            return _changed(now, version, event.period, sealed=True)
        case PeriodReopeningAsked():
            return _changed(now, version, event.period, asked=event.approval)
        case YearClosingAsked():
            return _changed(now, version, event.period, year="asked")
        case YearClosed():
            return _changed(now, version, event.period, year="closed", year_end=event.transactions)
        case YearEndReversed():
            return _without(now, version, event)
        case PeriodReopened():
            closed = tuple(period for period in now.closed if period.id != event.period)
            return Periods(version, closed, closed[-1].ends_on + timedelta(days=1) if closed else date.min)


def _without(now: Periods, version: int, event: YearEndReversed) -> Periods:
    """Once the last transaction is reversed, the year is open again."""
    period = now.find(event.period)
    left = () if period is None else tuple(id for id in period.year_end if id != event.transaction)
    return _changed(now, version, event.period, year="closed" if left else None, year_end=left)


def _changed(periods: Periods, version: int, id: str, **change: object) -> Periods:
    closed = tuple(replace(period, **change) if period.id == id else period for period in periods.closed)
    return replace(periods, version=version, closed=closed)


NONE_CLOSED = Periods(0)
"""The periods of a log until the first one is closed."""


def periods(states: States) -> Periods:
    """Return the periods of the log. A log without the stream has none closed."""
    state = states.get(PERIODS)
    return state if isinstance(state, Periods) else NONE_CLOSED
