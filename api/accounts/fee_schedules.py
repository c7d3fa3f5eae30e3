"""The routes of fee schedules: define and retire them, and read them and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.bodies import ScheduleName
from api.commands.answers import Accepted
from api.commands.bodies import Body, Currency, Id, Nothing, Price, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, PathId, one, page, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, StreamVersion, one_of, page_of
from domain.accounts.allocation import MOST_PERCENTAGE, MOST_TIERS, Fee, Tier, parse_percentage, show_percentage
from domain.accounts.fee_schedule import DefineFeeSchedule, RetireFeeSchedule, fee_schedule_stream
from domain.accounts.numbers import InternalRole
from domain.money import parse
from projections.accounts import fee_schedules as queries
from projections.accounts.fee_schedules import FeeScheduleRow, FeeScheduleVersionRow

router = APIRouter(prefix="/v1/fee-schedules", tags=["fees"])

PERCENTAGE = r"^[0-9]{1,4}(\.[0-9]{1,6})?$"
_LARGEST = show_percentage(MOST_PERCENTAGE)
Percentage = Annotated[
    str,
    StringConstraints(max_length=20),
    WithJsonSchema(
        {"type": "string", "pattern": PERCENTAGE, "description": f"From 0 to {_LARGEST}", "examples": ["2.5"]}
    ),
]
"""A percentage as a decimal string. The value is read with `percentage`."""
PercentageShown = Annotated[str, WithJsonSchema({"type": "string", "pattern": PERCENTAGE, "examples": ["2.5"]})]
_NUMBER = "The number of the version, from 1"


def percentage(text: str) -> int:
    """The millionths of a per cent of a percentage. Raises `ValueError`."""
    value = parse_percentage(text)
    if value is None:
        raise ValueError(
            f"{text[:20]!r} is not a percentage from 0 to {_LARGEST} with up to six decimals, such as '2.5'."
        )
    return value


class TierBody(BaseModel):
    """A part of the base amount, and the percentage of that part."""

    model_config = ConfigDict(extra="forbid", strict=True)

    up_to: Annotated[Price | None, Field(description="The end of the part; null for the last one, which has none")] = (
        None
    )
    percentage: Percentage


class FeeTerms(BaseModel):
    """A fee: a fixed amount, and a percentage of the base or of each part of it, within a minimum and a maximum."""

    model_config = ConfigDict(extra="forbid", strict=True)

    fixed: Annotated[Price | None, Field(description="An amount that is charged in any case")] = None
    percentage: Annotated[Percentage | None, Field(description="Of the whole base, instead of tiers")] = None
    tiers: Annotated[list[TierBody] | None, Field(max_length=2 * MOST_TIERS, description="Each for its part alone")] = (
        None
    )
    minimum: Price | None = None
    maximum: Price | None = None

    @property
    def has_money(self) -> bool:
        """Whether it has figures of money."""
        ends = any(tier.up_to is not None for tier in self.tiers or ())
        return ends or not (self.fixed is self.minimum is self.maximum is None)

    def fee(self, currency: str | None) -> Fee:
        """The terms in the domain. Raises `ValueError`."""
        if self.percentage is not None and self.tiers is not None:
            raise ValueError("percentage: give a percentage or tiers, not both.")
        if currency is None and self.has_money:
            raise ValueError("currency: figures of money need their currency.")

        def money(text: str | None) -> int | None:
            return None if text is None or currency is None else parse(text, currency)

        tiers = tuple(Tier(money(tier.up_to), percentage(tier.percentage)) for tier in self.tiers or ())
        if self.percentage is not None:
            tiers = (Tier(None, percentage(self.percentage)),)
        return Fee(money(self.fixed) or 0, tiers, money(self.minimum), money(self.maximum))


class FeeScheduleBody(Body, FeeTerms):
    """Define a fee schedule, or the next version of one."""

    model_config = example(
        name="card-fee",
        currency="EUR",
        fixed="0.25",
        tiers=[{"up_to": "1000.00", "percentage": "1.4"}, {"percentage": "0.9"}],
        minimum="0.50",
        maximum="25.00",
    )

    name: ScheduleName
    currency: Currency
    account: Annotated[Id | None, Field(description="Who gets the fee; null for an internal account")] = None
    role: Annotated[
        InternalRole | None, Field(description="The internal account that gets the fee; `fees` if none is given")
    ] = None

    @model_validator(mode="after")
    def _is_a_fee(self) -> FeeScheduleBody:
        self.fee(self.currency)
        return self


class FeeScheduleChanged(Accepted):
    """A fee schedule that was defined or retired."""

    fee_schedule: str
    number: Annotated[int, Field(description=_NUMBER)]
    active: bool


class TierShown(TypedDict):
    """A part of the base amount, and the percentage of that part."""

    up_to: Annotated[Money | None, Field(description="The end of the part; null for the last one")]
    percentage: PercentageShown


class FeeShown(TypedDict):
    """The terms of a fee. A plain percentage is one tier."""

    fixed: Money
    tiers: list[TierShown]
    minimum: Money | None
    maximum: Money | None


class FeeScheduleTerms(FeeShown):
    """The terms of a version of a fee schedule."""

    currency: CurrencyCode
    account: Annotated[str | None, Field(description="Who gets the fee; null for an internal account")]
    role: Annotated[str, one_of(InternalRole)] | None


class FeeSchedule(TypedDict):
    """A fee schedule as it is now."""

    name: str
    number: Annotated[int, Field(description="The number of its newest version, which counts")]
    active: Annotated[bool, Field(description="Whether fees can be charged by it")]
    terms: FeeScheduleTerms
    version: StreamVersion
    changed_at: datetime
    position: LogPosition


class FeeScheduleVersion(TypedDict):
    """One version of a fee schedule."""

    number: Annotated[int, Field(description=_NUMBER)]
    terms: FeeScheduleTerms
    recorded_at: datetime
    position: LogPosition


def schedule_view(row: FeeScheduleRow) -> FeeSchedule:
    return {
        "name": row.name,
        "number": row.number,
        "active": row.active,
        "terms": _terms(row.definition),
        "version": row.version,
        "changed_at": row.last_at,
        "position": row.position,
    }


def version_view(row: FeeScheduleVersionRow) -> FeeScheduleVersion:
    return {
        "number": row.number,
        "terms": _terms(row.definition),
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


def _terms(definition: Any) -> FeeScheduleTerms:
    terms: FeeScheduleTerms = definition
    return terms


@command(router, "", makes=DefineFeeSchedule, answer=FeeScheduleChanged)
def define_fee_schedule(caller: Caller, body: FeeScheduleBody) -> Intent:
    """Define a fee schedule, or the next version of one. It is for operators."""
    role = "fees" if body.account is None and body.role is None else body.role
    made = DefineFeeSchedule(
        name=body.name, currency=body.currency, fee=body.fee(body.currency), account=body.account, role=role
    )
    return Intent(made, fee_schedule_stream(body.name))


@command(router, "/{schedule}/retire", makes=RetireFeeSchedule, answer=FeeScheduleChanged, status=200)
def retire_fee_schedule(caller: Caller, schedule: PathId, body: Nothing) -> Intent:
    """Stop charging by a fee schedule, until it is defined again. It is for operators."""
    return Intent(RetireFeeSchedule(schedule), fee_schedule_stream(schedule))


@query(router, "", may=READERS, response=page_of(FeeSchedule), personal=False, projections=("fee_schedules",))
def list_fee_schedules(
    request: Request,
    active: bool | None = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List fee schedules in the order in which they were first defined."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.fee_schedules(connection, active=active, after=after, cursor=key, limit=limit)
        return page(listed, schedule_view)


@query(router, "/{schedule}", may=READERS, response=FeeSchedule, personal=False, projections=("fee_schedules",))
def get_fee_schedule(request: Request, schedule: PathId) -> Response:
    """Get one fee schedule."""
    with reading(request) as connection:
        return one("fee schedule", schedule, queries.fee_schedule(connection, schedule), schedule_view)


@query(
    router,
    "/{schedule}/versions",
    may=READERS,
    response=page_of(FeeScheduleVersion),
    personal=False,
    projections=("fee_schedules",),
)
def list_fee_schedule_versions(
    request: Request, schedule: PathId, after: After = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List the versions of a fee schedule, oldest first. There are none if there is no such schedule."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        return page(queries.versions(connection, schedule, after=after, cursor=key, limit=limit), version_view)
