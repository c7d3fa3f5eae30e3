"""Samples of the business calendar."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import count
from random import Random
from typing import Any

from domain.accounts.business_calendar import CALENDAR, MOST_HOLIDAYS, WEEKDAYS, ChangeCalendar, Weekday
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import TODAY, MemoryLedger

# Requests

_days = count(1)  # a log has one calendar, and each request must change it


def change() -> dict[str, Any]:
    """A change to what no sample has asked for before. Its holidays are long ago: other samples pay as they like."""
    holiday = date(1900, 1, 1) + timedelta(days=next(_days))
    return {"weekend": ["saturday", "sunday"], "holidays": [holiday.isoformat()]}


def one(world: World) -> str:
    """The calendar, after a change."""
    world.do("policies/calendar", change())
    return CALENDAR


ROUTES = {"/v1/policies/calendar": lambda world: Request({}, change())}

# Rules

WEEKEND: tuple[Weekday, ...] = ("saturday", "sunday")
OTHERS: tuple[tuple[Weekday, ...], ...] = (("friday", "saturday"), WEEKEND, ("sunday",), ())


def holidays(number: int) -> tuple[date, ...]:
    """So many days from today on."""
    return tuple(TODAY + timedelta(days=day) for day in range(number))


RULES = {
    "calendar_weekend": RuleSample(
        given=(),
        broken=ChangeCalendar(WEEKDAYS, ()),
        sentence="All days of the week would be of the weekend; a week has at least one business day.",
        kept=(ChangeCalendar(WEEKDAYS[1:], ()),),
    ),
    "calendar_holidays": RuleSample(
        given=(),
        broken=ChangeCalendar(WEEKEND, holidays(MOST_HOLIDAYS + 1)),
        sentence="The calendar would have 1001 holidays; it has 1000 at most.",
        kept=(ChangeCalendar(WEEKEND, (*holidays(MOST_HOLIDAYS), TODAY)),),
    ),
    "calendar_unchanged": RuleSample(
        given=(),
        broken=ChangeCalendar(("sunday", "saturday"), ()),
        sentence="The business calendar already is what it would be changed to.",
        kept=(ChangeCalendar(WEEKEND, (TODAY,)),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """A calendar that changes now and then."""
    today = ledger.context.today
    return ChangeCalendar(chance.choice(OTHERS), tuple(today + timedelta(days=chance.randint(0, 9)) for _ in range(3)))


# Events as they were stored

EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="business_calendar.created.v1",
        stream="policy:calendar",
        version=1,
        payload='{"holidays":[],"weekend":["saturday","sunday"]}',
        means={"weekend": ["saturday", "sunday"], "holidays": []},
    ),
    StoredEvent(
        type="business_calendar.changed.v1",
        stream="policy:calendar",
        version=2,
        payload='{"holidays":["2026-11-24","2026-11-28","2026-11-30"],"weekend":[]}',
        means={"weekend": [], "holidays": ["2026-11-24", "2026-11-28", "2026-11-30"]},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
