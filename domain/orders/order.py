"""The aggregate order: it is placed with lines, confirmed, paid from an account, or cancelled.

Amounts are integers of minor units in the currency of the order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal

from msgspec import field
from msgspec.structs import replace

from domain.accounts.posting import (
    Transaction,
    TransactionPosted,
    entries_between,
    internal_account,
    post_against_internal,
    posting_decision,
    posting_streams,
)
from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.codes import METADATA_RULES, Metadata, refuse_metadata, refuse_other_than_code
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Personal,
    PersonalTexts,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import EXPONENTS, MAX_AMOUNT, show

ORDER = "ord"
"""Prefix of the ids of orders."""
LEAST_LINES, MOST_LINES = 1, 500
LEAST_QUANTITY, MOST_QUANTITY = 1, 1_000_000

Status = Literal["placed", "confirmed", "paid", "cancelled"]

# Events


class PlacedLine(Value, frozen=True):
    """One article of an order that was placed, without its name."""

    sku: str
    quantity: int
    unit_price: int


class OrderPlaced(Event, frozen=True):
    """An order was placed. It is the first event of its stream."""

    customer: str
    currency: str
    lines: tuple[PlacedLine, ...]
    names: PersonalTexts  # of the articles, in the order of the lines
    total: int
    reference: str | None
    metadata: Metadata


class OrderConfirmed(Event, frozen=True):
    """The order was confirmed, and can be paid."""


class OrderCancelled(Event, frozen=True):
    """The order was cancelled before it was paid."""

    customer: str
    reason: Personal


class OrderPaid(Event, frozen=True):
    """The order was paid by a transaction of the same unit."""

    transaction: str
    account: str  # the account that paid
    amount: int
    currency: str


OrderEvent = OrderPlaced | OrderConfirmed | OrderCancelled | OrderPaid

# State


class Order(Value, frozen=True):
    """An order at a version of its stream. Its lines and total never change after it is placed."""

    version: int
    id: str
    customer: str
    currency: str
    lines: tuple[PlacedLine, ...]
    total: int  # the sum of the lines, in minor units
    status: Status

    def refuse_unless(self, verb: str, *required: Status) -> Refused | None:
        """Return the refusal of a change that needs another status, or None."""
        if self.status in required:
            return None
        return Refused(
            "order_status",
            {"order": self.id, "status": self.status, "required": " or ".join(required), "verb": verb},
        )


def evolve(state: Order | None, event: OrderEvent) -> Order:
    """Return the order after the event. Raises ValueError if the stream does not begin with `OrderPlaced`."""
    version = event.originator_version
    if isinstance(event, OrderPlaced):
        return Order(
            version=version,
            id=event.originator_id,
            customer=event.customer,
            currency=event.currency,
            lines=event.lines,
            total=event.total,
            status="placed",
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with OrderPlaced")
    match event:
        case OrderConfirmed():
            return replace(state, version=version, status="confirmed")
        case OrderCancelled():
            return replace(state, version=version, status="cancelled")
        case OrderPaid():
            return replace(state, version=version, status="paid")


# Commands


class OrderLine(Value, frozen=True):
    """One article to order. Its name is free text, and is sealed."""

    sku: str
    name: str
    quantity: int
    unit_price: int


class _OnOneOrder(Value, frozen=True):
    order: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.order,)


class PlaceOrder(_OnOneOrder, frozen=True):
    """Place a new order."""

    customer: str
    currency: str
    lines: tuple[OrderLine, ...]
    reference: str | None = None
    metadata: Metadata = field(default_factory=dict)


class ConfirmOrder(_OnOneOrder, frozen=True):
    """Confirm a placed order."""


class CancelOrder(_OnOneOrder, frozen=True):
    """Cancel an order that is not paid."""

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
        return posting_streams(self.order, self.account)


# Rules

RULES: dict[str, str] = {
    "order_exists": "Order {order} exists already.",
    "order_status": "Order {order} is {status}; only an order that is {required} can be {verb}.",
    "order_line_count": "An order has {least} to {most} lines; this one has {count}.",
    "order_line_quantity": "Line {line} has a quantity of {quantity}; a line is for {least} to {most}.",
    "order_line_amount": "Line {line} comes to {amount} {currency}; a line is {least} to {most}.",
    "order_total": "The order comes to {total} {currency}; the most is {most}.",
}

# Decisions


def place(command: PlaceOrder, states: States, context: Context) -> Decision:
    if states[command.order] is not None:
        return Refused("order_exists", {"order": command.order})
    refusal = (
        refuse_other_than_code("customer", command.customer)
        or refuse_other_than_code("reference", command.reference)
        or refuse_metadata(command.metadata)
        or _well_formed(command.lines, command.currency)
    )
    if refusal is not None:
        return refusal
    total = _total(command.lines)
    event = OrderPlaced(
        originator_id=command.order,
        originator_version=1,
        customer=command.customer,
        currency=command.currency,
        lines=tuple(PlacedLine(line.sku, line.quantity, line.unit_price) for line in command.lines),
        names=tuple(line.name for line in command.lines),
        total=total,
        reference=command.reference,
        metadata=command.metadata,
    )
    currency = command.currency
    return Accepted(
        (event,), {"order": command.order, "status": "placed", "total": show(total, currency), "currency": currency}
    )


def confirm(command: ConfirmOrder, states: States, context: Context) -> Decision:
    order = found(states, command.order, Order)
    if order is None:
        return Unknown("order", command.order)
    refusal = order.refuse_unless("confirmed", "placed")
    if refusal is not None:
        return refusal
    event = OrderConfirmed(command.order, order.version + 1)
    return Accepted((event,), {"order": command.order, "status": "confirmed"})


def cancel(command: CancelOrder, states: States, context: Context) -> Decision:
    order = found(states, command.order, Order)
    if order is None:
        return Unknown("order", command.order)
    refusal = order.refuse_unless("cancelled", "placed", "confirmed")
    if refusal is not None:
        return refusal
    event = OrderCancelled(
        originator_id=command.order,
        originator_version=order.version + 1,
        customer=order.customer,
        reason=command.reason,
    )
    return Accepted((event,), {"order": command.order, "status": "cancelled"})


@posting_decision
def pay(command: PayOrder, states: States, context: Context) -> Decision:
    order = found(states, command.order, Order)
    if order is None:
        return Unknown("order", command.order)
    refusal = order.refuse_unless("paid", "confirmed")
    if refusal is not None:
        return refusal
    reference = command.reference or command.order
    posted = post_against_internal(
        Transaction(
            id=command.transaction, kind="payment", entries=(), value_date=command.value_date, reference=reference
        ),
        "revenue",
        debited=command.account,
        amount=order.total,
        currency=order.currency,
        states=states,
        context=context,
    )
    if not isinstance(posted, Accepted):
        return posted
    paid = OrderPaid(
        originator_id=command.order,
        originator_version=order.version + 1,
        transaction=command.transaction,
        account=command.account,
        amount=order.total,
        currency=order.currency,
    )
    result = {"order": command.order, "status": "paid", **posted.result}
    return Accepted((paid, *posted.events), result, posted.commuting)


def _total(lines: Sequence[OrderLine | PlacedLine]) -> int:
    return sum(line.quantity * line.unit_price for line in lines)


def _well_formed(lines: Sequence[OrderLine | PlacedLine], currency: str) -> Refused | None:
    """Check the rules that need no state: the number of lines, their quantities and amounts, and the total."""
    if not LEAST_LINES <= len(lines) <= MOST_LINES:
        return Refused("order_line_count", {"least": LEAST_LINES, "most": MOST_LINES, "count": len(lines)})
    least, most = show(1, currency), show(MAX_AMOUNT, currency)
    for number, line in enumerate(lines, 1):
        if not LEAST_QUANTITY <= line.quantity <= MOST_QUANTITY:
            return Refused(
                "order_line_quantity",
                {"line": number, "quantity": line.quantity, "least": LEAST_QUANTITY, "most": MOST_QUANTITY},
            )
        amount = line.quantity * line.unit_price
        if not 0 < amount <= MAX_AMOUNT:
            return Refused(
                "order_line_amount",
                {"line": number, "amount": show(amount, currency), "currency": currency, "least": least, "most": most},
            )
    total = _total(lines)
    if total > MAX_AMOUNT:
        return Refused("order_total", {"total": show(total, currency), "currency": currency, "most": most})
    return None


class _PlacedLineV1(Value, frozen=True):
    """A line of an order. The price is of one article."""

    sku: str
    name: str  # of the article
    quantity: int
    unit_price: int


class _OrderPlacedV1(Value, frozen=True):
    """An order was placed. It is the first event of its stream. Version 1 had the names of the articles in clear."""

    customer: str
    currency: str
    lines: tuple[_PlacedLineV1, ...]
    total: int
    reference: str | None


def _from_placed_v1(fields: dict[str, Any]) -> dict[str, Any]:
    """Version 1 had the name of each article in its line, in clear."""
    lines = [{name: value for name, value in line.items() if name != "name"} for line in fields["lines"]]
    return {**fields, "lines": lines, "names": [line["name"] for line in fields["lines"]], "metadata": {}}


# What stored events are held to


def check(before: Order | None, events: Sequence[OrderEvent], decided: Decided) -> Iterator[Broken]:
    """Find an order whose lines or total are wrong, and a change that its status, customer or total do not allow."""
    order = before
    for event in events:
        if isinstance(event, OrderPlaced):
            yield from _placed(order, event)
        elif order is not None:
            yield from _changed(order, event)
        order = evolve(order, event)


def _placed(before: Order | None, event: OrderPlaced) -> Iterator[Broken]:
    if before is not None:
        yield Broken(event, f"order {before.id} is placed again")
    if event.currency not in EXPONENTS:
        yield Broken(event, f"order {event.originator_id} is in {event.currency!r}, which is no currency")
    elif (refusal := _well_formed(event.lines, event.currency)) is not None:
        yield refused(event, refusal, RULES)
    if event.total != _total(event.lines):
        yield Broken(
            event,
            f"order {event.originator_id} has a total of {event.total} minor units, and its lines come to "
            f"{_total(event.lines)}",
        )


def _changed(order: Order, event: OrderEvent) -> Iterator[Broken]:
    refusal: Refused | None = None
    match event:
        case OrderConfirmed():
            refusal = order.refuse_unless("confirmed", "placed")
        case OrderCancelled():
            refusal = order.refuse_unless("cancelled", "placed", "confirmed")
            if event.customer != order.customer:
                yield Broken(event, f"the customer of order {order.id} is {order.customer}, not {event.customer}")
        case OrderPaid():
            refusal = order.refuse_unless("paid", "confirmed")
            if (event.amount, event.currency) != (order.total, order.currency):
                yield Broken(
                    event,
                    f"order {order.id} comes to {order.total} minor units of {order.currency}, and {event.amount} of "
                    f"{event.currency} are paid",
                )
    if refusal is not None:
        yield refused(event, refusal, RULES)


def _payment_is_posted(event: OrderPaid, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The transaction of the unit moves the whole amount from the account that paid to the ledger's revenue."""
    order, id = event.originator_id, event.transaction
    posted = next((one for one in unit.get(id, ()) if isinstance(one, TransactionPosted)), None)
    if posted is None:
        return f"order {order} is paid by {id}, which its unit does not post"
    revenue = internal_account(decided.log, "revenue", event.currency)
    wanted = entries_between(event.account, revenue, event.amount, event.currency)
    if (posted.kind, posted.entries) != ("payment", wanted):
        return (
            f"order {order} is paid by {id}, which does not move {event.amount} minor units of {event.currency} from "
            f"{event.account} to {revenue}"
        )
    return None


AGGREGATE = Aggregate(
    name="order",
    prefix=f"{ORDER}_",
    events=(
        EventType(
            name="order.placed.v1",
            event=None,
            codes=("customer", "reference"),
            upcasts_to="order.placed.v2",
            upcast=_from_placed_v1,
            payload=_OrderPlacedV1,
        ),
        EventType(
            name="order.placed.v2",
            event=OrderPlaced,
            subject="customer",
            personal=("names",),
            codes=("customer", "reference", "metadata"),
        ),
        EventType("order.confirmed.v1", OrderConfirmed),
        EventType(name="order.cancelled.v1", event=OrderCancelled, subject="customer", personal=("reason",)),
        EventType("order.paid.v1", OrderPaid),
    ),
    evolve=evolve,
    decisions={PlaceOrder: place, ConfirmOrder: confirm, CancelOrder: cancel, PayOrder: pay},
    rules={**RULES, **METADATA_RULES},
    amounts=frozenset({"amount", "total", "unit_price"}),
    check=check,
    unit_rules={OrderPaid: _payment_is_posted},
)
