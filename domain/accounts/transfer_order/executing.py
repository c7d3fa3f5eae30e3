"""The command that executes a transfer order when it is due. Only its process manager sends it.

The capture of the hold, the conversion, the transfer to the target, and the fee are one unit. If a rule refuses it, the
unit of the refusal says when it is tried again, or that the order failed and the hold is released. So after each unit
the amount is held, or moved, or available, and never two of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import cast

from msgspec.structs import replace

from domain.accounts.account.events import AccountEvent, HoldCaptured, HoldPartlyCaptured
from domain.accounts.account.owners import allows, as_customer, for_customer, knows
from domain.accounts.account.state import Account
from domain.accounts.account.state import evolve as evolve_account
from domain.accounts.currencies.conversions import converted, price_of
from domain.accounts.currencies.pricing import Price
from domain.accounts.currencies.rates import rate_streams
from domain.accounts.details import Details
from domain.accounts.posting import Transaction, entries_between, posting_decision, posting_streams
from domain.accounts.transaction.capture import post_captured
from domain.accounts.transfer_order.commands import KIND, refuse_ended, released, result_of, unlimited_in
from domain.accounts.transfer_order.events import (
    OrderFee,
    Sum,
    TransferOrderDelayed,
    TransferOrderExecuted,
    TransferOrderExpired,
    TransferOrderFailed,
)
from domain.accounts.transfer_order.state import TransferOrder
from domain.accounts.transfer_order.terms import refuse_price
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
    State,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import show
from domain.permissions import PROCESSES
from domain.process_manager import again

FINAL = frozenset({"quote_used", "quote_expired"})
"""Rules whose refusal does not change any more, so the order is not tried again."""


class ExecuteTransferOrder(Value, frozen=True):
    """Execute an order that is due, or let it expire if its time is over."""

    order: str

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.order)


RULES: dict[str, str] = {
    "transfer_order_not_due": "Transfer order {order} is executed at {due_at}; it is {now}.",
    "transfer_order_not_permitted": (
        "{person}, who submitted transfer order {order}, may not take {amount} {currency} from account {account} any "
        "more, or not convert to the account that gets it."
    ),
}


@posting_decision
def execute(command: ExecuteTransferOrder, states: States, context: Context) -> Decision:
    order = found(states, command.order, TransferOrder)
    if order is None:
        return Unknown(KIND, command.order)
    refusal = refuse_ended(order, "executed")
    if refusal is not None:
        return refusal
    if missing := tuple(stream for stream in _streams(order) if stream not in states):
        return NeedsStreams(missing)
    if order.is_over(context.decided_at):
        expired = TransferOrderExpired(
            order.id, order.version + 1, order.held, order.currency, persons_to_tell(order, states)
        )
        return Accepted((expired, released(order, states)), result_of(order.id, "expired"), unlimited_in(states))
    refusal = refuse_early(order, context.decided_at)
    if refusal is not None:
        return refusal
    decision = _moved(order, states, context)
    if isinstance(decision, Refused):
        return _tried(order, decision, states, context)
    if not isinstance(decision, Accepted):
        return decision
    return replace(decision, commuting=decision.commuting | unlimited_in(states))


def _streams(order: TransferOrder) -> tuple[str, ...]:
    """The streams that the execution reads, as far as the order says which."""
    quote = () if order.quote is None else (order.quote,)
    fee = () if order.fee is None else (order.fee.account,)
    rates = rate_streams(order.currency, order.target_currency) if order.converts and order.quote is None else ()
    return tuple(dict.fromkeys((order.source, order.target, *quote, *fee, *rates)))


def refuse_early(order: TransferOrder, now: datetime) -> Refused | None:
    """Return the refusal to execute an order before its time, or None. It is no try."""
    due_at = order.due_at
    if due_at is None or due_at <= now:
        return None
    return Refused("transfer_order_not_due", {"order": order.id, "due_at": due_at.isoformat(), "now": now.isoformat()})


def persons_to_tell(order: TransferOrder, states: States) -> tuple[str, ...]:
    """Return who gets a mail about the end of the order: the owners of the source account at that time, if anybody."""
    source = found(states, order.source, Account)
    return source.profile.owners if order.notify and source is not None else ()


# The unit that moves the money


def _moved(order: TransferOrder, states: States, context: Context) -> Decision:
    """Decide the execution, for a customer as if the customer asked for it now."""
    if not order.by_customer:
        return _from_hold(order, states, context)
    person, at = order.initiator, context.decided_at
    source, target = cast(Account, states[order.source]), cast(Account, states[order.target])
    if not allows(source, person, at, debit=order.held) or (order.converts and not knows(target, person, at)):
        figures: dict[str, Figure] = {"person": person, "order": order.id, "account": order.source}
        amount = {"amount": show(order.held, order.currency), "currency": order.currency}
        return Refused("transfer_order_not_permitted", {**figures, **amount})
    acting = as_customer(context, person)
    return for_customer(_from_hold(order, states, acting), states, acting)


def _from_hold(order: TransferOrder, states: States, context: Context) -> Decision:
    """Return the events that pay the target and the fee from the hold of the order."""
    price = _price(order, states, context)
    if not isinstance(price, Price | None):
        return price
    source, fee = cast(Account, states[order.source]), order.fee
    assert source.hold(order.id) == order.held, "the hold of an order ends with the order"
    if price is None:
        assert order.sum is not None, "only what converts can have a quote"
        paid = received = order.sum
    else:
        paid = Sum(price.source_amount, price.source_currency)
        received = Sum(price.target_amount, price.target_currency)
    if fee is None:
        captured: HoldCaptured | HoldPartlyCaptured = HoldCaptured(
            order.source, source.version + 1, order.id, order.held, order.currency, order.transaction
        )
    else:
        captured = HoldPartlyCaptured(
            order.source, source.version + 1, order.id, paid.amount, order.currency, order.transaction
        )
    posted = _paid(order, captured, price, states, context)
    if not isinstance(posted, Accepted):
        return posted
    events, commuting = posted.events, posted.commuting
    if fee is not None:
        charged = _charged(order, fee, paid.amount, posted.events, states, context)
        if not isinstance(charged, Accepted):
            return charged
        events, commuting = (*events, *charged.events), commuting | charged.commuting
    executed = TransferOrderExecuted(
        originator_id=order.id,
        originator_version=order.version + 1,
        transaction=order.transaction,
        conversion=order.conversion,
        fee_transaction=order.fee_transaction,
        paid=paid,
        received=received,
        fee=None if fee is None else Sum(fee.amount, fee.currency),
        notify=persons_to_tell(order, states),
    )
    result = {**result_of(order.id, "executed"), "transaction": order.transaction}
    return Accepted((executed, *events), result, commuting, posted.unseen)


def _price(order: TransferOrder, states: States, context: Context) -> Price | Decision | None:
    """Return the price of a conversion, within the bound of the order. None: there is no conversion."""
    if not order.converts:
        return None
    amount, currency = (None, None) if order.sum is None else (order.sum.amount, order.sum.currency)
    price = price_of(order.quote, amount, currency, order.currency, order.target_currency, states, context)
    if not isinstance(price, Price):
        return price
    return refuse_price(order.id, order.bound, price) or price


def _paid(
    order: TransferOrder,
    captured: HoldCaptured | HoldPartlyCaptured,
    price: Price | None,
    states: States,
    context: Context,
) -> Decision:
    details = Details(parent=order.id, relation="transfer_order", metadata=order.metadata)
    description = order.description if isinstance(order.description, str) else None  # it may be erased
    transaction = Transaction(
        id=order.transaction,
        kind="capture" if price is None else "conversion",
        entries=(),
        value_date=context.today,
        reference=order.reference,
        description=description,
        subject=None if description is None else order.subject,
        details=details,
    )

    def by(transaction: Transaction, states: States, context: Context) -> Decision:
        return post_captured(captured, transaction, states, context)

    if price is not None and order.conversion is not None:
        return converted(
            order.conversion, order.quote, price, transaction, order.source, order.target, states, context, by
        )
    assert order.sum is not None, "only what converts can have a quote"
    entries = entries_between(order.source, order.target, order.sum.amount, order.currency)
    return by(replace(transaction, entries=entries), states, context)


def _charged(
    order: TransferOrder,
    fee: OrderFee,
    paid: int,
    before: tuple[Event, ...],
    states: States,
    context: Context,
) -> Decision:
    """Return the events that charge the fee, after those that pay the target. What is left of the hold ends."""
    assert order.fee_transaction is not None, "there is a fee"
    transaction = Transaction(
        id=order.fee_transaction,
        kind="fee",
        entries=entries_between(order.source, fee.account, fee.amount, fee.currency),
        value_date=context.today,
        reference=order.reference,
        details=Details(parent=order.transaction, relation="fee", metadata=order.metadata),
    )
    now = _after(states, before)
    end = partial(HoldCaptured, order.source, hold=order.id, currency=order.currency, transaction=transaction.id)
    version = cast(Account, now[order.source]).version + 1
    charged = post_captured(end(originator_version=version, amount=order.held - paid), transaction, now, context)
    if not isinstance(charged, Refused) or not charged.events:
        return charged
    # The target is not paid either, so the facts of the refusal are those of a decision without that.
    version = cast(Account, states[order.source]).version + 1
    alone = post_captured(end(originator_version=version, amount=order.held), transaction, states, context)
    return replace(charged, events=alone.events if isinstance(alone, Refused) else ())


def _after(states: States, events: tuple[Event, ...]) -> States:
    """Return the states with the accounts as they are after these events."""
    now: dict[str, State | None] = dict(states)
    for event in events:
        account = now.get(event.originator_id)
        if isinstance(account, Account):
            now[event.originator_id] = evolve_account(account, cast(AccountEvent, event))
    return now


# A refusal


def _tried(order: TransferOrder, refusal: Refused, states: States, context: Context) -> Decision:
    """Return the refusal with what it leaves: when it is tried again, or the end of the order and of its hold."""
    tries, version = order.tries + 1, order.version + 1
    figures: Mapping[str, str] = {name: str(value) for name, value in refusal.figures.items()}
    retry_at = next_try(tries, refusal.rule, context.decided_at)
    if retry_at is not None:
        delayed = TransferOrderDelayed(order.id, version, tries, refusal.rule, figures, retry_at)
        return replace(refusal, events=(*refusal.events, delayed))
    failed = TransferOrderFailed(
        originator_id=order.id,
        originator_version=version,
        tries=tries,
        rule=refusal.rule,
        figures=figures,
        released=order.held,
        currency=order.currency,
        notify=persons_to_tell(order, states),
    )
    return replace(refusal, events=(*refusal.events, failed, released(order, states, refusal.events)))


def next_try(tries: int, rule: str, at: datetime) -> datetime | None:
    """Return when an order is tried again after so many tries that were refused, or None: it failed."""
    return None if rule in FINAL else again(tries, at)


DECISIONS: dict[type, Decide] = {ExecuteTransferOrder: execute}
MAY: dict[type, frozenset[Role]] = {ExecuteTransferOrder: PROCESSES}
