"""The commands of a transfer order that clients send: submit it, and cancel it while it waits.

Who may take the amount from the source account may do both: an owner, somebody with a mandate for it, or staff.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import field

from domain.accounts.account.events import HoldPlaced, HoldReleased
from domain.accounts.account.holds import MOST_HOLDS, refuse_hold
from domain.accounts.account.owners import for_customer, is_customer, knows, refuse_debit, refuse_payee
from domain.accounts.account.state import Account
from domain.accounts.currencies.conversions import quoted
from domain.accounts.currencies.pricing import RULES as PRICING_RULES
from domain.accounts.currencies.pricing import Price
from domain.accounts.currencies.quotes import Quote
from domain.accounts.fee_schedule import Charge, charge_of, fee_schedule_stream, refuse_charge
from domain.accounts.kinds import TransactionKind
from domain.accounts.posting import (
    entries_between,
    posting_decision,
    posting_streams,
    refuse_taking_alone,
    refuse_without_approval,
)
from domain.accounts.posting_policy import posting_policy
from domain.accounts.transaction.movements import RULES as MOVEMENT_RULES
from domain.accounts.transfer_order.events import (
    OrderFee,
    Sum,
    TransferOrderCancelled,
    TransferOrderSubmitted,
)
from domain.accounts.transfer_order.state import Status, TransferOrder
from domain.accounts.transfer_order.terms import most_paid, refuse_sums, refuse_times
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
from domain.money import show
from domain.permissions import EVERYONE

KIND = "transfer_order"


class SubmitTransferOrder(Value, frozen=True):
    """Order a transfer, with a conversion if the currencies differ, and a fee if a schedule is named.

    The amount is held on the source account until the order is executed or ends.
    """

    order: str
    source: str
    target: str
    sum: Sum | None = None  # None: the quote says it
    bound: Sum | None = None
    quote: str | None = None
    fee_schedule: str | None = None
    execute_at: datetime | None = None  # aware, UTC; None: at once
    expires_at: datetime | None = None  # aware, UTC
    notify: bool = False
    reference: str | None = None
    description: Personal | None = None
    metadata: Metadata = field(default_factory=dict)

    @property
    def streams(self) -> tuple[str, ...]:
        schedule = () if self.fee_schedule is None else (fee_schedule_stream(self.fee_schedule),)
        quote = () if self.quote is None else (self.quote,)
        return posting_streams(*dict.fromkeys((self.order, self.source, self.target, *schedule, *quote)))


class CancelTransferOrder(Value, frozen=True):
    """End an order that waits. What it holds is available again."""

    order: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.order,)


RULES: dict[str, str] = {
    "transfer_order_exists": "Transfer order {order} exists already.",
    "transfer_order_ended": "Transfer order {order} is {status}; only one that waits can be {asked}.",
    "same_account": MOVEMENT_RULES["same_account"],
    "amount_currency": PRICING_RULES["amount_currency"],
    **METADATA_RULES,
}

# Submission


@posting_decision
def submit(command: SubmitTransferOrder, states: States, context: Context) -> Decision:
    """Decide a submission. Whose accounts these are comes first: no other answer tells anything about a foreign one."""
    source, target = found(states, command.source, Account), found(states, command.target, Account)
    if not is_customer(context):
        if source is None or target is None:
            return Unknown("account", command.source if source is None else command.target)
        ordered = _ordered(command, source, target, states, context)
        return _held(command, source, target, ordered, states, context) if isinstance(ordered, Ordered) else ordered
    if source is None or not knows(source, context.principal.person, context.decided_at):
        return Unknown("account", command.source)
    no = refuse_payee(target, command.target)
    if target is None or no is not None:
        return no or Unknown("account", command.target)
    ordered = _ordered(command, source, target, states, context)
    if not isinstance(ordered, Ordered):
        return for_customer(ordered, states, context)
    over = refuse_debit(source, command.source, ordered.held, source.profile.currency, context)
    return over or for_customer(_held(command, source, target, ordered, states, context), states, context)


class Ordered(Value, frozen=True):
    """What an order comes to: the most that the source pays, and the fee of that. Minor units of its currency."""

    most: int
    fee: OrderFee | None

    @property
    def held(self) -> int:
        """What the order holds."""
        return self.most + (0 if self.fee is None else self.fee.amount)


def _ordered(
    command: SubmitTransferOrder, source: Account, target: Account, states: States, context: Context
) -> Ordered | Decision:
    """Return what the order comes to, or the first rule that it breaks without looking at what is available."""
    if states[command.order] is not None:
        return Refused("transfer_order_exists", {"order": command.order})
    if command.source == command.target:
        return Refused("same_account", {"account": command.source})
    currency, target_currency = source.profile.currency, target.profile.currency
    refusal = (
        _refuse_target(source, target, context)
        or refuse_sums(currency, target_currency, command.sum, command.bound, command.quote)
        or refuse_times(command.execute_at, command.expires_at, context.decided_at)
        or refuse_other_than_code("reference", command.reference)
        or refuse_metadata(command.metadata)
    )
    if refusal is not None:
        return refusal
    most = _most(command, currency, target_currency, states, context)
    if not isinstance(most, int):
        return most
    fee = _fee(command, most, currency, states, context)
    return Ordered(most, fee) if isinstance(fee, OrderFee | None) else fee


def _refuse_target(source: Account, target: Account, context: Context) -> Refused | None:
    """Return why nothing can ever come to the target, or None. A frozen account can be free in time.

    A customer converts between accounts that they may use: the answer would tell the currency of a foreign one.
    """
    if target.status == "closed":
        return target.refuse_change_of_state()
    foreign = is_customer(context) and not knows(target, context.principal.person, context.decided_at)
    if foreign and target.profile.currency != source.profile.currency:
        return target.wrong_currency(source.profile.currency)
    return None


def _most(
    command: SubmitTransferOrder, currency: str, target_currency: str, states: States, context: Context
) -> int | Decision:
    """Return the most that the source pays without the fee, in minor units, or why the quote cannot be used."""
    if command.quote is None:
        assert command.sum is not None, "there is an amount or a quote"
        return most_paid(currency, command.sum, command.bound)
    price = quoted(command.quote, currency, target_currency, states, context)
    if not isinstance(price, Price):
        return price
    quote = found(states, command.quote, Quote)
    if quote is not None and command.execute_at is not None and command.execute_at >= quote.expires_at:
        figures = {"quote": quote.id, "expires_at": quote.expires_at.isoformat()}
        return Refused("transfer_order_quote", {**figures, "execute_at": command.execute_at.isoformat()})
    return price.source_amount


def _fee(
    command: SubmitTransferOrder, base: int, currency: str, states: States, context: Context
) -> OrderFee | Decision | None:
    """Return what the schedule charges for the most that the source pays. None: nothing."""
    if command.fee_schedule is None:
        return None
    charge = charge_of(command.fee_schedule, base, currency, states, context)
    if isinstance(charge, Refused) and charge.rule == "fee_zero":
        return None
    if not isinstance(charge, Charge):
        return charge
    no = refuse_charge(charge, command.source, currency, states)
    if no is not None:
        return no
    return OrderFee(command.fee_schedule, charge.schedule.number, charge.account, charge.amount, currency)


def _held(
    command: SubmitTransferOrder,
    source: Account,
    target: Account,
    ordered: Ordered,
    states: States,
    context: Context,
) -> Decision:
    """Return the order and its hold, or why the amount cannot be held.

    An order above what one person may decide about would never be executed, so it is refused here.
    """
    currency, fee, held = source.profile.currency, ordered.fee, ordered.held
    kind: TransactionKind = "capture"
    entries = entries_between(command.source, command.target, ordered.most, currency)
    refusal = (
        refuse_hold(source, command.order, held, currency, MOST_HOLDS, context.today)
        or refuse_without_approval(kind, entries, posting_policy(states))
        or refuse_taking_alone(source, ordered.most, kind)
    )
    if refusal is not None:
        return refusal
    submitted = TransferOrderSubmitted(
        originator_id=command.order,
        originator_version=1,
        source=command.source,
        target=command.target,
        currency=currency,
        target_currency=target.profile.currency,
        sum=command.sum,
        bound=command.bound,
        quote=command.quote,
        fee=fee,
        held=held,
        execute_at=command.execute_at,
        expires_at=command.expires_at,
        notify=command.notify,
        reference=command.reference,
        metadata=command.metadata,
        subject=source.profile.owner if command.description is not None else None,
        description=command.description,
        initiator=context.principal.person,
        by_customer=is_customer(context),
    )
    placed = HoldPlaced(
        originator_id=command.source,
        originator_version=source.version + 1,
        hold=command.order,
        amount=held,
        currency=currency,
        reference=command.reference,
        metadata={},
        expires_at=None,  # the order says when it ends
    )
    figures: dict[str, Figure] = {
        "held": show(held, currency),
        "fee": show(0 if fee is None else fee.amount, currency),
        "currency": currency,
    }
    return Accepted((submitted, placed), {**result_of(command.order, "waiting"), **figures}, unlimited_in(states))


# Cancellation


def cancel(command: CancelTransferOrder, states: States, context: Context) -> Decision:
    order = found(states, command.order, TransferOrder)
    if order is None:
        return Unknown(KIND, command.order)
    if order.source not in states:
        return NeedsStreams((order.source,))
    source = found(states, order.source, Account)
    if is_customer(context):
        if source is None or not knows(source, context.principal.person, context.decided_at):
            return Unknown(KIND, command.order)
        no = refuse_debit(source, order.source, order.held, order.currency, context)
        if no is not None:
            return no
    refusal = refuse_ended(order, "cancelled")
    if refusal is not None:
        return refusal
    cancelled = TransferOrderCancelled(order.id, order.version + 1, order.held, order.currency)
    return Accepted((cancelled, released(order, states)), result_of(order.id, "cancelled"))


def refuse_ended(order: TransferOrder, asked: str) -> Refused | None:
    """Return the refusal of what only an order that waits can get, or None. `asked` is a participle."""
    if order.status == "waiting":
        return None
    return Refused("transfer_order_ended", {"order": order.id, "status": order.status, "asked": asked})


def released(order: TransferOrder, states: States, before: Sequence[Event] = ()) -> HoldReleased:
    """Return the event that makes the amount of the order available again. `before` are those before it in the unit."""
    source = found(states, order.source, Account)
    assert source is not None, "the order was submitted on it"
    version = source.version + 1 + sum(event.originator_id == order.source for event in before)
    return HoldReleased(order.source, version, order.id, order.held, order.currency)


def unlimited_in(states: States) -> frozenset[str]:
    """Return the accounts whose newer entries change nothing about the decision."""
    return frozenset(id for id, state in states.items() if isinstance(state, Account) and state.unlimited)


def result_of(order: str, status: Status) -> dict[str, Figure]:
    """Return what each answer about an order says."""
    return {"transfer_order": order, "status": status}


DECISIONS: dict[type, Decide] = {SubmitTransferOrder: submit, CancelTransferOrder: cancel}
MAY: dict[type, frozenset[Role]] = dict.fromkeys(DECISIONS, EVERYONE)
