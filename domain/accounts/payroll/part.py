"""The aggregate payroll part: some items of a payroll run, and what became of each.

A process pays the parts of a large run one after the other (`domain.accounts.payroll.process`). A part is paid from the
hold of its run, so the money is never free for anything else. An employee who cannot be paid is parked, and the others
are paid. An operator retries a parked item or gives it up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import partial

from msgspec.structs import replace

from domain.accounts.account.events import HoldCaptured, HoldPartlyCaptured
from domain.accounts.account.holds import of_payroll
from domain.accounts.account.state import Account
from domain.accounts.payroll.events import (
    ParkedItem,
    PayrollItem,
    PayrollItemGivenUp,
    PayrollItemsPaid,
    PayrollItemsParked,
    PayrollPartEvent,
    PayrollPartListed,
)
from domain.accounts.payroll.paying import (
    CREDIT_RULES,
    PART_ITEMS,
    PAYROLL_PART,
    part_of,
    part_stream,
    refuse_payment,
    transaction_of,
    unlimited,
)
from domain.accounts.payroll.state import Payroll
from domain.accounts.posting import (
    Entry,
    TransactionPosted,
    post,
    posting_decision,
    posting_streams,
)
from domain.accounts.transaction.capture import post_captured
from domain.aggregate import Aggregate, Beside, Broken, Decided, EventType
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Personal,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import MAX_AMOUNT
from domain.permissions import OPERATORS, PROCESSES

# State


class NumberedItem(Value, frozen=True):
    """An item with its number in the run."""

    number: int
    item: PayrollItem


class PayrollPart(Value, frozen=True):
    """A part of a payroll run at a version of its stream. What is paid or given up is only counted."""

    version: int
    id: str
    payroll: str
    account: str
    currency: str
    waiting: tuple[NumberedItem, ...]
    parked: tuple[NumberedItem, ...] = ()
    paid_items: int = 0
    paid: int = 0

    def parked_item(self, number: int) -> PayrollItem | None:
        """Return the parked item with this number, or None."""
        return next((one.item for one in self.parked if one.number == number), None)

    @property
    def parked_amount(self) -> int:
        """The sum of the parked items."""
        return sum(one.item.amount for one in self.parked)


def evolve(state: PayrollPart | None, event: PayrollPartEvent) -> PayrollPart:
    """Return the part after the event. Raises ValueError if the stream does not begin with `PayrollPartListed`."""
    version = event.originator_version
    if isinstance(event, PayrollPartListed):
        if state is not None:
            raise ValueError(f"{event.originator_id} is listed again at version {version}")
        waiting = tuple(NumberedItem(number, item) for number, item in enumerate(event.items, event.first))
        return PayrollPart(version, event.originator_id, event.payroll, event.account, event.currency, waiting)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with PayrollPartListed")
    match event:
        case PayrollItemsPaid():
            numbers = frozenset(event.numbers)
            waiting = tuple(one for one in state.waiting if one.number not in numbers)
            parked = tuple(one for one in state.parked if one.number not in numbers)
            count, paid = state.paid_items + len(event.numbers), state.paid + event.amount
            return replace(state, version=version, waiting=waiting, parked=parked, paid_items=count, paid=paid)
        case PayrollItemsParked():
            numbers = frozenset(one.number for one in event.items)
            waiting = tuple(one for one in state.waiting if one.number not in numbers)
            parked = (*state.parked, *(one for one in state.waiting if one.number in numbers))
            return replace(state, version=version, waiting=waiting, parked=parked)
        case PayrollItemGivenUp():
            parked = tuple(one for one in state.parked if one.number != event.number)
            return replace(state, version=version, parked=parked)


# Commands


class PayPart(Value, frozen=True):
    """Pay a part of a run from its hold. Employees who cannot be paid are parked. Only a process sends this."""

    payroll: str
    part: int
    transaction: str

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.payroll, part_stream(self.payroll, self.part))


class _OnParkedItem(Value, frozen=True):
    payroll: str
    item: int  # its number in the run


class RetryPayrollItem(_OnParkedItem, frozen=True):
    """Pay a parked item, once its cause is mended. The run has ended, so it is paid from what is available."""

    transaction: str
    value_date: date

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.payroll, part_stream(self.payroll, part_of(self.item)))


class GiveUpPayrollItem(_OnParkedItem, frozen=True):
    """Give a parked item up: the run does not pay it."""

    reason: Personal

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.payroll, part_stream(self.payroll, part_of(self.item)))


# Rules

RULES: dict[str, str] = {
    **CREDIT_RULES,
    "payroll_part_tried": "Part {part} of payroll run {payroll} was tried: each of its items is paid or parked.",
    "payroll_stopped": "Payroll run {payroll} was stopped, and what it had not paid is parked.",
    "payroll_running": "Payroll run {payroll} has not ended; wait until it has, or stop it.",
    "payroll_item_not_parked": "Item {item} of payroll run {payroll} is not parked; it was paid or given up.",
}

# Decisions


@posting_decision
def pay_part(command: PayPart, states: States, context: Context) -> Decision:
    no_part = Unknown("part of a payroll run", f"{command.payroll}/{command.part}")
    there = _run_and_part(command.payroll, command.part, states, no_part)
    if isinstance(there, Unknown):
        return there
    run, part = there
    if run.status == "stopped":
        return Refused("payroll_stopped", {"payroll": run.id})
    if not part.waiting:
        return Refused("payroll_part_tried", {"payroll": run.id, "part": command.part})
    accounts = (run.account, *(one.item.account for one in part.waiting))
    if missing := tuple(id for id in accounts if id not in states):
        return NeedsStreams(missing)
    sorted_out = _sorted_out(run, part, states, context)
    if isinstance(sorted_out, NeedsStreams):
        return sorted_out
    payable, parked = sorted_out
    events: list[Event] = []
    version, commuting = part.version + 1, unlimited(states, accounts)
    if parked:
        amount = sum(one.item.amount for one in part.waiting) - sum(one.item.amount for one in payable)
        events.append(PayrollItemsParked(part.id, version, run.id, parked, amount, run.currency))
        version += 1
    if payable:
        paid = _paid_from_hold(command.transaction, run, payable, states, context)
        if not isinstance(paid, Accepted):
            return paid
        numbers, amount = tuple(one.number for one in payable), sum(one.item.amount for one in payable)
        events.append(
            PayrollItemsPaid(
                part.id, version, run.id, command.transaction, numbers, amount, run.currency, retried=False
            )
        )
        events.extend(paid.events)
        commuting |= paid.commuting
    result: dict[str, Figure] = {"payroll": run.id, "part": command.part, "paid": len(payable), "parked": len(parked)}
    return Accepted(tuple(events), result, commuting)


def _sorted_out(
    run: Payroll, part: PayrollPart, states: States, context: Context
) -> tuple[list[NumberedItem], tuple[ParkedItem, ...]] | NeedsStreams:
    """Return the items that can be paid, and those that cannot."""
    payable: list[NumberedItem] = []
    parked: list[ParkedItem] = []
    for one in part.waiting:
        no = refuse_payment(one.item, part.currency, "capture", run.value_date, states, context.today)
        if isinstance(no, NeedsStreams):
            return no
        if no is None:
            payable.append(one)
        else:
            figures = {name: str(value) for name, value in no.figures.items()}
            parked.append(ParkedItem(one.number, no.rule, figures))
    return payable, tuple(parked)


def _paid_from_hold(
    id: str, run: Payroll, payable: Sequence[NumberedItem], states: States, context: Context
) -> Decision:
    """Return the events that pay these items by one transaction from the hold of the run."""
    account = found(states, run.account, Account)
    held = account.hold(run.id) if account is not None else None
    assert account is not None, "the run was decided on it"
    assert held is not None, "the hold of a run ends with the run"
    items = [one.item for one in payable]
    transaction = transaction_of(id, "capture", run.id, run.period, run.value_date, run.account, run.currency, items)
    amount = transaction.entries[0].amount
    event = HoldPartlyCaptured if amount < held else HoldCaptured
    captured = event(run.account, account.version + 1, run.id, amount, run.currency, id)
    return post_captured(captured, transaction, states, context)


@posting_decision
def retry_item(command: RetryPayrollItem, states: States, context: Context) -> Decision:
    there = _parked(command, states)
    if not isinstance(there, tuple):
        return there
    run, part, item = there
    if missing := tuple(id for id in (run.account, item.account) if id not in states):
        return NeedsStreams(missing)
    no = refuse_payment(item, run.currency, "transfer", command.value_date, states, context.today)
    if no is not None:
        return no
    id = command.transaction
    transaction = transaction_of(
        id, "transfer", run.id, run.period, command.value_date, run.account, run.currency, [item]
    )
    decision = post(transaction, states, context)
    if not isinstance(decision, Accepted):
        return decision
    numbers = (command.item,)
    paid = PayrollItemsPaid(part.id, part.version + 1, run.id, id, numbers, item.amount, run.currency, retried=True)
    return replace(decision, events=(paid, *decision.events), result=_result(run, command.item, "paid", transaction=id))


def give_up(command: GiveUpPayrollItem, states: States, context: Context) -> Decision:
    there = _parked(command, states)
    if not isinstance(there, tuple):
        return there
    run, part, item = there
    operator = context.principal.id
    event = PayrollItemGivenUp(
        part.id, part.version + 1, run.id, command.item, item.amount, run.currency, operator, command.reason
    )
    return Accepted((event,), _result(run, command.item, "given_up"))


def _run_and_part(payroll: str, number: int, states: States, no_part: Unknown) -> tuple[Payroll, PayrollPart] | Unknown:
    """Return the run and its part with this number. `no_part` is the answer if the run has no such part."""
    run, part = found(states, payroll, Payroll), found(states, part_stream(payroll, number), PayrollPart)
    if run is None:
        return Unknown("payroll", payroll)
    return no_part if part is None else (run, part)


def _parked(command: _OnParkedItem, states: States) -> tuple[Payroll, PayrollPart, PayrollItem] | Unknown | Refused:
    """Return the run, the part and the parked item that the command names, or why there is none."""
    no_part = Unknown("item of a payroll run", f"{command.payroll}/{command.item}")
    there = _run_and_part(command.payroll, part_of(command.item), states, no_part)
    if isinstance(there, Unknown):
        return there
    run, part = there
    if run.status == "running":
        return Refused("payroll_running", {"payroll": run.id})
    item = part.parked_item(command.item)
    if item is None:
        return Refused("payroll_item_not_parked", {"payroll": run.id, "item": command.item})
    return run, part, item


def _result(run: Payroll, number: int, status: str, **more: str) -> dict[str, Figure]:
    return {"payroll": run.id, "item": number, "status": status, **more}


# What stored events are held to


def check(before: PayrollPart | None, events: Sequence[PayrollPartEvent], decided: Decided) -> Iterator[Broken]:
    """Find items that are paid, parked or given up twice, and items whose transaction pays something else."""
    part = before
    for event in events:
        if isinstance(event, PayrollPartListed):
            if part is not None or not 0 < len(event.items) <= PART_ITEMS:
                yield Broken(event, f"{event.originator_id} is listed again, or has {len(event.items)} items")
            if any(not 0 < item.amount <= MAX_AMOUNT for item in event.items):
                yield Broken(event, f"an item of {event.originator_id} has no amount that an entry can have")
        elif part is not None:
            yield from _changed(part, event)
        part = evolve(part, event)


def _changed(part: PayrollPart, event: PayrollItemsPaid | PayrollItemsParked | PayrollItemGivenUp) -> Iterator[Broken]:
    was_parked = isinstance(event, PayrollItemGivenUp) or (isinstance(event, PayrollItemsPaid) and event.retried)
    left = {one.number: one.item for one in (part.parked if was_parked else part.waiting)}
    match event:
        case PayrollItemsPaid():
            numbers = event.numbers
        case PayrollItemsParked():
            numbers = tuple(one.number for one in event.items)
        case _:
            numbers = (event.number,)
    if event.payroll != part.payroll or not numbers or not left.keys() >= set(numbers):
        yield Broken(event, f"{type(event).__name__} of {part.id} names items of which it has none left")
        return
    amount = sum(left[number].amount for number in numbers)
    if len(set(numbers)) != len(numbers) or amount != event.amount:
        yield Broken(event, f"items of {part.id} are for {amount} minor units, not for {event.amount}")
    if isinstance(event, PayrollItemsPaid):
        what = f"{event.transaction} pays items of {part.id}, and its unit does not post it with their entries"
        items = [left[number] for number in numbers]
        yield Broken(event, what, Beside(event.transaction, partial(_pays, part, items)))


def _pays(part: PayrollPart, items: Sequence[PayrollItem], event: Event) -> bool:
    """Whether the transaction credits these employees and takes at least as much from the company.

    A run at once has one transaction for all of its parts.
    """
    if not isinstance(event, TransactionPosted) or event.kind not in ("transfer", "capture"):
        return False
    debit, *credits = event.entries
    credited = set(credits)
    return (debit.account, debit.side) == (part.account, "debit") and all(
        Entry(item.account, "credit", item.amount, part.currency) in credited for item in items
    )


def _captured_by_its_run(
    event: HoldCaptured | HoldPartlyCaptured, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """What is captured of the hold of a run pays items of it."""
    run = event.hold
    if not of_payroll(run):
        return None
    paid = [one for events in unit.values() for one in events if isinstance(one, PayrollItemsPaid)]
    if any((one.payroll, one.transaction) == (run, event.transaction) for one in paid):
        return None
    return f"{event.transaction} captures the hold of {run}, and its unit pays no items of it"


AGGREGATE = Aggregate(
    name="payroll_part",
    prefix=f"{PAYROLL_PART}_",
    events=(
        EventType("payroll.part_listed.v1", PayrollPartListed),
        EventType("payroll.items_paid.v1", PayrollItemsPaid),
        EventType("payroll.items_parked.v1", PayrollItemsParked),
        EventType("payroll.item_given_up.v1", PayrollItemGivenUp, "operator", ("reason",)),
    ),
    evolve=evolve,
    decisions={PayPart: pay_part, RetryPayrollItem: retry_item, GiveUpPayrollItem: give_up},
    rules=RULES,
    written_once=True,
    may={PayPart: PROCESSES, RetryPayrollItem: OPERATORS, GiveUpPayrollItem: OPERATORS},
    amounts=frozenset({"amount", "paid"}),
    check=check,
    unit_rules={HoldCaptured: _captured_by_its_run, HoldPartlyCaptured: _captured_by_its_run},
)
