"""What clients may ask of accounts. Ids are drawn before deciding; amounts are positive minor units."""

from __future__ import annotations

from datetime import date

from domain.accounts.events import AccountType, Entry, TransactionKind
from domain.accounts.numbers import number_claim
from domain.kernel import Personal, Value


class OpenAccount(Value, frozen=True):
    account: str
    number: str  # from `accounts.numbers`, over a number drawn from a sequence
    type: AccountType
    currency: str
    owner: str
    name: Personal
    minimum: int | None
    maximum: int | None
    opened_on: date

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account, number_claim(self.number))


class _Movement(Value, frozen=True):
    """One customer account against one of the ledger's own."""

    transaction: str
    account: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None


class Deposit(_Movement, frozen=True):
    """Cash in."""

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


class Withdraw(_Movement, frozen=True):
    """Cash out."""

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


class ChargeFee(_Movement, frozen=True):
    """The ledger's fee."""

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


class Transfer(Value, frozen=True):
    transaction: str
    source: str
    target: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.source, self.target)


class PostTransaction(Value, frozen=True):
    """Any balanced set of entries."""

    transaction: str
    kind: TransactionKind
    entries: tuple[Entry, ...]
    value_date: date
    reference: str | None = None
    description: Personal | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.account for entry in self.entries))


class _OnOneAccount(Value, frozen=True):
    account: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


class FreezeAccount(_OnOneAccount, frozen=True):
    reason: Personal


class UnfreezeAccount(_OnOneAccount, frozen=True):
    reason: Personal


class CloseAccount(_OnOneAccount, frozen=True):
    reason: Personal


class PlaceHold(_OnOneAccount, frozen=True):
    """Reserve an amount: the balance stays, what is available falls."""

    hold: str
    amount: int
    currency: str
    reference: str | None = None


class ReleaseHold(_OnOneAccount, frozen=True):
    hold: str


class CaptureHold(Value, frozen=True):
    """Pay from a hold to another account: all or part of it; what is left over becomes available again."""

    account: str
    hold: str
    transaction: str
    target: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account, self.target)


AccountCommand = (
    OpenAccount
    | Deposit
    | Withdraw
    | ChargeFee
    | Transfer
    | PostTransaction
    | FreezeAccount
    | UnfreezeAccount
    | CloseAccount
    | PlaceHold
    | ReleaseHold
    | CaptureHold
)
