"""The JSON of accounts and transactions in responses. Amounts are decimal strings; dates are in ISO format."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from api.queries.response_types import CurrencyCode, Erasable, LogPosition, Money, StreamVersion, one_of
from domain.accounts.account.state import Status
from domain.accounts.details import Relation
from domain.accounts.numbers import AccountType
from domain.accounts.posting import Side, TransactionKind
from domain.accounts.transaction.events import Awaits
from domain.accounts.transaction.state import TransactionStatus
from domain.money import show
from projections.accounts.accounts.queries import AccountRow
from projections.accounts.entries.queries import EntryRow
from projections.accounts.limit_usage import LimitUsageRow
from projections.accounts.movements import queries as movements
from projections.accounts.transactions.queries import TransactionRow
from projections.accounts.trial_balance import queries as trial_balances

_Type = Annotated[str, one_of(AccountType)]
_Side = Annotated[str, one_of(Side)]


class Account(TypedDict):
    """An account as it is now."""

    account: str
    number: Annotated[str, Field(description="For people: three letters, ten digits and two check digits")]
    type: _Type
    currency: CurrencyCode
    owner: Annotated[str, Field(description="The customer; the name of the log for an internal account")]
    name: Erasable
    name_erased: bool
    status: Annotated[str, one_of(Status)]
    reason: Annotated[str | None, Field(description="Why it is frozen or closed")]
    minimum: Annotated[Money | None, Field(description="The least that may be available; null for no limit")]
    maximum: Annotated[Money | None, Field(description="The largest balance; null for no limit")]
    overdraft: Annotated[Money | None, Field(description="How far below the minimum it may go")]
    overdraft_until: Annotated[date | None, Field(description="The last day of the overdraft line; null: no end")]
    daily: Annotated[Money | None, Field(description="What may leave it in a UTC day; null for no limit")]
    monthly: Annotated[Money | None, Field(description="What may leave it in a UTC month; null for no limit")]
    hourly: Annotated[Money | None, Field(description="What may leave it in a rolling hour; null for no limit")]
    hourly_count: Annotated[int | None, Field(description="Transactions that may take something in a rolling hour")]
    approve_above: Annotated[Money | None, Field(description="A transaction that takes more waits for another person")]
    opened_on: date
    balance: Annotated[Money, Field(description="Credits less debits")]
    reserved: Annotated[Money, Field(description="The sum of the open holds")]
    available: Annotated[Money, Field(description="The balance less what is reserved")]
    version: StreamVersion
    entries: Annotated[int, Field(description="How many entries were booked")]
    position: LogPosition
    metadata: Annotated[dict[str, str], Field(description="Pairs that clients keep with it")]
    closing_to: Annotated[
        str | None,
        Field(description="It is closed once no hold is open, and this account gets what is left; null if it is not"),
    ]


class Entry(TypedDict):
    """An entry of an account."""

    number: Annotated[int, Field(description="Within the account, from 1, in the order of booking")]
    transaction: str
    entry: Annotated[int, Field(description="Within the transaction, from 1")]
    side: _Side
    amount: Money
    currency: CurrencyCode
    balance_after: Annotated[Money, Field(description="The balance of the account after this entry")]
    value_date: date
    recorded_at: datetime
    position: LogPosition


class TransactionEntry(TypedDict):
    """One line of a transaction."""

    account: str
    side: _Side
    amount: Money
    currency: CurrencyCode


class Transaction(TypedDict):
    """A transaction with all its entries, whose sum is zero in each currency.

    Of a transaction with more than two entries, a customer gets those of accounts that the customer may see.
    """

    transaction: str
    kind: Annotated[str, one_of(TransactionKind)]
    value_date: date
    reference: str | None
    description: str | None
    description_erased: Annotated[
        bool, Field(description="Whether it had a description that was erased with its owner's data")
    ]
    entries: list[TransactionEntry]
    status: Annotated[str, one_of(TransactionStatus)]
    parent: Annotated[
        str | None,
        Field(
            description=(
                "The transaction that it belongs to, such as the reversed one, or the recurring payment, or the "
                "transfer order"
            )
        ),
    ]
    relation: Annotated[Annotated[str, one_of(Relation)] | None, Field(description="What it is to its parent")]
    template: Annotated[str | None, Field(description="The template that made its entries")]
    template_version: int | None
    late_for: Annotated[date | None, Field(description="The day in a closed period that it is about")]
    metadata: Annotated[dict[str, str], Field(description="Pairs that the client keeps with it")]
    awaits: Annotated[
        Annotated[str, one_of(Awaits)] | None, Field(description="What a pending one waits for, or waited for")
    ]
    initiator: Annotated[str | None, Field(description="The person who asked for one that waits")]
    decided_by: Annotated[str | None, Field(description="The person who approved or rejected it")]
    expires_at: Annotated[datetime | None, Field(description="Until when a pending one waits")]
    reason: Annotated[str | None, Field(description="Why it was cancelled or rejected")]
    reversed_by: Annotated[str | None, Field(description="The newest transaction that reverses it")]
    reversed: Annotated[
        list[Money] | None, Field(description="Of each entry, what is reversed by now; null for nothing")
    ]
    recorded_at: datetime
    position: LogPosition


class LimitUsage(TypedDict):
    """What counted against the outgoing limits of an account on one UTC day."""

    account: str
    day: date
    currency: CurrencyCode
    transactions: Annotated[int, Field(description="How many transactions counted")]
    used: Annotated[Money, Field(description="What they took, less what reversals gave back")]
    position: LogPosition


class CurrencyTotal(TypedDict):
    """The totals of one currency over all accounts."""

    currency: CurrencyCode
    debits: Money
    credits: Money


class TrialBalanceLine(TypedDict):
    """The totals of one currency and type of account."""

    currency: CurrencyCode
    type: _Type
    debits: Money
    credits: Money
    balance: Annotated[Money, Field(description="Credits less debits")]


class TrialBalance(TypedDict):
    """Debits and credits of all accounts."""

    balanced: Annotated[bool, Field(description="Whether debits equal credits in every currency")]
    totals: list[CurrencyTotal]
    lines: list[TrialBalanceLine]


class DailyBalance(TypedDict):
    """The entries and balances of an account on one value date."""

    day: date
    currency: CurrencyCode
    opening: Annotated[Money, Field(description="The balance by value date at the beginning of the day")]
    debits: Money
    credits: Money
    closing: Annotated[Money, Field(description="The balance by value date at the end of the day")]
    entries: Annotated[int, Field(description="How many entries have this value date")]


def _amount(minor: int | None, currency: str) -> str | None:
    return None if minor is None else show(minor, currency)


def account_view(row: AccountRow) -> Account:
    c = row.currency
    return {
        "account": row.account,
        "number": row.number,
        "type": row.type,
        "currency": c,
        "owner": row.owner,
        "name": row.name,
        "name_erased": row.name_erased,
        "status": row.status,
        "reason": row.reason,
        "minimum": _amount(row.minimum, c),
        "maximum": _amount(row.maximum, c),
        "overdraft": _amount(row.overdraft, c),
        "overdraft_until": row.overdraft_until,
        "daily": _amount(row.daily, c),
        "monthly": _amount(row.monthly, c),
        "hourly": _amount(row.hourly, c),
        "hourly_count": row.hourly_count,
        "approve_above": _amount(row.approve_above, c),
        "opened_on": row.opened_on,
        "balance": show(row.balance, c),
        "reserved": show(row.reserved, c),
        "available": show(row.available, c),
        "version": row.version,
        "entries": row.entries,
        "position": row.position,
        "metadata": row.metadata,
        "closing_to": row.closing_to,
    }


def entry_view(row: EntryRow) -> Entry:
    c = row.currency
    return {
        "number": row.number,
        "transaction": row.transaction,
        "entry": row.entry,
        "side": row.side,
        "amount": show(row.amount, c),
        "currency": c,
        "balance_after": show(row.balance_after, c),
        "value_date": row.value_date,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


def transaction_view(row: TransactionRow) -> Transaction:
    return {
        "transaction": row.transaction,
        "kind": row.kind,
        "value_date": row.value_date,
        "reference": row.reference,
        "description": row.description,
        "description_erased": row.description_erased,
        "entries": [
            {"account": e.account, "side": e.side, "amount": show(e.amount, e.currency), "currency": e.currency}
            for e in row.entries
        ],
        "status": row.status,
        "parent": row.parent,
        "relation": row.relation,
        "template": row.template,
        "template_version": row.template_version,
        "late_for": row.late_for,
        "metadata": row.metadata or {},
        "awaits": row.awaits,
        "initiator": row.initiator,
        "decided_by": row.decided_by,
        "expires_at": row.expires_at,
        "reason": row.reason,
        "reversed_by": row.reversed_by,
        "reversed": _reversed(row),
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


def _reversed(row: TransactionRow) -> list[str] | None:
    """What is reversed of each entry. A reader who does not see all entries does not see it."""
    if row.reversed is None or len(row.reversed) != len(row.entries):
        return None
    return [show(amount, entry.currency) for amount, entry in zip(row.reversed, row.entries, strict=True)]


def limit_usage_view(row: LimitUsageRow) -> LimitUsage:
    return {
        "account": row.account,
        "day": row.day,
        "currency": row.currency,
        "transactions": row.transactions,
        "used": show(row.used, row.currency),
        "position": row.position,
    }


def trial_balance_view(balance: trial_balances.TrialBalance) -> TrialBalance:
    return {
        "balanced": balance.balanced,
        "totals": [
            {"currency": t.currency, "debits": show(t.debits, t.currency), "credits": show(t.credits, t.currency)}
            for t in balance.totals
        ],
        "lines": [
            {
                "currency": line.currency,
                "type": line.type,
                "debits": show(line.debits, line.currency),
                "credits": show(line.credits, line.currency),
                "balance": show(line.balance, line.currency),
            }
            for line in balance.lines
        ],
    }


def movement_view(row: movements.DailyBalance) -> DailyBalance:
    c = row.currency
    return {
        "day": row.day,
        "currency": c,
        "opening": show(row.opening, c),
        "debits": show(row.debits, c),
        "credits": show(row.credits, c),
        "closing": show(row.closing, c),
        "entries": row.entries,
    }
