"""The common parts of command bodies: types of members, and the base class of every body.

Bodies are strict: no value is converted to another type, and unknown members are refused.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
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

from domain import codes, money

MOST_EXPECTED = 20
MOST_VERSION = 2**53
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _iso_date(value: Any) -> date:
    if isinstance(value, date):  # a default value
        return value
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        raise ValueError("a date such as 2026-01-31 is needed")
    return date.fromisoformat(value)


IsoDate = Annotated[date, BeforeValidator(_iso_date), WithJsonSchema({"type": "string", "format": "date"})]


def _instant(value: Any) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
        raise ValueError("a time with its offset is needed, such as 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None


Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A point in time (RFC 3339), in UTC."""


def _known(currency: str) -> str:
    money.exponent(currency)
    return currency


def _minor(amount: Any, info: ValidationInfo) -> int:
    if not isinstance(amount, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    if "currency" not in info.data:  # a wrong currency, declared before the amount, has its own finding
        return 0
    return money.parse_positive(amount, info.data["currency"])


def _signed(amount: str, info: ValidationInfo) -> str:
    if "currency" in info.data:
        money.parse(amount, info.data["currency"])
    return amount


def _parseable(amounts: dict[str, str]) -> dict[str, str]:
    for currency, amount in amounts.items():
        money.parse(amount, currency)
    return amounts


# The domain validates amounts, because its messages quote them. The patterns are only for the OpenAPI description.
_AMOUNT = WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,16}(\.[0-9]{1,3})?$", "examples": ["12.30"]})
_SIGNED = WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]{1,16}(\.[0-9]{1,3})?$", "examples": ["-500.00"]})
_CURRENCY = WithJsonSchema({"type": "string", "enum": sorted(money.EXPONENTS)})
Amount = Annotated[int, BeforeValidator(_minor), _AMOUNT]
"""An amount above zero. Clients send a decimal string; the value is in minor units of the currency."""
SignedAmount = Annotated[str, AfterValidator(_signed), _SIGNED]
Price = Annotated[str, _AMOUNT]
Currency = Annotated[str, AfterValidator(_known), _CURRENCY]
AmountsByCurrency = Annotated[dict[Currency, Price], Field(max_length=len(money.EXPONENTS)), AfterValidator(_parseable)]
"""An amount of each of some currencies."""
Id = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,8}_[0-7][0-9a-hjkmnp-tv-z]{25}$")]
StreamName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
# The domain refuses what is not a code. The patterns here are those of earlier versions, so that a retry of a command
# that was recorded with another text still gets its answer (ADR 0026). The description has the pattern of codes.
_CODE = WithJsonSchema({"type": "string", "pattern": codes.CODE})
Subject = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,100}$"), _CODE]
Reference = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,100}$"), _CODE]
MetadataKey = Annotated[
    str,
    StringConstraints(max_length=codes.MOST_METADATA_KEY),
    WithJsonSchema({"type": "string", "pattern": codes.METADATA_KEY}),
]
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=codes.MOST_METADATA_KEY)],
        Annotated[str, StringConstraints(max_length=codes.MOST_CODE)],
    ],
    Field(max_length=codes.MOST_PAIRS, default_factory=dict),
    WithJsonSchema(
        {
            "type": "object",
            "description": "Pairs that are kept with it. Keys and values are codes, not free text.",
            "additionalProperties": {"type": "string", "pattern": codes.CODE},
            "propertyNames": {"pattern": codes.METADATA_KEY},
            "maxProperties": codes.MOST_PAIRS,
        }
    ),
]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Description = Annotated[str, StringConstraints(min_length=1, max_length=500)]
ExpectedVersions = dict[StreamName, Annotated[int, Field(ge=0, le=MOST_VERSION)]]
ACCOUNT_A, ACCOUNT_B = "acct_01h455vb4pex5vsknk084sn02q", "acct_01h455vb4pex5vsknk084sn02r"


def example(**body: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [body]})


class Body(BaseModel):
    """The body of a command."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expected_versions: Annotated[ExpectedVersions, Field(max_length=MOST_EXPECTED, default_factory=dict)]


class Sum(Body):
    """A body with one amount of money."""

    currency: Currency
    amount: Amount


class Reason(Body):
    """The body of a command that needs only a reason."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "On request of the owner"}]})

    reason: Description


class Nothing(Body):
    """The body of a command that needs no more than its path."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


class NoMembers(BaseModel):
    """An empty body, of a request that is not a command."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{}]})
