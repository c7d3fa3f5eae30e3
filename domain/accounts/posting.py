"""Double entry: the only place that makes entries.

A posting is decided on the booked balances in log order, never on value-dated ones, and on the net effect it has on
each account: a transaction is one fact, so no limit is tested half way through it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import wraps
from typing import TypeVar, cast

from domain.accounts.account import Account
from domain.accounts.events import (
    AccountCredited,
    AccountDebited,
    Entry,
    InternalRole,
    TransactionKind,
    TransactionPosted,
)
from domain.ids import ACCOUNT, named_id
from domain.kernel import Context, Decision, Event, Figure, Personal, Refused, States, Unknown
from domain.money import MAX_AMOUNT, show

LEAST_ENTRIES, MOST_ENTRIES = 2, 1_000


def internal_account(log: str, role: InternalRole, currency: str) -> str:
    """The id of a log's own account for a role in a currency: anyone can compute it, no one looks it up."""
    return named_id(ACCOUNT, log, role, currency)


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is to be posted: the id names the stream, which must not exist."""

    id: str
    kind: TransactionKind
    entries: tuple[Entry, ...]
    value_date: date
    reference: str | None = None
    description: Personal | None = None
    subject: str | None = None  # whose key seals the description


@dataclass(frozen=True, slots=True)
class Posting:
    """A transaction that may be booked: its events in order, and the accounts as they are afterwards."""

    events: tuple[Event, ...]
    accounts: dict[str, Account]
    commuting: frozenset[str]

    def result(self) -> dict[str, Figure]:
        """What the answer tells: the transaction, and the booked balance of each account whose balance is certain."""
        first = cast(TransactionPosted, self.events[0])
        return {
            "transaction": first.originator_id,
            "balances": {
                id: {
                    "balance": show(account.balance, account.profile.currency),
                    "available": show(account.available, account.profile.currency),
                    "currency": account.profile.currency,
                }
                for id, account in self.accounts.items()
                if id not in self.commuting
            },
        }


def post(transaction: Transaction, states: States, context: Context) -> Posting | Refused | Unknown:
    """The events that book the transaction, or the first rule it breaks.

    `states` holds every account the entries name; the transaction's own stream is new.
    """
    refusal = _well_formed(transaction.entries) or _not_after_today(transaction.value_date, context)
    if refusal is not None:
        return refusal

    accounts: dict[str, Account] = {}
    net: dict[str, int] = {}
    for entry in transaction.entries:
        id = entry.account
        if id not in accounts:
            account = states[id]
            if account is None:
                return Unknown("account", id)
            accounts[id] = account = cast(Account, account)
            refusal = account.refuse_posting(entry.currency, transaction.value_date)
            if refusal is not None:
                return refusal
            net[id] = 0
        elif entry.currency != accounts[id].profile.currency:
            return accounts[id].wrong_currency(entry.currency)
        net[id] += entry.signed

    for id, amount in net.items():
        refusal = accounts[id].refuse_change(amount)
        if refusal is not None:
            return refusal

    events: list[Event] = [
        TransactionPosted(
            transaction.id,
            1,
            transaction.kind,
            transaction.value_date,
            transaction.entries,
            transaction.reference,
            transaction.subject,
            transaction.description,
        )
    ]
    for number, entry in enumerate(transaction.entries, 1):
        account = accounts[entry.account]
        share_of = AccountCredited if entry.side == "credit" else AccountDebited
        share = share_of(
            entry.account,
            account.version + 1,
            transaction.id,
            number,
            entry.amount,
            entry.currency,
            transaction.value_date,
        )
        events.append(share)
        accounts[entry.account] = account.booked(share.originator_version, entry.signed)
    return Posting(tuple(events), accounts, frozenset(id for id, account in accounts.items() if account.unlimited))


C = TypeVar("C")


def posting_decision(
    decide: Callable[[C, States, Context], Decision],
) -> Callable[[C, States, Context], Decision]:
    """Marks the decision of a command that posts: entries to unlimited accounts never have a part in its refusal.

    Without it a refused deposit would rest on the exact version of the cash account, which moves all the time.
    """

    @wraps(decide)
    def decided(command: C, states: States, context: Context) -> Decision:
        decision = decide(command, states, context)
        if isinstance(decision, Refused | Unknown):
            unlimited = [id for id, state in states.items() if isinstance(state, Account) and state.unlimited]
            return replace(decision, commuting=frozenset(unlimited))
        return decision

    return decided


def _well_formed(entries: Sequence[Entry]) -> Refused | None:
    """The rules a transaction keeps whatever the accounts: count, amounts, zero sum per currency."""
    if not LEAST_ENTRIES <= len(entries) <= MOST_ENTRIES:
        return Refused("entry_count", {"least": LEAST_ENTRIES, "most": MOST_ENTRIES, "count": len(entries)})
    sums: dict[str, int] = {}
    for number, entry in enumerate(entries, 1):
        currency = entry.currency
        if not 0 < entry.amount <= MAX_AMOUNT:
            return Refused(
                "entry_amount",
                {
                    "entry": number,
                    "amount": show(entry.amount, currency),
                    "currency": currency,
                    "least": show(1, currency),
                    "most": show(MAX_AMOUNT, currency),
                },
            )
        sums[currency] = sums.get(currency, 0) + entry.signed
    for currency, total in sums.items():
        if total != 0:
            return Refused("entries_unbalanced", {"currency": currency, "sum": show(total, currency)})
    return None


def _not_after_today(value_date: date, context: Context) -> Refused | None:
    if value_date > context.today:
        return Refused(
            "value_date_in_future", {"value_date": value_date.isoformat(), "today": context.today.isoformat()}
        )
    return None
