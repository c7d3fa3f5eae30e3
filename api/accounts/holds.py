"""The routes of holds: place, release, capture and read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts import bodies
from api.accounts.answers import HoldCaptured, HoldChanged
from api.accounts.conditions import conditioned
from api.commands.bodies import Nothing
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import EVERY_READER
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reader_of, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, one_of, page_of, values_of
from domain.accounts.account.holds import PlaceHold, ReleaseHold
from domain.accounts.account.state import HOLD
from domain.accounts.transaction import TRANSACTION, CaptureHold
from domain.money import show
from projections.accounts import holds as queries
from projections.accounts.holds import HoldRow, HoldStatus

router = APIRouter(prefix="/v1", tags=["accounts"])

StatusFilter = Annotated[str, choice(values_of(HoldStatus))] | None


class AccountHold(TypedDict):
    """A hold as it is now."""

    hold: Annotated[str, Field(description="Of a pending transaction, its id")]
    account: str
    status: Annotated[str, one_of(HoldStatus)]
    amount: Annotated[Money, Field(description="What it was placed for")]
    captured: Annotated[Money, Field(description="What transactions took of it")]
    remaining: Annotated[Money, Field(description="What it still reserves; zero once it ended")]
    currency: CurrencyCode
    reference: str | None
    metadata: dict[str, str]
    expires_at: datetime | None
    transaction: Annotated[
        str | None, Field(description="The last transaction that captured it, or the pending one that it belongs to")
    ]
    placed_at: datetime
    ended_at: datetime | None
    position: LogPosition


def hold_view(row: HoldRow) -> AccountHold:
    return {
        "hold": row.hold,
        "account": row.account,
        "status": row.status,
        "amount": show(row.amount, row.currency),
        "captured": show(row.captured, row.currency),
        "remaining": show(row.remaining, row.currency),
        "currency": row.currency,
        "reference": row.reference,
        "metadata": row.metadata,
        "expires_at": row.expires_at,
        "transaction": row.transaction,
        "placed_at": row.placed_at,
        "ended_at": row.ended_at,
        "position": row.position,
    }


@command(router, "/accounts/{account}/holds", makes=PlaceHold, answer=HoldChanged)
def place_hold(caller: Caller, account: PathId, body: bodies.Hold) -> Intent:
    """Reserve an amount. The balance stays the same, and the available amount falls."""
    hold = PlaceHold(
        account=account,
        hold=caller.services.new_id(HOLD),
        amount=body.amount,
        currency=body.currency,
        reference=body.reference,
        metadata=body.metadata,
        expires_at=body.expires_at,
    )
    return Intent(hold, account)


@command(router, "/accounts/{account}/holds/{hold}/release", makes=ReleaseHold, answer=HoldChanged, status=200)
def release_hold(caller: Caller, account: PathId, hold: PathId, body: Nothing) -> Intent:
    """Release a hold. What is left of it is available again."""
    return Intent(ReleaseHold(account, hold), account)


@command(router, "/accounts/{account}/holds/{hold}/capture", makes=CaptureHold, answer=HoldCaptured)
def capture_hold(caller: Caller, account: PathId, hold: PathId, body: bodies.Capture) -> Intent:
    """Pay from a hold. It ends, and the rest is available again, unless `keep_rest` lets it go on with the rest."""
    capture = CaptureHold(
        account=account,
        hold=hold,
        transaction=caller.services.new_id(TRANSACTION),
        target=body.target,
        amount=body.amount,
        currency=body.currency,
        value_date=body.value_date or caller.today,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
        keep_rest=body.keep_rest,
    )
    return Intent(conditioned(capture, body), account)


@query(
    router,
    "/holds",
    may=EVERY_READER,
    response=page_of(AccountHold),
    personal=True,
    projections=("holds", "account_persons"),
)
def list_holds(
    request: Request,
    account: Filter = None,
    status: StatusFilter = None,
    reference: Filter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List holds in the order in which they were placed.

    A customer gets those on accounts that the customer may see.
    """
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.holds(
            connection,
            reader=reader_of(request),
            account=account,
            status=status,
            reference=reference,
            after=after,
            cursor=key,
            limit=limit,
        )
    return page(listed, hold_view)


@query(
    router,
    "/holds/{hold}",
    may=EVERY_READER,
    response=AccountHold,
    personal=True,
    projections=("holds", "account_persons"),
)
def get_hold(request: Request, hold: PathId, account: Filter = None) -> Response:
    """Get one hold. A pending transaction has one on each account that it takes money from: `account` says which."""
    with reading(request) as connection:
        found = queries.hold(connection, hold, account=account, reader=reader_of(request))
        return one("hold", hold, found, hold_view)
