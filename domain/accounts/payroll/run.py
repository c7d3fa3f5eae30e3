"""The aggregate payroll run: the month's wages of a company, paid from one of its accounts.

Up to `MOST_AT_ONCE` employees are paid by one transaction, all or nobody. A larger run holds its total on the account.
A process then pays one part after the other from the hold (`domain.accounts.payroll.part`). At the end what is left of
the hold is released, and the run says what was paid and what is parked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.events import HoldExpired, HoldPlaced, HoldReleased
from domain.accounts.account.holds import MOST_HOLDS, of_payroll, refuse_hold
from domain.accounts.account.lifecycle import RULES as LIFECYCLE_RULES
from domain.accounts.account.state import Account
from domain.accounts.payroll.events import (
    ParkedItem,
    PayrollFinished,
    PayrollItem,
    PayrollItemsPaid,
    PayrollItemsParked,
    PayrollPartListed,
    PayrollStopped,
    PayrollSubmitted,
)
from domain.accounts.payroll.part import PayrollPart
from domain.accounts.payroll.paying import (
    CREDIT_RULES,
    FORM_RULES,
    MOST_AT_ONCE,
    PART_ITEMS,
    PAYROLL,
    part_stream,
    parts_of,
    reference_of,
    refuse_items,
    refuse_payment,
    refuse_period,
    transaction_of,
)
from domain.accounts.payroll.state import Payroll, evolve
from domain.accounts.periods.state import periods
from domain.accounts.posting import (
    Transaction,
    entries_between,
    post,
    posting_decision,
    posting_streams,
    refuse_taking,
    refuse_value_date,
    refuse_without_approval,
)
from domain.accounts.posting_policy import posting_policy
from domain.aggregate import Aggregate, Broken, Decided, EventType
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
from domain.money import show
from domain.permissions import OPERATORS, PROCESSES

# Commands


class RunPayroll(Value, frozen=True):
    """Pay employees for a month: all at once, or in parts from a hold if they are many."""

    payroll: str
    transaction: str  # of a run at once
    account: str  # of the company
    period: str
    currency: str
    items: tuple[PayrollItem, ...]
    value_date: date

    @property
    def at_once(self) -> bool:
        """Whether one transaction pays all items."""
        return len(self.items) <= MOST_AT_ONCE

    @property
    def streams(self) -> tuple[str, ...]:
        employees = (item.account for item in self.items) if self.at_once else ()
        return posting_streams(*dict.fromkeys((self.account, *employees)))


class _OnOneRun(Value, frozen=True):
    payroll: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.payroll,)


class FinishPayroll(_OnOneRun, frozen=True):
    """End a run whose parts were all tried: what is left of its hold is released. Only a process sends this."""


class StopPayroll(_OnOneRun, frozen=True):
    """End a run before its parts were all tried: what has not been paid is parked, and its hold is released."""

    reason: Personal


# Rules

RULES: dict[str, str] = {
    **FORM_RULES,
    "account_internal": LIFECYCLE_RULES["account_internal"],
    "payroll_item_refused": (
        "Nobody is paid, because item {item} of the payroll run, for employee {employee}, is refused: {because}"
    ),
    "payroll_waiting": "Payroll run {payroll} has {waiting} items that were not tried; it ends after them.",
    "payroll_ended": "Payroll run {payroll} has ended; it is {status}.",
}

# Decisions


@posting_decision
def run(command: RunPayroll, states: States, context: Context) -> Decision:
    refusal = refuse_period(command.period) or refuse_items(command.account, command.currency, command.items)
    if refusal is not None:
        return refusal
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    if account.profile.internal:
        return Refused("account_internal", {"account": command.account, "type": account.profile.type})
    if command.currency != account.profile.currency:
        return account.wrong_currency(command.currency)
    return _run_at_once(command, states, context) if command.at_once else _begun(command, account, states, context)


def _run_at_once(command: RunPayroll, states: States, context: Context) -> Decision:
    """Pay all items by one transaction, or refuse the run because of the first item that is refused."""
    for number, item in enumerate(command.items, 1):
        no = refuse_payment(item, command.currency, "transfer", command.value_date, states, context.today)
        if isinstance(no, NeedsStreams):
            return no
        if no is not None:
            because = CREDIT_RULES[no.rule].format_map(no.figures)
            figures: dict[str, Figure] = {"item": number, "employee": item.employee, "account": item.account}
            return Refused("payroll_item_refused", {**figures, "rule": no.rule, "because": because})
    id, parts = command.transaction, _parts(command)
    transaction = transaction_of(
        id,
        "transfer",
        command.payroll,
        command.period,
        command.value_date,
        command.account,
        command.currency,
        command.items,
    )
    posted = post(transaction, states, context)
    if not isinstance(posted, Accepted):
        return posted
    total = transaction.entries[0].amount
    paid = [
        PayrollItemsPaid(
            part.originator_id,
            2,
            command.payroll,
            id,
            tuple(range(part.first, part.first + len(part.items))),
            sum(item.amount for item in part.items),
            command.currency,
            retried=False,
        )
        for part in parts
    ]
    finished = PayrollFinished(command.payroll, 2, len(command.items), total, 0, 0, command.currency)
    events = (_submitted(command), *parts, *posted.events, *paid, finished)
    return replace(posted, events=events, result=_result(command, "finished") | {"transaction": id})


def _begun(command: RunPayroll, account: Account, states: States, context: Context) -> Decision:
    """Hold the total. The rules of one transaction that takes all of it hold too: parts must not evade them."""
    policy, total = posting_policy(states), _total(command)
    entries = entries_between(command.account, command.items[0].account, total, command.currency)
    whole = Transaction(command.transaction, "capture", entries, command.value_date)
    refusal = (
        refuse_value_date(command.value_date, policy, context.today)
        or periods(states).refuse_value_date(command.value_date)
        or refuse_hold(account, command.payroll, total, command.currency, MOST_HOLDS, context.today)
        or refuse_without_approval(whole.kind, entries, policy)
        or refuse_taking(account, total, whole, policy, context.decided_at)
    )
    if refusal is not None:
        return refusal
    held = HoldPlaced(
        originator_id=command.account,
        originator_version=account.version + 1,
        hold=command.payroll,
        amount=total,
        currency=command.currency,
        reference=reference_of(command.period),
        metadata={},
        expires_at=None,
    )
    return Accepted((_submitted(command), held, *_parts(command)), _result(command, "running"))


def finish(command: FinishPayroll, states: States, context: Context) -> Decision:
    running = _running(command.payroll, states)
    if not isinstance(running, tuple):
        return running
    run, parts = running
    if waiting := sum(len(part.waiting) for part in parts):
        return Refused("payroll_waiting", {"payroll": run.id, "waiting": waiting})
    parked = sum(len(part.parked) for part in parts), sum(part.parked_amount for part in parts)
    return _ended(run, parts, parked, states, ())


def stop(command: StopPayroll, states: States, context: Context) -> Decision:
    running = _running(command.payroll, states)
    if not isinstance(running, tuple):
        return running
    run, parts = running
    stopped = PayrollStopped(run.id, run.version + 1, context.principal.id, command.reason)
    parked = [
        PayrollItemsParked(
            part.id,
            part.version + 1,
            run.id,
            tuple(ParkedItem(one.number, "payroll_stopped", {"payroll": run.id}) for one in part.waiting),
            sum(one.item.amount for one in part.waiting),
            run.currency,
        )
        for part in parts
        if part.waiting
    ]
    items = sum(len(part.parked) + len(part.waiting) for part in parts)
    amount = sum(part.parked_amount for part in parts) + sum(event.amount for event in parked)
    return _ended(run, parts, (items, amount), states, (stopped, *parked))


def _ended(
    run: Payroll, parts: Sequence[PayrollPart], parked: tuple[int, int], states: States, before: tuple[Event, ...]
) -> Decision:
    """Return the end of the run: what is left of its hold, which is what is parked, is released."""
    version = run.version + 1 + sum(event.originator_id == run.id for event in before)
    paid_items, paid = sum(part.paid_items for part in parts), sum(part.paid for part in parts)
    finished = PayrollFinished(run.id, version, paid_items, paid, *parked, run.currency)
    account = found(states, run.account, Account)
    held = account.hold(run.id) if account is not None else None
    released: tuple[Event, ...] = ()
    if account is not None and held is not None:
        released = (HoldReleased(run.account, account.version + 1, run.id, held, run.currency),)
    status = "stopped" if before else "finished"
    result: dict[str, Figure] = {
        "payroll": run.id,
        "status": status,
        "items": run.items,
        "total": show(run.total, run.currency),
        "currency": run.currency,
    }
    return Accepted((*before, *released, finished), result)


def _running(payroll: str, states: States) -> tuple[Payroll, list[PayrollPart]] | Unknown | Refused | NeedsStreams:
    """Return a run that has not ended, and its parts, if its account is there too; else why not."""
    run = found(states, payroll, Payroll)
    if run is None:
        return Unknown("payroll", payroll)
    if run.status != "running":
        return Refused("payroll_ended", {"payroll": run.id, "status": run.status})
    streams = [part_stream(run.id, number) for number in parts_of(run.items)]
    if missing := tuple(id for id in (run.account, *streams) if id not in states):
        return NeedsStreams(missing)
    parts = [found(states, id, PayrollPart) for id in streams]
    return run, [part for part in parts if part is not None]


def _submitted(command: RunPayroll) -> PayrollSubmitted:
    return PayrollSubmitted(
        originator_id=command.payroll,
        originator_version=1,
        account=command.account,
        currency=command.currency,
        period=command.period,
        value_date=command.value_date,
        items=len(command.items),
        total=_total(command),
        mode="at_once" if command.at_once else "in_parts",
    )


def _parts(command: RunPayroll) -> list[PayrollPartListed]:
    return [
        PayrollPartListed(
            originator_id=part_stream(command.payroll, number),
            originator_version=1,
            payroll=command.payroll,
            account=command.account,
            currency=command.currency,
            first=(number - 1) * PART_ITEMS + 1,
            items=command.items[(number - 1) * PART_ITEMS : number * PART_ITEMS],
        )
        for number in parts_of(len(command.items))
    ]


def _total(command: RunPayroll) -> int:
    return sum(item.amount for item in command.items)


def _result(command: RunPayroll, status: str) -> dict[str, Figure]:
    currency = command.currency
    total = show(_total(command), currency)
    items = len(command.items)
    return {"payroll": command.payroll, "status": status, "items": items, "total": total, "currency": currency}


# What stored events are held to


def check(before: Payroll | None, events: Sequence[Any], decided: Decided) -> Iterator[Broken]:
    """Find a run that ends twice, or whose items and amounts do not add up to what was submitted."""
    state = before
    for event in events:
        if isinstance(event, PayrollSubmitted):
            if refuse_period(event.period) is not None:
                yield Broken(event, f"{event.originator_id} is for {event.period!r}, which is no month")
            if (event.mode == "at_once") is not (event.items <= MOST_AT_ONCE):
                yield Broken(event, f"{event.originator_id} pays {event.items} items {event.mode.replace('_', ' ')}")
        elif state is not None:
            stops = any(isinstance(one, PayrollStopped) for one in events)
            if state.status != "running" and not (stops and isinstance(event, PayrollFinished)):
                yield Broken(event, f"{state.id} ends again; it was {state.status} before")
            if isinstance(event, PayrollFinished):
                items, amount = event.paid_items + event.parked_items, event.paid + event.parked
                if (items, amount) != (state.items, state.total):
                    yield Broken(
                        event, f"{state.id} ends with {items} items for {amount}, of {state.items} for {state.total}"
                    )
        state = evolve(state, event)


def _listed_as_submitted(event: PayrollSubmitted, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The unit lists the items in order, and pays them or holds their total."""
    run, items = event.originator_id, list[PayrollItem]()
    for number in parts_of(event.items):
        listed = unit.get(part_stream(run, number), ())
        part = next((one for one in listed if isinstance(one, PayrollPartListed)), None)
        if part is None or (part.payroll, part.account, part.currency) != (run, event.account, event.currency):
            return f"part {number} of {run} is not listed in its unit as the run was submitted"
        if part.first != len(items) + 1:
            return f"part {number} of {run} begins with item {part.first}, after {len(items)} items"
        items += part.items
    if (len(items), sum(item.amount for item in items)) != (event.items, event.total):
        return f"{run} is submitted with {event.items} items for {event.total}, and its unit lists others"
    if (refusal := refuse_items(event.account, event.currency, items)) is not None:
        return f"the rules refuse {run}: {FORM_RULES[refusal.rule].format_map(refusal.figures)}"
    if event.mode == "at_once":
        finished = any(isinstance(one, PayrollFinished) for one in unit.get(run, ()))
        return None if finished else f"{run} pays at once, and does not end in its unit"
    held = [one for one in unit.get(event.account, ()) if isinstance(one, HoldPlaced) and one.hold == run]
    return None if held else f"{run} pays in parts, and its unit holds nothing on {event.account}"


def _held_for_its_run(event: HoldPlaced, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """A hold of a payroll run is placed with the run, for its total."""
    if not of_payroll(event.hold):
        return None
    for run in unit.get(event.hold, ()):
        if isinstance(run, PayrollSubmitted) and (run.account, run.total) == (event.originator_id, event.amount):
            return None
    return f"{event.originator_id} holds {event.amount} for {event.hold}, which its unit does not submit so"


def _released_by_its_run(
    event: HoldReleased | HoldExpired, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The hold of a payroll run ends with the run, and leaves what is parked."""
    if not of_payroll(event.hold):
        return None
    for run in unit.get(event.hold, ()):
        if isinstance(run, PayrollFinished) and run.parked == event.amount:
            return None
    return f"{event.amount} of the hold of {event.hold} are released, and the run does not end so in its unit"


def _leaves_nothing_held(event: PayrollFinished, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """A run that ends with parked items releases what was held for them."""
    run = event.originator_id
    released = any(isinstance(one, HoldReleased) and one.hold == run for events in unit.values() for one in events)
    if released is bool(event.parked):
        return None
    return f"{run} ends with {event.parked} parked, and its unit releases {'its' if released else 'no'} hold"


AGGREGATE = Aggregate(
    name="payroll",
    prefix=f"{PAYROLL}_",
    events=(
        EventType("payroll.submitted.v1", PayrollSubmitted),
        EventType("payroll.stopped.v1", PayrollStopped, "operator", ("reason",)),
        EventType("payroll.finished.v1", PayrollFinished),
    ),
    evolve=evolve,
    decisions={RunPayroll: run, FinishPayroll: finish, StopPayroll: stop},
    rules=RULES,
    may={FinishPayroll: PROCESSES, StopPayroll: OPERATORS},
    amounts=frozenset({"total", "paid", "parked"}),
    check=check,
    unit_rules={
        PayrollSubmitted: _listed_as_submitted,
        HoldPlaced: _held_for_its_run,
        HoldReleased: _released_by_its_run,
        HoldExpired: _released_by_its_run,
        PayrollFinished: _leaves_nothing_held,
    },
)
