"""What the stored events of a transfer order are held to. `daybook verify` applies it (`Aggregate.check`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from domain.accounts.account.events import (
    HoldCaptured,
    HoldExpired,
    HoldPartlyCaptured,
    HoldPlaced,
    HoldReleased,
)
from domain.accounts.account.holds import of_transfer_order
from domain.accounts.currencies.conversion_events import ConversionMade
from domain.accounts.currencies.pricing import RULES as PRICING_RULES
from domain.accounts.posting import Entry, TransactionPosted, entries_between
from domain.accounts.transfer_order.commands import RULES as COMMAND_RULES
from domain.accounts.transfer_order.commands import refuse_ended
from domain.accounts.transfer_order.events import (
    EndedUnexecuted,
    Sum,
    TransferOrderCancelled,
    TransferOrderDelayed,
    TransferOrderEvent,
    TransferOrderExecuted,
    TransferOrderExpired,
    TransferOrderFailed,
    TransferOrderSubmitted,
)
from domain.accounts.transfer_order.executing import RULES as EXECUTING_RULES
from domain.accounts.transfer_order.executing import next_try, refuse_early
from domain.accounts.transfer_order.state import TransferOrder, evolve
from domain.accounts.transfer_order.terms import RULES as TERMS_RULES
from domain.accounts.transfer_order.terms import most_paid, refuse_sums, refuse_times
from domain.aggregate import Beside, Broken, Decided, UnitRule, refused
from domain.kernel import Event
from domain.money import EXPONENTS

_RULES: Mapping[str, str] = {**PRICING_RULES, **COMMAND_RULES, **TERMS_RULES, **EXECUTING_RULES}


def check(before: TransferOrder | None, events: Sequence[TransferOrderEvent], decided: Decided) -> Iterator[Broken]:
    """Find an order that no decision submits, one that ends twice or at a wrong time, and one that pays otherwise."""
    order = before
    for event in events:
        if isinstance(event, TransferOrderSubmitted):
            yield from _submitted(event, decided)
        elif order is not None:
            yield from _changed(order, event, decided)
        order = evolve(order, event)


def _submitted(event: TransferOrderSubmitted, decided: Decided) -> Iterator[Broken]:
    id = event.originator_id
    sums = [one for one in (event.sum, event.bound) if one is not None]
    currencies = {event.currency, event.target_currency, *(one.currency for one in sums)}
    if foreign := sorted(currencies - EXPONENTS.keys()):
        yield Broken(event, f"{id} is in {foreign[0]!r}, which is no currency")
        return
    if event.source == event.target:
        yield Broken(event, f"{id} pays from {event.source} to itself")
    refusal = refuse_sums(event.currency, event.target_currency, event.sum, event.bound, event.quote) or refuse_times(
        event.execute_at, event.expires_at, decided.decided_at
    )
    if refusal is not None:
        yield refused(event, refusal, _RULES)
        return
    fee = event.fee
    if fee is not None and (fee.amount <= 0 or fee.currency != event.currency or fee.account == event.source):
        yield Broken(event, f"{id} has a fee of {fee.amount} minor units of {fee.currency} for {fee.account}")
    if event.sum is not None:
        most = most_paid(event.currency, event.sum, event.bound) + (0 if fee is None else fee.amount)
        if event.held != most:
            yield Broken(event, f"{id} holds {event.held} minor units; it pays {most} at most")


def _changed(order: TransferOrder, event: TransferOrderEvent, decided: Decided) -> Iterator[Broken]:
    id, now = order.id, decided.decided_at
    if (refusal := refuse_ended(order, "changed")) is not None:
        yield refused(event, refusal, _RULES)
        return
    if isinstance(event, TransferOrderExecuted | TransferOrderDelayed | TransferOrderFailed):
        refusal = refuse_early(order, now)
        if order.is_over(now):
            yield Broken(event, f"{id} is tried at {now}, and expired at {order.expires_at}")
    match event:
        case TransferOrderDelayed() | TransferOrderFailed():
            retry_at = event.retry_at if isinstance(event, TransferOrderDelayed) else None
            if event.tries != order.tries + 1 or retry_at != next_try(event.tries, event.rule, now):
                what = f"try {event.tries} of {id} is refused by {event.rule}, after {order.tries}"
                yield Broken(event, f"{what}, and it is tried again at {retry_at}")
        case TransferOrderExpired() if not order.is_over(now):
            yield Broken(event, f"{id} expires at {now}; its time is over at {order.expires_at}")
        case TransferOrderExecuted():
            yield from _executed(order, event)
    if isinstance(event, EndedUnexecuted) and (event.released, event.currency) != (order.held, order.currency):
        yield Broken(event, f"{id} releases {event.released} {event.currency} of {order.held} {order.currency}")
    if refusal is not None:
        yield refused(event, refusal, _RULES)


def _executed(order: TransferOrder, event: TransferOrderExecuted) -> Iterator[Broken]:
    id, fee = order.id, order.fee
    made = (event.transaction, event.conversion, event.fee_transaction)
    if made != (order.transaction, order.conversion, order.fee_transaction):
        yield Broken(event, f"{id} is executed by {', '.join(filter(None, made))}, which are not its own")
    if event.fee != (None if fee is None else Sum(fee.amount, fee.currency)):
        yield Broken(event, f"{id} is executed with another fee than it was submitted with")
    if not _as_ordered(order, event.paid, event.received):
        yield Broken(
            event,
            f"{id} pays {event.paid.amount} {event.paid.currency} for {event.received.amount} "
            f"{event.received.currency}, which it does not order",
        )
    what = f"{id} is executed by {order.transaction}, which its unit does not post with these figures"
    yield Broken(event, what, Beside(order.transaction, partial(_pays, order, event)))
    if order.conversion is not None:
        what = f"{id} is executed by {order.conversion}, which its unit does not make for it"
        yield Broken(event, what, Beside(order.conversion, partial(_converts, order, event)))
    if fee is not None and order.fee_transaction is not None:
        entries = entries_between(order.source, fee.account, fee.amount, fee.currency)
        what = f"{id} charges its fee by {order.fee_transaction}, which its unit does not post with this amount"
        yield Broken(event, what, Beside(order.fee_transaction, partial(_charges, entries)))


def _as_ordered(order: TransferOrder, paid: Sum, received: Sum) -> bool:
    """Whether the figures are those of the amount and the bound. A quote has its own rule."""
    if (paid.currency, received.currency) != (order.currency, order.target_currency):
        return False
    sum, bound = order.sum, order.bound
    if sum is None:
        return True
    if not order.converts:
        return paid == received == sum
    if sum.currency == order.currency:
        return paid == sum and (bound is None or received.amount >= bound.amount)
    return received.amount >= sum.amount and bound is not None and paid.amount <= bound.amount


def _pays(order: TransferOrder, executed: TransferOrderExecuted, event: Event) -> bool:
    if not isinstance(event, TransactionPosted):
        return False
    paid, received = executed.paid, executed.received
    debit = Entry(order.source, "debit", paid.amount, paid.currency)
    credit = Entry(order.target, "credit", received.amount, received.currency)
    if not order.converts:
        return (event.kind, event.entries) == ("capture", (debit, credit))
    return event.kind == "conversion" and event.entries[0] == debit and credit in event.entries


def _converts(order: TransferOrder, executed: TransferOrderExecuted, event: Event) -> bool:
    return isinstance(event, ConversionMade) and (event.source, event.target, event.transaction, event.quote) == (
        order.source,
        order.target,
        executed.transaction,
        order.quote,
    )


def _charges(entries: tuple[Entry, ...], event: Event) -> bool:
    return isinstance(event, TransactionPosted) and (event.kind, event.entries) == ("fee", entries)


# Events that must stand beside others in their unit


def _is_held(event: TransferOrderSubmitted, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The unit holds the amount on the source account."""
    id = event.originator_id
    held = [one.amount for one in unit.get(event.source, ()) if isinstance(one, HoldPlaced) and one.hold == id]
    return None if held == [event.held] else f"{id} is submitted, and its unit does not hold {event.held} for it"


def _held_for_its_order(event: HoldPlaced, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """A hold of an order is placed with the order."""
    if not of_transfer_order(event.hold):
        return None
    if any(isinstance(one, TransferOrderSubmitted) for one in unit.get(event.hold, ())):
        return None
    return f"{event.originator_id} holds for {event.hold}, which its unit does not submit"


def _captured_by_its_order(
    event: HoldCaptured | HoldPartlyCaptured, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """What is captured of the hold of an order pays the target or the fee of it."""
    if not of_transfer_order(event.hold):
        return None
    for one in unit.get(event.hold, ()):
        if isinstance(one, TransferOrderExecuted) and event.transaction in (one.transaction, one.fee_transaction):
            return None
    return f"{event.transaction} captures the hold of {event.hold}, and its unit does not execute the order by it"


def _released_by_its_order(
    event: HoldReleased | HoldExpired, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The hold of an order is released only with the order."""
    if not of_transfer_order(event.hold):
        return None
    ends = (one for one in unit.get(event.hold, ()) if isinstance(one, EndedUnexecuted))
    if isinstance(event, HoldReleased) and any(one.released == event.amount for one in ends):
        return None
    return f"{event.amount} of the hold of {event.hold} are released, and the order does not end so in its unit"


def _leaves_nothing_held(
    event: TransferOrderExecuted | EndedUnexecuted, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The hold ends with the order: by a capture, or by a release."""
    id, ends = event.originator_id, HoldCaptured if isinstance(event, TransferOrderExecuted) else HoldReleased
    if any(isinstance(one, ends) and one.hold == id for events in unit.values() for one in events):
        return None
    return f"{id} ends, and its unit does not end its hold by {ends.__name__}"


UNIT_RULES: Mapping[type[Event], UnitRule] = {
    TransferOrderSubmitted: _is_held,
    HoldPlaced: _held_for_its_order,
    HoldCaptured: _captured_by_its_order,
    HoldPartlyCaptured: _captured_by_its_order,
    HoldReleased: _released_by_its_order,
    HoldExpired: _released_by_its_order,
    TransferOrderExecuted: _leaves_nothing_held,
    TransferOrderFailed: _leaves_nothing_held,
    TransferOrderExpired: _leaves_nothing_held,
    TransferOrderCancelled: _leaves_nothing_held,
}
