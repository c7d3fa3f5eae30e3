"""What the stored events of periods are held to. `daybook verify` applies it (`Aggregate.check`).

Whether the figures of a seal are the sums of the entries is not looked at here: `verify` sums them with one query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from domain.accounts.periods import closing, reopening, year
from domain.accounts.periods.state import (
    NONE_CLOSED,
    PERIODS,
    PeriodClosed,
    PeriodReopened,
    PeriodReopeningAsked,
    Periods,
    PeriodsCreated,
    PeriodSealed,
    PeriodsEvent,
    YearClosed,
    YearClosingAsked,
    YearEndReversed,
    evolve,
)
from domain.aggregate import Broken, Decided, UnitRule, refused
from domain.kernel import Event, Refused
from domain.money import EXPONENTS
from domain.people.approval import ApprovalGiven, ApprovalRequested

ONE_DAY = timedelta(days=1)
_RULES: Mapping[str, str] = {**closing.RULES, **reopening.RULES, **year.RULES, **year.YEAR_END_RULES}


def check(before: Periods | None, events: Sequence[PeriodsEvent], decided: Decided) -> Iterator[Broken]:
    """Find a period that is closed too early, twice or out of order, a seal or a reopening of none that is closed."""
    now = before
    for event in events:
        if isinstance(event, PeriodsCreated) is not (now is None):
            yield Broken(event, f"{PERIODS} is {'created again' if now else 'changed before it is created'}")
        known = now or NONE_CLOSED
        if isinstance(event, PeriodSealed):
            yield from _sealed(known, event)
        elif isinstance(event, YearEndReversed):
            period = known.find(event.period)
            if period is None or event.transaction not in period.year_end:
                yield Broken(event, f"{event.transaction} is reversed, and did not close the year of {event.period}")
        elif (refusal := _refuse(known, event, decided)) is not None:
            yield refused(event, refusal, _RULES)
        elif isinstance(event, YearClosingAsked | YearClosed) and event.ends_on != known.open_from - ONE_DAY:
            yield Broken(event, f"the year of {event.period} is closed up to {event.ends_on}, where it does not end")
        now = evolve(now, event)


def _sealed(now: Periods, event: PeriodSealed) -> Iterator[Broken]:
    period = now.find(event.period)
    foreign = sorted({one.currency for one in event.figures} - EXPONENTS.keys())
    if period is None:
        yield refused(event, Refused("period_not_closed", {"period": event.period}), _RULES)
    elif foreign:
        yield Broken(event, f"{event.period} has figures in {foreign[0]!r}, which is no currency")
    elif (refusal := closing.refuse_sealing(period, event.figures)) is not None:
        yield refused(event, refusal, _RULES)
    elif period.ends_on != event.ends_on:
        yield Broken(event, f"{event.period} ends on {period.ends_on}, and is sealed up to {event.ends_on}")


def _refuse(now: Periods, event: PeriodsEvent, decided: Decided) -> Refused | None:
    match event:
        case PeriodClosed():
            return closing.refuse_closing(now, event.period, event.name, event.begins_on, event.ends_on, decided.today)
        case PeriodReopeningAsked():
            return reopening.refuse_reopening(now, event.period)
        case PeriodReopened():
            return reopening.refuse_reopening(now, event.period) or reopening.refuse_approval(
                now, event.period, event.approval
            )
        case YearClosingAsked():
            return year.refuse_asking(now, event.period)
        case YearClosed():
            return year.refuse_year_end(now, event.period)
    return None


def _stands_with_its_request(
    event: PeriodReopeningAsked, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The request that another person approves is made in the same unit."""
    wanted = (reopening.REOPEN, event.period, event.by)
    for one in unit.get(event.approval, ()):
        if isinstance(one, ApprovalRequested) and (one.action, one.about, one.by) == wanted:
            return None
    return f"{event.by} asks to reopen {event.period}, and the unit does not request {event.approval}"


def _stands_with_its_approval(
    event: PeriodReopened, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """Another person approves in the same unit."""
    if any(isinstance(one, ApprovalGiven) and one.by == event.by for one in unit.get(event.approval, ())):
        return None
    return f"{event.period} is reopened, and {event.by} does not approve {event.approval} in the unit"


UNIT_RULES: Mapping[type[Event], UnitRule] = {
    PeriodReopeningAsked: _stands_with_its_request,
    PeriodReopened: _stands_with_its_approval,
}
