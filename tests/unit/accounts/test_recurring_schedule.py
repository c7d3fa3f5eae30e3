"""The dates of a recurring payment: a month's end, a leap day, business days, and the end."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.business_calendar import INITIAL, Calendar
from domain.accounts.recurring.schedule import Schedule, due_time

OPEN = Calendar(1, (), ())


def dates(schedule: Schedule, runs: int, calendar: Calendar = OPEN) -> list[str]:
    """When the first runs are due."""
    return [str(schedule.due_on(number, calendar)) for number in range(1, runs + 1)]


def test_a_month_that_is_too_short_has_its_last_day_and_nothing_drifts() -> None:
    assert dates(Schedule("months", 1, date(2027, 1, 31)), 5) == [
        "2027-01-31",
        "2027-02-28",
        "2027-03-31",
        "2027-04-30",
        "2027-05-31",
    ]


def test_a_day_of_the_month_holds_where_the_first_month_was_too_short() -> None:
    assert dates(Schedule("months", 1, date(2027, 2, 28), 31), 3) == ["2027-02-28", "2027-03-31", "2027-04-30"]
    assert dates(Schedule("months", 1, date(2027, 2, 28), 29), 3) == ["2027-02-28", "2027-03-29", "2027-04-29"]
    assert dates(Schedule("months", 1, date(2027, 2, 28)), 3) == ["2027-02-28", "2027-03-28", "2027-04-28"]


def test_a_leap_day_comes_again_after_four_years() -> None:
    yearly = Schedule("months", 12, date(2028, 2, 29))
    assert dates(yearly, 5) == ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]
    assert dates(Schedule("days", 1, date(2028, 2, 28)), 3) == ["2028-02-28", "2028-02-29", "2028-03-01"]
    assert dates(Schedule("months", 1, date(2028, 1, 30)), 3) == ["2028-01-30", "2028-02-29", "2028-03-30"]


def test_days_are_counted_from_the_first_date() -> None:
    assert dates(Schedule("days", 14, date(2027, 1, 1)), 3) == ["2027-01-01", "2027-01-15", "2027-01-29"]


def test_the_calendar_moves_a_date_and_not_those_after_it() -> None:
    monthly = Schedule("months", 1, date(2027, 1, 31), day_rule="modified_following")
    assert dates(monthly, 4, INITIAL) == ["2027-01-29", "2027-02-26", "2027-03-31", "2027-04-30"]
    daily = Schedule("days", 1, date(2027, 1, 1), day_rule="following")
    assert dates(daily, 5, INITIAL) == ["2027-01-01", *["2027-01-04"] * 3, "2027-01-05"]


@pytest.mark.parametrize(
    "ends",
    [Schedule("days", 1, date(2027, 1, 30), runs=2), Schedule("days", 1, date(2027, 1, 30), last_on=date(2027, 1, 31))],
)
def test_it_ends_after_its_last_run(ends: Schedule) -> None:
    assert dates(ends, 3) == ["2027-01-30", "2027-01-31", "None"]


def test_the_last_date_counts_before_the_calendar_moves_it() -> None:
    """Sunday, 31 January, is not after the end, and so its run of Monday is made."""
    ends = Schedule("days", 1, date(2027, 1, 30), day_rule="following", last_on=date(2027, 1, 31))
    assert dates(ends, 3, INITIAL) == ["2027-02-01", "2027-02-01", "None"]


def test_the_first_run_from_a_day_on() -> None:
    daily = Schedule("days", 2, date(2027, 1, 1), last_on=date(2027, 1, 5))
    assert daily.first_from(1, OPEN, date(2027, 1, 1)) == (1, date(2027, 1, 1))
    assert daily.first_from(1, OPEN, date(2027, 1, 2)) == (2, date(2027, 1, 3))
    assert daily.first_from(3, OPEN, date(2027, 1, 1)) == (3, date(2027, 1, 5))
    assert daily.first_from(1, OPEN, date(2027, 1, 6)) is None


@given(st.dates(date(2026, 1, 1), date(2036, 12, 31)), st.integers(1, 13), st.integers(1, 200))
def test_every_month_has_its_run(first: date, every: int, number: int) -> None:
    """The months are those of the period, and the day is that of the first date or the last one of the month."""
    day = Schedule("months", every, first).date_of(number)
    months = (day.year - first.year) * 12 + day.month - first.month
    assert months == every * (number - 1)
    assert day.day == min(first.day, monthrange(day.year, day.month)[1])


@given(st.dates(date(2026, 1, 1), date(2036, 12, 31)), st.integers(1, 366), st.integers(1, 200))
def test_no_day_is_lost_between_runs(first: date, every: int, number: int) -> None:
    schedule = Schedule("days", every, first)
    assert schedule.date_of(number + 1) - schedule.date_of(number) == timedelta(days=every)


def test_it_is_due_at_the_beginning_of_the_day() -> None:
    assert due_time(date(2028, 2, 29)).isoformat() == "2028-02-29T00:00:00+00:00"
