"""The business calendar: the days on which the business is closed, and the rules that move a due date off such a day.

A due date decides when money moves, so the calendar is a policy on the log: every process reads the same one. `daybook
migrate` creates its stream in each log. A log without the stream has `INITIAL`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Literal, get_args

from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.kernel import Accepted, Context, Decision, Event, Refused, State, States, Value
from domain.permissions import OPERATORS

CALENDAR = "policy:calendar"
"""The name of its stream. Each log has one."""
MOST_HOLIDAYS = 1_000
"""Most holidays of the calendar: those of decades, and the state still fits a snapshot."""

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
DayRule = Literal["none", "following", "preceding", "modified_following"]
"""What moves a date that is no business day: nothing, to the next business day, to the one before, or to the next one
unless that is in another month, and then to the one before."""
ONE_DAY = timedelta(days=1)

# Events


class CalendarCreated(Event, frozen=True):
    """The calendar was created with the log. It is the first event of its stream."""

    weekend: tuple[Weekday, ...]
    holidays: tuple[date, ...]


class CalendarChanged(Event, frozen=True):
    """The calendar was changed. The event has the whole calendar: each day once, in order."""

    weekend: tuple[Weekday, ...]
    holidays: tuple[date, ...]


CalendarEvent = CalendarCreated | CalendarChanged

# State


class Calendar(Value, frozen=True):
    """The calendar at a version of its stream."""

    version: int
    weekend: tuple[Weekday, ...]  # in the order of the week
    holidays: tuple[date, ...]  # in order

    def is_business_day(self, day: date) -> bool:
        """Return whether the day is neither of the weekend nor a holiday."""
        place = bisect_left(self.holidays, day)
        holiday = place < len(self.holidays) and self.holidays[place] == day
        return not holiday and WEEKDAYS[day.weekday()] not in self.weekend

    def moved(self, day: date, rule: DayRule) -> date:
        """Return the day, or the business day to which the rule moves it.

        The search ends: a week has a business day, and the holidays are finite.
        """
        if rule == "none" or self.is_business_day(day):
            return day
        if rule == "preceding":
            return self._nearest(day, -ONE_DAY)
        following = self._nearest(day, ONE_DAY)
        if rule == "modified_following" and (following.year, following.month) != (day.year, day.month):
            return self._nearest(day, -ONE_DAY)
        return following

    def _nearest(self, day: date, step: timedelta) -> date:
        while not self.is_business_day(day):
            day += step
        return day


INITIAL = Calendar(version=0, weekend=("saturday", "sunday"), holidays=())
"""The calendar of a log until it is changed."""


def evolve(state: Calendar | None, event: CalendarEvent) -> Calendar:
    """Return the calendar after the event."""
    return Calendar(event.originator_version, event.weekend, event.holidays)


def calendar_of(state: State | None) -> Calendar:
    """Return the calendar in force, from the state of its stream."""
    return state if isinstance(state, Calendar) else INITIAL


# Commands


class ChangeCalendar(Value, frozen=True):
    """Replace the calendar. It counts for the due dates that are computed from then on."""

    weekend: tuple[Weekday, ...]
    holidays: tuple[date, ...]

    @property
    def streams(self) -> tuple[str, ...]:
        return (CALENDAR,)


# Rules

RULES: dict[str, str] = {
    "calendar_weekend": "All days of the week would be of the weekend; a week has at least one business day.",
    "calendar_holidays": "The calendar would have {count} holidays; it has {most} at most.",
    "calendar_unchanged": "The business calendar already is what it would be changed to.",
}

# Decisions


def change(command: ChangeCalendar, states: States, context: Context) -> Decision:
    calendar = calendar_of(states[CALENDAR])
    weekend = tuple(day for day in WEEKDAYS if day in command.weekend)
    holidays = tuple(sorted(set(command.holidays)))
    refusal = _refuse(weekend, holidays)
    if refusal is not None:
        return refusal
    if (weekend, holidays) == (calendar.weekend, calendar.holidays):
        return Refused("calendar_unchanged", {})
    created = [] if calendar.version else [CREATED]
    event = CalendarChanged(CALENDAR, calendar.version + len(created) + 1, weekend, holidays)
    return Accepted((*created, event), {"policy": CALENDAR, "weekend": list(weekend), "holidays": len(holidays)})


def _refuse(weekend: Sequence[Weekday], holidays: Sequence[date]) -> Refused | None:
    """Return the refusal of a calendar out of bounds, or None."""
    if len(weekend) == len(WEEKDAYS):
        return Refused("calendar_weekend", {})
    if len(holidays) > MOST_HOLIDAYS:
        return Refused("calendar_holidays", {"count": len(holidays), "most": MOST_HOLIDAYS})
    return None


# What stored events are held to


def check(before: Calendar | None, events: Sequence[CalendarEvent], decided: Decided) -> Iterator[Broken]:
    """Find a calendar that is created twice or not at first, is out of bounds or order, or did not change."""
    calendar = before
    for event in events:
        refusal = _refuse(event.weekend, event.holidays)
        if refusal is not None:
            yield refused(event, refusal, RULES)
        in_order = tuple(day for day in WEEKDAYS if day in event.weekend), tuple(sorted(set(event.holidays)))
        if (event.weekend, event.holidays) != in_order:
            yield Broken(event, f"{CALENDAR} has a day twice or not in order")
        if isinstance(event, CalendarCreated) is not (calendar is None):
            yield Broken(event, f"{CALENDAR} is {'created again' if calendar else 'changed before it is created'}")
        if calendar is not None and (event.weekend, event.holidays) == (calendar.weekend, calendar.holidays):
            yield Broken(event, f"{CALENDAR} is changed to what it was")
        calendar = evolve(calendar, event)


CREATED = CalendarCreated(CALENDAR, 1, INITIAL.weekend, INITIAL.holidays)
"""The first event of its stream."""

AGGREGATE = Aggregate(
    name="business_calendar",
    prefix=CALENDAR,
    events=(
        EventType("business_calendar.created.v1", CalendarCreated),
        EventType("business_calendar.changed.v1", CalendarChanged),
    ),
    evolve=evolve,
    decisions={ChangeCalendar: change},
    rules=RULES,
    may={ChangeCalendar: OPERATORS},
    initial=CREATED,
    check=check,
)
