"""What becomes of each command on orders: one function a command, pure, ending in events or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.accounts.posting import Transaction, post_against_internal, posting_decision
from domain.kernel import Accepted, Context, Decision, Refused, States, Unknown, found
from domain.money import MAX_AMOUNT, show
from domain.orders import commands as c
from domain.orders.events import OrderCancelled, OrderConfirmed, OrderLine, OrderPaid, OrderPlaced
from domain.orders.order import Order

LEAST_LINES, MOST_LINES = 1, 500
LEAST_QUANTITY, MOST_QUANTITY = 1, 1_000_000


def place(command: c.PlaceOrder, states: States, context: Context) -> Decision:
    if states[command.order] is not None:
        return Refused("order_exists", {"order": command.order})
    refusal = _well_formed(command.lines, command.currency)
    if refusal is not None:
        return refusal
    total = _total(command.lines)
    event = OrderPlaced(command.order, 1, command.customer, command.currency, command.lines, total, command.reference)
    currency = command.currency
    return Accepted(
        (event,), {"order": command.order, "status": "placed", "total": show(total, currency), "currency": currency}
    )


def confirm(command: c.ConfirmOrder, states: States, context: Context) -> Decision:
    order = found(states, command.order, Order)
    if order is None:
        return Unknown("order", command.order)
    refusal = order.refuse_unless("confirmed", "placed")
    if refusal is not None:
        return refusal
    event = OrderConfirmed(command.order, order.version + 1)
    return Accepted((event,), {"order": command.order, "status": "confirmed"})


def cancel(command: c.CancelOrder, states: States, context: Context) -> Decision:
    order = found(states, command.order, Order)
    if order is None:
        return Unknown("order", command.order)
    refusal = order.refuse_unless("cancelled", "placed", "confirmed")
    if refusal is not None:
        return refusal
    event = OrderCancelled(command.order, order.version + 1, order.customer, command.reason)
    return Accepted((event,), {"order": command.order, "status": "cancelled"})


@posting_decision
def pay(command: c.PayOrder, states: States, context: Context) -> Decision:
    order = found(states, command.order, Order)
    if order is None:
        return Unknown("order", command.order)
    refusal = order.refuse_unless("paid", "confirmed")
    if refusal is not None:
        return refusal
    reference = command.reference or command.order
    posted = post_against_internal(
        Transaction(command.transaction, "payment", (), command.value_date, reference),
        "revenue",
        debited=command.account,
        amount=order.total,
        currency=order.currency,
        states=states,
        context=context,
    )
    if not isinstance(posted, Accepted):
        return posted
    paid = OrderPaid(
        command.order, order.version + 1, command.transaction, command.account, order.total, order.currency
    )
    result = {"order": command.order, "status": "paid", **posted.result}
    return Accepted((paid, *posted.events), result, posted.commuting)


def _total(lines: tuple[OrderLine, ...]) -> int:
    return sum(line.quantity * line.unit_price for line in lines)


def _well_formed(lines: tuple[OrderLine, ...], currency: str) -> Refused | None:
    """The rules an order keeps whoever places it: count of lines, quantities, amounts, total."""
    if not LEAST_LINES <= len(lines) <= MOST_LINES:
        return Refused("order_line_count", {"least": LEAST_LINES, "most": MOST_LINES, "count": len(lines)})
    least, most = show(1, currency), show(MAX_AMOUNT, currency)
    for number, line in enumerate(lines, 1):
        if not LEAST_QUANTITY <= line.quantity <= MOST_QUANTITY:
            return Refused(
                "order_line_quantity",
                {"line": number, "quantity": line.quantity, "least": LEAST_QUANTITY, "most": MOST_QUANTITY},
            )
        amount = line.quantity * line.unit_price
        if not 0 < amount <= MAX_AMOUNT:
            return Refused(
                "order_line_amount",
                {"line": number, "amount": show(amount, currency), "currency": currency, "least": least, "most": most},
            )
    total = _total(lines)
    if total > MAX_AMOUNT:
        return Refused("order_total", {"total": show(total, currency), "currency": currency, "most": most})
    return None


DECISIONS: dict[type, Callable[[Any, States, Context], Decision]] = {
    c.PlaceOrder: place,
    c.ConfirmOrder: confirm,
    c.CancelOrder: cancel,
    c.PayOrder: pay,
}
