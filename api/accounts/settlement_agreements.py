"""The routes of agreements to settle merchant accounts: make, change, pause, resume and end them, and read them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field, WithJsonSchema
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.bodies import Rate, millionths
from api.commands.answers import Accepted
from api.commands.bodies import ACCOUNT_A, ACCOUNT_B, Body, Id, IsoDate, Nothing, example
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import READERS
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Limit, PathId, one, page, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, StreamVersion, one_of, page_of
from domain.accounts.allocation import show_rate
from domain.accounts.settlement.agreement import (
    AgreementStatus,
    AgreeSettlement,
    ChangeSettlementTerms,
    EndSettlement,
    PauseSettlement,
    ResumeSettlement,
    agreement_stream,
)
from domain.money import show
from projections.accounts import settlement_agreements as queries
from projections.accounts.settlement_agreements import AgreementRow

router = APIRouter(prefix="/v1/settlement-agreements", tags=["settlements"])

_FEE = "The part of the payments that is the fee, below 1; the fee of a day is rounded half even"
FeeRate = Annotated[Rate, Field(description=_FEE)]
RateShown = Annotated[str, WithJsonSchema({"type": "string", "pattern": r"^0(\.[0-9]{1,6})?$", "examples": ["0.025"]})]
Payout = Annotated[Id, Field(description="The account that gets the money, in the same currency")]


class AgreementBody(Body):
    """Settle a merchant account."""

    model_config = example(account=ACCOUNT_A, payout=ACCOUNT_B, fee_rate="0.025", starts_on="2026-12-01")

    account: Id
    payout: Payout
    fee_rate: FeeRate
    starts_on: Annotated[
        IsoDate | None, Field(description="The first day that is settled, UTC; today if none is given")
    ] = None


class TermsBody(Body):
    """Settle the account by other terms."""

    model_config = example(payout=ACCOUNT_B, fee_rate="0.02")

    payout: Payout
    fee_rate: FeeRate


class EndBody(Body):
    """Settle the account up to a day."""

    model_config = example(last_day="2026-12-31")

    last_day: Annotated[IsoDate, Field(description="The last day that is settled, UTC")]


class AgreementChanged(Accepted):
    """An agreement that was made or changed."""

    merchant: Annotated[str, Field(description="The account that is settled")]
    status: Annotated[str, one_of(AgreementStatus)]
    next_day: Annotated[date | None, Field(description="The next day to settle; null if none follows")]
    last_day: Annotated[date | None, Field(description="The last day that is settled; null for no end")]


class SettlementAgreement(TypedDict):
    """An agreement as it is now."""

    account: str
    status: Annotated[str, one_of(AgreementStatus)]
    currency: CurrencyCode
    payout: Annotated[str, Field(description="The account that gets the money")]
    fee_rate: RateShown
    starts_on: date
    next_day: Annotated[date, Field(description="The next day to settle")]
    last_day: Annotated[date | None, Field(description="The last day that is settled; null for no end")]
    carried_gross: Annotated[Money, Field(description="Payments less refunds that are carried over to the next day")]
    carried_fee: Annotated[Money, Field(description="Fees that are carried over to the next day")]
    version: StreamVersion
    changed_at: datetime
    position: LogPosition


def agreement_view(row: AgreementRow) -> SettlementAgreement:
    return {
        "account": row.account,
        "status": row.status,
        "currency": row.currency,
        "payout": row.payout,
        "fee_rate": show_rate(row.fee_rate),
        "starts_on": row.starts_on,
        "next_day": row.next_day,
        "last_day": row.last_day,
        "carried_gross": show(row.carried_gross, row.currency),
        "carried_fee": show(row.carried_fee, row.currency),
        "version": row.version,
        "changed_at": row.last_at,
        "position": row.position,
    }


@command(router, "", makes=AgreeSettlement, answer=AgreementChanged)
def agree_settlement(caller: Caller, body: AgreementBody) -> Intent:
    """Settle a merchant account from a day on: each UTC day by itself, once it is over. It is for operators."""
    made = AgreeSettlement(
        account=body.account,
        payout=body.payout,
        fee_rate=millionths(body.fee_rate),
        starts_on=body.starts_on or caller.today,
    )
    return Intent(made, agreement_stream(body.account))


@command(router, "/{account}/terms", makes=ChangeSettlementTerms, answer=AgreementChanged, status=200)
def change_settlement_terms(caller: Caller, account: PathId, body: TermsBody) -> Intent:
    """Change the terms of what is calculated or paid out from now on. It is for operators."""
    made = ChangeSettlementTerms(account, body.payout, millionths(body.fee_rate))
    return Intent(made, agreement_stream(account))


@command(router, "/{account}/pause", makes=PauseSettlement, answer=AgreementChanged, status=200)
def pause_settlement(caller: Caller, account: PathId, body: Nothing) -> Intent:
    """Settle no day until it is resumed. It is for operators."""
    return Intent(PauseSettlement(account), agreement_stream(account))


@command(router, "/{account}/resume", makes=ResumeSettlement, answer=AgreementChanged, status=200)
def resume_settlement(caller: Caller, account: PathId, body: Nothing) -> Intent:
    """Settle the days since the pause, each by itself, and go on. It is for operators."""
    return Intent(ResumeSettlement(account), agreement_stream(account))


@command(router, "/{account}/end", makes=EndSettlement, answer=AgreementChanged, status=200)
def end_settlement(caller: Caller, account: PathId, body: EndBody) -> Intent:
    """Settle the account up to a day, and not after it. It is for operators."""
    return Intent(EndSettlement(account, body.last_day), agreement_stream(account))


@query(
    router,
    "",
    may=READERS,
    response=page_of(SettlementAgreement),
    personal=False,
    projections=("settlement_agreements",),
)
def list_settlement_agreements(
    request: Request, after: After = None, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
) -> Response:
    """List agreements in the order in which they were first made."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        return page(queries.agreements(connection, after=after, cursor=key, limit=limit), agreement_view)


@query(
    router,
    "/{account}",
    may=READERS,
    response=SettlementAgreement,
    personal=False,
    projections=("settlement_agreements",),
)
def get_settlement_agreement(request: Request, account: PathId) -> Response:
    """Get the agreement on a merchant account."""
    with reading(request) as connection:
        return one("settlement agreement", account, queries.agreement(connection, account), agreement_view)
