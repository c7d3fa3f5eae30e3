"""The order: what its stream folds to, and what may become of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from msgspec.structs import replace

from domain.kernel import Refused, State, Value
from domain.orders.events import OrderCancelled, OrderConfirmed, OrderLine, OrderPaid, OrderPlaced

Status = Literal["placed", "confirmed", "paid", "cancelled"]

OrderEvent = OrderPlaced | OrderConfirmed | OrderCancelled | OrderPaid


class Order(Value, frozen=True):
    """An order at a version of its stream. Its lines and total never change after it is placed."""

    version: int
    id: str
    customer: str
    currency: str
    lines: tuple[OrderLine, ...]
    total: int  # the sum of the lines, in minor units
    status: Status

    def refuse_unless(self, verb: str, *required: Status) -> Refused | None:
        """Why it cannot be confirmed, paid or cancelled as it stands."""
        if self.status in required:
            return None
        return Refused(
            "order_status",
            {"order": self.id, "status": self.status, "required": " or ".join(required), "verb": verb},
        )


def evolve(state: Order | None, event: OrderEvent) -> Order:
    """The order after the event. Raises ValueError for a stream that does not begin with its placing."""
    version = event.originator_version
    if isinstance(event, OrderPlaced):
        return Order(version, event.originator_id, event.customer, event.currency, event.lines, event.total, "placed")
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with OrderPlaced")
    match event:
        case OrderConfirmed():
            return replace(state, version=version, status="confirmed")
        case OrderCancelled():
            return replace(state, version=version, status="cancelled")
        case OrderPaid():
            return replace(state, version=version, status="paid")


EVOLVE: dict[type, Callable[[Any, Any], State]] = dict.fromkeys(get_args(OrderEvent), evolve)
