"""The business calendar as it is now, and every version of it: tables, fold, reporting views, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from domain.accounts.business_calendar import CalendarChanged, CalendarCreated, CalendarEvent
from projections.engine.columns import code, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View, last_position
from projections.engine.writing import Row

# Tables.

_WEEKEND = "The days of the week on which the business is closed, as a JSON array."
_HOLIDAYS = "The dates on which it is closed besides, as a JSON array in order."

TABLE = read_table(
    "business_calendar",
    "The business calendar as it is now: one row.",
    code("policy", "The name of its stream in the log.", key=True),
    json_value("weekend", _WEEKEND),
    json_value("holidays", _HOLIDAYS),
    number("version", "Version of its stream."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
)

VERSIONS = read_table(
    "business_calendar_versions",
    "One row a version of the business calendar. Rows are never changed.",
    code("policy", "The name of its stream in the log.", key=True),
    number("version", "Version of its stream.", key=True),
    json_value("weekend", _WEEKEND),
    json_value("holidays", _HOLIDAYS),
    number("position", "Position in the log: it counts for each due date that is computed after it."),
    moment("recorded_at", "When it was recorded, UTC."),
)

# Fold.


def changed(row: Row, event: CalendarEvent) -> Row:
    """The calendar that the event has."""
    weekend, holidays = _of(event)
    return {**row, "weekend": weekend, "holidays": holidays}


def _of(event: CalendarEvent) -> tuple[str, str]:
    """The weekend and the holidays as JSON."""
    return orjson.dumps(event.weekend).decode(), orjson.dumps(event.holidays).decode()


def version_of(row: Row, event: CalendarEvent) -> list[tuple[Any, ...]]:
    """The version that the event makes."""
    return [(event.originator_id, event.originator_version, *_of(event), row["last_position"], row["last_at"])]


FOLD = RowFold(TABLE, starts={CalendarCreated: changed}, changes={CalendarChanged: changed})

BUSINESS_CALENDAR = declared(
    "business_calendar",
    FOLD,
    area="accounts",
    details={VERSIONS: {CalendarCreated: version_of, CalendarChanged: version_of}},
    reports=(
        View(
            TABLE,
            "The business calendar as it is now: one row.",
            ("policy", "weekend", "holidays", "version", "last_position", "last_at"),
        ),
        View(
            VERSIONS,
            "One row a version of the business calendar.",
            ("policy", "version", "weekend", "holidays", "position", "recorded_at", last_position("t.position")),
        ),
    ),
)

# Queries.


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


CALENDAR_LIST = Listing(readable(TABLE), CalendarRow, key="policy", filters=("policy",))
VERSION_LIST = Listing(readable(VERSIONS), CalendarVersionRow, key="version", filters=("policy",))


def business_calendar(connection: Connection[Any], policy: str) -> CalendarRow | None:
    """The calendar as it is now; None if its stream is not in the log."""
    return CALENDAR_LIST.one(connection, policy=policy)


def versions(
    connection: Connection[Any], policy: str, *, after: int | None = None, cursor: int | None = None, limit: int = 100
) -> Listed[CalendarVersionRow, int]:
    """The versions of the calendar, oldest first; `after` is a position, `cursor` a version."""
    return VERSION_LIST.read(connection, {"policy": policy, "after": after}, limit, cursor=cursor)
