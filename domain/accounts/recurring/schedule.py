"""When a recurring payment is due: runs that are numbered from 1, each on a date of its own.

Every date is computed from the first one, so nothing drifts: after 28 February a payment of the 31st is due on 31
March. Nothing here knows the time, or what was paid.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from domain.accounts.business_calendar import Calendar, DayRule
from domain.kernel import Refused, Value

Unit = Literal["days", "months"]
MOST_EVERY: Mapping[Unit, int] = {"days": 366, "months": 120}
"""The longest period."""
MOST_DAYS_AHEAD = 3_660
"""Most days from its creation to the first due date of a payment: ten years."""
MOST_RUNS = 10_000
"""Most runs that a payment with a number of runs has. One without a number has no end."""
MONTHS_OF_YEAR = 12
LONGEST_MONTH = 31


class Schedule(Value, frozen=True):
    """The dates on which a payment is due, before the business calendar moves them.

    `day` is the day of the month, for a period in months. A month that is too short has its last day instead, so 31 is
    the last day of each month.
    """

    unit: Unit
    every: int  # days or months
    first_on: date
    day: int | None = None  # None with days
    day_rule: DayRule = "none"
    last_on: date | None = None  # no run has a later date, before the calendar moves it; None: no end
    runs: int | None = None  # how many there are; None: no end

    def date_of(self, number: int) -> date:
        """Return the date of a run, before the calendar moves it."""
        if self.unit == "days":
            return self.first_on + timedelta(days=self.every * (number - 1))
        return _on_day(self.first_on, self.every * (number - 1), self.day or self.first_on.day)

    def due_on(self, number: int, calendar: Calendar) -> date | None:
        """Return the date on which a run is due, or None if there is no such run."""
        day = self.date_of(number)
        if (self.runs is not None and number > self.runs) or (self.last_on is not None and day > self.last_on):
            return None
        return calendar.moved(day, self.day_rule)

    def first_from(self, number: int, calendar: Calendar, today: date) -> tuple[int, date] | None:
        """Return the first run from this number on that is not due before today, and its date. None: there is none.

        It takes a step for each run that passed meanwhile: one a day at most.
        """
        while (due_on := self.due_on(number, calendar)) is not None:
            if due_on >= today:
                return number, due_on
            number += 1
        return None


def due_time(due_on: date) -> datetime:
    """Return when a payment of this date is due: at the beginning of the day, UTC."""
    return datetime.combine(due_on, time(), UTC)


def _on_day(first: date, months: int, day: int) -> date:
    """Return this day of the month that is so many months after the first one, or the last day of a shorter month."""
    year, month = divmod(first.year * MONTHS_OF_YEAR + first.month - 1 + months, MONTHS_OF_YEAR)
    return date(year, month + 1, min(day, monthrange(year, month + 1)[1]))


RULES: dict[str, str] = {
    "recurring_period": "A payment recurs every 1 to {most} {unit}; this one would every {every}.",
    "recurring_day": (
        "The first due date, {first_on}, is not day {day} of its month. A day is 1 to 31, only for a period in months, "
        "and a shorter month has its last day instead."
    ),
    "recurring_start": "The payment would be due first on {due_on}; the first date is {today} to {latest}.",
    "recurring_end": "The payment would end on {last_on}, before its first due date, {first_on}.",
    "recurring_runs": "A payment has 1 to {most} runs, or no number of them; this one would have {runs}.",
}


def refuse_schedule(schedule: Schedule, calendar: Calendar, today: date) -> Refused | None:
    """Return the refusal of a schedule that nothing can begin with on this day, or None."""
    first_on, every, most = schedule.first_on, schedule.every, MOST_EVERY[schedule.unit]
    if not 1 <= every <= most:
        return Refused("recurring_period", {"most": most, "unit": schedule.unit, "every": every})
    if schedule.day is not None and not _has_day(schedule, schedule.day):
        return Refused("recurring_day", {"first_on": first_on.isoformat(), "day": schedule.day})
    if schedule.last_on is not None and schedule.last_on < first_on:
        return Refused("recurring_end", {"last_on": schedule.last_on.isoformat(), "first_on": first_on.isoformat()})
    if schedule.runs is not None and not 1 <= schedule.runs <= MOST_RUNS:
        return Refused("recurring_runs", {"most": MOST_RUNS, "runs": schedule.runs})
    ahead = timedelta(days=MOST_DAYS_AHEAD)
    latest = today + ahead
    near = today - ahead <= first_on <= latest  # a date that is not near is refused anyway, and has no neighbours maybe
    due_on = calendar.moved(first_on, schedule.day_rule) if near else first_on
    if not today <= due_on <= latest:
        figures = {"due_on": due_on.isoformat(), "today": today.isoformat(), "latest": latest.isoformat()}
        return Refused("recurring_start", figures)
    return None


def _has_day(schedule: Schedule, day: int) -> bool:
    first_on = schedule.first_on
    if schedule.unit != "months" or not 1 <= day <= LONGEST_MONTH:
        return False
    return first_on == _on_day(first_on, 0, day)
