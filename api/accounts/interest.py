"""The routes of interest: agree, change and end it, and read it and the months that were credited."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field, WithJsonSchema
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.bodies import Rate, millionths
from api.commands.answers import Accepted
from api.commands.bodies import ACCOUNT_A, Body, Id, IsoDate, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import EVERY_READER
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, PathId, one, page, reader_of, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, StreamVersion, one_of, page_of
from domain.accounts.allocation import show_rate
from domain.accounts.interest.terms import AgreeInterest, ChangeInterest, EndInterest, interest_stream
from domain.money import show
from projections.accounts import interest as queries
from projections.accounts.interest import CreditRow, InterestRow

router = APIRouter(prefix="/v1/interest", tags=["interest"])

InterestStatus = Literal["active", "ended"]
RateShown = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": r"^[01](\.[0-9]{1,6})?$", "examples": ["0.02"]})
]
_CARRIED = "What is left of a minor unit, in parts of which 26,280,000,000 are one"


class InterestTerms(Body):
    """Change what an account earns."""

    model_config = example(rate="0.015", basis=365, from_day="2026-12-01")

    rate: Annotated[Rate, Field(description="The part of the balance that it earns a year, below 1")]
    basis: Annotated[Literal[360, 365], Field(description="The days of a year: each earns one of so many parts")] = 365
    payout: Annotated[
        Id | None, Field(description="The account that gets the interest; null for the account itself")
    ] = None
    from_day: Annotated[IsoDate | None, Field(description="The first day of the rate, UTC; today if none is given")] = (
        None
    )


class InterestBody(InterestTerms):
    """Let an account earn interest."""

    model_config = example(account=ACCOUNT_A, rate="0.02", basis=365, from_day="2026-12-01")

    account: Id


class InterestEnd(Body):
    """Let an account earn no interest after a day."""

    model_config = example(last_day="2026-12-31")

    last_day: Annotated[IsoDate, Field(description="The last day that earns interest, UTC")]


class InterestChanged(Accepted):
    """Interest that was agreed or changed."""

    earning: Annotated[str, Field(description="The account that earns it")]
    next_day: Annotated[date, Field(description="The first day that is not credited")]
    last_day: Annotated[date | None, Field(description="The last day that earns interest; null for no end")]


class Interest(TypedDict):
    """The interest of an account as it is agreed now."""

    account: str
    status: Annotated[str, one_of(InterestStatus)]
    currency: CurrencyCode
    payout: Annotated[str, Field(description="The account that gets it")]
    rate: RateShown
    basis: int
    from_day: Annotated[date, Field(description="The first day of the newest rate")]
    next_day: Annotated[date, Field(description="The first day that is not credited")]
    last_day: Annotated[date | None, Field(description="The last day that earns interest; null for no end")]
    carried: Annotated[int, Field(description=_CARRIED)]
    version: StreamVersion
    changed_at: datetime
    position: LogPosition


class DayBalance(TypedDict):
    """The balance by value date at the end of a day, and of the days up to the next one."""

    day: date
    balance: Money


class InterestCredit(TypedDict):
    """The interest of a month, which was credited."""

    account: str
    first_day: date
    last_day: date
    currency: CurrencyCode
    payout: Annotated[str, Field(description="The account that got it")]
    balances: list[DayBalance]
    amount: Money
    carried: Annotated[int, Field(description=_CARRIED)]
    transaction: Annotated[str | None, Field(description="Null if it was less than a minor unit")]
    recorded_at: datetime
    position: LogPosition


def interest_view(row: InterestRow) -> Interest:
    return {
        "account": row.account,
        "status": row.status,
        "currency": row.currency,
        "payout": row.payout,
        "rate": show_rate(row.rate),
        "basis": row.basis,
        "from_day": row.from_day,
        "next_day": row.next_day,
        "last_day": row.last_day,
        "carried": row.carried,
        "version": row.version,
        "changed_at": row.last_at,
        "position": row.position,
    }


def credit_view(row: CreditRow) -> InterestCredit:
    return {
        "account": row.account,
        "first_day": row.first_day,
        "last_day": row.until,
        "currency": row.currency,
        "payout": row.payout,
        "balances": [{"day": one["day"], "balance": show(one["balance"], row.currency)} for one in row.balances],
        "amount": show(row.amount, row.currency),
        "carried": row.carried,
        "transaction": row.transaction,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


@command(router, "", makes=AgreeInterest, answer=InterestChanged)
def agree_interest(caller: Caller, body: InterestBody) -> Intent:
    """Let an account earn interest from a day on. It is credited once a month. It is for operators."""
    made = AgreeInterest(
        account=body.account,
        payout=body.payout or body.account,
        rate=millionths(body.rate),
        basis=body.basis,
        from_day=body.from_day or caller.today,
    )
    return Intent(made, interest_stream(body.account))


@command(router, "/{account}/terms", makes=ChangeInterest, answer=InterestChanged, status=200)
def change_interest(caller: Caller, account: PathId, body: InterestTerms) -> Intent:
    """Change the rate from a day on that is not credited yet, and who gets the interest. It is for operators."""
    made = ChangeInterest(
        account=account,
        payout=body.payout or account,
        rate=millionths(body.rate),
        basis=body.basis,
        from_day=body.from_day or caller.today,
    )
    return Intent(made, interest_stream(account))


@command(router, "/{account}/end", makes=EndInterest, answer=InterestChanged, status=200)
def end_interest(caller: Caller, account: PathId, body: InterestEnd) -> Intent:
    """Let an account earn no interest after a day. It is for operators."""
    return Intent(EndInterest(account, body.last_day), interest_stream(account))


@query(
    router, "", may=EVERY_READER, response=page_of(Interest), personal=True, projections=("interest", "account_persons")
)
def list_interest(
    request: Request, after: After = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List accounts that earn interest, in the order in which it was agreed.

    A customer gets those that the customer may see.
    """
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        return page(
            queries.interests(connection, reader=reader_of(request), after=after, cursor=key, limit=limit),
            interest_view,
        )


@query(
    router,
    "/{account}",
    may=EVERY_READER,
    response=Interest,
    personal=True,
    projections=("interest", "account_persons"),
)
def get_interest(request: Request, account: PathId) -> Response:
    """Get the interest of an account."""
    with reading(request) as connection:
        return one("interest", account, queries.interest(connection, account, reader=reader_of(request)), interest_view)


@query(
    router,
    "/{account}/credits",
    may=EVERY_READER,
    response=page_of(InterestCredit),
    personal=True,
    projections=("interest", "account_persons"),
)
def list_interest_credits(
    request: Request, account: PathId, after: After = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List the months of an account that were credited, oldest first."""
    key, reader = read_cursor(cursor, int), reader_of(request)
    with reading(request) as connection:
        listed = queries.credits(connection, account, reader=reader, after=after, cursor=key, limit=limit)
        if not listed.items and queries.interest(connection, account, reader=reader) is None:
            return one("interest", account, None, interest_view)
    return page(listed, credit_view)
