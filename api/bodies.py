"""What the bodies of commands may be. Strict: nothing is converted, nothing unknown is taken."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from domain import money
from domain.accounts.events import AccountType, Side
from domain.orders.decisions import MOST_LINES, MOST_QUANTITY

MOST_EXPECTED = 20
MOST_VERSION = 2**53


_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _iso_date(value: Any) -> date:
    if isinstance(value, date):  # a default
        return value
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        raise ValueError("a date such as 2026-01-31 is needed")
    return date.fromisoformat(value)


IsoDate = Annotated[date, BeforeValidator(_iso_date), WithJsonSchema({"type": "string", "format": "date"})]


def _known(currency: str) -> str:
    money.exponent(currency)
    return currency


def _minor(amount: Any, info: ValidationInfo) -> int:
    if not isinstance(amount, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    if "currency" not in info.data:  # declared before the amount; if it is wrong, that is said already
        return 0
    return money.parse_positive(amount, info.data["currency"])


def _signed(amount: str, info: ValidationInfo) -> str:
    if "currency" in info.data:
        money.parse(amount, info.data["currency"])
    return amount


# The domain judges money, so that its sentences quote the amount; the patterns are only for the description.
_AMOUNT = WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,16}(\.[0-9]{1,3})?$", "examples": ["12.30"]})
_SIGNED = WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]{1,16}(\.[0-9]{1,3})?$", "examples": ["-500.00"]})
_CURRENCY = WithJsonSchema({"type": "string", "enum": sorted(money.EXPONENTS)})
Amount = Annotated[int, BeforeValidator(_minor), _AMOUNT]
"""More than zero: a decimal string of the currency outside, minor units inside."""
SignedAmount = Annotated[str, AfterValidator(_signed), _SIGNED]
Price = Annotated[str, _AMOUNT]
Currency = Annotated[str, AfterValidator(_known), _CURRENCY]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,8}_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
StreamName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
Subject = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,100}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,100}$")]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Description = Annotated[str, StringConstraints(min_length=1, max_length=500)]
ExpectedVersions = dict[StreamName, Annotated[int, Field(ge=0, le=MOST_VERSION)]]


_ACCOUNT_A, _ACCOUNT_B = "acct_01h455vb4pex5vsknk084sn02q", "acct_01h455vb4pex5vsknk084sn02r"


def _example(**body: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [body]})


class Body(BaseModel):
    """A command's body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expected_versions: Annotated[ExpectedVersions, Field(max_length=MOST_EXPECTED, default_factory=dict)]


class Sum(Body):
    """A body with one amount of money."""

    currency: Currency
    amount: Amount


class Open(Body):
    """Open an account. Types from `cash` on are the ledger's own: one a currency, without limits, by an operator."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"type": "checking", "currency": "EUR", "owner": "customer-1", "name": "Ada Lovelace"}]
        }
    )

    type: AccountType
    currency: Currency
    owner: Subject | None = None
    name: ShortText
    minimum: SignedAmount | None = "0"
    maximum: SignedAmount | None = None
    opened_on: IsoDate | None = None


class Movement(Sum):
    """Money in or out of one account."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"amount": "100.00", "currency": "EUR"}]})

    value_date: IsoDate | None = None
    reference: Reference | None = None
    description: Description | None = None


class TransferBody(Movement):
    """Money from one account to another."""

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


class TransactionBody(Body):
    """Any balanced set of entries."""

    model_config = _example(
        entries=[
            {"account": _ACCOUNT_A, "side": "debit", "amount": "12.30", "currency": "EUR"},
            {"account": _ACCOUNT_B, "side": "credit", "amount": "12.30", "currency": "EUR"},
        ]
    )

    kind: Literal["transfer", "fee", "interest", "penalty", "payment", "journal"] = "journal"
    entries: Annotated[list[EntryBody], Field(max_length=2_000)]  # the domain's own bound is lower, and explains itself
    value_date: IsoDate | None = None
    reference: Reference | None = None
    description: Description | None = None


class Reason(Body):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "On request of the owner"}]})

    reason: Description


class Nothing(Body):
    """No more to say."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


class NoMembers(BaseModel):
    """An empty body, of a request that is not a command."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{}]})


class Hold(Sum):
    """Reserve an amount."""

    model_config = _example(amount="40.00", currency="EUR")

    reference: Reference | None = None


class Capture(Movement):
    """Pay from a hold, all or part of it."""

    model_config = _example(target=_ACCOUNT_B, amount="40.00", currency="EUR")

    target: Id


class LineBody(BaseModel):
    """One article of an order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sku: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,50}$")]
    name: ShortText
    quantity: Annotated[int, Field(ge=1, le=MOST_QUANTITY)]
    unit_price: Price


class OrderBody(Body):
    """Place an order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "customer": "customer-1",
                    "currency": "GBP",
                    "lines": [{"sku": "85123A", "name": "Hanging heart", "quantity": 6, "unit_price": "2.55"}],
                }
            ]
        }
    )

    customer: Subject
    currency: Currency
    lines: Annotated[list[LineBody], Field(max_length=2 * MOST_LINES)]
    reference: Reference | None = None

    @model_validator(mode="after")
    def _is_money(self) -> OrderBody:
        for number, line in enumerate(self.lines, 1):
            try:
                if money.parse(line.unit_price, self.currency) < 0:
                    raise ValueError(f"{line.unit_price!r} is less than zero.")
            except ValueError as error:
                raise ValueError(f"lines: unit_price of line {number}: {error}") from None
        return self


class PaymentBody(Body):
    """Pay an order from an account."""

    model_config = _example(account=_ACCOUNT_A)

    account: Id
    value_date: IsoDate | None = None
    reference: Reference | None = None


class DraftBody(Body):
    """Draft a post."""

    model_config = _example(author="author-1", title="On ledgers", body="Facts are written down once, in order.")

    author: Subject
    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    body: Annotated[str, StringConstraints(max_length=100_000)]


class RevisionBody(Body):
    """Replace the text of a post."""

    model_config = _example(title="On ledgers", body="Facts are written down once.", summary="Shorter")

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    body: Annotated[str, StringConstraints(max_length=100_000)]
    summary: Description | None = None


class SlugBody(Body):
    """Publish under a slug."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"slug": "on-ledgers"}]})

    slug: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]
