"""The events of a recurring payment, its state and the fold."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from msgspec.structs import replace

from domain.accounts.recurring.schedule import Schedule, due_time
from domain.accounts.transaction.state import TRANSACTION
from domain.codes import Metadata
from domain.ids import named_id
from domain.kernel import Event, Personal, Value

RECURRING = "recur"
"""Prefix of the ids of recurring payments."""

Status = Literal["active", "paused", "suspended", "completed", "cancelled"]
"""Suspended: it stopped by itself after too many refusals. Completed: no due date is left."""


# Events


class RecurringPaymentCreated(Event, frozen=True):
    """A recurring payment was created. It is the first event of its stream.

    `initiator` is the person who set it going, None for a program. `by_customer` says that each run is permitted as
    that customer, and else as staff.
    """

    payer: str
    payee: str
    amount: int
    currency: str
    schedule: Schedule
    due_on: date  # of the first run
    reference: str | None  # of the client's business, never about a person
    metadata: Metadata
    subject: str | None  # the person whose key seals the description
    description: Personal | None
    initiator: str | None
    by_customer: bool


class RecurringPaymentRun(Event, frozen=True):
    """A run was carried out: its unit has the transaction. The strikes are over."""

    number: int
    due_on: date
    transaction: str
    next_on: date | None  # when the next run is due; None: there is none


class RecurringPaymentStruck(Event, frozen=True):
    """A run was refused. It is tried again, or it was the last strike, and the next event suspends the payment."""

    number: int
    due_on: date
    strikes: int  # one after the other
    rule: str  # the code of the rule that refused it
    retry_at: datetime | None  # aware, UTC; None: not any more


class RecurringPaymentSuspended(Event, frozen=True):
    """The payment stopped after too many strikes. The run that was refused is given up."""

    number: int
    rule: str  # of the last strike


class RecurringPaymentPaused(Event, frozen=True):
    """The payment was paused. Nothing runs until it is resumed."""


class RecurringPaymentResumed(Event, frozen=True):
    """The payment goes on with this run. Those that were due meanwhile are skipped."""

    number: int
    due_on: date
    skipped: int
    initiator: str | None
    by_customer: bool


class RecurringAmountChanged(Event, frozen=True):
    """The next runs are for another amount."""

    amount: int
    currency: str
    initiator: str | None
    by_customer: bool


class RecurringPaymentCancelled(Event, frozen=True):
    """The payment was cancelled. It ends."""


RecurringPaymentEvent = (
    RecurringPaymentCreated
    | RecurringPaymentRun
    | RecurringPaymentStruck
    | RecurringPaymentSuspended
    | RecurringPaymentPaused
    | RecurringPaymentResumed
    | RecurringAmountChanged
    | RecurringPaymentCancelled
)

# State


class RecurringPayment(Value, frozen=True):
    """A recurring payment at a version of its stream. The amount is in minor units."""

    version: int
    id: str
    status: Status
    payer: str
    payee: str
    amount: int
    currency: str
    schedule: Schedule
    reference: str | None
    metadata: Metadata
    description: Personal | None
    initiator: str | None
    by_customer: bool
    number: int  # of the next run
    due_on: date | None  # of the next run; None: there is none until it is resumed
    strikes: int = 0
    retry_at: datetime | None = None  # aware, UTC

    @property
    def due_at(self) -> datetime | None:
        """The time of the next run or of its next try. None: there is none."""
        return self.retry_at or (None if self.due_on is None else due_time(self.due_on))


def transaction_of_run(payment: str, number: int) -> str:
    """Return the id of the transaction of a run. A run has one at most, however often it is tried."""
    return named_id(TRANSACTION, payment, str(number))


def evolve(state: RecurringPayment | None, event: RecurringPaymentEvent) -> RecurringPayment:
    """Return the payment after the event. Raises ValueError if the stream does not begin with its creation."""
    version = event.originator_version
    if isinstance(event, RecurringPaymentCreated):
        return _created(event)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with RecurringPaymentCreated")
    match event:
        case RecurringPaymentRun():
            status: Status = "active" if event.next_on is not None else "completed"
            return _going_on(state, version, status, event.number + 1, event.next_on)
        case RecurringPaymentStruck():
            return replace(state, version=version, strikes=event.strikes, retry_at=event.retry_at)
        case RecurringPaymentSuspended():
            return _going_on(state, version, "suspended", event.number + 1, None)
        case RecurringPaymentPaused():
            return _going_on(state, version, "paused", state.number, None)
        case RecurringPaymentResumed():
            going_on = _going_on(state, version, "active", event.number, event.due_on)
            return replace(going_on, initiator=event.initiator, by_customer=event.by_customer)
        case RecurringAmountChanged():
            amount, initiator, by_customer = event.amount, event.initiator, event.by_customer
            return replace(state, version=version, amount=amount, initiator=initiator, by_customer=by_customer)
        case RecurringPaymentCancelled():
            return _going_on(state, version, "cancelled", state.number, None)


def _created(event: RecurringPaymentCreated) -> RecurringPayment:
    return RecurringPayment(
        version=event.originator_version,
        id=event.originator_id,
        status="active",
        payer=event.payer,
        payee=event.payee,
        amount=event.amount,
        currency=event.currency,
        schedule=event.schedule,
        reference=event.reference,
        metadata=event.metadata,
        description=event.description,
        initiator=event.initiator,
        by_customer=event.by_customer,
        number=1,
        due_on=event.due_on,
    )


def _going_on(
    state: RecurringPayment, version: int, status: Status, number: int, due_on: date | None
) -> RecurringPayment:
    """Return the payment with another next run, or without one, and without strikes."""
    return replace(state, version=version, status=status, number=number, due_on=due_on, strikes=0, retry_at=None)
