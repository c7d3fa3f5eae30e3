"""The routes of orders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.answers import Booked
from api.accounts.conditions import Conditional, conditioned
from api.commands.answers import Accepted
from api.commands.bodies import (
    ACCOUNT_A,
    Body,
    Currency,
    Id,
    IsoDate,
    Metadata,
    Nothing,
    Price,
    Reason,
    Reference,
    ShortText,
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
from domain import money
from domain.accounts.transaction import TRANSACTION
from domain.money import show
from domain.orders.order import (
    MOST_LINES,
    MOST_QUANTITY,
    ORDER,
    CancelOrder,
    ConfirmOrder,
    OrderLine,
    PayOrder,
    PlaceOrder,
    Status,
)
from projections.orders import orders as queries
from projections.orders.orders import OrderRow

router = APIRouter(prefix="/v1/orders", tags=["orders"])

StatusFilter = Annotated[str, choice(values_of(Status))] | None


class LineBody(BaseModel):
    """One article of an order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sku: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,50}$")]
    name: ShortText
    quantity: Annotated[int, Field(ge=1, le=MOST_QUANTITY)]
    unit_price: Price


class OrderBody(Body):
    """Place an order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "customer": "customer-1",
                    "currency": "GBP",
                    "lines": [{"sku": "85123A", "name": "Hanging heart", "quantity": 6, "unit_price": "2.55"}],
                }
            ]
        }
    )

    customer: Subject
    currency: Currency
    lines: Annotated[list[LineBody], Field(max_length=2 * MOST_LINES)]
    reference: Reference | None = None
    metadata: Metadata

    @model_validator(mode="after")
    def _is_money(self) -> OrderBody:
        for number, line in enumerate(self.lines, 1):
            try:
                if money.parse(line.unit_price, self.currency) < 0:
                    raise ValueError(f"{line.unit_price!r} is less than zero.")
            except ValueError as error:
                raise ValueError(f"lines: unit_price of line {number}: {error}") from None
        return self


class PaymentBody(Conditional):
    """Pay an order from an account."""

    model_config = example(account=ACCOUNT_A)

    account: Id
    value_date: IsoDate | None = None
    reference: Reference | None = None


_Status = Annotated[str, one_of(Status)]


class Line(TypedDict):
    """One article of an order."""

    sku: str
    name: Erasable
    quantity: int
    unit_price: Money


class Order(TypedDict):
    """An order as it is now."""

    order: str
    customer: str
    currency: CurrencyCode
    status: _Status
    total: Annotated[Money, Field(description="The sum of the lines")]
    reference: str | None
    metadata: Annotated[dict[str, str], Field(description="Pairs that the client keeps with it")]
    names_erased: Annotated[bool, Field(description="Whether the names of its lines were erased with the customer")]
    reason: Annotated[str | None, Field(description="Why it was cancelled")]
    transaction: Annotated[str | None, Field(description="The transaction that paid it")]
    account: Annotated[str | None, Field(description="The account that paid it")]
    version: StreamVersion
    placed_at: datetime
    position: LogPosition
    lines: list[Line]


class OrderChanged(Accepted):
    """An order that was confirmed or cancelled."""

    order: str
    status: _Status


class OrderPlaced(OrderChanged):
    """An order that was placed."""

    total: Annotated[Money, Field(description="The sum of the lines")]
    currency: CurrencyCode


class OrderPaid(OrderChanged, Booked):
    """An order that was paid by a transaction."""


def order_view(row: OrderRow) -> Order:
    c = row.currency
    return {
        "order": row.order,
        "customer": row.customer,
        "currency": c,
        "status": row.status,
        "total": show(row.total, c),
        "reference": row.reference,
        "metadata": row.metadata,
        "names_erased": row.names_erased,
        "reason": row.reason,
        "transaction": row.transaction,
        "account": row.account,
        "version": row.version,
        "placed_at": row.placed_at,
        "position": row.position,
        "lines": [
            {"sku": x.sku, "name": x.name, "quantity": x.quantity, "unit_price": show(x.unit_price, c)}
            for x in row.lines
        ],
    }


@command(router, "", makes=PlaceOrder, answer=OrderPlaced)
def place_order(caller: Caller, body: OrderBody) -> Intent:
    """Place an order. Its total is the sum of its lines."""
    lines = tuple(
        OrderLine(
            sku=line.sku,
            name=line.name,
            quantity=line.quantity,
            unit_price=money.parse(line.unit_price, body.currency),
        )
        for line in body.lines
    )
    order = PlaceOrder(
        order=caller.services.new_id(ORDER),
        customer=body.customer,
        currency=body.currency,
        lines=lines,
        reference=body.reference,
        metadata=body.metadata,
    )
    return Intent(order, created="order")


@command(router, "/{order}/confirm", makes=ConfirmOrder, answer=OrderChanged, status=200)
def confirm_order(caller: Caller, order: PathId, body: Nothing) -> Intent:
    """Confirm an order that was placed."""
    return Intent(ConfirmOrder(order), order)


@command(router, "/{order}/pay", makes=PayOrder, answer=OrderPaid)
def pay_order(caller: Caller, order: PathId, body: PaymentBody) -> Intent:
    """Pay a confirmed order from an account: order, transaction and accounts in one unit."""
    payment = PayOrder(
        order=order,
        account=body.account,
        transaction=caller.services.new_id(TRANSACTION),
        value_date=body.value_date or caller.today,
        reference=body.reference,
    )
    return Intent(conditioned(payment, body), order)


@command(router, "/{order}/cancel", makes=CancelOrder, answer=OrderChanged, status=200)
def cancel_order(caller: Caller, order: PathId, body: Reason) -> Intent:
    """Cancel an order that is not paid."""
    return Intent(CancelOrder(order, body.reason), order)


@query(router, "", may=READERS, response=page_of(Order), personal=True, projections=("orders",))
def list_orders(
    request: Request,
    customer: Filter = None,
    status: StatusFilter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List orders in the sequence in which they were placed."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.orders(connection, customer=customer, status=status, after=after, cursor=key, limit=limit)
    return page(listed, order_view)


@query(router, "/{order}", may=READERS, response=Order, personal=True, projections=("orders",))
def get_order(request: Request, order: PathId) -> Response:
    """Get one order with its lines."""
    with reading(request) as connection:
        return one("order", order, queries.order(connection, order), order_view)
