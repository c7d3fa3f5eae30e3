"""The facts of orders. Amounts are integers of minor units in the order's currency."""

from __future__ import annotations

from domain.kernel import Event, Personal, Value


class OrderLine(Value, frozen=True):
    sku: str
    name: str  # of the article
    quantity: int
    unit_price: int


class OrderPlaced(Event, frozen=True):
    customer: str
    currency: str
    lines: tuple[OrderLine, ...]
    total: int
    reference: str | None


class OrderConfirmed(Event, frozen=True):
    pass


class OrderCancelled(Event, frozen=True):
    customer: str
    reason: Personal


class OrderPaid(Event, frozen=True):
    transaction: str
    account: str  # that paid
    amount: int
    currency: str
