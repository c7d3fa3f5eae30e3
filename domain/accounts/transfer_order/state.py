"""The state of a transfer order, the fold of its events, and the ids of what its execution makes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from domain.accounts.currencies.conversions import CONVERSION
from domain.accounts.transaction.state import TRANSACTION
from domain.accounts.transfer_order.events import (
    OrderFee,
    Sum,
    TransferOrderCancelled,
    TransferOrderDelayed,
    TransferOrderEvent,
    TransferOrderExecuted,
    TransferOrderExpired,
    TransferOrderFailed,
    TransferOrderSubmitted,
)
from domain.codes import Metadata
from domain.ids import named_id
from domain.kernel import Personal, Value

TRANSFER_ORDER = "tord"
"""Prefix of the ids of transfer orders. The hold of an order has the same id (`HOLDS_OF_TRANSFER_ORDERS`)."""

Status = Literal["waiting", "executed", "failed", "expired", "cancelled"]


class TransferOrder(Value, frozen=True):
    """A transfer order at a version of its stream. Amounts are in minor units."""

    version: int
    id: str
    status: Status
    source: str
    target: str
    currency: str  # of the source account
    target_currency: str
    sum: Sum | None
    bound: Sum | None
    quote: str | None
    fee: OrderFee | None
    held: int
    due_at: datetime | None  # of the next try; None: at once
    expires_at: datetime | None
    notify: bool
    reference: str | None
    metadata: Metadata
    subject: str | None
    description: Personal | None
    initiator: str | None
    by_customer: bool
    tries: int = 0  # that were refused

    @property
    def converts(self) -> bool:
        """Whether money of one currency becomes money of another one."""
        return self.currency != self.target_currency

    @property
    def transaction(self) -> str:
        """The id of the transaction that moves the money. There is one at most, however often it is tried."""
        return named_id(TRANSACTION, self.id, "transfer")

    @property
    def fee_transaction(self) -> str | None:
        """The id of the transaction that charges the fee, if there is a fee."""
        return None if self.fee is None else named_id(TRANSACTION, self.id, "fee")

    @property
    def conversion(self) -> str | None:
        """The id of the conversion, if there is one."""
        return named_id(CONVERSION, self.id) if self.converts else None

    def is_over(self, now: datetime) -> bool:
        """Return whether its time is over at this instant."""
        return self.expires_at is not None and self.expires_at <= now


def evolve(state: TransferOrder | None, event: TransferOrderEvent) -> TransferOrder:
    """Return the order after the event. Raises ValueError if the stream does not begin with its submission."""
    version = event.originator_version
    if isinstance(event, TransferOrderSubmitted):
        if state is not None:
            raise ValueError(f"{event.originator_id} is submitted again at version {version}")
        return _submitted(event)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with TransferOrderSubmitted")
    match event:
        case TransferOrderDelayed():
            return replace(state, version=version, tries=event.tries, due_at=event.retry_at)
        case TransferOrderExecuted():
            return replace(state, version=version, status="executed")
        case TransferOrderFailed():
            return replace(state, version=version, status="failed", tries=event.tries)
        case TransferOrderExpired():
            return replace(state, version=version, status="expired")
        case TransferOrderCancelled():
            return replace(state, version=version, status="cancelled")


def _submitted(event: TransferOrderSubmitted) -> TransferOrder:
    return TransferOrder(
        version=event.originator_version,
        id=event.originator_id,
        status="waiting",
        source=event.source,
        target=event.target,
        currency=event.currency,
        target_currency=event.target_currency,
        sum=event.sum,
        bound=event.bound,
        quote=event.quote,
        fee=event.fee,
        held=event.held,
        due_at=event.execute_at,
        expires_at=event.expires_at,
        notify=event.notify,
        reference=event.reference,
        metadata=event.metadata,
        subject=event.subject,
        description=event.description,
        initiator=event.initiator,
        by_customer=event.by_customer,
    )
