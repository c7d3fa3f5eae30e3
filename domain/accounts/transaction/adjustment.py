"""Adjustments: an operator corrects the balance of an account, with a reason, against an account of the ledger."""

from __future__ import annotations

from datetime import date

from msgspec import field

from domain.accounts.account.state import Account
from domain.accounts.details import Details
from domain.accounts.numbers import InternalRole
from domain.accounts.posting import Side, Transaction, post_against_internal, posting_decision, posting_streams
from domain.accounts.transaction.waiting import post_or_wait
from domain.codes import Metadata
from domain.kernel import Context, Decide, Decision, Personal, Role, States, Value, found
from domain.permissions import OPERATORS


class AdjustBalance(Value, frozen=True):
    """Credit or debit an account against the internal account for a role."""

    transaction: str
    account: str
    side: Side  # of the entry on the account
    amount: int
    currency: str
    against: InternalRole
    value_date: date
    reason: Personal
    reference: str | None = None
    parent: str | None = None  # the transaction that it corrects
    metadata: Metadata = field(default_factory=dict)

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.account)


@posting_decision
def adjust(command: AdjustBalance, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    subject = None if account is None else account.profile.owner
    details = (
        Details(parent=command.parent, relation="adjustment" if command.parent else None, metadata=command.metadata)
        if command.parent or command.metadata
        else None
    )
    transaction = Transaction(
        id=command.transaction,
        kind="adjustment",
        entries=(),
        value_date=command.value_date,
        reference=command.reference,
        description=command.reason if subject is not None else None,
        subject=subject,
        details=details,
    )
    return post_against_internal(
        transaction,
        command.against,
        debited=command.account if command.side == "debit" else None,
        credited=command.account if command.side == "credit" else None,
        amount=command.amount,
        currency=command.currency,
        states=states,
        context=context,
        by=post_or_wait,
    )


DECISIONS: dict[type, Decide] = {AdjustBalance: adjust}
MAY: dict[type, frozenset[Role]] = {AdjustBalance: OPERATORS}
