"""The answers to commands on accounts and transactions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.queries.response_types import CurrencyCode, Money, one_of
from domain.accounts.account.state import Status


class AccountOpened(Accepted):
    """An account that was opened."""

    account: str
    number: Annotated[str, Field(description="For people: three letters, ten digits and two check digits")]


class AccountChanged(Accepted):
    """An account that was frozen, unfrozen or closed."""

    account: str
    status: Annotated[str, one_of(Status)]


class HoldChanged(Accepted):
    """A hold that was placed or released."""

    account: str
    hold: str
    balance: Annotated[Money, Field(description="Of the account")]
    reserved: Annotated[Money, Field(description="The sum of the account's open holds")]
    available: Annotated[Money, Field(description="The balance less what is reserved")]
    currency: CurrencyCode


class Balance(TypedDict):
    """An account's balance after a transaction."""

    balance: Money
    available: Annotated[Money, Field(description="The balance less what is reserved")]
    currency: CurrencyCode


class Posted(Accepted):
    """A transaction that was posted."""

    transaction: str
    balances: Annotated[
        dict[str, Balance], Field(description="By account; those of internal accounts without limits are left out")
    ]


class HoldCaptured(Posted):
    """A hold that was captured by a transaction."""

    hold: str
