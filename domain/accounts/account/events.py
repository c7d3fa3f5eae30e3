"""The events of an account. Amounts are positive integers of minor units, with their currency beside them.

Money moves by a transaction (`domain.accounts.posting`). Each account's stream gets its share of it, `AccountDebited`
or `AccountCredited`, in the same unit.
"""

from __future__ import annotations

from datetime import date

from domain.accounts.numbers import AccountType
from domain.kernel import Event, Personal


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


AccountEvent = (
    AccountOpened
    | AccountDebited
    | AccountCredited
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
    | HoldPlaced
    | HoldReleased
    | HoldCaptured
)
