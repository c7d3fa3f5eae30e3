"""Orders."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api import bodies
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.access_log import personal
from api.gateway.documented import READ_LIST, READ_ONE
from api.queries.positions import read_cursor
from api.queries.reading import DEFAULT_LIMIT, Cursor, Filter, Limit, PathId, one, page, reading, visible
from api.views import order_view
from domain import money
from domain.ids import ORDER, TRANSACTION
from domain.orders.commands import CancelOrder, ConfirmOrder, PayOrder, PlaceOrder
from domain.orders.events import OrderLine
from projections.orders.orders import queries

router = APIRouter(prefix="/v1/orders", tags=["orders"])


@command(router, "")
def place(caller: Caller, body: bodies.OrderBody) -> Intent:
    """Place an order; its total is the sum of its lines."""
    lines = tuple(
        OrderLine(line.sku, line.name, line.quantity, money.parse(line.unit_price, body.currency))
        for line in body.lines
    )
    order = PlaceOrder(caller.services.new_id(ORDER), body.customer, body.currency, lines, body.reference)
    return Intent(order, created="order")


@command(router, "/{order}/confirm", status=200)
def confirm(caller: Caller, order: PathId, body: bodies.Nothing) -> Intent:
    """Confirm an order that was placed."""
    return Intent(ConfirmOrder(order), order)


@command(router, "/{order}/pay")
def pay(caller: Caller, order: PathId, body: bodies.PaymentBody) -> Intent:
    """Pay a confirmed order from an account: order, transaction and accounts in one unit."""
    value_date = body.value_date or caller.today
    return Intent(PayOrder(order, body.account, caller.services.new_id(TRANSACTION), value_date, body.reference), order)


@command(router, "/{order}/cancel", status=200)
def cancel(caller: Caller, order: PathId, body: bodies.Reason) -> Intent:
    """Cancel an order that is not paid."""
    return Intent(CancelOrder(order, body.reason), order)


@router.get("", responses=READ_LIST, dependencies=[visible("orders")])
@personal
def list_orders(
    request: Request,
    customer: Filter = None,
    status: Filter = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """Orders, oldest first."""
    after = read_cursor(cursor, str)
    with reading(request) as connection:
        return page(queries.orders(connection, customer=customer, status=status, after=after, limit=limit), order_view)


@router.get("/{order}", responses=READ_ONE, dependencies=[visible("orders")])
@personal
def get_order(request: Request, order: PathId) -> Response:
    """One order with its lines."""
    with reading(request) as connection:
        return one("order", order, queries.order(connection, order), order_view)
