"""Double entry: the only place that makes entries.

A posting is decided on the booked balances in log order, never on value-dated ones, and on the net effect it has on
each account: a transaction is one fact, so no limit is tested half way through it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import wraps
from typing import Literal, TypeVar, cast

from msgspec.structs import replace

from domain.accounts.account.events import AccountCredited, AccountDebited
from domain.accounts.account.state import ACCOUNT, Account
from domain.accounts.numbers import InternalRole
from domain.ids import named_id
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Personal,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import MAX_AMOUNT, show

LEAST_ENTRIES, MOST_ENTRIES = 2, 1_000

Side = Literal["debit", "credit"]
TransactionKind = Literal[
    "deposit", "withdrawal", "transfer", "fee", "interest", "penalty", "payment", "capture", "journal"
]


class Entry(Value, frozen=True):
    """One line of a transaction. A credit raises the account's balance, a debit lowers it."""

    account: str
    side: Side
    amount: int
    currency: str

    @property
    def signed(self) -> int:
        """Minor units as they change the balance: credits positive, debits negative."""
        return self.amount if self.side == "credit" else -self.amount


class TransactionPosted(Event, frozen=True):
    """The complete fact of a movement of money: the only event of its stream."""

    kind: TransactionKind
    value_date: date
    entries: tuple[Entry, ...]  # sum to zero per currency
    reference: str | None  # a reference of the client's business, never about a person
    subject: str | None  # whose key seals the description
    description: Personal | None


RULES: dict[str, str] = {
    "value_date_in_future": "The value date {value_date} is after today, {today} (UTC).",
    "entry_count": "A transaction has {least} to {most} entries; this one has {count}.",
    "entry_amount": "Entry {entry} is over {amount} {currency}; an entry is {least} to {most}.",
    "entries_unbalanced": "The {currency} entries sum to {sum}; credits and debits must be equal.",
    "internal_account_missing": (
        "The internal account for {role} in {currency} is not open; an operator opens it with type {role!r} first."
    ),
}


def internal_account(log: str, role: InternalRole, currency: str) -> str:
    """The id of a log's own account for a role in a currency: anyone can compute it, no one looks it up."""
    return named_id(ACCOUNT, log, role, currency)


class Transaction(Value, frozen=True):
    """What is to be posted: the id names the stream, which must not exist."""

    id: str
    kind: TransactionKind
    entries: tuple[Entry, ...]
    value_date: date
    reference: str | None = None
    description: Personal | None = None
    subject: str | None = None  # whose key seals the description


def post(transaction: Transaction, states: States, context: Context) -> Accepted | Refused | Unknown:
    """The transaction is booked by these events, or which rule it breaks first.

    `states` holds every account the entries name; the transaction's own stream is new.
    """
    entries, value_date = transaction.entries, transaction.value_date
    refusal = _well_formed(entries) or _not_after_today(value_date, context)
    if refusal is not None:
        return refusal

    accounts: dict[str, Account] = {}
    net: dict[str, int] = {}
    versions: dict[str, int] = {}
    unlimited: list[str] = []
    for entry in entries:
        id = entry.account
        if id not in accounts:
            account = found(states, id, Account)
            if account is None:
                return Unknown("account", id)
            accounts[id] = account
            refusal = account.refuse_posting(entry.currency, value_date)
            if refusal is not None:
                return refusal
            net[id] = entry.signed
            versions[id] = account.version
            if account.unlimited:
                unlimited.append(id)
        elif entry.currency != accounts[id].profile.currency:
            return accounts[id].wrong_currency(entry.currency)
        else:
            net[id] += entry.signed

    for id, change in net.items():
        refusal = accounts[id].refuse_change(change)
        if refusal is not None:
            return refusal

    posted = transaction.id
    events: list[Event] = [
        TransactionPosted(
            posted,
            1,
            transaction.kind,
            value_date,
            entries,
            transaction.reference,
            transaction.subject,
            transaction.description,
        )
    ]
    for number, entry in enumerate(entries, 1):
        id = entry.account
        versions[id] = version = versions[id] + 1
        share_of = AccountCredited if entry.side == "credit" else AccountDebited
        events.append(share_of(id, version, posted, number, entry.amount, entry.currency, value_date))
    balances: dict[str, Figure] = {}  # those that are certain, as booked
    for id, account in accounts.items():
        if id not in unlimited:
            currency = account.profile.currency
            balance = account.balance + net[id]
            shown = show(balance, currency)
            available = show(balance - account.reserved, currency) if account.reserved else shown
            balances[id] = {"balance": shown, "available": available, "currency": currency}
    return Accepted(tuple(events), {"transaction": posted, "balances": balances}, frozenset(unlimited))


def entries_between(debited: str, credited: str, amount: int, currency: str) -> tuple[Entry, Entry]:
    """The two entries that move an amount from one account to another."""
    return Entry(debited, "debit", amount, currency), Entry(credited, "credit", amount, currency)


def post_against_internal(
    transaction: Transaction,
    role: InternalRole,
    *,
    debited: str | None = None,
    credited: str | None = None,
    amount: int,
    currency: str,
    states: States,
    context: Context,
) -> Decision:
    """Post one entry to a customer's account, the other to the log's own account for `role`.

    The customer's account is `debited` or `credited`; the entries of `transaction` are made here.
    """
    customer = cast(str, debited or credited)
    internal = internal_account(context.log, role, currency)
    if internal not in states:
        return NeedsStreams((internal,))
    account = found(states, customer, Account)
    if account is None:
        return Unknown("account", customer)
    if account.profile.internal:
        return Refused("account_internal", {"account": customer, "type": account.profile.type})
    if currency != account.profile.currency:
        return account.wrong_currency(currency)
    if found(states, internal, Account) is None:
        return Refused("internal_account_missing", {"role": role, "currency": currency})
    entries = entries_between(debited or internal, credited or internal, amount, currency)
    return post(replace(transaction, entries=entries), states, context)


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
        if isinstance(decision, (Refused, Unknown)):  # a union would be made anew each time
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
        currency, amount = entry.currency, entry.amount
        if not 0 < amount <= MAX_AMOUNT:
            return Refused(
                "entry_amount",
                {
                    "entry": number,
                    "amount": show(amount, currency),
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
