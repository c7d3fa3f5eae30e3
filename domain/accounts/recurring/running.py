"""The command that carries out one run of a recurring payment. Only its process manager sends it.

The transfer is decided as `Transfer` is, for who set the payment going, and so their permission is looked at again. The
unit has the transaction and the event of the run, or the refusal and the strike. The payment's stream says which run is
next, so a run happens once, whoever asks for it and how often.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from domain.accounts.account.owners import allows, as_customer
from domain.accounts.account.state import Account
from domain.accounts.business_calendar import CALENDAR, calendar_of
from domain.accounts.details import Details
from domain.accounts.posting import Transaction, posting_decision, posting_streams
from domain.accounts.recurring.commands import KIND, refuse_status
from domain.accounts.recurring.state import (
    RecurringPayment,
    RecurringPaymentRun,
    RecurringPaymentStruck,
    RecurringPaymentSuspended,
    transaction_of_run,
)
from domain.accounts.transaction.movements import Transfer, transferred
from domain.accounts.transaction.waiting import post_or_wait
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import show
from domain.permissions import PROCESSES

MOST_STRIKES = 3
"""Refusals of a run after which the payment is suspended."""


class RunRecurringPayment(Value, frozen=True):
    """Carry out a run of a recurring payment that is due."""

    payment: str
    number: int

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.payment, CALENDAR)


RULES: dict[str, str] = {
    "recurring_not_due": "Run {number} of recurring payment {payment} is due at {due_at}; it is {now}.",
    "recurring_not_next": "Run {number} of recurring payment {payment} is not the next one, which is {next}.",
    "recurring_not_permitted": (
        "{person}, who set recurring payment {payment} going, may not take {amount} {currency} from account {account} "
        "any more."
    ),
}


@posting_decision
def run(command: RunRecurringPayment, states: States, context: Context) -> Decision:
    payment = found(states, command.payment, RecurringPayment)
    if payment is None:
        return Unknown(KIND, command.payment)
    refusal = refuse_run(payment, command.number, context)
    if refusal is not None:
        return refusal
    missing = tuple(account for account in (payment.payer, payment.payee) if account not in states)
    if missing:
        return NeedsStreams(missing)
    decision = _transfer(payment, states, context)
    if isinstance(decision, Refused):
        return replace(decision, events=(*decision.events, *_struck(payment, decision.rule, context)))
    if not isinstance(decision, Accepted):
        return decision
    assert payment.due_on is not None, "it is due"
    event = RecurringPaymentRun(
        originator_id=payment.id,
        originator_version=payment.version + 1,
        number=payment.number,
        due_on=payment.due_on,
        transaction=transaction_of_run(payment.id, payment.number),
        next_on=payment.schedule.due_on(payment.number + 1, calendar_of(states[CALENDAR])),
    )
    result = {"payment": payment.id, "number": payment.number, **decision.result}
    return replace(decision, events=(event, *decision.events), result=result)


def refuse_run(payment: RecurringPayment, number: int, context: Context) -> Refused | None:
    """Return the refusal of a run that is not the next one, or not due. It is no strike: no transfer was decided."""
    if number != payment.number:
        return Refused("recurring_not_next", {"payment": payment.id, "number": number, "next": payment.number})
    refusal = refuse_status(payment, "run", "active")
    due_at, now = payment.due_at, context.decided_at
    if refusal is not None or due_at is None or due_at <= now:
        return refusal
    times = {"due_at": due_at.isoformat(), "now": now.isoformat()}
    return Refused("recurring_not_due", {"payment": payment.id, "number": number, **times})


def _transfer(payment: RecurringPayment, states: States, context: Context) -> Decision:
    """Decide the transfer of the next run, as who set the payment going."""
    if payment.by_customer:
        payer, person = found(states, payment.payer, Account), payment.initiator
        if payer is None or not allows(payer, person, context.decided_at, debit=payment.amount):
            return _not_permitted(payment)
        acting = as_customer(context, person)
    else:
        acting = replace(context, principal=replace(context.principal, person=payment.initiator))
    description = payment.description
    transfer = Transfer(
        transaction=transaction_of_run(payment.id, payment.number),
        source=payment.payer,
        target=payment.payee,
        amount=payment.amount,
        currency=payment.currency,
        value_date=context.today,
        reference=payment.reference,
        description=description if isinstance(description, str) else None,  # it may be erased
    )
    details = Details(parent=payment.id, relation="recurring", metadata=payment.metadata)

    def post(transaction: Transaction, states: States, context: Context) -> Decision:
        return post_or_wait(replace(transaction, details=details), states, context)

    return transferred(transfer, states, acting, post)


def _not_permitted(payment: RecurringPayment) -> Refused:
    figures: dict[str, Figure] = {
        "payment": payment.id,
        "person": payment.initiator,
        "amount": show(payment.amount, payment.currency),
        "currency": payment.currency,
        "account": payment.payer,
    }
    return Refused("recurring_not_permitted", figures)


def pause_after(strikes: int) -> timedelta | None:
    """Return how long to wait after so many strikes: two hours, then four. None: the payment is suspended."""
    return timedelta(hours=2**strikes) if strikes < MOST_STRIKES else None


def _struck(payment: RecurringPayment, rule: str, context: Context) -> tuple[Event, ...]:
    """Return the facts that a refusal leaves: the strike, and the suspension after the last one."""
    assert payment.due_on is not None, "it is due"
    strikes, version = payment.strikes + 1, payment.version + 1
    pause = pause_after(strikes)
    struck = RecurringPaymentStruck(
        originator_id=payment.id,
        originator_version=version,
        number=payment.number,
        due_on=payment.due_on,
        strikes=strikes,
        rule=rule,
        retry_at=None if pause is None else context.decided_at + pause,
    )
    if pause is not None:
        return (struck,)
    return struck, RecurringPaymentSuspended(payment.id, version + 1, payment.number, rule)


DECISIONS: dict[type, Decide] = {RunRecurringPayment: run}
MAY: dict[type, frozenset[Role]] = {RunRecurringPayment: PROCESSES}
