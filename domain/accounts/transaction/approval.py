"""Four eyes: another person approves or rejects a pending transaction.

Whoever asked for it cannot decide about it: the two are compared as persons, so another token or role of the same
person does not help. A program that asked is nobody's person, so any person may decide.
"""

from __future__ import annotations

from datetime import date

from domain.accounts.posting import posting_decision
from domain.accounts.transaction.events import TransactionApproved, TransactionRejected
from domain.accounts.transaction.pending import OnePending
from domain.accounts.transaction.state import TransactionState
from domain.accounts.transaction.waiting import booked, ended, of_pending, refuse_late
from domain.kernel import Context, Decide, Decision, Forbidden, Personal, Refused, Role, States
from domain.permissions import OPERATORS


class ApprovePending(OnePending, frozen=True):
    """Approve a pending transaction that waits for another person. It is posted at once."""

    value_date: date | None = None  # None: the one with which it was reserved, whose period may be closed by now


class RejectPending(OnePending, frozen=True):
    """Reject a pending transaction that waits for another person. It ends."""

    reason: Personal


RULES: dict[str, str] = {
    "approval_not_needed": "Transaction {transaction} waits for a request to post it, not for another person.",
    "approval_by_initiator": "{person} asked for transaction {transaction}; another person decides about it.",
}


@posting_decision
def approve(command: ApprovePending, states: States, context: Context) -> Decision:
    transaction = of_pending(command.transaction, states, context, "approved")
    if not isinstance(transaction, TransactionState):
        return transaction
    no = _refuse_deciding(transaction, context)
    if no is not None:
        return no
    person = context.principal.person or ""
    event = TransactionApproved(transaction.id, transaction.version + 1, person)
    return booked(transaction, states, context, value_date=command.value_date, before=(event,))


@posting_decision
def reject(command: RejectPending, states: States, context: Context) -> Decision:
    transaction = of_pending(command.transaction, states, context, "rejected")
    if not isinstance(transaction, TransactionState):
        return transaction
    no = _refuse_deciding(transaction, context)
    if no is not None:
        return no
    reason = command.reason if transaction.subject is not None else None
    event = TransactionRejected(
        originator_id=transaction.id,
        originator_version=transaction.version + 1,
        by=context.principal.person or "",
        subject=transaction.subject,
        reason=reason,
    )
    return ended(transaction, event, "rejected", states)


def _refuse_deciding(transaction: TransactionState, context: Context) -> Refused | Forbidden | None:
    """Return why the principal may not decide about the transaction, or None."""
    person = context.principal.person
    if person is None:
        return Forbidden(f"Only a person decides about a transaction that waits; {context.principal.id} is none.")
    if transaction.awaits == "request":
        return Refused("approval_not_needed", {"transaction": transaction.id})
    if person == transaction.initiator:
        return Refused("approval_by_initiator", {"transaction": transaction.id, "person": person})
    return refuse_late(transaction, context.decided_at)


DECISIONS: dict[type, Decide] = {ApprovePending: approve, RejectPending: reject}
MAY: dict[type, frozenset[Role]] = {ApprovePending: OPERATORS, RejectPending: OPERATORS}
