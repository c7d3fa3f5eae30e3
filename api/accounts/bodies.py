"""Bodies of commands on accounts and transactions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from api.accounts.conditions import Conditional
from api.commands.bodies import (
    ACCOUNT_A,
    ACCOUNT_B,
    Amount,
    Body,
    Currency,
    Description,
    Id,
    Instant,
    IsoDate,
    Metadata,
    MetadataKey,
    Reason,
    Reference,
    ShortText,
    SignedAmount,
    Subject,
    Sum,
    example,
)
from api.queries.response_types import one_of
from domain.accounts.account.holds import MOST_DAYS_HELD
from domain.accounts.account.limits import MOST_COUNT
from domain.accounts.fee_schedule import NAME
from domain.accounts.numbers import AccountType, InternalRole
from domain.accounts.posting import MOST_ENTRIES, Side
from domain.codes import MOST_PAIRS

Expiry = Annotated[
    Instant | None, Field(description=f"After now, and at most {MOST_DAYS_HELD} days ahead; null for no expiry")
]

Rate = Annotated[str, StringConstraints(pattern=r"^0(\.[0-9]{1,6})?$")]
"""A part of an amount, below 1. The value is read with `millionths`."""


def millionths(rate: str) -> int:
    """The millionths of a `Rate`: ``millionths("0.025") == 25_000``."""
    return int(rate.partition(".")[2].ljust(6, "0"))


ScheduleName = Annotated[str, StringConstraints(max_length=200), WithJsonSchema({"type": "string", "pattern": NAME})]
"""The name of a fee schedule or a template. The domain refuses another text."""


class Open(Body):
    """Open an account.

    The types from `cash` on are internal accounts: one of each type in each currency, without limits. Those for
    `liquidity` are of a pair of currencies, one in each of the two. Only an operator opens them.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"type": "checking", "currency": "EUR", "owner": "customer-1", "name": "Ada Lovelace"}]
        }
    )

    type: Annotated[AccountType, one_of(AccountType)]
    currency: Currency
    owner: Subject | None = None
    name: ShortText
    pair: Annotated[
        str | None,
        StringConstraints(max_length=7),
        Field(description="The pair of currencies of an account for liquidity, such as EUR:USD; only of such a one"),
    ] = None
    minimum: SignedAmount | None = "0"
    maximum: SignedAmount | None = None
    opened_on: IsoDate | None = None
    metadata: Metadata


class Details(Body):
    """Give an account another name."""

    model_config = example(name="Ada King")

    name: ShortText


class MetadataChange(Body):
    """Set pairs of metadata, and remove others. Other pairs stay."""

    model_config = example(set={"branch": "12"}, remove=["till"])

    set: Metadata
    remove: Annotated[list[MetadataKey], Field(max_length=MOST_PAIRS, default_factory=list)]


class ClosingWhenFree(Reason):
    """Close an account once no hold is open."""

    model_config = example(reason="On request of the owner", sweep_to=ACCOUNT_B)

    sweep_to: Annotated[Id, Field(description="The account that gets what is left")]


class Closing(Reason):
    """Close an account."""

    model_config = example(reason="On request of the owner", sweep_to=ACCOUNT_B)

    sweep_to: Annotated[
        Id | None, Field(description="The account to which what is left goes; null if nothing is left")
    ] = None


class Movement(Sum, Conditional):
    """Move money into or out of one account."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "100.00", "currency": "EUR"}]})

    value_date: IsoDate | None = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata


class FeeCharge(Conditional):
    """Charge a fee: an amount, or what a fee schedule makes of a base amount."""

    model_config = example(schedule="card-fee", base="100.00", currency="EUR")

    currency: Currency
    amount: Annotated[Amount | None, Field(description="The fee. Leave it out to charge by a schedule")] = None
    schedule: Annotated[ScheduleName | None, Field(description="The name of a fee schedule")] = None
    base: Annotated[Amount | None, Field(description="What the schedule computes the fee of")] = None
    value_date: IsoDate | None = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata

    @model_validator(mode="after")
    def _is_one_of_both(self) -> FeeCharge:
        by_schedule = self.schedule is not None and self.base is not None and self.amount is None
        if not by_schedule and (self.amount is None or self.schedule is not None or self.base is not None):
            raise ValueError("amount: give an amount, or a schedule and a base.")
        return self


class TransferBody(Movement):
    """Move money from one account to another."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source": "acct_01h455vb4pex5vsknk084sn02q",
                    "target": "acct_01h455vb4pex5vsknk084sn02r",
                    "amount": "12.30",
                    "currency": "EUR",
                }
            ]
        }
    )

    source: Id
    target: Id


class EntryBody(BaseModel):
    """One line of a transaction."""

    model_config = ConfigDict(extra="forbid", strict=True)

    account: Id
    side: Side
    currency: Currency
    amount: Amount


class TransactionBody(Conditional):
    """Post any balanced set of entries."""

    model_config = example(
        entries=[
            {"account": ACCOUNT_A, "side": "debit", "amount": "12.30", "currency": "EUR"},
            {"account": ACCOUNT_B, "side": "credit", "amount": "12.30", "currency": "EUR"},
        ]
    )

    kind: Literal["transfer", "fee", "interest", "penalty", "payment", "journal"] = "journal"
    entries: Annotated[list[EntryBody], Field(max_length=2_000)]  # the domain has a lower bound with a better message
    value_date: IsoDate | None = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata
    late_for: Annotated[
        IsoDate | None, Field(description="The day in a closed period that it is about; the value date is an open day")
    ] = None


_Awaits = Annotated[
    Literal["request", "approval"],
    Field(description="What it waits for: a request to post it, or the approval of another person"),
]


class PendingTransfer(TransferBody):
    """Reserve the amount of a transfer, to be posted later."""

    model_config = example(
        source=ACCOUNT_A, target=ACCOUNT_B, amount="12.30", currency="EUR", expires_at="2027-01-31T12:00:00Z"
    )

    expires_at: Expiry = None
    awaits: _Awaits = "request"


class PendingTransaction(TransactionBody):
    """Reserve the amounts of any balanced set of entries, to be posted later."""

    expires_at: Expiry = None
    awaits: _Awaits = "request"


class PostPendingBody(Body):
    """Post a pending transaction."""

    model_config = example(value_date="2026-01-31")

    value_date: Annotated[IsoDate | None, Field(description="Null for the one with which it was reserved")] = None


class ApproveBody(Body):
    """Approve a pending transaction, which is posted."""

    model_config = example(value_date="2026-01-31")

    value_date: Annotated[IsoDate | None, Field(description="Null for the one with which it was reserved")] = None


class CancelPendingBody(Body):
    """Cancel a pending transaction."""

    model_config = example(reason="The customer changed their mind")

    reason: Description | None = None


class _Undoing(Body):
    reason: Description
    value_date: Annotated[
        IsoDate | Literal["original"] | None,
        Field(description='A date, "original" for that of the transaction that is undone, or null for today'),
    ] = None
    reference: Reference | None = None
    metadata: Metadata


class ReversedEntry(BaseModel):
    """Part of an entry that is reversed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    entry: Annotated[int, Field(ge=1, le=MOST_ENTRIES, description="Its number in the transaction, from 1")]
    currency: Currency
    amount: Amount


class Reversal(_Undoing):
    """Reverse what is left of a transaction, an amount of it, or parts of its entries."""

    model_config = example(reason="Booked twice", currency="EUR", amount="10.00")

    currency: Annotated[Currency | None, Field(description="Of the amount")] = None
    amount: Annotated[
        Amount | None, Field(description="Of a transaction with one debit and one credit; null for what is left")
    ] = None
    entries: Annotated[
        list[ReversedEntry],
        Field(max_length=MOST_ENTRIES, default_factory=list, description="Instead of an amount; sides are swapped"),
    ]
    with_fee: Annotated[
        bool, Field(description="Whether entries on the internal account for fees are reversed too")
    ] = True


class Refund(_Undoing):
    """Give an amount of a transaction back, less a fee."""

    model_config = example(reason="The goods came back", currency="EUR", amount="10.00", fee_rate="0.025")

    currency: Currency
    amount: Amount
    fee_rate: Annotated[
        Rate, Field(description="The part of the amount that is kept as a fee, below 1; the fee is rounded half even")
    ] = "0"


class Chargeback(_Undoing):
    """Give an amount of a transaction back, because the bank of the payer asked for it."""

    model_config = example(reason="The cardholder disputes it")

    currency: Annotated[Currency | None, Field(description="Of the amount")] = None
    amount: Annotated[Amount | None, Field(description="Null for what is left")] = None


class Adjustment(Conditional, Sum):
    """Correct the balance of an account against an account of the ledger."""

    model_config = example(amount="1.00", currency="EUR", side="credit", against="revenue", reason="Rounding of May")

    side: Annotated[Side, Field(description="Of the entry on the account: a credit raises its balance")]
    against: Annotated[InternalRole, one_of(InternalRole)]
    reason: Description
    value_date: IsoDate | None = None
    reference: Reference | None = None
    parent: Annotated[Id | None, Field(description="The transaction that it corrects")] = None
    metadata: Metadata


class RejectBody(Body):
    """Reject a pending transaction."""

    model_config = example(reason="The invoice is not ours")

    reason: Description


class LimitsBody(Body):
    """Replace the limits of an account. A member that is left out is no limit."""

    model_config = example(currency="EUR", minimum="0", daily="1000.00", monthly="5000.00", reason="A new contract")

    currency: Currency
    reason: Description
    minimum: Annotated[SignedAmount | None, Field(description="What may be available at least")] = None
    maximum: Annotated[SignedAmount | None, Field(description="The largest balance")] = None
    overdraft: Annotated[Amount | None, Field(description="How far below the minimum it may go")] = None
    overdraft_until: Annotated[IsoDate | None, Field(description="The last day of the overdraft; null: no end")] = None
    daily: Annotated[Amount | None, Field(description="Of what leaves it in a UTC day")] = None
    monthly: Annotated[Amount | None, Field(description="Of what leaves it in a UTC month")] = None
    hourly: Annotated[Amount | None, Field(description="Of what leaves it in a rolling hour")] = None
    hourly_count: Annotated[
        int | None, Field(ge=0, le=MOST_COUNT, description="Of transactions that take something in a rolling hour")
    ] = None
    approve_above: Annotated[
        Amount | None, Field(description="A transaction that takes more waits for another person")
    ] = None


class Owner(Body):
    """Add or remove an owner."""

    model_config = example(person="prsn_01h455vb4pex5vsknk084sn02q")

    person: Subject


class Mandate(Body):
    """Let a person who does not own an account see it, move money from it, or both."""

    model_config = example(
        person="prsn_01h455vb4pex5vsknk084sn02q",
        may_see=True,
        currency="EUR",
        move_up_to="100.00",
        until="2027-01-31T12:00:00Z",
    )

    person: Subject
    may_see: bool
    currency: Currency
    move_up_to: Annotated[
        Amount | None, Field(description="The most that one transfer or hold of the person may take; null for nothing")
    ] = None
    until: Annotated[
        Instant | None, Field(description="The end, after now; null for a mandate that lasts until it is withdrawn")
    ] = None


class MandateHolder(Body):
    """Withdraw the mandate of a person."""

    model_config = example(person="prsn_01h455vb4pex5vsknk084sn02q")

    person: Subject


class Hold(Sum):
    """Reserve an amount."""

    model_config = example(amount="40.00", currency="EUR")

    reference: Reference | None = None
    metadata: Metadata
    expires_at: Expiry = None


class Capture(Movement):
    """Pay from a hold, all or part of it."""

    model_config = example(target=ACCOUNT_B, amount="40.00", currency="EUR")

    target: Id
    keep_rest: Annotated[
        bool, Field(description="Whether the hold goes on with the rest; otherwise it ends, and the rest is available")
    ] = False
