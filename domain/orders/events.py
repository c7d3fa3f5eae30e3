"""The facts of orders. Amounts are integers of minor units in the order's currency."""

from __future__ import annotations

from dataclasses import dataclass

from domain.kernel import Event, Personal


@dataclass(frozen=True, slots=True)
class OrderLine:
    sku: str
    name: str  # of the article
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class OrderPlaced(Event):
    customer: str
    currency: str
    lines: tuple[OrderLine, ...]
    total: int
    reference: str | None


@dataclass(frozen=True, slots=True)
class OrderConfirmed(Event):
    pass


@dataclass(frozen=True, slots=True)
class OrderCancelled(Event):
    customer: str
    reason: Personal


@dataclass(frozen=True, slots=True)
class OrderPaid(Event):
    transaction: str
    account: str  # that paid
    amount: int
    currency: str
