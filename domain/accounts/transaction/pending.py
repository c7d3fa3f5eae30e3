"""Pending transactions: they reserve their amounts first, and are posted, cancelled or expire later.

A pending transaction reserves what it takes from each account of a customer by a hold, whose id is that of the
transaction. So holds and pending transactions share their bound, and both lower what is available. A transaction that
waits has passed every rule of a posting once, and passes them again when it is posted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import cast

from msgspec import field
from msgspec.structs import replace

from domain.accounts.account.events import AccountAssessed, HoldCaptured, HoldExpired, HoldPlaced, HoldReleased
from domain.accounts.account.holds import MOST_DAYS_HELD, MOST_HOLDS, refuse_hold
from domain.accounts.account.owners import for_customer, is_customer, refuse_debit, refuse_payee
from domain.accounts.account.state import Account
from domain.accounts.account.state import evolve as evolve_account
from domain.accounts.posting import (
    Entry,
    Transaction,
    TransactionKind,
    entries_between,
    post,
    posting_decision,
    posting_streams,
    with_facts_on,
)
from domain.accounts.transaction.described import transaction_of
from domain.accounts.transaction.events import (
    Awaits,
    TransactionCancelled,
    TransactionExpired,
    TransactionPended,
)
from domain.accounts.transaction.state import TransactionState
from domain.codes import Metadata
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
from domain.permissions import EVERYONE, PROCESSES


class PendTransaction(Value, frozen=True):
    """Reserve the amounts of any balanced set of entries, to be posted later."""

    transaction: str
    kind: TransactionKind
    entries: tuple[Entry, ...]
    value_date: date
    reference: str | None = None
    description: Personal | None = None
    metadata: Metadata = field(default_factory=dict)
    expires_at: datetime | None = None  # aware, UTC
    awaits: Awaits = "request"

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(*dict.fromkeys(entry.account for entry in self.entries))


class PendTransfer(Value, frozen=True):
    """Reserve the amount of a transfer, to be posted later."""

    transaction: str
    source: str
    target: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None
    metadata: Metadata = field(default_factory=dict)
    expires_at: datetime | None = None  # aware, UTC
    awaits: Awaits = "request"

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.source, self.target)


class OnePending(Value, frozen=True):
    transaction: str

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.transaction)


class PostPending(OnePending, frozen=True):
    """Post a pending transaction that waits for a request."""

    value_date: date | None = None  # None: the one with which it was reserved


class CancelPending(OnePending, frozen=True):
    """End a pending transaction. What it reserved is available again."""

    reason: Personal | None = None


class ExpirePending(OnePending, frozen=True):
    """End a pending transaction whose time is over. Only a process sends this."""


WAITS: Mapping[str, Awaits] = {"approval_needed": "approval", "review_needed": "review"}
"""What a transaction waits for that is refused by one of these rules."""
DAYS_TO_APPROVE = 30
"""Days that a transaction waits for another person, where the command did not ask to wait."""

RULES: dict[str, str] = {
    "transaction_not_pending": "Transaction {transaction} is {status}; only a pending one can be {asked}.",
    "transaction_waits": "Transaction {transaction} waits for {awaits}; it is posted once that is given.",
    "pending_expired": "Transaction {transaction} waited until {expires_at}; it is {now}.",
    "pending_not_expired": "Transaction {transaction} waits until {expires_at}; it is {now}.",
    "pending_expiry": (
        "Transaction {transaction} would wait until {expires_at}; one waits until after now, {now}, and for "
        "{days} days at most."
    ),
}


# To wait


def pend(
    transaction: Transaction, states: States, context: Context, *, awaits: Awaits, expires_at: datetime | None
) -> Decision:
    """Return the events that reserve the transaction, or the first rule that it breaks.

    `states` is as for `post`, whose rules hold here too.
    """
    refusal = refuse_pending_expiry(transaction.id, expires_at, context.decided_at)
    if refusal is not None:
        return refusal
    decision = post(replace(transaction, approved=awaits != "request"), states, context)
    if isinstance(decision, Refused) and decision.rule in WAITS:
        return pend(transaction, states, context, awaits=WAITS[decision.rule], expires_at=expires_at)
    if not isinstance(decision, Accepted):
        return decision
    events: list[Event] = [
        TransactionPended(
            originator_id=transaction.id,
            originator_version=1,
            kind=transaction.kind,
            value_date=transaction.value_date,
            entries=transaction.entries,
            reference=transaction.reference,
            subject=transaction.subject or _subject(transaction.entries, states),
            description=transaction.description,
            awaits=awaits,
            initiator=context.principal.person,
            expires_at=expires_at,
        )
    ]
    if transaction.details is not None:
        events.append(transaction.details.event(transaction.id, 2))
    assessed = [event for event in decision.events if isinstance(event, AccountAssessed)]
    events.extend(assessed)
    versions = {event.originator_id: event.originator_version for event in assessed}
    for id, amount in reserved(transaction.entries, states).items():
        account = cast(Account, states[id])
        currency = account.profile.currency
        refusal = refuse_hold(account, transaction.id, amount, currency, MOST_HOLDS, context.today)
        if refusal is not None:
            return refusal
        version = versions.get(id, account.version) + 1
        events.append(HoldPlaced(id, version, transaction.id, amount, currency, None, {}, expires_at))
    result: dict[str, Figure] = {
        "transaction": transaction.id,
        "status": "pending",
        "awaits": awaits,
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }
    return Accepted(tuple(events), result, decision.commuting)


def post_or_wait(transaction: Transaction, states: States, context: Context) -> Decision:
    """Post the transaction, or let it wait if another person has to approve or review it."""
    decision = post(transaction, states, context)
    if isinstance(decision, Refused) and decision.rule in WAITS:
        expires_at = context.decided_at + timedelta(days=DAYS_TO_APPROVE)
        return pend(transaction, states, context, awaits=WAITS[decision.rule], expires_at=expires_at)
    return decision


def reserved(entries: tuple[Entry, ...], states: States) -> dict[str, int]:
    """Return what a transaction with these entries takes from each account of a customer, in minor units.

    The ledger's own accounts have no limits, so nothing is reserved on them.
    """
    net: dict[str, int] = {}
    for entry in entries:
        net[entry.account] = net.get(entry.account, 0) - entry.signed
    return {
        id: amount
        for id, amount in net.items()
        if amount > 0 and (account := found(states, id, Account)) is not None and not account.profile.internal
    }


def _subject(entries: tuple[Entry, ...], states: States) -> str | None:
    """Return the owner of the first account of a customer, whose key seals what is written about the transaction."""
    accounts = (found(states, entry.account, Account) for entry in entries)
    return next((one.profile.owner for one in accounts if one is not None and not one.profile.internal), None)


def refuse_pending_expiry(transaction: str, expires_at: datetime | None, now: datetime) -> Refused | None:
    """Return the refusal of a transaction that would expire in the past or too late, or None."""
    if expires_at is None or now < expires_at <= now + timedelta(days=MOST_DAYS_HELD):
        return None
    figures: dict[str, Figure] = {
        "transaction": transaction,
        "expires_at": expires_at.isoformat(),
        "now": now.isoformat(),
        "days": MOST_DAYS_HELD,
    }
    return Refused("pending_expiry", figures)


@posting_decision
def pend_transaction(command: PendTransaction, states: States, context: Context) -> Decision:
    first = command.entries[0].account if command.entries else None
    transaction = transaction_of(command, command.kind, command.entries, first, states)
    return pend(transaction, states, context, awaits=command.awaits, expires_at=command.expires_at)


@posting_decision
def pend_transfer(command: PendTransfer, states: States, context: Context) -> Decision:
    if command.source == command.target:
        return Refused("same_account", {"account": command.source})
    customer = is_customer(context)
    if customer:
        source, target = found(states, command.source, Account), found(states, command.target, Account)
        no = refuse_debit(source, command.source, command.amount, command.currency, context)
        no = no or refuse_payee(target, command.target)
        if no is not None:
            return no
    entries = entries_between(command.source, command.target, command.amount, command.currency)
    transaction = transaction_of(command, "transfer", entries, command.source, states)
    decision = pend(transaction, states, context, awaits=command.awaits, expires_at=command.expires_at)
    return for_customer(decision, states, context) if customer else decision


# What ends it


def of_pending(
    command: OnePending, states: States, context: Context, asked: str
) -> TransactionState | Refused | Unknown | NeedsStreams:
    """Return the pending transaction that the command names, or why there is none. `states` has its accounts then.

    A customer sees those whose reserved accounts they may debit.
    """
    transaction = found(states, command.transaction, TransactionState)
    if transaction is None:
        return Unknown("transaction", command.transaction)
    missing = tuple(dict.fromkeys(entry.account for entry in transaction.entries if entry.account not in states))
    if missing:
        return NeedsStreams(missing)
    if is_customer(context):
        for id, amount in reserved(transaction.entries, states).items():
            account = cast(Account, states[id])
            if refuse_debit(account, id, amount, account.profile.currency, context) is not None:
                return Unknown("transaction", command.transaction)
        if not reserved(transaction.entries, states):
            return Unknown("transaction", command.transaction)
    if transaction.status != "pending":
        figures: dict[str, Figure] = {
            "transaction": transaction.id,
            "status": transaction.status.replace("_", " "),
            "asked": asked,
        }
        return Refused("transaction_not_pending", figures)
    return transaction


def booked(
    transaction: TransactionState,
    states: States,
    context: Context,
    *,
    value_date: date | None = None,
    before: tuple[Event, ...] = (),
) -> Decision:
    """Return the events that post a pending transaction: its holds end, and its entries are made.

    `before` are events that stand before them on its stream.
    """
    freed: dict[str, Account] = {}
    captured: list[Event] = []
    for id, amount in reserved(transaction.entries, states).items():
        account = cast(Account, states[id])
        event = HoldCaptured(id, account.version + 1, transaction.id, amount, account.profile.currency, transaction.id)
        captured.append(event)
        freed[id] = evolve_account(account, event)
    decision = post(
        Transaction(
            id=transaction.id,
            kind=transaction.kind,
            entries=transaction.entries,
            value_date=value_date or transaction.value_date,
            reference=transaction.reference,
            version=transaction.version + len(before),
            approved=transaction.approved or bool(before),
            reviewed=transaction.approved or bool(before),
        ),
        cast(Mapping[str, Account], {**states, **freed}),
        context,
    )
    if not isinstance(decision, Accepted):
        return with_facts_on(decision, states)
    result = {**decision.result, "status": "posted"}
    return Accepted((*before, *captured, *decision.events), result, decision.commuting)


@posting_decision
def post_pending(command: PostPending, states: States, context: Context) -> Decision:
    transaction = of_pending(command, states, context, "posted")
    if not isinstance(transaction, TransactionState):
        return transaction
    refusal = refuse_posting_pending(transaction, context.decided_at)
    if refusal is not None:
        return refusal
    decision = booked(transaction, states, context, value_date=command.value_date)
    return for_customer(decision, states, context) if is_customer(context) else decision


def refuse_posting_pending(transaction: TransactionState, now: datetime) -> Refused | None:
    """Return the refusal to post a transaction that waits for somebody else, or whose time is over, or None."""
    if transaction.awaits != "request" and not transaction.approved:
        return Refused("transaction_waits", {"transaction": transaction.id, "awaits": transaction.awaits})
    return refuse_late(transaction, now)


def refuse_late(transaction: TransactionState, now: datetime) -> Refused | None:
    """Return the refusal of what comes after the time of a pending transaction, or None."""
    expires_at = transaction.expires_at
    if expires_at is None or now < expires_at:
        return None
    figures = {"transaction": transaction.id, "expires_at": expires_at.isoformat(), "now": now.isoformat()}
    return Refused("pending_expired", figures)


@posting_decision
def cancel_pending(command: CancelPending, states: States, context: Context) -> Decision:
    transaction = of_pending(command, states, context, "cancelled")
    if not isinstance(transaction, TransactionState):
        return transaction
    reason = command.reason if transaction.subject is not None else None
    event = TransactionCancelled(transaction.id, transaction.version + 1, transaction.subject, reason)
    decision = ended(transaction, event, "cancelled", states)
    return for_customer(decision, states, context) if is_customer(context) else decision


@posting_decision
def expire_pending(command: ExpirePending, states: States, context: Context) -> Decision:
    """Decide the end of a transaction whose time is over. A frozen account does not keep it."""
    transaction = of_pending(command, states, context, "expired")
    if not isinstance(transaction, TransactionState):
        return transaction
    refusal = refuse_before_its_time(transaction, context.decided_at)
    if refusal is not None:
        return refusal
    return ended(transaction, TransactionExpired(transaction.id, transaction.version + 1), "expired", states)


def refuse_before_its_time(transaction: TransactionState, now: datetime) -> Refused | None:
    """Return the refusal of the expiry of a transaction whose time is not over, or None."""
    expires_at = transaction.expires_at
    if expires_at is not None and expires_at <= now:
        return None
    until = "it is posted or cancelled" if expires_at is None else expires_at.isoformat()
    figures = {"transaction": transaction.id, "expires_at": until, "now": now.isoformat()}
    return Refused("pending_not_expired", figures)


def ended(transaction: TransactionState, event: Event, status: str, states: States) -> Accepted:
    """Return the events that end a pending transaction without posting it: the amounts are available again."""
    ends = HoldExpired if isinstance(event, TransactionExpired) else HoldReleased
    released = [
        ends(id, account.version + 1, transaction.id, amount, account.profile.currency)
        for id, amount in reserved(transaction.entries, states).items()
        if (account := found(states, id, Account)) is not None
    ]
    commuting = frozenset(id for id, state in states.items() if isinstance(state, Account) and state.unlimited)
    return Accepted((event, *released), {"transaction": transaction.id, "status": status}, commuting)


DECISIONS: dict[type, Decide] = {
    PendTransaction: pend_transaction,
    PendTransfer: pend_transfer,
    PostPending: post_pending,
    CancelPending: cancel_pending,
    ExpirePending: expire_pending,
}
MAY: dict[type, frozenset[Role]] = {
    PendTransfer: EVERYONE,
    PostPending: EVERYONE,
    CancelPending: EVERYONE,
    ExpirePending: PROCESSES,
}
