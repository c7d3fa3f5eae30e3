"""Transactions: the commands that move money, and their decisions.

`domain.accounts.posting` turns a transaction into entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from domain.accounts.account.events import HoldCaptured
from domain.accounts.account.owners import for_customer, is_customer, refuse_debit, refuse_payee
from domain.accounts.account.state import Account, evolve
from domain.accounts.numbers import InternalRole
from domain.accounts.posting import RULES as POSTING_RULES
from domain.accounts.posting import (
    Entry,
    Transaction,
    TransactionKind,
    TransactionPosted,
    entries_between,
    post,
    post_against_internal,
    posting_decision,
    posting_streams,
    refuse_entries,
    refuse_value_date,
)
from domain.accounts.posting_policy import posting_policy
from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.codes import RULES as CODE_RULES
from domain.kernel import Accepted, Context, Decision, Event, Personal, Refused, States, Unknown, Value, found
from domain.money import EXPONENTS, show
from domain.permissions import EVERYONE

TRANSACTION = "txn"
"""Prefix of the ids of transactions."""


class PostedTransaction(Value, frozen=True):
    """The state of the stream of a transaction, which has exactly one event."""

    version: int
    event: TransactionPosted


def evolve_posted(state: PostedTransaction | None, event: TransactionPosted) -> PostedTransaction:
    """Return the state after the only event of the stream."""
    return PostedTransaction(event.originator_version, event)


class _Movement(Value, frozen=True):
    """A movement between a customer's account and an internal account."""

    transaction: str
    account: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.account)


class Deposit(_Movement, frozen=True):
    """Pay cash in: from the internal account for cash to the customer's account."""


class Withdraw(_Movement, frozen=True):
    """Pay cash out: from the customer's account to the internal account for cash."""


class ChargeFee(_Movement, frozen=True):
    """Charge a fee: from the customer's account to the internal account for fees."""


class Transfer(Value, frozen=True):
    """Move money from one account to another."""

    transaction: str
    source: str
    target: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.source, self.target)


class PostTransaction(Value, frozen=True):
    """Post any balanced set of entries."""

    transaction: str
    kind: TransactionKind
    entries: tuple[Entry, ...]
    value_date: date
    reference: str | None = None
    description: Personal | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(*dict.fromkeys(entry.account for entry in self.entries))


class CaptureHold(Value, frozen=True):
    """Pay all or part of a hold to another account. The hold ends, and the rest becomes available again."""

    account: str
    hold: str
    transaction: str
    target: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.account, self.target)


RULES: dict[str, str] = {
    "same_account": "A transfer needs two different accounts; both are {account}.",
    "hold_unknown": "Account {account} has no open hold {hold}.",
    "hold_exceeded": "Hold {hold} reserves {held} {currency}; {amount} is more than that and cannot be captured.",
}


@posting_decision
def deposit(command: Deposit, states: States, context: Context) -> Decision:
    return _against_internal(command, "deposit", "cash", states, context, credited=command.account)


@posting_decision
def withdraw(command: Withdraw, states: States, context: Context) -> Decision:
    return _against_internal(command, "withdrawal", "cash", states, context, debited=command.account)


@posting_decision
def charge_fee(command: ChargeFee, states: States, context: Context) -> Decision:
    return _against_internal(command, "fee", "fees", states, context, debited=command.account)


@posting_decision
def transfer(command: Transfer, states: States, context: Context) -> Decision:
    if command.source == command.target:
        return Refused("same_account", {"account": command.source})
    if is_customer(context):
        source, target = found(states, command.source, Account), found(states, command.target, Account)
        no = refuse_debit(source, command.source, command.amount, command.currency, context)
        no = no or refuse_payee(target, command.target)
        return no or for_customer(_transferred(command, states, context), states, context)
    return _transferred(command, states, context)


def _transferred(command: Transfer, states: States, context: Context) -> Decision:
    entries = entries_between(command.source, command.target, command.amount, command.currency)
    return post(_transaction(command, "transfer", entries, command.source, states), states, context)


@posting_decision
def post_transaction(command: PostTransaction, states: States, context: Context) -> Decision:
    first = command.entries[0].account if command.entries else None
    return post(_transaction(command, command.kind, command.entries, first, states), states, context)


@posting_decision
def capture_hold(command: CaptureHold, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    if command.account == command.target:
        return Refused("same_account", {"account": command.account})
    currency = account.profile.currency
    if command.currency != currency:
        return account.wrong_currency(command.currency)
    held = account.hold(command.hold)
    if held is None:
        return Refused("hold_unknown", {"account": command.account, "hold": command.hold})
    if command.amount > held:
        return Refused(
            "hold_exceeded",
            {
                "hold": command.hold,
                "held": show(held, currency),
                "amount": show(command.amount, currency),
                "currency": currency,
            },
        )
    # The hold ends first, so that its amount is available to the debit. Both are one unit, so nothing comes in between.
    captured = HoldCaptured(
        originator_id=command.account,
        originator_version=account.version + 1,
        hold=command.hold,
        amount=held,
        currency=currency,
        transaction=command.transaction,
    )
    freed = evolve(account, captured)
    entries = entries_between(command.account, command.target, command.amount, currency)
    transaction = _transaction(command, "capture", entries, command.account, states)
    decision = post(transaction, {**states, command.account: freed}, context)
    if not isinstance(decision, Accepted):
        return decision
    return Accepted((captured, *decision.events), {**decision.result, "hold": command.hold}, decision.commuting)


def _against_internal(
    command: Deposit | Withdraw | ChargeFee,
    kind: TransactionKind,
    role: InternalRole,
    states: States,
    context: Context,
    *,
    debited: str | None = None,
    credited: str | None = None,
) -> Decision:
    """Post one entry to the customer's account and the other one to the internal account for `role`."""
    return post_against_internal(
        _transaction(command, kind, (), command.account, states),
        role,
        debited=debited,
        credited=credited,
        amount=command.amount,
        currency=command.currency,
        states=states,
        context=context,
    )


def _transaction(
    command: Deposit | Withdraw | ChargeFee | Transfer | PostTransaction | CaptureHold,
    kind: TransactionKind,
    entries: tuple[Entry, ...],
    described_by: str | None,
    states: States,
) -> Transaction:
    """Return the transaction of the command. The key of the owner of account `described_by` seals the description."""
    subject = None
    description: Personal | None = command.description
    if description is not None:
        account = found(states, described_by, Account) if described_by is not None else None
        subject = account.profile.owner if account else None
        description = description if subject else None
    return Transaction(
        id=command.transaction,
        kind=kind,
        entries=entries,
        value_date=command.value_date,
        reference=command.reference,
        description=description,
        subject=subject,
    )


# What stored events are held to


def check(before: PostedTransaction | None, events: Sequence[TransactionPosted], decided: Decided) -> Iterator[Broken]:
    """Find a transaction that is posted again, is not well formed, or is dated after its decision.

    Whether each entry stands on its account is not looked at here: `verify` joins the two with one query.
    """
    for event in events:
        if before is not None or event is not events[0]:
            yield Broken(event, f"{event.originator_id} is posted again; a transaction is one event")
        foreign = sorted({entry.currency for entry in event.entries} - EXPONENTS.keys())
        refusal = refuse_value_date(event.value_date, posting_policy(decided.policies), decided.today)
        if foreign:
            yield Broken(event, f"{event.originator_id} has entries in {foreign[0]!r}, which is no currency")
        else:
            refusal = refuse_entries(event.entries) or refusal
        if refusal is not None:
            yield refused(event, refusal, POSTING_RULES)


def _capture_is_paid(event: HoldCaptured, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The transaction of the unit takes all or part of the hold from its account."""
    account, id = event.originator_id, event.transaction
    posted = next((one for one in unit.get(id, ()) if isinstance(one, TransactionPosted)), None)
    if posted is None:
        return f"hold {event.hold} is captured by {id}, which its unit does not post"
    taken = posted.entries[0] if posted.entries else None
    if posted.kind != "capture" or taken is None or (taken.account, taken.side) != (account, "debit"):
        return f"hold {event.hold} is captured by {id}, which does not take it from {account}"
    if taken.currency != event.currency or taken.amount > event.amount:
        return (
            f"hold {event.hold} reserves {event.amount} minor units of {event.currency}, and {id} takes {taken.amount} "
            f"of {taken.currency}"
        )
    return None


AGGREGATE = Aggregate(
    name="transaction",
    prefix=f"{TRANSACTION}_",
    events=(
        EventType(
            name="transaction.posted.v1",
            event=TransactionPosted,
            subject="subject",
            personal=("description",),
            codes=("reference",),
        ),
    ),
    evolve=evolve_posted,
    decisions={
        Deposit: deposit,
        Withdraw: withdraw,
        ChargeFee: charge_fee,
        Transfer: transfer,
        PostTransaction: post_transaction,
        CaptureHold: capture_hold,
    },
    rules={**POSTING_RULES, **RULES, **CODE_RULES},
    written_once=True,
    may={Transfer: EVERYONE},
    amounts=frozenset({"amount"}),
    check=check,
    unit_rules={HoldCaptured: _capture_is_paid},
)
