"""What the bodies of commands have in common: types of members, and the base of every body.

Strict: nothing is converted, and members that are not known are refused.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from domain import money

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
    if "currency" not in info.data:  # it is declared before the amount; if it is wrong, it has its own finding
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
ACCOUNT_A, ACCOUNT_B = "acct_01h455vb4pex5vsknk084sn02q", "acct_01h455vb4pex5vsknk084sn02r"


def example(**body: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [body]})


class Body(BaseModel):
    """A command's body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expected_versions: Annotated[ExpectedVersions, Field(max_length=MOST_EXPECTED, default_factory=dict)]


class Sum(Body):
    """A body with one amount of money."""

    currency: Currency
    amount: Amount


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
