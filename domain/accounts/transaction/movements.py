"""Deposits, withdrawals, fees, transfers and journals: the commands that post at once, and their decisions."""

from __future__ import annotations

from datetime import date

from msgspec import field
from msgspec.structs import replace

from domain.accounts.account.owners import for_customer, is_customer, refuse_debit, refuse_payee
from domain.accounts.account.state import Account
from domain.accounts.details import details_of
from domain.accounts.fee_schedule import CHARGE_RULES, Charge, charge_of, fee_schedule_stream, refuse_charge
from domain.accounts.numbers import InternalRole
from domain.accounts.posting import (
    Entry,
    Post,
    Transaction,
    TransactionKind,
    entries_between,
    post_against_internal,
    posting_decision,
    posting_streams,
)
from domain.accounts.transaction.described import transaction_of
from domain.accounts.transaction.waiting import post_or_wait
from domain.codes import Metadata
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Figure,
    Personal,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import show
from domain.permissions import EVERYONE


class _Movement(Value, frozen=True):
    """A movement between a customer's account and an internal account."""

    transaction: str
    account: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None
    metadata: Metadata = field(default_factory=dict)

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.account)


class Deposit(_Movement, frozen=True):
    """Pay cash in: from the internal account for cash to the customer's account."""


class Withdraw(_Movement, frozen=True):
    """Pay cash out: from the customer's account to the internal account for cash."""


class ChargeFee(_Movement, frozen=True):
    """Charge a fee: from the customer's account to the internal account for fees.

    With a schedule, `amount` is the base that the fee is computed from, and the schedule says who gets it.
    """

    schedule: str | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        if self.schedule is None:
            return posting_streams(self.account)
        return posting_streams(self.account, fee_schedule_stream(self.schedule))


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
    metadata: Metadata = field(default_factory=dict)

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
    metadata: Metadata = field(default_factory=dict)
    late_for: date | None = None  # the day in a closed period that it is about

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(*dict.fromkeys(entry.account for entry in self.entries))


RULES: dict[str, str] = {
    "same_account": "A transfer needs two different accounts; both are {account}.",
    **CHARGE_RULES,
}


@posting_decision
def deposit(command: Deposit, states: States, context: Context) -> Decision:
    return _against_internal(command, "deposit", "cash", states, context, credited=command.account)


@posting_decision
def withdraw(command: Withdraw, states: States, context: Context) -> Decision:
    return _against_internal(command, "withdrawal", "cash", states, context, debited=command.account)


@posting_decision
def charge_fee(command: ChargeFee, states: States, context: Context) -> Decision:
    if command.schedule is not None:
        return _charge_by_schedule(command, command.schedule, states, context)
    return _against_internal(command, "fee", "fees", states, context, debited=command.account)


@posting_decision
def transfer(command: Transfer, states: States, context: Context) -> Decision:
    return transferred(command, states, context, post_or_wait)


def transferred(command: Transfer, states: States, context: Context, by: Post) -> Decision:
    """Decide a transfer, which `by` posts or reserves. A customer moves what is theirs, and learns no more.

    Whose accounts these are comes first: no other answer may tell anything about a foreign one.
    """
    if not is_customer(context):
        return _transferred(command, states, context, by)
    source, target = found(states, command.source, Account), found(states, command.target, Account)
    no = refuse_debit(source, command.source, command.amount, command.currency, context)
    no = no or refuse_payee(target, command.target)
    return no or for_customer(_transferred(command, states, context, by), states, context)


def _transferred(command: Transfer, states: States, context: Context, by: Post) -> Decision:
    if command.source == command.target:
        return Refused("same_account", {"account": command.source})
    entries = entries_between(command.source, command.target, command.amount, command.currency)
    return by(transaction_of(command, "transfer", entries, command.source, states), states, context)


@posting_decision
def post_transaction(command: PostTransaction, states: States, context: Context) -> Decision:
    return post_or_wait(journal_of(command, states), states, context)


def journal_of(command: PostTransaction, states: States) -> Transaction:
    """Return the transaction with the entries of the command."""
    first = command.entries[0].account if command.entries else None
    transaction = transaction_of(command, command.kind, command.entries, first, states)
    if command.late_for is None:
        return transaction
    return replace(transaction, details=details_of(command.metadata, command.late_for))


def _charge_by_schedule(command: ChargeFee, schedule: str, states: States, context: Context) -> Decision:
    account, currency = found(states, command.account, Account), command.currency
    if account is None:
        return Unknown("account", command.account)
    charge = charge_of(schedule, command.amount, currency, states, context)
    if not isinstance(charge, Charge):
        return charge
    if account.profile.internal:
        return Refused("account_internal", {"account": command.account, "type": account.profile.type})
    no = refuse_charge(charge, command.account, currency, states)
    if no is not None:
        return no
    entries = entries_between(command.account, charge.account, charge.amount, currency)
    decision = post_or_wait(transaction_of(command, "fee", entries, command.account, states), states, context)
    if not isinstance(decision, Accepted):
        return decision
    made: dict[str, Figure] = {
        "fee_schedule": schedule,
        "number": charge.schedule.number,
        "base": show(command.amount, currency),
        "fee": show(charge.amount, currency),
        "currency": currency,
    }
    return replace(decision, result={**decision.result, **made})


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
        transaction_of(command, kind, (), command.account, states),
        role,
        debited=debited,
        credited=credited,
        amount=command.amount,
        currency=command.currency,
        states=states,
        context=context,
        by=post_or_wait,
    )


DECISIONS: dict[type, Decide] = {
    Deposit: deposit,
    Withdraw: withdraw,
    ChargeFee: charge_fee,
    Transfer: transfer,
    PostTransaction: post_transaction,
}
MAY: dict[type, frozenset[Role]] = {Transfer: EVERYONE}
