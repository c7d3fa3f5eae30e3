"""The business calendar: which days are business days, and where a date is moved that is none."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.business_calendar import (
    CALENDAR,
    CREATED,
    INITIAL,
    WEEKDAYS,
    Calendar,
    CalendarChanged,
    ChangeCalendar,
    DayRule,
)
from tests.support.given import given as given_events

CHRISTMAS = (date(2026, 12, 25), date(2026, 12, 26))
CLOSED = Calendar(2, INITIAL.weekend, CHRISTMAS)
SATURDAY, MONDAY, FRIDAY = date(2026, 11, 21), date(2026, 11, 23), date(2026, 11, 20)
DAYS = st.dates(date(2020, 1, 1), date(2040, 12, 31))
CALENDARS = st.builds(
    Calendar,
    st.just(2),
    st.lists(st.sampled_from(WEEKDAYS), max_size=6, unique=True).map(tuple),
    st.lists(DAYS, max_size=40, unique=True).map(sorted).map(tuple),
)


def test_weekends_and_holidays_are_no_business_days() -> None:
    assert not INITIAL.is_business_day(SATURDAY)
    assert INITIAL.is_business_day(MONDAY)
    assert INITIAL.is_business_day(CHRISTMAS[0])
    assert [CLOSED.is_business_day(date(2026, 12, day)) for day in (24, 25, 26, 27, 28)] == [True, *[False] * 3, True]


@pytest.mark.parametrize(
    ("rule", "day", "moved"),
    [
        ("none", SATURDAY, SATURDAY),
        ("following", SATURDAY, MONDAY),
        ("preceding", SATURDAY, FRIDAY),
        ("modified_following", SATURDAY, MONDAY),
        ("following", MONDAY, MONDAY),
        ("following", CHRISTMAS[0], date(2026, 12, 28)),
        ("preceding", CHRISTMAS[1], date(2026, 12, 24)),
        ("following", date(2027, 1, 31), date(2027, 2, 1)),
        ("modified_following", date(2027, 1, 31), date(2027, 1, 29)),
        ("modified_following", date(2027, 1, 30), date(2027, 1, 29)),
        ("preceding", date(2027, 5, 1), date(2027, 4, 30)),
    ],
)
def test_a_rule_moves_a_day_that_is_no_business_day(rule: DayRule, day: date, moved: date) -> None:
    assert CLOSED.moved(day, rule) == moved


@given(CALENDARS, DAYS)
def test_a_moved_day_is_the_nearest_business_day_on_its_side(calendar: Calendar, day: date) -> None:
    following, preceding = calendar.moved(day, "following"), calendar.moved(day, "preceding")
    assert preceding <= day <= following
    assert calendar.is_business_day(following)
    assert calendar.is_business_day(preceding)
    between = (preceding + timedelta(days=number) for number in range(1, (following - preceding).days))
    assert not any(map(calendar.is_business_day, between))
    same_month = (following.year, following.month) == (day.year, day.month)
    assert calendar.moved(day, "modified_following") == (following if same_month else preceding)


def test_a_change_has_each_day_once_and_in_order() -> None:
    command = ChangeCalendar(("sunday", "friday", "sunday"), (CHRISTMAS[1], *CHRISTMAS))
    changed = CalendarChanged(CALENDAR, 2, ("friday", "sunday"), CHRISTMAS)
    given_events(CREATED).when(command).then(changed)
    given_events().when(command).then(CREATED, changed)
