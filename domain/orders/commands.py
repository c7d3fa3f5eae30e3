"""What clients may ask of orders. Ids are drawn before deciding; prices are minor units of the order's currency."""

from __future__ import annotations

from datetime import date

from domain.kernel import Personal, Value
from domain.orders.events import OrderLine


class _OnOneOrder(Value, frozen=True):
    order: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.order,)


class PlaceOrder(_OnOneOrder, frozen=True):
    customer: str
    currency: str
    lines: tuple[OrderLine, ...]
    reference: str | None = None


class ConfirmOrder(_OnOneOrder, frozen=True):
    pass


class CancelOrder(_OnOneOrder, frozen=True):
    reason: Personal


class PayOrder(Value, frozen=True):
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
