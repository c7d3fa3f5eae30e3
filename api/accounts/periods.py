"""The routes of periods: close one, have it reopened by two persons, read them and their sealed figures."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, NotRequired

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, Description, IsoDate, Nothing, Subject, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reading
from api.queries.response_types import CurrencyCode, Erasable, LogPosition, Money, one_of, page_of, values_of
from domain.accounts.periods.closing import ClosePeriod
from domain.accounts.periods.reopening import (
    ApproveReopening,
    AskToReopenPeriod,
    RejectReopening,
    WithdrawReopening,
)
from domain.accounts.periods.state import PERIOD, PERIODS
from domain.accounts.periods.year import CloseYear
from domain.money import show
from domain.people.approval import APPROVAL
from projections.accounts.periods import queries
from projections.accounts.periods.queries import FigureRow, PeriodRow, YearEndRow

router = APIRouter(prefix="/v1/periods", tags=["periods"])

PeriodStatus = Literal["closed", "sealed", "open"]
YearStatus = Literal["asked", "closed"]
PeriodStatusFilter = Annotated[str, choice(values_of(PeriodStatus))] | None


class ClosingBody(Body):
    """Close a period."""

    model_config = example(name="2026-01", begins_on="2026-01-01", ends_on="2026-01-31")

    name: Subject
    begins_on: Annotated[IsoDate, Field(description="The first day: the one after the period before ended")]
    ends_on: Annotated[IsoDate, Field(description="The last day, before today (UTC)")]


class ReopeningBody(Body):
    """Ask another operator to reopen the newest period."""

    model_config = example(reason="An invoice of January was booked to the wrong account")

    reason: Description


class PeriodClosing(Accepted):
    """A period that was closed."""

    period: str
    name: str
    begins_on: date
    ends_on: date
    status: Annotated[str, one_of(PeriodStatus)]


class ReopeningAsked(Accepted):
    """A request that another operator has to approve."""

    approval: str
    period: str
    until: Annotated[datetime, Field(description="From then on it cannot be approved")]


class YearClosingStarted(Accepted):
    """A process closes the year shortly after."""

    period: str
    year: Annotated[str, one_of(YearStatus)]


class ReopeningDecided(Accepted):
    """A request that was approved, rejected or withdrawn."""

    approval: str
    period: str
    status: NotRequired[Annotated[str, one_of(PeriodStatus)]]


class Period(TypedDict):
    """A period as it is now."""

    period: str
    name: str
    begins_on: date
    ends_on: date
    status: Annotated[str, one_of(PeriodStatus)]
    closed_by: Annotated[str, Field(description="The id of the principal who closed it")]
    closed_at: datetime
    sealed_at: datetime | None
    digest: Annotated[str | None, Field(description="SHA-256 of the balances of all accounts at its end")]
    approval: Annotated[str | None, Field(description="The newest request to reopen it")]
    asked_by: Annotated[str | None, Field(description="The person who asked to reopen it")]
    reason: Erasable
    reopened_by: Annotated[str | None, Field(description="The person who approved that it was reopened")]
    reopened_at: datetime | None
    year: Annotated[
        Annotated[str, one_of(YearStatus)] | None,
        Field(description="Whether the year that ends with it is closed; null: open"),
    ]
    year_asked_by: Annotated[str | None, Field(description="The id of the principal who asked last to close that year")]
    year_closed_at: Annotated[datetime | None, Field(description="When that year was closed last")]
    position: LogPosition


class PeriodFigure(TypedDict):
    """What was debited and credited to the accounts of one type, with value dates up to the end of the period."""

    currency: CurrencyCode
    type: str
    accounts: int
    debits: Money
    credits: Money
    balance: Money


class YearEndTransaction(TypedDict):
    """A transaction that moved income and expense in one currency to equity."""

    transaction: str
    reversed_at: Annotated[datetime | None, Field(description="When all of it was reversed; null: it stands")]


class PeriodWithFigures(Period):
    """A period, the figures that it was sealed with, and the transactions that closed its year."""

    figures: Annotated[list[PeriodFigure], Field(description="By currency and type of account; empty before the seal")]
    year_end: Annotated[
        list[YearEndTransaction], Field(description="What closed the year that ends with it, newest closing first")
    ]


def period_view(row: PeriodRow) -> Period:
    return {
        "period": row.period,
        "name": row.name,
        "begins_on": row.begins_on,
        "ends_on": row.ends_on,
        "status": row.status,
        "closed_by": row.closed_by,
        "closed_at": row.closed_at,
        "sealed_at": row.sealed_at,
        "digest": row.digest,
        "approval": row.approval,
        "asked_by": row.asked_by,
        "reason": row.reason,
        "reopened_by": row.reopened_by,
        "reopened_at": row.reopened_at,
        "year": row.year,
        "year_asked_by": row.year_asked_by,
        "year_closed_at": row.year_closed_at,
        "position": row.position,
    }


def figure_view(row: FigureRow) -> PeriodFigure:
    return {
        "currency": row.currency,
        "type": row.type,
        "accounts": row.accounts,
        "debits": show(row.debits, row.currency),
        "credits": show(row.credits, row.currency),
        "balance": show(row.credits - row.debits, row.currency),
    }


def year_end_view(row: YearEndRow) -> YearEndTransaction:
    return {"transaction": row.transaction, "reversed_at": row.reversed_at}


@command(router, "", makes=ClosePeriod, answer=PeriodClosing)
def close_period(caller: Caller, body: ClosingBody) -> Intent:
    """Close a period: nothing is posted with a value date up to its end any more. It is for operators.

    It is sealed with its figures shortly after.
    """
    period = caller.services.new_id(PERIOD)
    closed = ClosePeriod(period=period, name=body.name, begins_on=body.begins_on, ends_on=body.ends_on)
    return Intent(closed, PERIODS)


@command(router, "/{period}/close-year", makes=CloseYear, answer=YearClosingStarted, status=200)
def close_year(caller: Caller, period: PathId, body: Nothing) -> Intent:
    """Close the year that ends with the newest period, which is sealed. It is for operators.

    A process moves the balances of income and expense at its end to equity shortly after, on the first open day.
    """
    return Intent(CloseYear(period), PERIODS)


@command(router, "/{period}/reopenings", makes=AskToReopenPeriod, answer=ReopeningAsked)
def ask_to_reopen_period(caller: Caller, period: PathId, body: ReopeningBody) -> Intent:
    """Ask another operator to reopen the newest period. Both are persons."""
    return Intent(AskToReopenPeriod(caller.services.new_id(APPROVAL), period, body.reason), PERIODS)


@command(router, "/reopenings/{approval}/approve", makes=ApproveReopening, answer=ReopeningDecided, status=200)
def approve_reopening(caller: Caller, approval: PathId, body: Nothing) -> Intent:
    """Approve a reopening that another operator asked for. The period is open at once."""
    return Intent(ApproveReopening(approval), approval)


@command(router, "/reopenings/{approval}/reject", makes=RejectReopening, answer=ReopeningDecided, status=200)
def reject_reopening(caller: Caller, approval: PathId, body: Nothing) -> Intent:
    """Reject a reopening that another operator asked for."""
    return Intent(RejectReopening(approval), approval)


@command(router, "/reopenings/{approval}/withdraw", makes=WithdrawReopening, answer=ReopeningDecided, status=200)
def withdraw_reopening(caller: Caller, approval: PathId, body: Nothing) -> Intent:
    """Withdraw a reopening that one asked for."""
    return Intent(WithdrawReopening(approval), approval)


@query(router, "", may=READERS, response=page_of(Period), personal=True, projections=("periods",))
def list_periods(
    request: Request,
    status: PeriodStatusFilter = None,
    name: Filter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List periods in the order in which they were closed."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        found = queries.periods(connection, status=status, name=name, after=after, cursor=key, limit=limit)
        return page(found, period_view)


@query(router, "/{period}", may=READERS, response=PeriodWithFigures, personal=True, projections=("periods",))
def get_period(request: Request, period: PathId) -> Response:
    """Get a period, with the figures that it was sealed with, and the transactions that closed its year."""
    with reading(request) as connection:
        figures = [figure_view(row) for row in queries.figures(connection, period)]
        year_end = [year_end_view(row) for row in queries.year_ends(connection, period)]
        found = queries.period(connection, period)
        return one("period", period, found, lambda row: {**period_view(row), "figures": figures, "year_end": year_end})
