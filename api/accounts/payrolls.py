"""The routes of payroll runs: run, stop, retry or give up an item, and read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, NotRequired

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import (
    ACCOUNT_A,
    ACCOUNT_B,
    Body,
    Currency,
    Description,
    Id,
    IsoDate,
    Price,
    Reason,
    Subject,
    example,
)
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, StreamVersion, one_of, page_of, values_of
from domain import money
from domain.accounts.payroll.events import Mode, PayrollItem
from domain.accounts.payroll.part import GiveUpPayrollItem, RetryPayrollItem
from domain.accounts.payroll.paying import MOST_AT_ONCE, MOST_ITEMS, PAYROLL
from domain.accounts.payroll.run import RunPayroll, StopPayroll
from domain.accounts.transaction import TRANSACTION
from domain.money import show
from domain.registry import explain
from projections.accounts import payrolls as queries
from projections.accounts.payrolls import ItemStatus, PayrollItemRow, PayrollRow, RunStatus

router = APIRouter(prefix="/v1/payrolls", tags=["payrolls"])

RunStatusFilter = Annotated[str, choice(values_of(RunStatus))] | None
ItemStatusFilter = Annotated[str, choice(values_of(ItemStatus))] | None
_Period = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}$")]
_Item = Annotated[int, Field(ge=1, le=MOST_ITEMS, description="Its number in the run, from 1")]


class PayrollItemBody(BaseModel):
    """What one employee gets."""

    model_config = ConfigDict(extra="forbid", strict=True)

    employee: Annotated[Subject, Field(description="A code of the employee, never a name")]
    account: Id
    amount: Price


class PayrollBody(Body):
    """Pay employees for a month."""

    model_config = example(
        account=ACCOUNT_A,
        period="2026-11",
        currency="EUR",
        items=[{"employee": "E-1001", "account": ACCOUNT_B, "amount": "2450.00"}],
    )

    account: Annotated[Id, Field(description="The account of the company, which pays")]
    period: Annotated[_Period, Field(description="The month")]
    currency: Currency
    items: Annotated[
        list[PayrollItemBody],
        Field(
            max_length=MOST_ITEMS,
            description=f"Each employee and each account once. Up to {MOST_AT_ONCE} are paid by one transaction, or "
            "nobody is; more are paid in parts from a hold",
        ),
    ]
    value_date: IsoDate | None = None

    @model_validator(mode="after")
    def _is_money(self) -> PayrollBody:
        for number, item in enumerate(self.items, 1):
            try:
                money.parse_positive(item.amount, self.currency)
            except ValueError as error:
                raise ValueError(f"items: amount of item {number}: {error}") from None
        return self


class RetriedItemBody(Body):
    """Pay a parked item."""

    model_config = example(item=3)

    item: _Item
    value_date: IsoDate | None = None


class GivenUpItemBody(Body):
    """Give a parked item up."""

    model_config = example(item=3, reason="Paid by cheque")

    item: _Item
    reason: Description


class PayrollChanged(Accepted):
    """A payroll run that began or ended."""

    payroll: str
    status: Annotated[str, one_of(RunStatus)]
    items: Annotated[int, Field(description="How many employees it pays")]
    total: Annotated[Money, Field(description="The sum of its items")]
    currency: CurrencyCode
    transaction: NotRequired[Annotated[str, Field(description="What paid it, if it was paid at once")]]


class PayrollItemChanged(Accepted):
    """An item that was paid after all, or given up."""

    payroll: str
    item: int
    status: Annotated[str, one_of(ItemStatus)]
    transaction: NotRequired[str]


class PayrollRun(TypedDict):
    """A payroll run as it is now."""

    payroll: str
    account: Annotated[str, Field(description="The account of the company, which pays")]
    currency: CurrencyCode
    period: str
    value_date: date
    mode: Annotated[str, one_of(Mode)]
    status: Annotated[str, one_of(RunStatus)]
    items: int
    total: Money
    paid_items: int
    paid: Money
    parked_items: Annotated[int, Field(description="Items that could not be paid, and wait for an operator")]
    parked: Money
    given_up_items: int
    given_up: Money
    submitted_at: datetime
    finished_at: Annotated[datetime | None, Field(description="When each item had been paid or parked")]
    seconds: Annotated[float | None, Field(description="From the one to the other; null while it runs")]
    version: StreamVersion
    position: LogPosition


class PayrollRunItem(TypedDict):
    """An item of a payroll run as it is now."""

    item: Annotated[int, Field(description="Its number in the run, from 1")]
    employee: str
    account: str
    amount: Money
    currency: CurrencyCode
    status: Annotated[str, one_of(ItemStatus)]
    transaction: Annotated[str | None, Field(description="What paid it")]
    rule: Annotated[str | None, Field(description="The rule by which it was parked")]
    because: Annotated[str | None, Field(description="Why it was parked, in a sentence")]


def payroll_view(row: PayrollRow) -> PayrollRun:
    took = None if row.finished_at is None else (row.finished_at - row.submitted_at).total_seconds()
    return {
        "payroll": row.payroll,
        "account": row.account,
        "currency": row.currency,
        "period": row.period,
        "value_date": row.value_date,
        "mode": row.mode,
        "status": row.status,
        "items": row.items,
        "total": show(row.total, row.currency),
        "paid_items": row.paid_items,
        "paid": show(row.paid, row.currency),
        "parked_items": row.parked_items,
        "parked": show(row.parked, row.currency),
        "given_up_items": row.given_up_items,
        "given_up": show(row.given_up, row.currency),
        "submitted_at": row.submitted_at,
        "finished_at": row.finished_at,
        "seconds": took,
        "version": row.version,
        "position": row.position,
    }


def item_view(row: PayrollItemRow) -> PayrollRunItem:
    return {
        "item": row.number,
        "employee": row.employee,
        "account": row.account,
        "amount": show(row.amount, row.currency),
        "currency": row.currency,
        "status": row.status,
        "transaction": row.transaction,
        "rule": row.rule,
        "because": None if row.rule is None or row.figures is None else explain(row.rule, row.figures),
    }


@command(router, "", makes=RunPayroll, answer=PayrollChanged)
def run_payroll(caller: Caller, body: PayrollBody) -> Intent:
    """Pay employees for a month. Many are paid in parts; read the run to see how far it is."""
    run = RunPayroll(
        payroll=caller.services.new_id(PAYROLL),
        transaction=caller.services.new_id(TRANSACTION),
        account=body.account,
        period=body.period,
        currency=body.currency,
        items=tuple(
            PayrollItem(item.employee, item.account, money.parse(item.amount, body.currency)) for item in body.items
        ),
        value_date=body.value_date or caller.today,
    )
    return Intent(run, created="payroll")


@command(router, "/{payroll}/stop", makes=StopPayroll, answer=PayrollChanged, status=200)
def stop_payroll(caller: Caller, payroll: PathId, body: Reason) -> Intent:
    """Stop a run. What is paid stays paid; what is not is parked, and the rest of the hold is available again."""
    return Intent(StopPayroll(payroll, body.reason), payroll)


@command(router, "/{payroll}/items/retry", makes=RetryPayrollItem, answer=PayrollItemChanged, status=200)
def retry_payroll_item(caller: Caller, payroll: PathId, body: RetriedItemBody) -> Intent:
    """Pay a parked item, once what kept the employee from being paid is mended."""
    retry = RetryPayrollItem(
        payroll=payroll,
        item=body.item,
        transaction=caller.services.new_id(TRANSACTION),
        value_date=body.value_date or caller.today,
    )
    return Intent(retry)


@command(router, "/{payroll}/items/give-up", makes=GiveUpPayrollItem, answer=PayrollItemChanged, status=200)
def give_up_payroll_item(caller: Caller, payroll: PathId, body: GivenUpItemBody) -> Intent:
    """Give a parked item up: the run does not pay it."""
    return Intent(GiveUpPayrollItem(payroll, body.item, body.reason))


@query(router, "", may=READERS, response=page_of(PayrollRun), personal=True, projections=("payrolls",))
def list_payrolls(
    request: Request,
    account: Filter = None,
    period: Filter = None,
    status: RunStatusFilter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List payroll runs in the order in which they were submitted."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.payrolls(
            connection, account=account, period=period, status=status, after=after, cursor=key, limit=limit
        )
        return page(listed, payroll_view)


@query(router, "/{payroll}", may=READERS, response=PayrollRun, personal=True, projections=("payrolls",))
def get_payroll(request: Request, payroll: PathId) -> Response:
    """Get one payroll run: what is paid, what is parked, and how long it took."""
    with reading(request) as connection:
        return one("payroll", payroll, queries.payroll(connection, payroll), payroll_view)


@query(
    router, "/{payroll}/items", may=READERS, response=page_of(PayrollRunItem), personal=True, projections=("payrolls",)
)
def list_payroll_items(
    request: Request,
    payroll: PathId,
    status: ItemStatusFilter = None,
    employee: Filter = None,
    account: Filter = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List the items of a run in their order. A run that does not exist has none."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.payroll_items(
            connection, payroll, status=status, employee=employee, account=account, cursor=key, limit=limit
        )
        return page(listed, item_view)
