"""The facts of accounts and transactions.

`TransactionPosted` is the complete fact of a movement of money; each account's stream gets its share of it
(`AccountDebited`, `AccountCredited`) in the same unit. Amounts are positive integers of minor units with their
currency beside them.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from domain.kernel import Event, Personal, Value

CustomerType = Literal["checking", "savings", "credit", "merchant", "escrow"]
InternalRole = Literal["cash", "banks", "fees", "interest", "penalties", "revenue"]
AccountType = CustomerType | InternalRole
Side = Literal["debit", "credit"]
TransactionKind = Literal[
    "deposit", "withdrawal", "transfer", "fee", "interest", "penalty", "payment", "capture", "journal"
]


class AccountOpened(Event, frozen=True):
    number: str
    type: AccountType
    currency: str
    owner: str  # the subject whose key seals the name; for internal accounts the log's name
    name: Personal
    minimum: int | None  # of balance less reserved; None: no minimum
    maximum: int | None  # of balance; None: no maximum
    opened_on: date


class AccountDebited(Event, frozen=True):
    transaction: str
    entry: int  # number of the entry in its transaction, from 1
    amount: int
    currency: str
    value_date: date


class AccountCredited(Event, frozen=True):
    transaction: str
    entry: int
    amount: int
    currency: str
    value_date: date


class AccountFrozen(Event, frozen=True):
    owner: str
    reason: Personal


class AccountUnfrozen(Event, frozen=True):
    owner: str
    reason: Personal


class AccountClosed(Event, frozen=True):
    owner: str
    reason: Personal


class HoldPlaced(Event, frozen=True):
    hold: str
    amount: int
    currency: str
    reference: str | None


class HoldReleased(Event, frozen=True):
    hold: str
    amount: int
    currency: str


class HoldCaptured(Event, frozen=True):
    """The hold ends because money moved: `amount` is what was held, `transaction` what took it (or part of it)."""

    hold: str
    amount: int
    currency: str
    transaction: str


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
    kind: TransactionKind
    value_date: date
    entries: tuple[Entry, ...]  # sum to zero per currency
    reference: str | None  # a reference of the client's business, never about a person
    subject: str | None  # whose key seals the description
    description: Personal | None
