"""The routes of exchange rates: set one, withdraw one, list them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from starlette.responses import Response
from typing_extensions import TypedDict

from api.commands.answers import Accepted
from api.commands.bodies import Body, Currency, Instant, Reference, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.gateway.problems import Problem
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, PathId, page, reading
from api.queries.response_types import CurrencyCode, LogPosition, page_of
from api.services import services
from domain.accounts.currencies.rates import (
    MOST_SPREAD,
    SetRate,
    WithdrawRate,
    currencies_of,
    pair_of,
    parse_rate,
    rate_stream,
    show_rate,
)
from projections.accounts import rates as queries
from projections.accounts.rates import RateRow

router = APIRouter(prefix="/v1/rates", tags=["currencies"])

MOST_NUMBER = 2**53


def _decimal(text: str) -> str:
    parse_rate(text)  # a rate out of bounds is refused by the decision, so that the refusal is recorded
    return text


RateText = Annotated[
    str,
    StringConstraints(max_length=42),
    AfterValidator(_decimal),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?$", "examples": ["1.086500"]}),
]
"""A rate that a client sends: a decimal text."""
ShownRate = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": r"^[0-9]+\.[0-9]{6}$", "examples": ["1.086500"]})
]
"""A rate in an answer, with six decimals."""
Pair = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}:[A-Z]{3}$", "examples": ["EUR:USD"]})]
PairFilter = Annotated[str | None, Query(pattern=r"^[A-Z]{3}:[A-Z]{3}$", description="A pair, such as EUR:USD")]
_SPREAD = "What a conversion keeps, in basis points: hundredths of a per cent"
ShownSpread = Annotated[int, Field(description=_SPREAD)]


class RateBody(Body):
    """Set a rate: how much of the counter currency one unit of the base currency is worth.

    It serves both directions. A rate without an end lasts until another one begins.
    """

    model_config = example(base="EUR", counter="USD", rate="1.086500", spread=25, source="ECB")

    base: Currency
    counter: Currency
    rate: RateText
    spread: Annotated[
        int, Field(ge=-MOST_NUMBER, le=MOST_NUMBER, description=f"{_SPREAD}. From 0 to {MOST_SPREAD}")
    ] = 0
    source: Annotated[Reference, Field(description="Where the rate is from: a code")]
    valid_from: Annotated[Instant | None, Field(description="Not before now; null for now")] = None
    valid_until: Annotated[
        Instant | None, Field(description="The first instant without it; null for until another one begins")
    ] = None


class RateNumber(Body):
    """Withdraw a rate."""

    model_config = example(number=3)

    number: Annotated[int, Field(ge=1, le=MOST_NUMBER, description="The number of the rate")]


class RateChanged(Accepted):
    """A rate that was set or withdrawn."""

    pair: Pair
    number: Annotated[int, Field(description="The number of the rate on the stream of the pair")]


class RateWasSet(RateChanged):
    """A rate that was set."""

    rate: ShownRate
    spread: ShownSpread
    source: str
    valid_from: datetime
    valid_until: Annotated[datetime | None, Field(description="The first instant without it")]


class ExchangeRate(TypedDict):
    """A rate of a pair, with the time for which it is valid."""

    pair: Pair
    number: Annotated[int, Field(description="The number of the rate on the stream of the pair")]
    base: CurrencyCode
    counter: CurrencyCode
    rate: ShownRate
    spread: ShownSpread
    source: str
    valid_from: datetime
    valid_until: Annotated[datetime | None, Field(description="The first instant without it")]
    withdrawn_at: datetime | None
    set_at: datetime
    position: LogPosition


def rate_view(row: RateRow) -> ExchangeRate:
    return {
        "pair": row.pair,
        "number": row.number,
        "base": row.base,
        "counter": row.counter,
        "rate": show_rate(row.rate),
        "spread": row.spread,
        "source": row.source,
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
        "withdrawn_at": row.withdrawn_at,
        "set_at": row.set_at,
        "position": row.position,
    }


@command(router, "", makes=SetRate, answer=RateWasSet)
def set_rate(caller: Caller, body: RateBody) -> Intent:
    """Set a rate of a pair of currencies. It is for operators."""
    setting = SetRate(
        base=body.base,
        counter=body.counter,
        rate=body.rate,
        spread=body.spread,
        source=body.source,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
    )
    return Intent(setting, rate_stream(pair_of(body.base, body.counter)))


@command(router, "/{pair}/withdraw", makes=WithdrawRate, answer=RateChanged, status=200)
def withdraw_rate(caller: Caller, pair: PathId, body: RateNumber) -> Intent:
    """End a rate that is in force now, or take back one that is to come. It is for operators."""
    if currencies_of(pair) is None:
        raise Problem("unknown", f"There is no rate {pair}.", kind="rate", id=pair)
    return Intent(WithdrawRate(pair, body.number), rate_stream(pair))


@query(router, "", may=READERS, response=page_of(ExchangeRate), personal=False, projections=("rates",))
def list_rates(
    request: Request,
    pair: PairFilter = None,
    current: Annotated[bool, Query(description="Only the rates that are in force now")] = False,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List rates in the order in which they were set."""
    key = read_cursor(cursor, int)
    at = services(request).clock() if current else None
    with reading(request) as connection:
        listed = queries.rates(connection, pair=pair, in_force_at=at, after=after, cursor=key, limit=limit)
        return page(listed, rate_view)
