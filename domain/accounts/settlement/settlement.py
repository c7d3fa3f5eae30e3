"""The aggregate settlement: what a merchant account was paid on one UTC day, and what became of it.

The figures are recorded whatever the account is allowed at that moment. What is due is paid out by another command, so
a payout that is refused stops neither the next day nor another merchant.

The net amount is payments less refunds less a fee on the payments. A negative one is carried over to the next day, and
so is the fee that it has not booked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Literal, TypeAlias

from msgspec.structs import replace

from domain.accounts.account.state import Account
from domain.accounts.allocation import MILLIONTHS, half_even
from domain.accounts.posting import (
    Entry,
    Transaction,
    TransactionPosted,
    internal_account,
    post,
    posting_decision,
    posting_streams,
)
from domain.accounts.settlement.agreement import (
    RULES as AGREEMENT_RULES,
)
from domain.accounts.settlement.agreement import (
    DaySettled,
    SettlementAgreement,
    agreement_stream,
    refuse_unless,
)
from domain.accounts.settlement.events import SettlementCalculated, SettlementFailed, SettlementPaid
from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.ids import named_id
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import EXPONENTS, show
from domain.permissions import PROCESSES

SETTLEMENT = "stl"
"""Prefix of the ids of settlements."""

SettlementEvent: TypeAlias = SettlementCalculated | SettlementPaid | SettlementFailed
Status = Literal["due", "paid", "failed", "carried", "empty"]

# State


class Settlement(Value, frozen=True):
    """A settlement at a version of its stream."""

    version: int
    id: str
    account: str
    currency: str
    day: date
    gross: int
    fee: int
    status: Status


def evolve(state: Settlement | None, event: SettlementEvent) -> Settlement:
    """Return the settlement after the event. Raises ValueError if its stream does not begin with the figures."""
    version = event.originator_version
    if isinstance(event, SettlementCalculated):
        return Settlement(
            version=version,
            id=event.originator_id,
            account=event.account,
            currency=event.currency,
            day=event.day,
            gross=event.gross,
            fee=event.fees,
            status=status_of(event),
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with SettlementCalculated")
    return replace(state, version=version, status="paid" if isinstance(event, SettlementPaid) else "failed")


def status_of(event: SettlementCalculated) -> Status:
    """Return what becomes of the figures: they are due, carried over, or there is nothing."""
    if event.is_due:
        return "due"
    return "carried" if event.gross or event.fees else "empty"


def settlement_id(account: str, day: date) -> str:
    """Return the id of the settlement of an account and a day. There is one."""
    return named_id(SETTLEMENT, account, day.isoformat())


# Commands


class CalculateSettlement(Value, frozen=True):
    """Record the figures of the next day of an account, once it is over. Only its process sends this."""

    account: str
    day: date
    after: int
    until: int
    entries: int
    payments: int
    refunds: int

    @property
    def streams(self) -> tuple[str, ...]:
        return (agreement_stream(self.account), settlement_id(self.account, self.day))


class PaySettlement(Value, frozen=True):
    """Pay out what a settlement has due, less the fee. Only its process sends this."""

    settlement: str
    account: str
    transaction: str

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.settlement, agreement_stream(self.account), self.account)


# Rules

RULES: dict[str, str] = {
    "settlement_status": AGREEMENT_RULES["settlement_status"],
    "settlement_not_next": "The next day to settle of account {account} is {next_day}; this is {day}.",
    "settlement_day_not_over": "The day {day} is not before today, {today} (UTC); it is settled after it.",
    "settlement_behind": (
        "Account {account} is settled up to position {settled}; these figures are of the positions after {after} up "
        "to {until}."
    ),
    "settlement_not_due": "Settlement {settlement} is {status}; only one that is due or failed is paid out.",
}

# Decisions


def calculate(command: CalculateSettlement, states: States, context: Context) -> Decision:
    stream = agreement_stream(command.account)
    agreement = found(states, stream, SettlementAgreement)
    if agreement is None:
        return Unknown("settlement agreement", command.account)
    refusal = refuse_calculating(agreement, command, context.today)
    if refusal is not None:
        return refusal
    calculated = SettlementCalculated(
        originator_id=settlement_id(command.account, command.day),
        originator_version=1,
        account=command.account,
        currency=agreement.currency,
        day=command.day,
        basis=agreement.basis,
        until=command.until,
        entries=command.entries,
        payments=command.payments,
        refunds=command.refunds,
        fee=fee_on(command.payments, agreement.fee_rate),
    )
    settled = day_settled(calculated, agreement.version + 1)
    currency, status = agreement.currency, status_of(calculated)
    result: dict[str, Figure] = {
        "settlement": calculated.originator_id,
        "status": status,
        "net": show(calculated.gross - calculated.fees, currency),
        "currency": currency,
    }
    return Accepted((calculated, settled), result)


def fee_on(payments: int, rate: int) -> int:
    """Return the fee on the payments of a day, rounded half to even once."""
    return half_even(payments * rate, MILLIONTHS)


def day_settled(calculated: SettlementCalculated, version: int) -> DaySettled:
    """Return the event of the agreement that stands beside the figures of a day."""
    stays = status_of(calculated) == "carried"
    return DaySettled(
        originator_id=agreement_stream(calculated.account),
        originator_version=version,
        day=calculated.day,
        settlement=calculated.originator_id,
        basis=calculated.basis,
        until=calculated.until,
        gross=calculated.gross if stays else 0,
        fee=calculated.fees if stays else 0,
    )


def refuse_calculating(agreement: SettlementAgreement, command: CalculateSettlement, today: date) -> Refused | None:
    """Return why the day of the account cannot be settled now with these figures, or None."""
    account, day = agreement.account, command.day
    if day != agreement.next_day:
        days = {"next_day": agreement.next_day.isoformat(), "day": day.isoformat()}
        return Refused("settlement_not_next", {"account": account, **days})
    refusal = refuse_unless(agreement, "active", "settled")
    if refusal is not None:
        return refusal
    if day >= today:
        return Refused("settlement_day_not_over", {"day": day.isoformat(), "today": today.isoformat()})
    if command.after == agreement.until <= command.until:
        return None
    positions: dict[str, Figure] = {"settled": agreement.until, "after": command.after, "until": command.until}
    return Refused("settlement_behind", {"account": account, **positions})


@posting_decision
def pay(command: PaySettlement, states: States, context: Context) -> Decision:
    settlement = found(states, command.settlement, Settlement)
    agreement = found(states, agreement_stream(command.account), SettlementAgreement)
    if settlement is None or agreement is None or settlement.account != command.account:
        return Unknown("settlement", command.settlement)
    refusal = refuse_paying(settlement)
    if refusal is not None:
        return refusal
    fees = internal_account(context.log, "fees", settlement.currency)
    needed = (agreement.payout, fees) if settlement.fee else (agreement.payout,)
    if missing := tuple(stream for stream in needed if stream not in states):
        return NeedsStreams(missing)
    paid = SettlementPaid(
        originator_id=settlement.id,
        originator_version=settlement.version + 1,
        transaction=command.transaction,
        account=settlement.account,
        payout=agreement.payout,
        currency=settlement.currency,
        gross=settlement.gross,
        fee=settlement.fee,
    )
    posted: Decision
    if settlement.fee and found(states, fees, Account) is None:
        posted = Refused("internal_account_missing", {"role": "fees", "currency": settlement.currency})
    else:
        entries = entries_of(context.log, paid)
        transaction = Transaction(command.transaction, "settlement", entries, context.today, reference=settlement.id)
        posted = post(transaction, states, context)
    if isinstance(posted, Refused):
        failed = SettlementFailed(settlement.id, settlement.version + 1, posted.rule)
        return replace(posted, events=(*posted.events, failed))
    if not isinstance(posted, Accepted):
        return posted
    result = {**posted.result, "settlement": settlement.id, "status": "paid"}
    return replace(posted, events=(*posted.events, paid), result=result)


def entries_of(log: str, paid: SettlementPaid) -> tuple[Entry, ...]:
    """Return the entries of a payout: the merchant account pays, and the payout account and the fees get it."""
    net = paid.gross - paid.fee
    fees = internal_account(log, "fees", paid.currency)
    return (
        Entry(paid.account, "debit", paid.gross, paid.currency),
        *((Entry(paid.payout, "credit", net, paid.currency),) if net else ()),
        *((Entry(fees, "credit", paid.fee, paid.currency),) if paid.fee else ()),
    )


def refuse_paying(settlement: Settlement) -> Refused | None:
    """Return why the settlement cannot be paid out, or None."""
    if settlement.status in ("due", "failed"):
        return None
    return Refused("settlement_not_due", {"settlement": settlement.id, "status": settlement.status})


# What stored events are held to


def check(before: Settlement | None, events: Sequence[SettlementEvent], decided: Decided) -> Iterator[Broken]:
    """Find figures that are recorded again or do not follow from each other, and a payout of other amounts.

    Whether the figures are the sums of the entries is not looked at here: `verify` sums them with one query.
    """
    settlement = before
    for event in events:
        if isinstance(event, SettlementCalculated):
            yield from _calculated(settlement, event, decided)
        else:
            assert settlement is not None, "the fold was tried before"
            refusal = refuse_paying(settlement)
            if refusal is not None:
                yield refused(event, refusal, RULES)
            of = (settlement.account, settlement.currency, settlement.gross, settlement.fee)
            if isinstance(event, SettlementPaid) and (event.account, event.currency, event.gross, event.fee) != of:
                yield Broken(event, f"{event.originator_id} is paid out with other amounts than it has due")
        settlement = evolve(settlement, event)


def _calculated(before: Settlement | None, event: SettlementCalculated, decided: Decided) -> Iterator[Broken]:
    id = event.originator_id
    if before is not None:
        yield Broken(event, f"{id} is calculated again")
    if id != settlement_id(event.account, event.day):
        yield Broken(event, f"{id} is not the settlement of {event.account} for {event.day}")
    if event.currency not in EXPONENTS:
        yield Broken(event, f"{id} is in {event.currency!r}, which is no currency")
    if event.day >= decided.today:
        days = {"day": event.day.isoformat(), "today": decided.today.isoformat()}
        yield refused(event, Refused("settlement_day_not_over", days), RULES)
    if min(event.payments, event.refunds, event.entries, event.until - event.basis.after) < 0:
        yield Broken(event, f"{id} has a negative sum, or ends before it begins")
    rate = event.basis.fee_rate
    if event.fee != fee_on(event.payments, rate):
        what = f"{event.fee} minor units on {event.payments} at {rate} millionths"
        yield Broken(event, f"{id} has a fee of {what}")


def _moves_its_agreement(
    event: SettlementCalculated, unit: Mapping[str, Sequence[Event]], decided: Decided
) -> str | None:
    """The agreement goes on by a day in the same unit, and carries over what is not due."""
    for one in unit.get(agreement_stream(event.account), ()):
        if isinstance(one, DaySettled) and one == day_settled(event, one.originator_version):
            return None
    return f"{event.originator_id} is calculated, and its unit does not move the agreement on {event.account} by it"


def _has_its_figures(event: DaySettled, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    if any(isinstance(one, SettlementCalculated) for one in unit.get(event.settlement, ())):
        return None
    return f"{event.originator_id} is settled for {event.day}, and its unit has no figures of {event.settlement}"


def _is_posted(event: SettlementPaid, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The transaction of the unit has the entries that follow from the amounts."""
    id, transaction = event.originator_id, event.transaction
    for one in unit.get(transaction, ()):
        if isinstance(one, TransactionPosted) and (one.kind, one.reference) == ("settlement", id):
            right = one.entries == entries_of(decided.log, event)
            return None if right else f"{id} is paid out by {transaction}, whose entries are not those of its amounts"
    return f"{id} is paid out by {transaction}, which its unit does not post as a settlement"


AGGREGATE = Aggregate(
    name="settlement",
    prefix=f"{SETTLEMENT}_",
    events=(
        EventType("settlement.calculated.v1", SettlementCalculated),
        EventType("settlement.paid.v1", SettlementPaid),
        EventType("settlement.failed.v1", SettlementFailed),
    ),
    evolve=evolve,
    decisions={CalculateSettlement: calculate, PaySettlement: pay},
    rules=RULES,
    may={CalculateSettlement: PROCESSES, PaySettlement: PROCESSES},
    amounts=frozenset({"payments", "refunds", "gross", "fee"}),
    check=check,
    unit_rules={SettlementCalculated: _moves_its_agreement, DaySettled: _has_its_figures, SettlementPaid: _is_posted},
)
