"""Periods without a database: what a closing stops, and what forged events are found to be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.periods.check import check
from domain.accounts.periods.closing import ClosePeriod
from domain.accounts.periods.state import (
    PERIODS,
    ClosedPeriod,
    PeriodClosed,
    PeriodFigures,
    PeriodReopened,
    PeriodReopeningAsked,
    Periods,
    PeriodsCreated,
    PeriodSealed,
)
from domain.aggregate import Decided
from domain.kernel import Event, Refused
from domain.people.approval import ApprovalGiven, ApprovalRequested
from domain.registry import check_unit
from tests.samples.accounts.periods import approves, asks, close, february, seal
from tests.support.memory_ledger import NOW, TODAY, MemoryLedger, transfer

DECIDED = Decided(NOW, 1, "main")
FIRST, LAST = date(2026, 1, 1), date(2026, 1, 31)
OPEN = Periods(1)
CLOSED = Periods(2, (ClosedPeriod("per_1", "2026-01", FIRST, LAST, asked="appr_1"),), date(2026, 2, 1))


def test_a_closing_stops_every_day_up_to_its_end() -> None:
    ledger = MemoryLedger()
    ledger.open_internal()
    one, two = ledger.account(1_000), ledger.account()
    ledger.accepted(transfer(one, two, 1, value_date=LAST))
    ledger.accepted(close())
    for day in (FIRST - timedelta(1), FIRST, LAST):
        assert ledger.refused(transfer(one, two, 1, value_date=day)).rule == "period_closed"
    ledger.accepted(transfer(one, two, 1, value_date=LAST + timedelta(1)))
    ledger.accepted(february())
    refusal = ledger.refused(transfer(one, two, 1, value_date=LAST))
    assert (refusal.figures["period"], refusal.figures["open_from"]) == ("per_1", "2026-03-01")
    ledger.accepted(asks("per_2"))
    ledger.accepted(approves())
    ledger.accepted(transfer(one, two, 1, value_date=date(2026, 2, 1)))
    ledger.check()


def test_a_reopened_first_period_leaves_every_day_open() -> None:
    ledger = MemoryLedger()
    for command in (close(), seal(), asks(), approves()):
        ledger.accepted(command)
    assert ledger[PERIODS] == Periods(5)
    ledger.accepted(ClosePeriod("per_2", "2026-01", FIRST - timedelta(9), LAST))


def test_an_open_value_date_costs_one_comparison() -> None:
    """It does not look at the closed periods, however many there are."""

    class Unreadable(tuple[Any, ...]):
        def __iter__(self) -> Any:
            raise AssertionError("the closed periods are read")

    many = Periods(2, Unreadable(CLOSED.closed), CLOSED.open_from)
    assert many.refuse_value_date(date(2026, 2, 1)) is None
    with pytest.raises(AssertionError, match="are read"):
        many.refuse_value_date(LAST)


# What `verify` finds

CLOSING = PeriodClosed(PERIODS, 2, "per_1", "2026-01", FIRST, LAST, "tester")
SEAL = PeriodSealed(PERIODS, 3, "per_1", LAST, "ab", (PeriodFigures("EUR", "cash", 1, 0, 0),))
REOPENING = PeriodReopened(PERIODS, 3, "per_1", "appr_1", "prsn_2")
ASKING = PeriodReopeningAsked(PERIODS, 3, "per_1", "appr_1", "prsn_1", "why")


@pytest.mark.parametrize(
    ("before", "event", "what"),
    [
        (OPEN, CLOSING, None),
        (CLOSED, SEAL, None),
        (CLOSED, REOPENING, None),
        (None, CLOSING, "periods is changed before it is created"),
        (OPEN, PeriodsCreated(PERIODS, 2), "periods is created again"),
        (OPEN, replace(CLOSING, ends_on=TODAY), "is not before today"),
        (OPEN, replace(CLOSING, ends_on=FIRST - timedelta(1)), "A period ends on the day it begins or later"),
        (CLOSED, replace(CLOSING, originator_version=3), "A period 2026-01 is closed already"),
        (CLOSED, replace(CLOSING, period="per_2", name="other"), "The days before 2026-02-01 are closed"),
        (OPEN, SEAL, "The period per_1 is not closed"),
        (CLOSED, replace(SEAL, ends_on=FIRST), "per_1 ends on 2026-01-31, and is sealed up to 2026-01-01"),
        (CLOSED, replace(SEAL, figures=(PeriodFigures("EUR", "cash", 1, 1, 0),)), "The EUR figures sum to -0.01"),
        (CLOSED, replace(SEAL, figures=(PeriodFigures("XQX", "cash", 1, 1, 1),)), "'XQX', which is no currency"),
        (OPEN, REOPENING, "The period per_1 is not closed"),
        (CLOSED, replace(REOPENING, approval="appr_0"), "was replaced by the newer one appr_1"),
        (OPEN, ASKING, "The period per_1 is not closed"),
    ],
)
def test_stored_events_are_held_to_the_rules(before: Periods | None, event: Any, what: str | None) -> None:
    found = [one.what for one in check(before, [event], DECIDED)]
    assert found == [] if what is None else len(found) == 1 and what in found[0], found


REQUEST = ApprovalRequested("appr_1", 1, "period.reopen", "per_1", "prsn_1", NOW)


@pytest.mark.parametrize(
    ("event", "beside", "is_right"),
    [
        (ASKING, REQUEST, True),
        (ASKING, replace(REQUEST, by="prsn_2"), False),
        (ASKING, replace(REQUEST, about="per_2"), False),
        (ASKING, replace(REQUEST, action="person.erase"), False),
        (REOPENING, ApprovalGiven("appr_1", 2, "prsn_2"), True),
        (REOPENING, ApprovalGiven("appr_1", 2, "prsn_1"), False),
        (REOPENING, ApprovalGiven("appr_2", 2, "prsn_2"), False),
    ],
)
def test_a_reopening_stands_with_its_approval(event: Event, beside: Event, is_right: bool) -> None:
    assert (check_unit((beside, event), DECIDED) == []) is is_right


def test_a_refusal_has_the_figures_of_its_sentence() -> None:
    refusal = CLOSED.refuse_value_date(LAST)
    assert isinstance(refusal, Refused)
    figures: Mapping[str, Any] = {"value_date": "2026-01-31", "period": "per_1", "name": "2026-01"}
    assert refusal.figures == {**figures, "ends_on": "2026-01-31", "open_from": "2026-02-01"}
