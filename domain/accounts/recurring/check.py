"""What the stored events of a recurring payment are held to. `daybook verify` applies it (`Aggregate.check`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from domain.accounts.business_calendar import CALENDAR, Calendar, calendar_of
from domain.accounts.posting import Entry, TransactionPosted, entries_between
from domain.accounts.recurring.commands import RULES as COMMAND_RULES
from domain.accounts.recurring.commands import next_run, refuse_amount, refuse_status
from domain.accounts.recurring.running import MOST_STRIKES, pause_after
from domain.accounts.recurring.schedule import RULES as SCHEDULE_RULES
from domain.accounts.recurring.schedule import refuse_schedule
from domain.accounts.recurring.state import (
    RecurringAmountChanged,
    RecurringPayment,
    RecurringPaymentCancelled,
    RecurringPaymentCreated,
    RecurringPaymentEvent,
    RecurringPaymentPaused,
    RecurringPaymentResumed,
    RecurringPaymentRun,
    RecurringPaymentStruck,
    RecurringPaymentSuspended,
    evolve,
    transaction_of_run,
)
from domain.accounts.transaction.events import TransactionPended
from domain.aggregate import Beside, Broken, Decided, UnitRule, refused
from domain.kernel import Event, Refused
from domain.money import EXPONENTS

RULES: Mapping[str, str] = {**COMMAND_RULES, **SCHEDULE_RULES}
_OfRun: TypeAlias = RecurringPaymentRun | RecurringPaymentStruck


def check(
    before: RecurringPayment | None, events: Sequence[RecurringPaymentEvent], decided: Decided
) -> Iterator[Broken]:
    """Find a payment that no decision creates, a run that is not the next one or too early, and a wrong change."""
    payment, calendar = before, calendar_of(decided.policies.get(CALENDAR))
    for event in events:
        if isinstance(event, RecurringPaymentCreated):
            if payment is not None:
                yield Broken(event, f"{payment.id} is created again")
            yield from _created(event, calendar, decided)
        elif payment is not None:
            yield from _changed(payment, event, calendar, decided)
        payment = evolve(payment, event)


def _created(event: RecurringPaymentCreated, calendar: Calendar, decided: Decided) -> Iterator[Broken]:
    id, schedule = event.originator_id, event.schedule
    if event.currency not in EXPONENTS:
        yield Broken(event, f"{id} is in {event.currency!r}, which is no currency")
        return
    if event.payer == event.payee:
        yield Broken(event, f"{id} pays from {event.payer} to itself")
    refusal = refuse_amount(event.amount, event.currency) or refuse_schedule(schedule, calendar, decided.today)
    if refusal is not None:
        yield refused(event, refusal, RULES)
    elif event.due_on != calendar.moved(schedule.first_on, schedule.day_rule):
        yield Broken(event, f"{id} is due first on {event.due_on}, which is not what its schedule says")


def _changed(
    payment: RecurringPayment, event: RecurringPaymentEvent, calendar: Calendar, decided: Decided
) -> Iterator[Broken]:
    refusal: Refused | None = None
    match event:
        case RecurringPaymentRun():
            yield from _ran(payment, event, calendar)
            yield from _of_run(payment, event, decided)
        case RecurringPaymentStruck():
            yield from _struck(payment, event, decided)
            yield from _of_run(payment, event, decided)
        case RecurringPaymentSuspended():
            if payment.strikes != MOST_STRIKES or event.number != payment.number:
                what = f"run {event.number} is given up, after {payment.strikes} strikes of run {payment.number}"
                yield Broken(event, f"{payment.id} is suspended, and {what}")
        case RecurringPaymentPaused():
            refusal = refuse_status(payment, "paused", "active")
        case RecurringPaymentResumed():
            refusal = refuse_status(payment, "resumed", "paused", "suspended")
            skipped = event.number - payment.number
            if (event.number, event.due_on) != next_run(payment, calendar, decided.today) or event.skipped != skipped:
                yield Broken(event, f"{payment.id} goes on with run {event.number} on {event.due_on}, not the next one")
        case RecurringAmountChanged():
            refusal = refuse_status(payment, "changed", "active", "paused", "suspended")
            if event.currency != payment.currency:
                yield Broken(event, f"{payment.id} is in {payment.currency}, and its amount in {event.currency}")
            elif event.amount == payment.amount:
                yield Broken(event, f"the amount of {payment.id} is changed to what it was")
            else:
                refusal = refusal or refuse_amount(event.amount, event.currency)
        case RecurringPaymentCancelled():
            refusal = refuse_status(payment, "cancelled", "active", "paused", "suspended")
    if refusal is not None:
        yield refused(event, refusal, RULES)


def _of_run(payment: RecurringPayment, event: _OfRun, decided: Decided) -> Iterator[Broken]:
    """A run or its refusal is about the next run, which is due."""
    id, due_at = payment.id, payment.due_at
    if payment.status != "active" or due_at is None:
        yield Broken(event, f"{id} is {payment.status}, and has a run")
    elif (event.number, event.due_on) != (payment.number, payment.due_on):
        next = f"run {payment.number} of {payment.due_on}"
        yield Broken(event, f"{id} has run {event.number} of {event.due_on}; {next} is the next one")
    elif decided.decided_at < due_at:
        yield Broken(event, f"run {event.number} of {id} is due at {due_at}, and was decided at {decided.decided_at}")


def _ran(payment: RecurringPayment, event: RecurringPaymentRun, calendar: Calendar) -> Iterator[Broken]:
    id, number = payment.id, event.number
    if event.transaction != transaction_of_run(id, number):
        yield Broken(event, f"run {number} of {id} has the transaction {event.transaction}, which is another one's")
    if event.next_on != payment.schedule.due_on(number + 1, calendar):
        yield Broken(event, f"{id} is due next on {event.next_on}, which is not what its schedule says")
    entries = entries_between(payment.payer, payment.payee, payment.amount, payment.currency)
    what = f"run {number} of {id} is {event.transaction}, which its unit does not make, or not with this amount"
    yield Broken(event, what, unless=Beside(event.transaction, partial(_pays, entries)))


def _pays(entries: tuple[Entry, ...], event: Event) -> bool:
    return (
        isinstance(event, TransactionPosted | TransactionPended)
        and event.kind == "transfer"
        and event.entries == entries
    )


def _struck(payment: RecurringPayment, event: RecurringPaymentStruck, decided: Decided) -> Iterator[Broken]:
    pause = pause_after(event.strikes)
    retry_at = None if pause is None else decided.decided_at + pause
    if event.strikes != payment.strikes + 1 or event.retry_at != retry_at:
        what = f"strike {event.strikes}, and is tried again at {event.retry_at}"
        yield Broken(event, f"run {event.number} of {payment.id} has {what}, after {payment.strikes}")


# Events that must stand beside others in their unit


def _paid_nothing(event: RecurringPaymentStruck, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The unit does not make the transaction of the run. The last strike suspends the payment."""
    id = event.originator_id
    if transaction_of_run(id, event.number) in unit:
        return f"run {event.number} of {id} is refused by {event.rule}, and its unit makes its transaction"
    suspended = any(isinstance(one, RecurringPaymentSuspended) for one in unit[id])
    if suspended is not (event.retry_at is None):
        return f"run {event.number} of {id} has strike {event.strikes}, and {'is' if suspended else 'is not'} given up"
    return None


UNIT_RULES: Mapping[type[Event], UnitRule] = {RecurringPaymentStruck: _paid_nothing}
