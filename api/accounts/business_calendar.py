"""The routes of the business calendar: change it, and read it and its versions."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, IsoDate, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, one, page, reading
from api.queries.response_types import LogPosition, StreamVersion, one_of, page_of
from domain.accounts.business_calendar import CALENDAR, MOST_HOLIDAYS, WEEKDAYS, ChangeCalendar, Weekday
from projections.accounts import business_calendar as queries
from projections.accounts.business_calendar import CalendarRow, CalendarVersionRow

router = APIRouter(prefix="/v1/policies", tags=["policies"])

_Day = Annotated[Weekday, one_of(Weekday)]
_WEEKEND = "The days of the week on which the business is closed"
_HOLIDAYS = "The dates on which it is closed besides"


class CalendarBody(Body):
    """Replace the business calendar."""

    model_config = example(weekend=["saturday", "sunday"], holidays=["2026-12-25", "2027-01-01"])

    weekend: Annotated[list[_Day], Field(max_length=len(WEEKDAYS), description=_WEEKEND)]
    holidays: Annotated[list[IsoDate], Field(max_length=MOST_HOLIDAYS, description=_HOLIDAYS)]


class CalendarChanged(Accepted):
    """A business calendar that was changed."""

    policy: str
    weekend: list[_Day]
    holidays: Annotated[int, Field(description="How many there are")]


class BusinessCalendar(TypedDict):
    """The business calendar as it is now."""

    policy: str
    weekend: Annotated[list[_Day], Field(description=_WEEKEND)]
    holidays: Annotated[list[date], Field(description=_HOLIDAYS)]
    version: StreamVersion
    changed_at: datetime
    position: Annotated[int, Field(description="The position in the log of its last change")]


class BusinessCalendarVersion(TypedDict):
    """One version of the business calendar. It counts for each due date that is computed after its position."""

    version: int
    weekend: Annotated[list[_Day], Field(description=_WEEKEND)]
    holidays: Annotated[list[date], Field(description=_HOLIDAYS)]
    recorded_at: datetime
    position: LogPosition


def calendar_view(row: CalendarRow) -> dict[str, object]:
    return {
        "policy": row.policy,
        "weekend": row.weekend,
        "holidays": row.holidays,
        "version": row.version,
        "changed_at": row.last_at,
        "position": row.last_position,
    }


def version_view(row: CalendarVersionRow) -> dict[str, object]:
    return {
        "version": row.version,
        "weekend": row.weekend,
        "holidays": row.holidays,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


@command(router, "/calendar", makes=ChangeCalendar, answer=CalendarChanged, status=200)
def change_business_calendar(caller: Caller, body: CalendarBody) -> Intent:
    """Replace the business calendar. It counts for due dates that are computed from then on. It is for operators."""
    return Intent(ChangeCalendar(tuple(body.weekend), tuple(body.holidays)), CALENDAR)


@query(router, "/calendar", may=READERS, response=BusinessCalendar, personal=False, projections=("business_calendar",))
def get_business_calendar(request: Request) -> Response:
    """Get the business calendar as it is now. A log without one is closed at weekends: `daybook migrate` creates it."""
    with reading(request) as connection:
        return one("policy", CALENDAR, queries.business_calendar(connection, CALENDAR), calendar_view)


@query(
    router,
    "/calendar/versions",
    may=READERS,
    response=page_of(BusinessCalendarVersion),
    personal=False,
    projections=("business_calendar",),
)
def list_business_calendar_versions(
    request: Request, after: After = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List the versions of the business calendar, oldest first."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        return page(queries.versions(connection, CALENDAR, after=after, cursor=key, limit=limit), version_view)
