"""Closing the year that ends with the newest period: asking for it, and the rules of what follows.

An operator asks. A process reads the balances of income and expense at the end of the period
(`domain.accounts.periods.year_closing`), and then posts them to equity (`domain.accounts.transaction.year_end`). The
entries are of the first open day, so nothing is posted into the closed period and its seal stays true (ADR 55).
"""

from __future__ import annotations

from typing import cast

from domain.accounts.periods.closing import RULES as CLOSING_RULES
from domain.accounts.periods.state import PERIODS, ClosedPeriod, Periods, YearClosingAsked, periods
from domain.kernel import Accepted, Context, Decide, Decision, Refused, Role, States, Value
from domain.permissions import OPERATORS


class CloseYear(Value, frozen=True):
    """Close the year that ends with the newest period. It is sealed, and no year was closed with it."""

    period: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (PERIODS,)


RULES: dict[str, str] = {
    "year_not_newest": "The period {period} is followed by {newest}; a year is closed while its last period is newest.",
    "year_not_sealed": "The period {period} is not sealed yet; its year can be closed once it is.",
    "year_asked": "Somebody asked to close the year that ends with {period} already; a process does it.",
    "year_closed": (
        "The year that ends with {period} is closed. What comes after it stands on that: reverse its year-end "
        "transactions first, of which {count} are left."
    ),
}
YEAR_END_RULES: dict[str, str] = {
    "period_not_closed": CLOSING_RULES["period_not_closed"],
    "year_not_newest": RULES["year_not_newest"],
    "year_not_asked": "Nobody asked to close the year that ends with {period}, or it is closed by now.",
}
"""The rules of `refuse_year_end`."""


def close_year(command: CloseYear, states: States, context: Context) -> Decision:
    now = periods(states)
    refusal = refuse_asking(now, command.period)
    if refusal is not None:
        return refusal
    ends_on = cast(ClosedPeriod, now.newest).ends_on
    asked = YearClosingAsked(PERIODS, now.version + 1, command.period, ends_on, context.principal.id)
    return Accepted((asked,), {"period": command.period, "year": "asked"})


def refuse_asking(now: Periods, id: str) -> Refused | None:
    """Return why nobody can ask to close the year that ends with a period, or None."""
    refusal = _refuse_other_than_newest(now, id)
    if refusal is not None:
        return refusal
    period = cast(ClosedPeriod, now.find(id))
    if not period.sealed:
        return Refused("year_not_sealed", {"period": id})
    if period.year == "asked":
        return Refused("year_asked", {"period": id})
    return _closed(period) if period.year == "closed" else None


def refuse_year_end(now: Periods, id: str) -> Refused | None:
    """Return why the year that ends with a period cannot be closed at this moment, or None."""
    refusal = _refuse_other_than_newest(now, id)
    if refusal is None and cast(ClosedPeriod, now.find(id)).year != "asked":
        return Refused("year_not_asked", {"period": id})
    return refusal


def refuse_closed_year(period: ClosedPeriod) -> Refused | None:
    """Return the refusal to reopen a period while transactions stand that closed its year, or None."""
    return _closed(period) if period.year_end else None


def _closed(period: ClosedPeriod) -> Refused:
    return Refused("year_closed", {"period": period.id, "count": len(period.year_end)})


def _refuse_other_than_newest(now: Periods, id: str) -> Refused | None:
    if now.find(id) is None:
        return Refused("period_not_closed", {"period": id})
    newest = cast(ClosedPeriod, now.newest)
    return None if newest.id == id else Refused("year_not_newest", {"period": id, "newest": newest.id})


DECISIONS: dict[type, Decide] = {CloseYear: close_year}
MAY: dict[type, frozenset[Role]] = {CloseYear: OPERATORS}
