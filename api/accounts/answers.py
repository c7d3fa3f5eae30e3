"""The answers to commands on accounts and transactions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, NotRequired, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.queries.response_types import CurrencyCode, Money, one_of
from domain.accounts.account.state import Status
from domain.accounts.transaction.events import Awaits
from domain.accounts.transaction.state import TransactionStatus


class AccountOpened(Accepted):
    """An account that was opened."""

    account: str
    number: Annotated[str, Field(description="For people: three letters, ten digits and two check digits")]


class AccountChanged(Accepted):
    """An account that was changed."""

    account: str
    status: Annotated[str, one_of(Status)]


class ClosingAsked(AccountChanged):
    """An account that is to be closed once no hold is open."""

    holds: Annotated[int, Field(description="How many are open, those of pending transactions among them")]


class OwnersChanged(Accepted):
    """An account whose owners or mandates were changed."""

    account: str
    person: str


class MandateGiven(OwnersChanged):
    """A mandate that was given."""

    may_see: bool
    move_up_to: Annotated[Money | None, Field(description="Null for nothing")]
    currency: CurrencyCode
    until: Annotated[datetime | None, Field(description="The first instant without it")]


class HoldChanged(Accepted):
    """A hold that was placed or released. A customer who may not see the account gets no figures of it."""

    account: str
    hold: str
    balance: NotRequired[Annotated[Money, Field(description="Of the account")]]
    reserved: NotRequired[Annotated[Money, Field(description="The sum of what is left of the account's open holds")]]
    available: NotRequired[Annotated[Money, Field(description="The balance less what is reserved")]]
    currency: CurrencyCode


class Balance(TypedDict):
    """An account's balance after a transaction."""

    balance: Money
    available: Annotated[Money, Field(description="The balance less what is reserved")]
    currency: CurrencyCode


_Balances: TypeAlias = Annotated[
    dict[str, Balance],
    Field(
        description="By account. Those of internal accounts without limits are left out, and for a customer those of "
        "accounts that the customer may not see"
    ),
]


class Booked(Accepted):
    """A transaction that was posted."""

    transaction: str
    balances: _Balances


class Posted(Accepted):
    """A transaction that was posted, or that waits for another person because of its amount: then `status` says so."""

    transaction: str
    balances: NotRequired[_Balances]  # not of a transaction that waits
    status: NotRequired[Annotated[str, one_of(TransactionStatus)]]
    awaits: NotRequired[Annotated[str, one_of(Awaits), Field(description="What it waits for")]]
    expires_at: NotRequired[datetime | None]


class AccountClosed(AccountChanged):
    """An account that was closed."""

    transaction: NotRequired[Annotated[str, Field(description="The sweep, if there was something left")]]
    balances: NotRequired[Annotated[dict[str, Balance], Field(description="After the sweep, as of every transaction")]]


class FeeCharged(Posted):
    """A fee that was charged. If a schedule made it, the answer says how."""

    fee_schedule: NotRequired[str]
    number: NotRequired[Annotated[int, Field(description="The version of the schedule")]]
    base: NotRequired[Annotated[Money, Field(description="What the fee was computed of")]]
    fee: NotRequired[Money]
    currency: NotRequired[CurrencyCode]


class HoldCaptured(Booked):
    """A hold that was captured by a transaction, in whole or in part."""

    hold: str
    remaining: NotRequired[
        Annotated[Money, Field(description="What is left of the hold; answers of earlier releases have it not")]
    ]


class TransactionPending(Accepted):
    """A transaction that waits. Its amounts are reserved."""

    transaction: str
    status: Annotated[str, one_of(TransactionStatus)]
    awaits: Annotated[str, one_of(Awaits)]
    expires_at: datetime | None


class PendingPosted(Booked):
    """A pending transaction that was posted."""

    status: Annotated[str, one_of(TransactionStatus)]


class PendingEnded(Accepted):
    """A pending transaction that ended without being posted."""

    transaction: str
    status: Annotated[str, one_of(TransactionStatus)]


class TransactionUndone(Booked):
    """A transaction that was reversed, refunded or charged back, and the one that did it."""

    original: str
    status: Annotated[str, one_of(TransactionStatus), Field(description="Of the original")]
    left: Annotated[dict[str, Money], Field(description="What is left to reverse, by number of the original's entry")]


class LimitsChanged(Accepted):
    """An account whose limits were changed. Null: no such limit."""

    account: str
    currency: CurrencyCode
    minimum: Money | None
    maximum: Money | None
    overdraft: Money
    overdraft_until: str | None
    daily: Money | None
    monthly: Money | None
    hourly: Money | None
    hourly_count: int | None
    approve_above: Money | None
