"""The routes of owners and mandates: who may see an account, and who may move money from it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from api.accounts import bodies
from api.accounts.answers import MandateGiven, OwnersChanged
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import EVERY_READER
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, page, reader_of, reading
from api.queries.response_types import CurrencyCode, LogPosition, Money, one_of, page_of, values_of
from domain.accounts.account.owners import AddOwner, GiveMandate, RemoveOwner, WithdrawMandate
from domain.money import show
from projections.accounts.account_persons import AccountPersonRow, Standing, account_persons

router = APIRouter(prefix="/v1", tags=["accounts"])

StandingFilter = Annotated[str, choice(values_of(Standing))] | None


class AccountPerson(TypedDict):
    """What a person may do with an account."""

    account: str
    person: str
    standing: Annotated[str, one_of(Standing)]
    may_see: Annotated[bool, Field(description="Whether the person may see the account until `until`")]
    move_up_to: Annotated[
        Money | None,
        Field(description="The most that a transfer or a hold may take; null for nothing, and for an owner"),
    ]
    currency: Annotated[CurrencyCode | None, Field(description="Of `move_up_to`")]
    until: Annotated[datetime | None, Field(description="The first instant without the mandate; null for no end")]
    position: LogPosition


def account_person_view(row: AccountPersonRow) -> AccountPerson:
    amount, currency = row.move_up_to, row.currency
    return {
        "account": row.account,
        "person": row.person,
        "standing": row.standing,
        "may_see": row.may_see,
        "move_up_to": None if amount is None or currency is None else show(amount, currency),
        "currency": currency,
        "until": row.until,
        "position": row.position,
    }


@command(router, "/accounts/{account}/owners", makes=AddOwner, answer=OwnersChanged)
def add_owner(caller: Caller, account: PathId, body: bodies.Owner) -> Intent:
    """Add an owner to an account. A mandate of the person is over then."""
    return Intent(AddOwner(account, body.person), account)


@command(router, "/accounts/{account}/owners/remove", makes=RemoveOwner, answer=OwnersChanged, status=200)
def remove_owner(caller: Caller, account: PathId, body: bodies.Owner) -> Intent:
    """Remove an owner of an account. The last one stays."""
    return Intent(RemoveOwner(account, body.person), account)


@command(router, "/accounts/{account}/mandates", makes=GiveMandate, answer=MandateGiven)
def give_mandate(caller: Caller, account: PathId, body: bodies.Mandate) -> Intent:
    """Let a person see an account, move money from it, or both. It replaces the mandate that the person has."""
    mandate = GiveMandate(
        account=account,
        person=body.person,
        may_see=body.may_see,
        move_up_to=body.move_up_to,
        currency=body.currency,
        until=body.until,
    )
    return Intent(mandate, account)


@command(router, "/accounts/{account}/mandates/withdraw", makes=WithdrawMandate, answer=OwnersChanged, status=200)
def withdraw_mandate(caller: Caller, account: PathId, body: bodies.MandateHolder) -> Intent:
    """Withdraw the mandate of a person."""
    return Intent(WithdrawMandate(account, body.person), account)


@query(
    router,
    "/account-persons",
    may=EVERY_READER,
    response=page_of(AccountPerson),
    personal=True,
    projections=("account_persons",),
)
def list_account_persons(
    request: Request,
    account: Filter = None,
    person: Filter = None,
    standing: StandingFilter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List who owns accounts and who has a mandate, in the order in which they first did.

    A customer sees everybody for an account that they own, and their own mandate for another one.
    """
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = account_persons(
            connection,
            reader=reader_of(request),
            account=account,
            person=person,
            standing=standing,
            after=after,
            cursor=key,
            limit=limit,
        )
    return page(listed, account_person_view)
