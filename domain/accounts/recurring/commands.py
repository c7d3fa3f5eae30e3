"""The commands on recurring payments: create, change the amount, pause, resume and cancel.

Who may take the amount from the payer's account may do all of it: an owner, somebody with a mandate for the amount, or
staff. Who created a payment, changed its amount or resumed it last has set it going: each run is permitted as theirs.
"""

from __future__ import annotations

from datetime import date

from msgspec import field

from domain.accounts.account.owners import for_customer, is_customer, knows, refuse_debit, refuse_payee
from domain.accounts.account.state import Account
from domain.accounts.business_calendar import CALENDAR, Calendar, calendar_of
from domain.accounts.posting import posting_decision
from domain.accounts.recurring.schedule import Schedule, refuse_schedule
from domain.accounts.recurring.state import (
    RecurringAmountChanged,
    RecurringPayment,
    RecurringPaymentCancelled,
    RecurringPaymentCreated,
    RecurringPaymentPaused,
    RecurringPaymentResumed,
    Status,
)
from domain.accounts.transaction.movements import RULES as MOVEMENT_RULES
from domain.codes import METADATA_RULES, Metadata, refuse_metadata, refuse_other_than_code
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Personal,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import MAX_AMOUNT, show
from domain.permissions import EVERYONE

KIND = "recurring_payment"


class CreateRecurringPayment(Value, frozen=True):
    """Create a payment that recurs."""

    payment: str
    payer: str
    payee: str
    amount: int
    currency: str
    schedule: Schedule
    reference: str | None = None
    description: Personal | None = None
    metadata: Metadata = field(default_factory=dict)

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.payment, self.payer, self.payee, CALENDAR)))


class _OnOnePayment(Value, frozen=True):
    payment: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.payment,)


class ChangeRecurringAmount(_OnOnePayment, frozen=True):
    """Change the amount of the next runs."""

    amount: int
    currency: str


class PauseRecurringPayment(_OnOnePayment, frozen=True):
    """Pause a payment. Nothing runs until it is resumed."""


class ResumeRecurringPayment(_OnOnePayment, frozen=True):
    """Resume a payment that is paused or suspended. What was due meanwhile is skipped."""

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.payment, CALENDAR)


class CancelRecurringPayment(_OnOnePayment, frozen=True):
    """Cancel a payment. It ends."""


RULES: dict[str, str] = {
    "recurring_exists": "Recurring payment {payment} exists already.",
    "recurring_amount": "A recurring payment is for {least} to {most} {currency}; this one is for {amount}.",
    "recurring_amount_unchanged": "Recurring payment {payment} is for {amount} {currency} already.",
    "recurring_status": "Recurring payment {payment} is {status}; only one that is {wanted} can be {asked}.",
    "recurring_over": "Recurring payment {payment} has no due date from today, {today}, on; it cannot be resumed.",
    "same_account": MOVEMENT_RULES["same_account"],
    **METADATA_RULES,
}

# Creation


@posting_decision
def create(command: CreateRecurringPayment, states: States, context: Context) -> Decision:
    if not is_customer(context):
        return _create(command, states, context)
    payer, payee = found(states, command.payer, Account), found(states, command.payee, Account)
    no = refuse_debit(payer, command.payer, command.amount, command.currency, context)
    no = no or refuse_payee(payee, command.payee)
    return no or for_customer(_create(command, states, context), states, context)


def _create(command: CreateRecurringPayment, states: States, context: Context) -> Decision:
    if states[command.payment] is not None:
        return Refused("recurring_exists", {"payment": command.payment})
    payer, payee = found(states, command.payer, Account), found(states, command.payee, Account)
    if payer is None or payee is None:
        return Unknown("account", command.payer if payer is None else command.payee)
    calendar, schedule = calendar_of(states[CALENDAR]), command.schedule
    refusal = (
        _refuse_accounts(payer, payee, command.currency)
        or refuse_amount(command.amount, command.currency)
        or refuse_schedule(schedule, calendar, context.today)
        or refuse_other_than_code("reference", command.reference)
        or refuse_metadata(command.metadata)
    )
    if refusal is not None:
        return refusal
    described = command.description is not None
    event = RecurringPaymentCreated(
        originator_id=command.payment,
        originator_version=1,
        payer=command.payer,
        payee=command.payee,
        amount=command.amount,
        currency=command.currency,
        schedule=schedule,
        due_on=calendar.moved(schedule.first_on, schedule.day_rule),
        reference=command.reference,
        metadata=command.metadata,
        subject=payer.profile.owner if described else None,
        description=command.description,
        initiator=context.principal.person,
        by_customer=is_customer(context),
    )
    unlimited = frozenset(account.profile.id for account in (payer, payee) if account.unlimited)
    return Accepted((event,), _result(command.payment, "active", event.due_on), unlimited)


def _refuse_accounts(payer: Account, payee: Account, currency: str) -> Refused | None:
    """Return why nothing can be paid from one account to the other, or None. A frozen account can be free in time."""
    if payer.profile.id == payee.profile.id:
        return Refused("same_account", {"account": payer.profile.id})
    for account in (payer, payee):
        if account.status == "closed":
            return account.refuse_change_of_state()
        if account.profile.currency != currency:
            return account.wrong_currency(currency)
    return None


def refuse_amount(amount: int, currency: str) -> Refused | None:
    """Return the refusal of an amount that no transfer can have, or None."""
    if 0 < amount <= MAX_AMOUNT:
        return None
    least, most = show(1, currency), show(MAX_AMOUNT, currency)
    figures = {"least": least, "most": most, "currency": currency, "amount": show(amount, currency)}
    return Refused("recurring_amount", figures)


# Changes


def change_amount(command: ChangeRecurringAmount, states: States, context: Context) -> Decision:
    payment = _permitted(command.payment, command.amount, states, context)
    if not isinstance(payment, RecurringPayment):
        return payment
    amount, currency = command.amount, payment.currency
    if command.currency != currency:
        figures = {"account": payment.payer, "account_currency": currency, "currency": command.currency}
        return Refused("currency_mismatch", figures)
    refusal = refuse_status(payment, "changed", "active", "paused", "suspended") or refuse_amount(amount, currency)
    if refusal is not None:
        return refusal
    if amount == payment.amount:
        figures = {"payment": payment.id, "amount": show(amount, currency), "currency": currency}
        return Refused("recurring_amount_unchanged", figures)
    event = RecurringAmountChanged(
        originator_id=payment.id,
        originator_version=payment.version + 1,
        amount=amount,
        currency=currency,
        initiator=context.principal.person,
        by_customer=is_customer(context),
    )
    return Accepted((event,), _result(payment.id, payment.status, payment.due_on), _unlimited(states))


def pause(command: PauseRecurringPayment, states: States, context: Context) -> Decision:
    payment = _permitted(command.payment, None, states, context)
    if not isinstance(payment, RecurringPayment):
        return payment
    refusal = refuse_status(payment, "paused", "active")
    if refusal is not None:
        return refusal
    return _changed(RecurringPaymentPaused(payment.id, payment.version + 1), "paused", states)


def resume(command: ResumeRecurringPayment, states: States, context: Context) -> Decision:
    payment = _permitted(command.payment, None, states, context)
    if not isinstance(payment, RecurringPayment):
        return payment
    refusal = refuse_status(payment, "resumed", "paused", "suspended")
    if refusal is not None:
        return refusal
    following = next_run(payment, calendar_of(states[CALENDAR]), context.today)
    if following is None:
        return Refused("recurring_over", {"payment": payment.id, "today": context.today.isoformat()})
    number, due_on = following
    event = RecurringPaymentResumed(
        originator_id=payment.id,
        originator_version=payment.version + 1,
        number=number,
        due_on=due_on,
        skipped=number - payment.number,
        initiator=context.principal.person,
        by_customer=is_customer(context),
    )
    return _changed(event, "active", states, due_on)


def next_run(payment: RecurringPayment, calendar: Calendar, today: date) -> tuple[int, date] | None:
    """Return the number and date of the run with which a payment would be resumed on this day, or None."""
    return payment.schedule.first_from(payment.number, calendar, today)


def cancel(command: CancelRecurringPayment, states: States, context: Context) -> Decision:
    payment = _permitted(command.payment, None, states, context)
    if not isinstance(payment, RecurringPayment):
        return payment
    refusal = refuse_status(payment, "cancelled", "active", "paused", "suspended")
    if refusal is not None:
        return refusal
    return _changed(RecurringPaymentCancelled(payment.id, payment.version + 1), "cancelled", states)


def _permitted(
    id: str, amount: int | None, states: States, context: Context
) -> RecurringPayment | Refused | Unknown | NeedsStreams:
    """Return the payment, or why there is none, or who asks may not take the amount from its payer.

    Without an amount it is that of the payment. Nothing tells a customer whether a foreign payment exists.
    """
    payment = found(states, id, RecurringPayment)
    if payment is None:
        return Unknown(KIND, id)
    if not is_customer(context):
        return payment
    if payment.payer not in states:
        return NeedsStreams((payment.payer,))
    payer = found(states, payment.payer, Account)
    if payer is None or not knows(payer, context.principal.person, context.decided_at):
        return Unknown(KIND, id)
    no = refuse_debit(payer, payment.payer, payment.amount if amount is None else amount, payment.currency, context)
    return no or payment


def refuse_status(payment: RecurringPayment, asked: str, *wanted: Status) -> Refused | None:
    """Return the refusal of what only a payment of a wanted status can get, or None. `asked` is a participle."""
    if payment.status in wanted:
        return None
    figures: dict[str, Figure] = {
        "payment": payment.id,
        "status": payment.status,
        "wanted": " or ".join(wanted),
        "asked": asked,
    }
    return Refused("recurring_status", figures)


def _changed(event: Event, status: Status, states: States, due_on: date | None = None) -> Accepted:
    return Accepted((event,), _result(event.originator_id, status, due_on), _unlimited(states))


def _unlimited(states: States) -> frozenset[str]:
    """The accounts whose newer entries change nothing about the decision."""
    return frozenset(id for id, state in states.items() if isinstance(state, Account) and state.unlimited)


def _result(payment: str, status: Status, due_on: date | None) -> dict[str, Figure]:
    return {"payment": payment, "status": status, "due_on": None if due_on is None else due_on.isoformat()}


DECISIONS: dict[type, Decide] = {
    CreateRecurringPayment: create,
    ChangeRecurringAmount: change_amount,
    PauseRecurringPayment: pause,
    ResumeRecurringPayment: resume,
    CancelRecurringPayment: cancel,
}
MAY: dict[type, frozenset[Role]] = dict.fromkeys(DECISIONS, EVERYONE)
