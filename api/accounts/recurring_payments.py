"""The routes of recurring payments: create, change, pause, resume, cancel and read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import (
    ACCOUNT_A,
    ACCOUNT_B,
    Description,
    Id,
    IsoDate,
    Metadata,
    Nothing,
    Reference,
    Sum,
    example,
)
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import EVERY_READER
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reader_of, reading
from api.queries.response_types import (
    CurrencyCode,
    Erasable,
    LogPosition,
    Money,
    StreamVersion,
    one_of,
    page_of,
    values_of,
)
from domain.accounts.business_calendar import DayRule
from domain.accounts.recurring import (
    RECURRING,
    CancelRecurringPayment,
    ChangeRecurringAmount,
    CreateRecurringPayment,
    PauseRecurringPayment,
    ResumeRecurringPayment,
    Schedule,
)
from domain.accounts.recurring.running import MOST_STRIKES
from domain.accounts.recurring.schedule import LONGEST_MONTH, MOST_EVERY, MOST_RUNS, Unit
from domain.accounts.recurring.state import Status
from domain.money import show
from projections.accounts import recurring_payments as queries
from projections.accounts.recurring_payments import RecurringPaymentRow, RecurringRunRow, RunOutcome

router = APIRouter(prefix="/v1/recurring-payments", tags=["transactions"])

StatusFilter = Annotated[str, choice(values_of(Status))] | None
_Unit = Annotated[Unit, one_of(Unit)]
_DayRule = Annotated[DayRule, one_of(DayRule)]
_Status = Annotated[str, one_of(Status)]

_EVERY = "How many days or months its period has"
_FIRST_ON = "The first date. Each later one is computed from it, so none drifts"
_DAY = "The day of the month of each date; a shorter month has its last day instead, so 31 is the end of each month"
_DAY_RULE = "What moves a date that is no business day of the calendar"
_LAST_ON = "No run has a later date; null for no such end"
_RUNS = "How many runs it has; null for no such end"
_REFERENCE = "The reference of each of its transactions"
_METADATA = "What each of its transactions gets as metadata"


# Bodies


class RecurringPaymentBody(Sum):
    """Pay an amount from one account to another, again and again."""

    model_config = example(
        payer=ACCOUNT_A,
        payee=ACCOUNT_B,
        amount="850.00",
        currency="EUR",
        every=1,
        unit="months",
        first_on="2027-01-31",
        day_rule="modified_following",
    )

    payer: Id
    payee: Id
    every: Annotated[
        int,
        Field(ge=1, le=max(MOST_EVERY.values()), description=f"{_EVERY}; {MOST_EVERY['months']} months at most"),
    ]
    unit: _Unit
    first_on: Annotated[IsoDate, Field(description=f"{_FIRST_ON}. From today, for ten years")]
    day: Annotated[
        int | None,
        Field(ge=1, le=LONGEST_MONTH, description=f"{_DAY}. Only with months; null for that of the first date"),
    ] = None
    day_rule: Annotated[_DayRule, Field(description=_DAY_RULE)] = "none"
    last_on: Annotated[IsoDate | None, Field(description=_LAST_ON)] = None
    runs: Annotated[int | None, Field(ge=1, le=MOST_RUNS, description=_RUNS)] = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata


class RecurringAmountBody(Sum):
    """Change the amount of the next runs."""

    model_config = example(amount="900.00", currency="EUR")


# Answers


class RecurringPaymentChanged(Accepted):
    """A recurring payment that was created or changed."""

    payment: str
    status: _Status
    due_on: Annotated[date | None, Field(description="When its next run is due; null: it has none")]


class RecurringPayment(TypedDict):
    """A recurring payment as it is now."""

    payment: str
    status: _Status
    payer: str
    payee: str
    amount: Annotated[Money, Field(description="The amount of the next runs")]
    currency: CurrencyCode
    every: Annotated[int, Field(description=_EVERY)]
    unit: Annotated[str, one_of(Unit)]
    first_on: Annotated[date, Field(description=_FIRST_ON)]
    day: Annotated[int | None, Field(description=_DAY)]
    day_rule: Annotated[Annotated[str, one_of(DayRule)], Field(description=_DAY_RULE)]
    last_on: Annotated[date | None, Field(description=_LAST_ON)]
    runs: Annotated[int | None, Field(description=_RUNS)]
    number: Annotated[int, Field(description="Of its next run, from 1; of the last one once it is completed")]
    due_on: Annotated[
        date | None, Field(description="When its next run is due, at the beginning of the day, UTC; null: it has none")
    ]
    strikes: Annotated[
        int, Field(description=f"How often the run was refused; after {MOST_STRIKES} times it is suspended")
    ]
    rule: Annotated[str | None, Field(description="The rule that refused it last; null since a run was carried out")]
    retry_at: Annotated[datetime | None, Field(description="When the next run is tried again")]
    transaction: Annotated[str | None, Field(description="Of its last run")]
    reference: Annotated[str | None, Field(description=_REFERENCE)]
    metadata: Annotated[dict[str, str], Field(description=_METADATA)]
    description: Erasable
    description_erased: bool
    initiator: Annotated[str | None, Field(description="The person who set it going last; null for a program")]
    version: StreamVersion
    created_at: datetime
    position: LogPosition


class RecurringRun(TypedDict):
    """A run of a recurring payment that was carried out or refused."""

    payment: str
    number: Annotated[int, Field(description="Of the run, from 1. A run that was refused is tried again")]
    due_on: date
    outcome: Annotated[str, one_of(RunOutcome)]
    transaction: Annotated[str | None, Field(description="Null if it was refused")]
    rule: Annotated[str | None, Field(description="The rule that refused it")]
    strikes: Annotated[int, Field(description="How often it was refused by then, one after the other")]
    retry_at: Annotated[datetime | None, Field(description="When it is tried again; null: it is not")]
    recorded_at: datetime
    position: LogPosition


def payment_view(row: RecurringPaymentRow) -> RecurringPayment:
    return {
        "payment": row.payment,
        "status": row.status,
        "payer": row.payer,
        "payee": row.payee,
        "amount": show(row.amount, row.currency),
        "currency": row.currency,
        "every": row.every,
        "unit": row.unit,
        "first_on": row.first_on,
        "day": row.day,
        "day_rule": row.day_rule,
        "last_on": row.last_on,
        "runs": row.runs,
        "number": row.number,
        "due_on": row.due_on,
        "strikes": row.strikes,
        "rule": row.rule,
        "retry_at": row.retry_at,
        "transaction": row.transaction,
        "reference": row.reference,
        "metadata": row.metadata,
        "description": row.description,
        "description_erased": row.description_erased,
        "initiator": row.initiator,
        "version": row.version,
        "created_at": row.created_at,
        "position": row.position,
    }


def run_view(row: RecurringRunRow) -> RecurringRun:
    return {
        "payment": row.payment,
        "number": row.number,
        "due_on": row.due_on,
        "outcome": row.outcome,
        "transaction": row.transaction,
        "rule": row.rule,
        "strikes": row.strikes,
        "retry_at": row.retry_at,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


# Commands


@command(router, "", makes=CreateRecurringPayment, answer=RecurringPaymentChanged)
def create_recurring_payment(caller: Caller, body: RecurringPaymentBody) -> Intent:
    """Create a recurring payment. Each run is a transfer that is made when it is due."""
    schedule = Schedule(
        unit=body.unit,
        every=body.every,
        first_on=body.first_on,
        day=body.day,
        day_rule=body.day_rule,
        last_on=body.last_on,
        runs=body.runs,
    )
    payment = CreateRecurringPayment(
        payment=caller.services.new_id(RECURRING),
        payer=body.payer,
        payee=body.payee,
        amount=body.amount,
        currency=body.currency,
        schedule=schedule,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
    )
    return Intent(payment, created="payment")


@command(router, "/{payment}/amount", makes=ChangeRecurringAmount, answer=RecurringPaymentChanged, status=200)
def change_recurring_amount(caller: Caller, payment: PathId, body: RecurringAmountBody) -> Intent:
    """Change the amount of the next runs."""
    return Intent(ChangeRecurringAmount(payment, body.amount, body.currency), payment)


@command(router, "/{payment}/pause", makes=PauseRecurringPayment, answer=RecurringPaymentChanged, status=200)
def pause_recurring_payment(caller: Caller, payment: PathId, body: Nothing) -> Intent:
    """Pause a recurring payment. What is due before it is resumed is skipped."""
    return Intent(PauseRecurringPayment(payment), payment)


@command(router, "/{payment}/resume", makes=ResumeRecurringPayment, answer=RecurringPaymentChanged, status=200)
def resume_recurring_payment(caller: Caller, payment: PathId, body: Nothing) -> Intent:
    """Resume a recurring payment that is paused or suspended, with the first run that is due from today on."""
    return Intent(ResumeRecurringPayment(payment), payment)


@command(router, "/{payment}/cancel", makes=CancelRecurringPayment, answer=RecurringPaymentChanged, status=200)
def cancel_recurring_payment(caller: Caller, payment: PathId, body: Nothing) -> Intent:
    """Cancel a recurring payment. It ends."""
    return Intent(CancelRecurringPayment(payment), payment)


# Queries


@query(
    router,
    "",
    may=EVERY_READER,
    response=page_of(RecurringPayment),
    personal=True,
    projections=("recurring_payments", "account_persons"),
)
def list_recurring_payments(
    request: Request,
    account: Filter = None,
    status: StatusFilter = None,
    due_until: Annotated[IsoDate | None, Query(description="Only those whose next run is due until this day")] = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List recurring payments in the order in which they were created. `account` pays or is paid.

    A customer gets those that are paid from an account that the customer may see.
    """
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.recurring_payments(
            connection,
            reader=reader_of(request),
            account=account,
            status=status,
            due_until=due_until,
            after=after,
            cursor=key,
            limit=limit,
        )
    return page(listed, payment_view)


@query(
    router,
    "/{payment}",
    may=EVERY_READER,
    response=RecurringPayment,
    personal=True,
    projections=("recurring_payments", "account_persons"),
)
def get_recurring_payment(request: Request, payment: PathId) -> Response:
    """Get one recurring payment."""
    with reading(request) as connection:
        found = queries.recurring_payment(connection, payment, reader=reader_of(request))
        return one("recurring_payment", payment, found, payment_view)


@query(
    router,
    "/{payment}/runs",
    may=EVERY_READER,
    response=page_of(RecurringRun),
    personal=True,
    projections=("recurring_payments", "account_persons"),
)
def list_recurring_runs(
    request: Request,
    payment: PathId,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List the runs of a recurring payment, and each time that one was refused, oldest first."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.runs(connection, payment, reader=reader_of(request), after=after, cursor=key, limit=limit)
    return page(listed, run_view)
