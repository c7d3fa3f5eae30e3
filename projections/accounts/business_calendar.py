"""The business calendar as it is now, and every version of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Column

from domain.accounts.business_calendar import CalendarChanged, CalendarCreated, CalendarEvent
from projections.accounts.policies import policy_model
from projections.engine.columns import json_value


@dataclass(frozen=True, slots=True)
class CalendarRow:
    """The calendar as it is now."""

    policy: str
    weekend: list[str]
    holidays: list[str]
    version: int
    last_position: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class CalendarVersionRow:
    """One version of the calendar."""

    policy: str
    version: int
    weekend: list[str]
    holidays: list[str]
    position: int
    recorded_at: datetime


def _columns() -> tuple[Column[Any], ...]:
    return (
        json_value("weekend", "The days of the week on which the business is closed, as a JSON array."),
        json_value("holidays", "The dates on which it is closed besides, as a JSON array in order."),
    )


def _values(event: CalendarEvent) -> tuple[str, str]:
    return orjson.dumps(event.weekend).decode(), orjson.dumps(event.holidays).decode()


MODEL = policy_model(
    "business_calendar",
    "The business calendar",
    "each due date that is computed",
    columns=_columns,
    values=_values,
    begins=CalendarCreated,
    changes=CalendarChanged,
    row=CalendarRow,
    version=CalendarVersionRow,
)
BUSINESS_CALENDAR = MODEL.projection
