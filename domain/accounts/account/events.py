"""The events of an account. Amounts are positive integers of minor units, and the currency is in the same event.

A transaction moves money (`domain.accounts.posting`). Each account gets its entries in the same unit:
`AccountDebited` or `AccountCredited`.
"""

from __future__ import annotations

from datetime import date, datetime

from domain.accounts.numbers import AccountType
from domain.accounts.risk.rules import Action, Factor
from domain.codes import Metadata
from domain.kernel import Event, Personal


class AccountOpened(Event, frozen=True):
    """An account was opened. It is the first event of its stream."""

    number: str
    type: AccountType
    currency: str
    owner: str  # the person whose key seals the name; the name of the log for an internal account
    name: Personal
    minimum: int | None  # of the balance less the reserved amounts; None: no minimum
    maximum: int | None  # of the balance; None: no maximum
    opened_on: date


class AccountDebited(Event, frozen=True):
    """An entry of a transaction lowered the balance."""

    transaction: str
    entry: int  # number of the entry in its transaction, from 1
    amount: int
    currency: str
    value_date: date


class AccountCredited(Event, frozen=True):
    """An entry of a transaction raised the balance."""

    transaction: str
    entry: int
    amount: int
    currency: str
    value_date: date


class AccountFrozen(Event, frozen=True):
    """The account was frozen. Nothing can be posted to it until it is unfrozen."""

    owner: str
    reason: Personal


class AccountUnfrozen(Event, frozen=True):
    """The account was unfrozen, and is open again."""

    owner: str
    reason: Personal


class AccountClosed(Event, frozen=True):
    """The account was closed, with a balance of zero and without holds."""

    owner: str
    reason: Personal


class AccountClosingAsked(Event, frozen=True):
    """The account is to be closed once no hold is open. From now on nothing new is taken from it or held on it."""

    owner: str
    reason: Personal
    sweep_to: str  # the account that gets what is left
    open_holds: int  # those of pending transactions among them


class AccountClosingCancelled(Event, frozen=True):
    """The account is not to be closed any more."""

    owner: str
    reason: Personal


class AccountReopened(Event, frozen=True):
    """The account was closed, and is open again."""

    owner: str
    reason: Personal


class AccountDetailsChanged(Event, frozen=True):
    """The account got another name."""

    owner: str
    name: Personal


class AccountMetadataChanged(Event, frozen=True):
    """Pairs of metadata were set or replaced, and others removed."""

    metadata: Metadata  # the pairs that were set
    removed: tuple[str, ...]  # keys; none of them is set


class HoldPlaced(Event, frozen=True):
    """An amount was reserved."""

    hold: str
    amount: int
    currency: str
    reference: str | None
    metadata: Metadata
    expires_at: datetime | None  # aware, UTC; None: until it is released or captured


class HoldReleased(Event, frozen=True):
    """A hold ended, and what was left of it became available again."""

    hold: str
    amount: int
    currency: str


class HoldExpired(Event, frozen=True):
    """A hold ended because its time was over, and what was left of it became available again."""

    hold: str
    amount: int
    currency: str


class HoldCaptured(Event, frozen=True):
    """A hold ended because it was paid. `amount` is all that was left of it; `transaction` took all or part of that."""

    hold: str
    amount: int
    currency: str
    transaction: str


class HoldPartlyCaptured(Event, frozen=True):
    """A part of a hold was paid: `transaction` took `amount`. The hold goes on with the rest."""

    hold: str
    amount: int
    currency: str
    transaction: str


class OwnerAdded(Event, frozen=True):
    """A person became an owner of the account. A mandate that the person had is over."""

    person: str


class OwnerRemoved(Event, frozen=True):
    """A person is no owner of the account any more. Another owner is left."""

    person: str


class MandateGiven(Event, frozen=True):
    """A person who does not own the account may use it. This replaces the mandate that the person had."""

    person: str
    may_see: bool
    move_up_to: int | None  # what one transaction or hold of the person may take at most; None: nothing
    currency: str
    until: datetime | None  # aware, UTC: the first instant without it; None: until it is withdrawn


class MandateWithdrawn(Event, frozen=True):
    """A person has no mandate of the account any more."""

    person: str


class LimitsChanged(Event, frozen=True):
    """The limits of the account were changed. The event has all of them. None: no such limit."""

    owner: str
    reason: Personal
    minimum: int | None  # of the balance less the reserved amounts
    maximum: int | None  # of the balance
    overdraft: int  # how far below the minimum it may go, as long as the line lasts; 0: not at all
    overdraft_until: date | None  # the last day of the line, UTC; None: no end
    daily: int | None  # outgoing amounts in a UTC day
    monthly: int | None  # outgoing amounts in a UTC month
    hourly: int | None  # outgoing amounts in a rolling hour
    hourly_count: int | None  # outgoing transactions in a rolling hour
    approve_above: int | None  # a transaction that takes more waits for another person


class LimitUsed(Event, frozen=True):
    """A transaction took an amount that counts against the outgoing limits. It stands beside the entries."""

    transaction: str
    amount: int
    currency: str
    at: datetime  # aware, UTC


class LimitReturned(Event, frozen=True):
    """A reversal gave an amount back that had counted against the outgoing limits."""

    transaction: str  # the reversal
    amount: int
    currency: str
    used_at: datetime  # aware, UTC: when it had counted


class AccountAssessed(Event, frozen=True):
    """The risk rules gave points to a transaction that would take money from the account.

    It stands before the entries of the transaction, on the hold of one that waits, or alone with the refusal of one.
    """

    transaction: str
    kind: str
    amount: int
    currency: str
    score: int
    action: Action
    factors: tuple[Factor, ...]
    policy_version: int  # of the stream of the posting policy, which has the risk rules
    at: datetime  # aware, UTC


class AccountAttached(Event, frozen=True):
    """The account was attached to a node of the chart, and detached from the one before."""

    node: str
    previous: str | None  # the node before


class AccountDetached(Event, frozen=True):
    """The account is attached to no node any more."""

    node: str


AccountEvent = (
    AccountOpened
    | AccountDebited
    | AccountCredited
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
    | AccountClosingAsked
    | AccountClosingCancelled
    | AccountReopened
    | AccountDetailsChanged
    | AccountMetadataChanged
    | HoldPlaced
    | HoldReleased
    | HoldCaptured
    | HoldPartlyCaptured
    | HoldExpired
    | OwnerAdded
    | OwnerRemoved
    | MandateGiven
    | MandateWithdrawn
    | LimitsChanged
    | LimitUsed
    | LimitReturned
    | AccountAssessed
    | AccountAttached
    | AccountDetached
)
