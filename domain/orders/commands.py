"""What clients may ask of orders. Ids are drawn before deciding; prices are minor units of the order's currency."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from domain.kernel import Personal
from domain.orders.events import OrderLine


@dataclass(frozen=True, slots=True)
class _OnOneOrder:
    order: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.order,)


@dataclass(frozen=True, slots=True)
class PlaceOrder(_OnOneOrder):
    customer: str
    currency: str
    lines: tuple[OrderLine, ...]
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class ConfirmOrder(_OnOneOrder):
    pass


@dataclass(frozen=True, slots=True)
class CancelOrder(_OnOneOrder):
    reason: Personal


@dataclass(frozen=True, slots=True)
class PayOrder:
    """Pay the whole order from a customer's account to the ledger's revenue, in one transaction.

    Without a reference of its own the transaction carries the order's id.
    """

    order: str
    account: str
    transaction: str
    value_date: date
    reference: str | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.order, self.account)


OrderCommand = PlaceOrder | ConfirmOrder | CancelOrder | PayOrder
