"""What clients may ask of accounts. Ids are drawn before deciding; amounts are positive minor units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from domain.accounts.events import AccountType, Entry, TransactionKind
from domain.accounts.numbers import number_claim
from domain.kernel import Personal


@dataclass(frozen=True, slots=True)
class OpenAccount:
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


@dataclass(frozen=True, slots=True)
class _Movement:
    """One customer account against one of the ledger's own."""

    transaction: str
    account: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None


@dataclass(frozen=True, slots=True)
class Deposit(_Movement):
    """Cash in."""

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


@dataclass(frozen=True, slots=True)
class Withdraw(_Movement):
    """Cash out."""

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


@dataclass(frozen=True, slots=True)
class ChargeFee(_Movement):
    """The ledger's fee."""

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


@dataclass(frozen=True, slots=True)
class Transfer:
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


@dataclass(frozen=True, slots=True)
class PostTransaction:
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


@dataclass(frozen=True, slots=True)
class _OnOneAccount:
    account: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


@dataclass(frozen=True, slots=True)
class FreezeAccount(_OnOneAccount):
    reason: Personal


@dataclass(frozen=True, slots=True)
class UnfreezeAccount(_OnOneAccount):
    reason: Personal


@dataclass(frozen=True, slots=True)
class CloseAccount(_OnOneAccount):
    reason: Personal


@dataclass(frozen=True, slots=True)
class PlaceHold(_OnOneAccount):
    """Reserve an amount: the balance stays, what is available falls."""

    hold: str
    amount: int
    currency: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseHold(_OnOneAccount):
    hold: str


@dataclass(frozen=True, slots=True)
class CaptureHold:
    """Pay from a hold to another account: all or part of it; what is left over becomes available again."""

    account: str
    hold: str
    transaction: str
    target: str
    amount: int
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
