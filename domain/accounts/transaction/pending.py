"""The commands of pending transactions: reserve first, and post, cancel or let it expire later."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial

from domain.accounts.account.owners import for_customer, is_customer
from domain.accounts.posting import Transaction, posting_decision, posting_streams
from domain.accounts.transaction.events import Awaits, TransactionCancelled, TransactionExpired
from domain.accounts.transaction.movements import PostTransaction, Transfer, journal_of, transferred
from domain.accounts.transaction.state import TransactionState
from domain.accounts.transaction.waiting import (
    booked,
    ended,
    of_pending,
    pend,
    refuse_before_its_time,
    refuse_posting_pending,
)
from domain.kernel import Context, Decide, Decision, Personal, Role, States, Value
from domain.permissions import EVERYONE, PROCESSES


class PendTransaction(PostTransaction, frozen=True):
    """Reserve the amounts of any balanced set of entries, to be posted later."""

    expires_at: datetime | None = None  # aware, UTC
    awaits: Awaits = "request"


class PendTransfer(Transfer, frozen=True):
    """Reserve the amount of a transfer, to be posted later."""

    expires_at: datetime | None = None  # aware, UTC
    awaits: Awaits = "request"


class OnePending(Value, frozen=True):
    """A command about one pending transaction."""

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


@posting_decision
def pend_transaction(command: PendTransaction, states: States, context: Context) -> Decision:
    return _pended(command, journal_of(command, states), states, context)


@posting_decision
def pend_transfer(command: PendTransfer, states: States, context: Context) -> Decision:
    return transferred(command, states, context, partial(_pended, command))


def _pended(
    command: PendTransaction | PendTransfer, transaction: Transaction, states: States, context: Context
) -> Decision:
    return pend(transaction, states, context, awaits=command.awaits, expires_at=command.expires_at)


@posting_decision
def post_pending(command: PostPending, states: States, context: Context) -> Decision:
    transaction = of_pending(command.transaction, states, context, "posted")
    if not isinstance(transaction, TransactionState):
        return transaction
    refusal = refuse_posting_pending(transaction, context.decided_at)
    if refusal is not None:
        return refusal
    decision = booked(transaction, states, context, value_date=command.value_date)
    return for_customer(decision, states, context) if is_customer(context) else decision


@posting_decision
def cancel_pending(command: CancelPending, states: States, context: Context) -> Decision:
    transaction = of_pending(command.transaction, states, context, "cancelled")
    if not isinstance(transaction, TransactionState):
        return transaction
    reason = command.reason if transaction.subject is not None else None
    event = TransactionCancelled(transaction.id, transaction.version + 1, transaction.subject, reason)
    decision = ended(transaction, event, "cancelled", states)
    return for_customer(decision, states, context) if is_customer(context) else decision


@posting_decision
def expire_pending(command: ExpirePending, states: States, context: Context) -> Decision:
    """Decide the end of a transaction whose time is over. A frozen account does not keep it."""
    transaction = of_pending(command.transaction, states, context, "expired")
    if not isinstance(transaction, TransactionState):
        return transaction
    refusal = refuse_before_its_time(transaction, context.decided_at)
    if refusal is not None:
        return refusal
    return ended(transaction, TransactionExpired(transaction.id, transaction.version + 1), "expired", states)


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
