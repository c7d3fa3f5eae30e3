"""How a transaction waits: it reserves its amounts by holds, and is posted or ended later.

A pending transaction reserves what it takes from each account of a customer by a hold, whose id is that of the
transaction. So holds and pending transactions share their bound, and both lower what is available. A transaction that
waits has passed every rule of a posting once, and passes them again when it is posted.

The commands are in `domain.accounts.transaction.pending` and `approval`. `post_or_wait` is for commands whose
transaction waits by itself if another person has to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import cast

from msgspec.structs import replace

from domain.accounts.account.events import AccountAssessed, HoldCaptured, HoldExpired, HoldPlaced, HoldReleased
from domain.accounts.account.holds import MOST_DAYS_HELD, MOST_HOLDS, refuse_hold
from domain.accounts.account.owners import is_customer, refuse_debit
from domain.accounts.account.state import Account
from domain.accounts.account.state import evolve as evolve_account
from domain.accounts.posting import Entry, Transaction, post, with_facts_on
from domain.accounts.transaction.described import owner_of
from domain.accounts.transaction.events import Awaits, TransactionExpired, TransactionPended
from domain.accounts.transaction.state import TransactionState
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
    found,
)

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
            subject=transaction.subject or owner_of(transaction.entries, states),
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
    return {
        id: amount
        for id, amount in net_taken(entries).items()
        if (account := found(states, id, Account)) is not None and not account.profile.internal
    }


def net_taken(entries: Sequence[Entry]) -> dict[str, int]:
    """Return what a transaction with these entries takes from each account that it takes from, in minor units."""
    net: dict[str, int] = {}
    for entry in entries:
        net[entry.account] = net.get(entry.account, 0) - entry.signed
    return {id: amount for id, amount in net.items() if amount > 0}


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


# To end waiting


def of_pending(
    id: str, states: States, context: Context, asked: str
) -> TransactionState | Refused | Unknown | NeedsStreams:
    """Return the pending transaction with this id, or why there is none. `states` has its accounts then.

    A customer sees those whose reserved accounts they may debit.
    """
    transaction = found(states, id, TransactionState)
    if transaction is None:
        return Unknown("transaction", id)
    missing = tuple(dict.fromkeys(entry.account for entry in transaction.entries if entry.account not in states))
    if missing:
        return NeedsStreams(missing)
    if is_customer(context):
        for account_id, amount in reserved(transaction.entries, states).items():
            account = cast(Account, states[account_id])
            if refuse_debit(account, account_id, amount, account.profile.currency, context) is not None:
                return Unknown("transaction", id)
        if not reserved(transaction.entries, states):
            return Unknown("transaction", id)
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
        freed[id] = evolve_account(account, event).as_promised
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
