"""The routes of transfer orders: submit, cancel and read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.bodies import ScheduleName
from api.commands.answers import Accepted
from api.commands.bodies import (
    ACCOUNT_A,
    ACCOUNT_B,
    Amount,
    Body,
    Currency,
    Description,
    Id,
    Instant,
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
from domain.accounts.account.holds import MOST_DAYS_HELD
from domain.accounts.transfer_order import TRANSFER_ORDER, CancelTransferOrder, SubmitTransferOrder
from domain.accounts.transfer_order.events import Sum as OrderSum
from domain.accounts.transfer_order.state import Status
from domain.money import show
from projections.accounts import transfer_orders as queries
from projections.accounts.transfer_orders import TransferOrderRow, TransferOrderTryRow, TryOutcome

router = APIRouter(prefix="/v1/transfer-orders", tags=["transactions"])

StatusFilter = Annotated[str, choice(values_of(Status))] | None
_Status = Annotated[str, one_of(Status)]

_SUM = "What the source pays, in its currency, or the least that the target gets, in its currency"
_BOUND = (
    "In the currency of the other side: the least that the target gets, or the most that the source pays. The second "
    "one is needed for an amount in the currency of the target"
)
_QUOTE = "A quote that locks the price; then there is no amount and no bound"
_FEE_SCHEDULE = "The fee schedule that charges the source, by the most that it pays"
_HELD = "What is held on the source account while the order waits, with the fee"
_EXECUTE_AT = "When it is executed; null for at once"
_EXPIRES_AT = "The first instant at which it is not executed any more"
_NOTIFY = "Whether the owners of the source account get a mail at the end"


# Bodies


class BoundBody(Sum):
    """A bound of the side that the amount is not in."""

    model_config = example(amount="105.00", currency="USD")


class TransferOrderBody(Body):
    """Order a transfer, with a conversion if the currencies differ, and with a fee."""

    model_config = example(
        source=ACCOUNT_A,
        target=ACCOUNT_B,
        amount="100.00",
        currency="EUR",
        bound={"amount": "105.00", "currency": "USD"},
        execute_at="2027-01-31T12:00:00Z",
    )

    source: Annotated[Id, Field(description="The account that pays")]
    target: Annotated[Id, Field(description="The account that gets it")]
    currency: Annotated[Currency | None, Field(description="The currency of the amount")] = None
    amount: Annotated[Amount | None, Field(description=_SUM)] = None
    bound: Annotated[BoundBody | None, Field(description=_BOUND)] = None
    quote: Annotated[Id | None, Field(description=_QUOTE)] = None
    fee_schedule: Annotated[ScheduleName | None, Field(description=_FEE_SCHEDULE)] = None
    execute_at: Annotated[
        Instant | None, Field(description=f"{_EXECUTE_AT}. After now, {MOST_DAYS_HELD} days at most")
    ] = None
    expires_at: Annotated[Instant | None, Field(description=_EXPIRES_AT)] = None
    notify: Annotated[bool, Field(description=_NOTIFY)] = False
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata


# Answers


class TransferOrderSubmitted(Accepted):
    """A transfer order that was submitted."""

    transfer_order: str
    status: _Status
    held: Annotated[Money, Field(description=_HELD)]
    fee: Annotated[Money, Field(description="What the fee schedule charges of it")]
    currency: CurrencyCode


class TransferOrderEnded(Accepted):
    """A transfer order that was cancelled."""

    transfer_order: str
    status: _Status


class OrderedSum(TypedDict):
    """An amount with its currency."""

    amount: Money
    currency: CurrencyCode


class TransferOrder(TypedDict):
    """A transfer order as it is now."""

    transfer_order: str
    status: _Status
    source: str
    target: str
    currency: Annotated[CurrencyCode, Field(description="Of the source account")]
    target_currency: CurrencyCode
    sum: Annotated[OrderedSum | None, Field(description=f"{_SUM}. Null: the quote says it")]
    bound: Annotated[OrderedSum | None, Field(description=_BOUND)]
    quote: Annotated[str | None, Field(description="The quote that locks the price")]
    fee_schedule: Annotated[str | None, Field(description=_FEE_SCHEDULE)]
    fee: Annotated[Money, Field(description="In the currency of the source account")]
    held: Annotated[Money, Field(description=_HELD)]
    execute_at: Annotated[datetime | None, Field(description=_EXECUTE_AT)]
    expires_at: Annotated[datetime | None, Field(description=_EXPIRES_AT)]
    notify: Annotated[bool, Field(description=_NOTIFY)]
    tries: Annotated[int, Field(description="How often its execution was refused")]
    rule: Annotated[str | None, Field(description="The rule that refused it last")]
    figures: Annotated[dict[str, str], Field(description="What explains that refusal")]
    retry_at: Annotated[datetime | None, Field(description="When it is tried again")]
    transaction: Annotated[str | None, Field(description="The transaction that moved the money")]
    fee_transaction: Annotated[str | None, Field(description="The transaction that charged the fee")]
    conversion: Annotated[str | None, Field(description="The conversion, with its rate")]
    paid: Annotated[Money | None, Field(description="What the source paid without the fee")]
    received: Annotated[Money | None, Field(description="What the target got, in its currency")]
    reference: Annotated[str | None, Field(description="The reference of its transactions")]
    metadata: Annotated[dict[str, str], Field(description="What its transactions get as metadata")]
    description: Erasable
    description_erased: bool
    initiator: Annotated[str | None, Field(description="The person who submitted it; null for a program")]
    version: StreamVersion
    submitted_at: datetime
    ended_at: datetime | None
    position: LogPosition


class TransferOrderTry(TypedDict):
    """A try to execute a transfer order."""

    transfer_order: str
    outcome: Annotated[str, one_of(TryOutcome)]
    rule: Annotated[str | None, Field(description="The rule that refused it")]
    figures: Annotated[dict[str, str], Field(description="What explains the refusal")]
    retry_at: Annotated[datetime | None, Field(description="When it is tried again; null: it is not")]
    recorded_at: datetime
    position: LogPosition


def order_view(row: TransferOrderRow) -> TransferOrder:
    return {
        "transfer_order": row.transfer_order,
        "status": row.status,
        "source": row.source,
        "target": row.target,
        "currency": row.currency,
        "target_currency": row.target_currency,
        "sum": _sum(row.sum_amount, row.sum_currency),
        "bound": _sum(row.bound_amount, row.bound_currency),
        "quote": row.quote,
        "fee_schedule": row.fee_schedule,
        "fee": show(row.fee, row.currency),
        "held": show(row.held, row.currency),
        "execute_at": row.execute_at,
        "expires_at": row.expires_at,
        "notify": row.notify,
        "tries": row.tries,
        "rule": row.rule,
        "figures": row.figures,
        "retry_at": row.retry_at,
        "transaction": row.transaction,
        "fee_transaction": row.fee_transaction,
        "conversion": row.conversion,
        "paid": None if row.paid is None else show(row.paid, row.currency),
        "received": None if row.received is None else show(row.received, row.target_currency),
        "reference": row.reference,
        "metadata": row.metadata,
        "description": row.description,
        "description_erased": row.description_erased,
        "initiator": row.initiator,
        "version": row.version,
        "submitted_at": row.submitted_at,
        "ended_at": row.ended_at,
        "position": row.position,
    }


def _sum(amount: int | None, currency: str | None) -> OrderedSum | None:
    if amount is None or currency is None:
        return None
    return {"amount": show(amount, currency), "currency": currency}


def try_view(row: TransferOrderTryRow) -> TransferOrderTry:
    return {
        "transfer_order": row.transfer_order,
        "outcome": row.outcome,
        "rule": row.rule,
        "figures": row.figures,
        "retry_at": row.retry_at,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


# Commands


@command(router, "", makes=SubmitTransferOrder, answer=TransferOrderSubmitted)
def submit_transfer_order(caller: Caller, body: TransferOrderBody) -> Intent:
    """Submit a transfer order. Its amount and its fee are held until a process executes it."""
    sum, bound = body.amount, body.bound
    order = SubmitTransferOrder(
        order=caller.services.new_id(TRANSFER_ORDER),
        source=body.source,
        target=body.target,
        sum=None if sum is None or body.currency is None else OrderSum(sum, body.currency),
        bound=None if bound is None else OrderSum(bound.amount, bound.currency),
        quote=body.quote,
        fee_schedule=body.fee_schedule,
        execute_at=body.execute_at,
        expires_at=body.expires_at,
        notify=body.notify,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
    )
    return Intent(order, created="transfer_order")


@command(router, "/{transfer_order}/cancel", makes=CancelTransferOrder, answer=TransferOrderEnded, status=200)
def cancel_transfer_order(caller: Caller, transfer_order: PathId, body: Nothing) -> Intent:
    """Cancel a transfer order that waits. What it holds is available again."""
    return Intent(CancelTransferOrder(transfer_order), transfer_order)


# Queries


@query(
    router,
    "",
    may=EVERY_READER,
    response=page_of(TransferOrder),
    personal=True,
    projections=("transfer_orders", "account_persons"),
)
def list_transfer_orders(
    request: Request,
    account: Filter = None,
    status: StatusFilter = None,
    reference: Filter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List transfer orders in the order in which they were submitted. `account` pays or is paid.

    A customer gets those that are paid from an account that the customer may see.
    """
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.transfer_orders(
            connection,
            reader=reader_of(request),
            account=account,
            status=status,
            reference=reference,
            after=after,
            cursor=key,
            limit=limit,
        )
    return page(listed, order_view)


@query(
    router,
    "/{transfer_order}",
    may=EVERY_READER,
    response=TransferOrder,
    personal=True,
    projections=("transfer_orders", "account_persons"),
)
def get_transfer_order(request: Request, transfer_order: PathId) -> Response:
    """Get one transfer order."""
    with reading(request) as connection:
        found = queries.transfer_order(connection, transfer_order, reader=reader_of(request))
        return one("transfer_order", transfer_order, found, order_view)


@query(
    router,
    "/{transfer_order}/tries",
    may=EVERY_READER,
    response=page_of(TransferOrderTry),
    personal=True,
    projections=("transfer_orders", "account_persons"),
)
def list_transfer_order_tries(
    request: Request,
    transfer_order: PathId,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List each try to execute a transfer order, oldest first."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        reader = reader_of(request)
        listed = queries.tries(connection, transfer_order, reader=reader, after=after, cursor=key, limit=limit)
    return page(listed, try_view)
