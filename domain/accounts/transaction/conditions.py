"""Conditions and unique references: what a command that posts a transaction may ask for beside the transaction.

A condition is about the balance or the available amount of any account. A unique reference can be used once for an
account, or once in the log. Both are decided together with the command (`Conditioned`), on the same states. A command
that asks for neither is not wrapped, and pays nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec.structs import replace

from domain.accounts.account.owners import allows, is_customer
from domain.accounts.account.state import ACCOUNT, Account
from domain.accounts.posting import Entry, TransactionPosted
from domain.accounts.transaction.events import TransactionPended
from domain.claims import Claim, claim_stream, take
from domain.kernel import (
    Accepted,
    Command,
    Context,
    Decision,
    Figure,
    Forbidden,
    NeedsStreams,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import show

MOST_CONDITIONS = 20
"""Most conditions of a command. The API refuses a body with more."""

What = Literal["balance", "available"]
Comparison = Literal["gt", "gte", "eq", "lte", "lt"]
Scope = Literal["account", "log"]

_HOLDS: Mapping[Comparison, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "eq": operator.eq,
    "lte": operator.le,
    "lt": operator.lt,
}


class Condition(Value, frozen=True):
    """A figure of an account, and what it must be before the command changes anything."""

    account: str
    what: What
    comparison: Comparison
    amount: int  # minor units, may be negative
    currency: str


class Posting(Command, Protocol):
    """A command that posts a transaction."""

    @property
    def reference(self) -> str | None: ...


class Conditioned(Value, frozen=True):
    """A command that posts a transaction, the conditions that must all hold, and where its reference is unique."""

    command: Posting
    conditions: tuple[Condition, ...] = ()
    unique_reference: Scope | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams of the command first: the account that it takes from stays the first one.

        The claim of the reference is the likely one, so that a group of commands loads all claims at once. The decision
        asks for another one if it needs it.
        """
        first, *others = self.command.streams
        claims: tuple[str, ...] = ()
        reference, scope = self.command.reference, self.unique_reference
        if reference is not None and (scope == "log" or (scope == "account" and first.startswith(f"{ACCOUNT}_"))):
            claims = (reference_claim("log" if scope == "log" else first, reference),)
        return tuple(dict.fromkeys((first, *others, *(one.account for one in self.conditions), *claims)))


RULES: dict[str, str] = {
    "condition_failed": (
        "The {what} of account {account} is {actual} {currency}, and the command has the condition that it is {is} "
        "{wanted}."
    ),
    "reference_missing": "A unique reference needs a reference, and the command posts no transaction that has one.",
    "reference_taken": (
        "Transaction {transaction} has the reference {reference} already, and a unique reference is used once in each "
        "{scope}."
    ),
}


def decide_conditioned(
    asked: Conditioned, states: States, context: Context, decide: Callable[[Command, States, Context], Decision]
) -> Decision:
    """Decide the command, and refuse it if a condition does not hold or if its unique reference is taken.

    What the command itself does not know or may not do comes first: it must not depend on the figures of any account.
    A condition comes before the rules of the command. The accounts of the conditions never commute: each entry changes
    what the conditions are about.
    """
    decision = decide(asked.command, states, context)
    if isinstance(decision, (NeedsStreams, Unknown, Forbidden)):
        return decision
    commuting = decision.commuting.difference([one.account for one in asked.conditions])
    if asked.unique_reference == "log" and is_customer(context):
        why = "A reference that is unique in the log is for staff and programs; a customer can ask for 'account'."
        return Forbidden(why, commuting)
    for condition in asked.conditions:
        no = _refuse(condition, states, context)
        if no is not None:
            return replace(no, commuting=commuting)
    if isinstance(decision, Refused) or asked.unique_reference is None:
        return replace(decision, commuting=commuting)
    return _with_claim(replace(decision, commuting=commuting), asked.unique_reference, states, context)


def _refuse(condition: Condition, states: States, context: Context) -> Refused | Unknown | None:
    """Return why the condition does not hold, or None. A customer does not know the accounts that they may not see."""
    account = found(states, condition.account, Account)
    if account is None or (is_customer(context) and not allows(account, context.principal.person, context.decided_at)):
        return Unknown("account", condition.account)
    currency = account.profile.currency
    if condition.currency != currency:
        return account.wrong_currency(condition.currency)
    actual = account.balance if condition.what == "balance" else account.available
    if _HOLDS[condition.comparison](actual, condition.amount):
        return None
    figures: dict[str, Figure] = {
        "account": condition.account,
        "what": condition.what,
        "is": condition.comparison,
        "wanted": show(condition.amount, currency),
        "actual": show(actual, currency),
        "currency": currency,
    }
    return Refused("condition_failed", figures)


# Unique references


def reference_claim(scope: str, reference: str) -> str:
    """Return the name of the stream that makes the reference unique. `scope` is the id of an account, or ``log``."""
    return claim_stream("reference", f"{scope}:{reference}")


REFERENCES = reference_claim("", "").removesuffix(":")
"""Beginning of the claims of references."""


def account_of_reference(entries: Sequence[Entry], states: States) -> str:
    """Return the account that a reference is unique for: the first debited one.

    If that one belongs to the ledger itself, such as the cash of a deposit, it is the first credited one.
    """
    debited, credited = first_of_each_side(entries)
    account = found(states, debited, Account)
    return credited if account is not None and account.profile.internal else debited


def first_of_each_side(entries: Sequence[Entry]) -> tuple[str, str]:
    """Return the first debited account and the first credited one. A posted transaction has both."""
    debited = next(entry.account for entry in entries if entry.side == "debit")
    return debited, next(entry.account for entry in entries if entry.side == "credit")


def _with_claim(accepted: Accepted, scope: Scope, states: States, context: Context) -> Decision:
    """Return the accepted decision with the claim of its reference, or the refusal because the reference is taken."""
    commuting = accepted.commuting
    posted = next(
        (event for event in accepted.events if isinstance(event, (TransactionPosted, TransactionPended))), None
    )
    if posted is None or posted.reference is None:
        return Refused("reference_missing", {}, commuting)
    account = account_of_reference(posted.entries, states) if scope == "account" else None
    stream = reference_claim(account or scope, posted.reference)
    if stream not in states:
        return NeedsStreams((stream,))
    claim = found(states, stream, Claim)
    taken = take(claim, stream, posted.originator_id)
    if taken is not None:
        return replace(accepted, events=(*accepted.events, taken))
    if account in accepted.unseen:
        return Refused("account_unseen", {"account": account, "person": context.principal.person}, commuting)
    figures: dict[str, Figure] = {
        "reference": posted.reference,
        "scope": scope,
        "account": account,
        "transaction": None if claim is None else claim.holder,
    }
    return Refused("reference_taken", figures, commuting)
