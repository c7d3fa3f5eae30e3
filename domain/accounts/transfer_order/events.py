"""The events of a transfer order. Amounts are positive integers of minor units, each beside its currency."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from domain.codes import Metadata
from domain.kernel import Event, Personal, Value


class Sum(Value, frozen=True):
    """An amount with its currency."""

    amount: int
    currency: str


class OrderFee(Value, frozen=True):
    """What a fee schedule charges for the order. It is computed at the submission, and stays."""

    schedule: str
    number: int  # of the version of the schedule
    account: str  # that gets it
    amount: int
    currency: str  # of the source account


class TransferOrderSubmitted(Event, frozen=True):
    """A transfer order was submitted. It is the first event of its stream.

    Its unit holds `held` on the source account, with the id of the order: the most that the source pays, and the fee.
    `initiator` is the person who submitted it, None for a program. `by_customer` says that it is executed as for that
    customer, and else as for staff.
    """

    source: str
    target: str
    currency: str  # of the source account
    target_currency: str
    sum: Sum | None  # what the source pays, or the least that the target gets; None: the quote says it
    bound: Sum | None  # of the other side: the least that the target gets, or the most that the source pays
    quote: str | None
    fee: OrderFee | None
    held: int
    execute_at: datetime | None  # aware, UTC; None: at once
    expires_at: datetime | None  # aware, UTC: the first instant at which it is not executed any more
    notify: bool  # whether the owners of the source account get a mail
    reference: str | None  # of the client's business, never about a person
    metadata: Metadata
    subject: str | None  # the person whose key seals the description
    description: Personal | None
    initiator: str | None
    by_customer: bool


class TransferOrderDelayed(Event, frozen=True):
    """A rule refused the execution. It is tried again, and the hold stays."""

    tries: int  # that were refused
    rule: str  # a code of `domain.registry.RULES`
    figures: Mapping[str, str]  # what explains the refusal
    retry_at: datetime  # aware, UTC


class TransferOrderExecuted(Event, frozen=True):
    """The order was executed. Its unit has the transactions, the end of the hold, and the conversion if there is one.

    `notify` has the persons who get a mail.
    """

    transaction: str
    conversion: str | None
    fee_transaction: str | None
    paid: Sum
    received: Sum
    fee: Sum | None
    notify: tuple[str, ...]


class TransferOrderFailed(Event, frozen=True):
    """A rule refused the execution for the last time. The hold is released in this unit."""

    tries: int
    rule: str
    figures: Mapping[str, str]
    released: int
    currency: str
    notify: tuple[str, ...]


class TransferOrderExpired(Event, frozen=True):
    """The time of the order was over before it was executed. The hold is released in this unit."""

    released: int
    currency: str
    notify: tuple[str, ...]


class TransferOrderCancelled(Event, frozen=True):
    """The order was cancelled before it was executed. The hold is released in this unit."""

    released: int
    currency: str


TransferOrderEvent = (
    TransferOrderSubmitted
    | TransferOrderDelayed
    | TransferOrderExecuted
    | TransferOrderFailed
    | TransferOrderExpired
    | TransferOrderCancelled
)
EndedUnexecuted = TransferOrderFailed | TransferOrderExpired | TransferOrderCancelled
"""The events after which the money is where it was, and no longer held."""
