"""Orders."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import bodies
from api.documented import COMMAND, READ_LIST, READ_ONE
from api.execution import execute
from api.positions import read_cursor
from api.reading import DEFAULT_LIMIT, Cursor, Filter, Limit, MinPosition, PathId, one, page, reading
from api.services import services
from api.views import order_view
from domain import money
from domain.ids import ORDER, TRANSACTION
from domain.orders.commands import CancelOrder, ConfirmOrder, PayOrder, PlaceOrder
from domain.orders.events import OrderLine
from projections.orders import queries

router = APIRouter(prefix="/v1/orders", tags=["orders"])


@router.post("", status_code=201, responses=COMMAND)
async def place(request: Request, body: bodies.OrderBody) -> Response:
    """Place an order; its total is the sum of its lines."""
    order = services(request).new_id(ORDER)
    lines = tuple(
        OrderLine(line.sku, line.name, line.quantity, money.parse(line.unit_price, body.currency))
        for line in body.lines
    )
    command = PlaceOrder(order, body.customer, body.currency, lines, body.reference)
    return await execute(request, command, created="order", expected=body.expected_versions)


@router.post("/{order}/confirm", responses=COMMAND)
async def confirm(request: Request, order: PathId, body: bodies.Nothing) -> Response:
    """Confirm an order that was placed."""
    return await execute(request, ConfirmOrder(order), stream=order, expected=body.expected_versions, status=200)


@router.post("/{order}/pay", status_code=201, responses=COMMAND)
async def pay(request: Request, order: PathId, body: bodies.PaymentBody) -> Response:
    """Pay a confirmed order from an account: order, transaction and accounts in one unit."""
    served = services(request)
    value_date = body.value_date or served.clock().date()
    command = PayOrder(order, body.account, served.new_id(TRANSACTION), value_date, body.reference)
    return await execute(request, command, stream=order, expected=body.expected_versions)


@router.post("/{order}/cancel", responses=COMMAND)
async def cancel(request: Request, order: PathId, body: bodies.Reason) -> Response:
    """Cancel an order that is not paid."""
    command = CancelOrder(order, body.reason)
    return await execute(request, command, stream=order, expected=body.expected_versions, status=200)


@router.get("", responses=READ_LIST)
def list_orders(
    request: Request,
    customer: Filter = None,
    status: Filter = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    min_position: MinPosition = None,
) -> Response:
    """Orders, oldest first."""
    after = read_cursor(cursor, str)
    with reading(request, ["orders"], min_position) as connection:
        return page(queries.orders(connection, customer=customer, status=status, after=after, limit=limit), order_view)


@router.get("/{order}", responses=READ_ONE)
def get_order(request: Request, order: PathId, min_position: MinPosition = None) -> Response:
    """One order with its lines."""
    with reading(request, ["orders"], min_position) as connection:
        return one("order", order, queries.order(connection, order), order_view)
