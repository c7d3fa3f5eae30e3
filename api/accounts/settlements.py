"""The routes of settlements: list them by merchant account, day and status, and read one."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts.settlement_agreements import RateShown
from api.commands.bodies import IsoDate
from api.gateway.principals import READERS
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, StreamVersion, one_of, page_of, values_of
from domain.accounts.allocation import show_rate
from domain.accounts.settlement.settlement import Status
from domain.money import show
from projections.accounts import settlements as queries
from projections.accounts.settlements import SettlementRow

router = APIRouter(prefix="/v1/settlements", tags=["settlements"])

StatusFilter = Annotated[str, choice(values_of(Status))] | None


class Settlement(TypedDict):
    """The settlement of a merchant account and a UTC day."""

    settlement: str
    account: str
    day: date
    status: Annotated[str, one_of(Status)]
    currency: CurrencyCode
    entries: Annotated[int, Field(description="How many entries were counted")]
    payments: Annotated[Money, Field(description="What was paid to the merchant")]
    refunds: Annotated[Money, Field(description="What was given back of payments")]
    fee_rate: RateShown
    fee: Annotated[Money, Field(description="The fee on these payments")]
    carried_gross: Annotated[Money, Field(description="Payments less refunds, carried over from the day before")]
    carried_fee: Annotated[Money, Field(description="Fees that were carried over from the day before")]
    net: Annotated[Money, Field(description="What is paid out, or carried over if it is negative")]
    payout: Annotated[str | None, Field(description="The account that got the money; null before it was paid out")]
    transaction: Annotated[str | None, Field(description="The transaction that paid it out; null before")]
    rule: Annotated[str | None, Field(description="The rule that refused the payout the last time; null if none did")]
    calculated_at: datetime
    version: StreamVersion
    changed_at: datetime
    position: LogPosition


def settlement_view(row: SettlementRow) -> Settlement:
    currency = row.currency
    return {
        "settlement": row.settlement,
        "account": row.account,
        "day": row.day,
        "status": row.status,
        "currency": currency,
        "entries": row.entries,
        "payments": show(row.payments, currency),
        "refunds": show(row.refunds, currency),
        "fee_rate": show_rate(row.fee_rate),
        "fee": show(row.fee, currency),
        "carried_gross": show(row.carried_gross, currency),
        "carried_fee": show(row.carried_fee, currency),
        "net": show(row.net, currency),
        "payout": row.payout,
        "transaction": row.transaction,
        "rule": row.rule,
        "calculated_at": row.calculated_at,
        "version": row.version,
        "changed_at": row.last_at,
        "position": row.position,
    }


@query(router, "", may=READERS, response=page_of(Settlement), personal=False, projections=("settlements",))
def list_settlements(
    request: Request,
    account: Filter = None,
    day: Annotated[IsoDate | None, Query()] = None,
    status: StatusFilter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List settlements in the order in which they were calculated."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.settlements(
            connection, account=account, day=day, status=status, after=after, cursor=key, limit=limit
        )
        return page(listed, settlement_view)


@query(router, "/{settlement}", may=READERS, response=Settlement, personal=False, projections=("settlements",))
def get_settlement(request: Request, settlement: PathId) -> Response:
    """Get one settlement."""
    with reading(request) as connection:
        return one("settlement", settlement, queries.settlement(connection, settlement), settlement_view)
