"""The routes of conversions: lock a price, convert money, list conversions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.answers import Booked
from api.accounts.conditions import Conditional, conditioned
from api.accounts.rates import Pair, PairFilter, RateText, ShownRate, ShownSpread
from api.commands.answers import Accepted
from api.commands.bodies import (
    ACCOUNT_A,
    ACCOUNT_B,
    Amount,
    Currency,
    Description,
    Id,
    IsoDate,
    Metadata,
    Reference,
    Subject,
    Sum,
    example,
)
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import EVERY_READER
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reader_of, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, StreamVersion, page_of
from domain.accounts.currencies.conversions import CONVERSION, ConvertMoney
from domain.accounts.currencies.quotes import LEAST_SECONDS, MOST_SECONDS, QUOTE, QuoteConversion
from domain.accounts.currencies.rates import show_rate
from domain.accounts.transaction import TRANSACTION
from domain.money import show
from projections.accounts import conversions as conversion_queries
from projections.accounts import quotes as quote_queries
from projections.accounts.conversions import ConversionRow
from projections.accounts.priced import PriceRow
from projections.accounts.quotes import QuoteRow

router = APIRouter(prefix="/v1", tags=["currencies"])

_EITHER = "in the currency that is paid, or in the one that is wanted: then it is the least that is got"


class QuoteBody(Sum):
    """Lock the price of a conversion for some seconds."""

    model_config = example(source_currency="EUR", target_currency="USD", currency="EUR", amount="100.00", seconds=60)

    source_currency: Annotated[Currency, Field(description="What is paid")]
    target_currency: Annotated[Currency, Field(description="What is wanted")]
    amount: Annotated[Amount, Field(description=f"The amount, {_EITHER}")]
    seconds: Annotated[
        int,
        Field(ge=-(2**31), lt=2**31, description=f"How long it can be used, from {LEAST_SECONDS} to {MOST_SECONDS}"),
    ] = 60
    person: Annotated[
        Subject | None, Field(description="For whom it is. A customer asks for their own quotes, and leaves it out")
    ] = None


class ConversionBody(Conditional):
    """Convert money from one account to another: at a quote, or an amount at the rate that is in force."""

    model_config = example(source=ACCOUNT_A, target=ACCOUNT_B, currency="EUR", amount="100.00", at_least="1.08")

    source: Annotated[Id, Field(description="The account that pays")]
    target: Annotated[Id, Field(description="The account that gets it")]
    quote: Annotated[Id | None, Field(description="A quote; then there is no amount")] = None
    currency: Annotated[Currency | None, Field(description="The currency of the amount")] = None
    amount: Annotated[Amount | None, Field(description=f"The amount, {_EITHER}")] = None
    at_least: Annotated[RateText | None, Field(description="The lowest rate of the pair that is accepted")] = None
    at_most: Annotated[RateText | None, Field(description="The highest rate of the pair that is accepted")] = None
    value_date: IsoDate | None = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata


_SpreadAmount = Annotated[Money, Field(description="Income of the ledger, in the target currency")]
_Remainder = Annotated[Money, Field(description="What rounding leaves to the ledger, in the target currency")]
_RateNumber = Annotated[int, Field(description="The number of the rate on the stream of the pair")]


class QuoteWasGiven(Accepted):
    """A quote that was given."""

    quote: str
    expires_at: Annotated[datetime, Field(description="The first instant at which it cannot be used")]
    source_currency: CurrencyCode
    source_amount: Money
    target_currency: CurrencyCode
    target_amount: Money
    spread_amount: _SpreadAmount
    remainder: _Remainder
    pair: Pair
    rate: ShownRate
    rate_number: _RateNumber
    rate_source: str
    spread: ShownSpread


class MoneyConverted(Booked):
    """A conversion that was made."""

    conversion: str
    quote: str | None
    source_currency: CurrencyCode
    source_amount: Money
    target_currency: CurrencyCode
    target_amount: Money
    spread_amount: _SpreadAmount
    remainder: _Remainder
    pair: Pair
    rate: ShownRate
    rate_number: _RateNumber
    rate_source: str
    spread: ShownSpread


class ConversionPrice(TypedDict):
    """The figures of a conversion, and the rate that they are made with."""

    source_currency: CurrencyCode
    source_amount: Money
    target_currency: CurrencyCode
    target_amount: Money
    spread_amount: _SpreadAmount
    remainder: _Remainder
    pair: Pair
    rate: ShownRate
    rate_number: _RateNumber
    rate_source: str
    spread: ShownSpread


class ConversionQuote(ConversionPrice):
    """A quote as it is now."""

    quote: str
    person: Annotated[str | None, Field(description="For whom it is; null for programs and staff")]
    expires_at: Annotated[datetime, Field(description="The first instant at which it cannot be used")]
    conversion: Annotated[str | None, Field(description="The conversion that used it")]
    version: StreamVersion
    given_at: datetime
    position: LogPosition


class Conversion(ConversionPrice):
    """A conversion."""

    conversion: str
    source: Annotated[str, Field(description="The account that paid")]
    target: Annotated[str, Field(description="The account that got it")]
    transaction: str
    quote: str | None
    version: StreamVersion
    made_at: datetime
    position: LogPosition


def price_view(row: PriceRow) -> ConversionPrice:
    got = row.target_currency
    return {
        "source_currency": row.source_currency,
        "source_amount": show(row.source_amount, row.source_currency),
        "target_currency": got,
        "target_amount": show(row.target_amount, got),
        "spread_amount": show(row.spread_amount, got),
        "remainder": show(row.remainder, got),
        "pair": row.pair,
        "rate": show_rate(row.rate),
        "rate_number": row.rate_number,
        "rate_source": row.rate_source,
        "spread": row.spread,
    }


def quote_view(row: QuoteRow) -> ConversionQuote:
    return {
        "quote": row.quote,
        "person": row.person,
        **price_view(row),
        "expires_at": row.expires_at,
        "conversion": row.conversion,
        "version": row.version,
        "given_at": row.given_at,
        "position": row.position,
    }


def conversion_view(row: ConversionRow) -> Conversion:
    return {
        "conversion": row.conversion,
        "source": row.source,
        "target": row.target,
        "transaction": row.transaction,
        "quote": row.quote,
        **price_view(row),
        "version": row.version,
        "made_at": row.made_at,
        "position": row.position,
    }


@command(router, "/quotes", makes=QuoteConversion, answer=QuoteWasGiven)
def quote_conversion(caller: Caller, body: QuoteBody) -> Intent:
    """Lock the price of a conversion for some seconds."""
    asked = QuoteConversion(
        quote=caller.services.new_id(QUOTE),
        source_currency=body.source_currency,
        target_currency=body.target_currency,
        currency=body.currency,
        amount=body.amount,
        seconds=body.seconds,
        person=body.person,
    )
    return Intent(asked, created="quote")


@command(router, "/conversions", makes=ConvertMoney, answer=MoneyConverted)
def convert_money(caller: Caller, body: ConversionBody) -> Intent:
    """Convert money between two accounts, in one unit: at a quote, or an amount at the rate that is in force."""
    conversion = ConvertMoney(
        conversion=caller.services.new_id(CONVERSION),
        transaction=caller.services.new_id(TRANSACTION),
        source=body.source,
        target=body.target,
        value_date=body.value_date or caller.today,
        quote=body.quote,
        amount=body.amount,
        currency=body.currency,
        at_least=body.at_least,
        at_most=body.at_most,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
    )
    return Intent(conditioned(conversion, body), created="conversion")


@query(router, "/quotes/{quote}", may=EVERY_READER, response=ConversionQuote, personal=True, projections=("quotes",))
def get_quote(request: Request, quote: PathId) -> Response:
    """Get one quote. A customer gets their own."""
    with reading(request) as connection:
        found = quote_queries.quote(connection, quote, reader=reader_of(request))
        return one("quote", quote, found, quote_view)


@query(
    router,
    "/conversions",
    may=EVERY_READER,
    response=page_of(Conversion),
    personal=True,
    projections=("conversions", "account_persons"),
)
def list_conversions(
    request: Request,
    account: Filter = None,
    pair: PairFilter = None,
    transaction: Filter = None,
    newest_first: bool = False,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List conversions in the order of the log. `account` selects those from or to this account.

    A customer gets those between accounts that the customer may see.
    """
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = conversion_queries.conversions(
            connection,
            reader=reader_of(request),
            account=account,
            pair=pair,
            transaction=transaction,
            after=after,
            cursor=key,
            newest_first=newest_first,
            limit=limit,
        )
        return page(listed, conversion_view)
