"""Accounts: open, move money, freeze, close, hold; and read them."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from psycopg import Connection
from starlette.responses import Response

from api import bodies
from api.documented import COMMAND, READ_LIST, READ_ONE
from api.execution import execute
from api.positions import read_cursor
from api.problems import Problem
from api.reading import DEFAULT_LIMIT, Cursor, Filter, Limit, MinPosition, PathId, one, one_that_passes, page, reading
from api.services import services
from api.views import account_view, entry_view, json_response, movement_view, trial_balance_view
from domain import money
from domain.accounts import commands as c
from domain.accounts.account import INTERNAL_ROLES
from domain.accounts.numbers import account_number
from domain.accounts.posting import internal_account
from domain.ids import ACCOUNT, HOLD, TRANSACTION
from projections.accounts import queries as accounts
from projections.composed import Listed
from projections.entries import queries as entries
from projections.movements import queries as movements
from projections.trial_balance import queries as trial_balances

router = APIRouter(prefix="/v1", tags=["accounts"])


@router.post("/accounts", status_code=201, responses=COMMAND)
async def open_account(request: Request, body: bodies.Open) -> Response:
    """Open an account; its number is given."""
    served = services(request)
    internal = body.type in INTERNAL_ROLES
    principal = request.scope["state"]["principal"]
    if internal and principal.role != "operator":
        raise Problem("forbidden", f"Only an operator opens an internal account; {principal.name} is {principal.role}.")
    if not internal and body.owner is None:
        raise Problem("malformed", "owner: a customer's account needs one.")
    id = internal_account(served.log, body.type, body.currency) if internal else served.new_id(ACCOUNT)  # type: ignore[arg-type]
    number = await asyncio.to_thread(served.numbers.next)

    def limit(text: str | None) -> int | None:
        return None if text is None or internal else money.parse(text, body.currency)

    command = c.OpenAccount(
        id,
        account_number(body.type, number),
        body.type,
        body.currency,
        body.owner or served.log,
        body.name,
        limit(body.minimum),
        limit(body.maximum),
        body.opened_on or served.clock().date(),
    )
    return await execute(request, command, created="account", expected=body.expected_versions)


_Movement = tuple[str, str, int, str, date, str | None, str | None]


def _movement(request: Request, account: str, body: bodies.Movement) -> _Movement:
    """The fields all movements share, in their order."""
    served = services(request)
    return (
        served.new_id(TRANSACTION),
        account,
        body.minor,
        body.currency,
        body.value_date or served.clock().date(),
        body.reference,
        body.description,
    )


@router.post("/accounts/{account}/deposits", status_code=201, responses=COMMAND)
async def deposit(request: Request, account: PathId, body: bodies.Movement) -> Response:
    """Cash in."""
    command = c.Deposit(*_movement(request, account, body))
    return await execute(request, command, stream=account, expected=body.expected_versions)


@router.post("/accounts/{account}/withdrawals", status_code=201, responses=COMMAND)
async def withdraw(request: Request, account: PathId, body: bodies.Movement) -> Response:
    """Cash out."""
    command = c.Withdraw(*_movement(request, account, body))
    return await execute(request, command, stream=account, expected=body.expected_versions)


@router.post("/accounts/{account}/fees", status_code=201, responses=COMMAND)
async def charge_fee(request: Request, account: PathId, body: bodies.Movement) -> Response:
    """The ledger's fee."""
    command = c.ChargeFee(*_movement(request, account, body))
    return await execute(request, command, stream=account, expected=body.expected_versions)


@router.post("/accounts/{account}/freeze", responses=COMMAND)
async def freeze(request: Request, account: PathId, body: bodies.Reason) -> Response:
    """No entry in either direction until it is unfrozen."""
    command = c.FreezeAccount(account, body.reason)
    return await execute(request, command, stream=account, expected=body.expected_versions, status=200)


@router.post("/accounts/{account}/unfreeze", responses=COMMAND)
async def unfreeze(request: Request, account: PathId, body: bodies.Reason) -> Response:
    """Entries are taken again."""
    command = c.UnfreezeAccount(account, body.reason)
    return await execute(request, command, stream=account, expected=body.expected_versions, status=200)


@router.post("/accounts/{account}/close", responses=COMMAND)
async def close(request: Request, account: PathId, body: bodies.Reason) -> Response:
    """For good. The balance must be zero and no hold open."""
    command = c.CloseAccount(account, body.reason)
    return await execute(request, command, stream=account, expected=body.expected_versions, status=200)


@router.post("/accounts/{account}/holds", status_code=201, responses=COMMAND)
async def place_hold(request: Request, account: PathId, body: bodies.Hold) -> Response:
    """Reserve an amount: the balance stays, what is available falls."""
    hold = services(request).new_id(HOLD)
    command = c.PlaceHold(account, hold, body.minor, body.currency, body.reference)
    return await execute(request, command, stream=account, expected=body.expected_versions)


@router.post("/accounts/{account}/holds/{hold}/release", responses=COMMAND)
async def release_hold(request: Request, account: PathId, hold: PathId, body: bodies.Nothing) -> Response:
    """What was reserved is available again."""
    command = c.ReleaseHold(account, hold)
    return await execute(request, command, stream=account, expected=body.expected_versions, status=200)


@router.post("/accounts/{account}/holds/{hold}/capture", status_code=201, responses=COMMAND)
async def capture_hold(request: Request, account: PathId, hold: PathId, body: bodies.Capture) -> Response:
    """Pay from the hold; what is left over becomes available."""
    served = services(request)
    command = c.CaptureHold(
        account,
        hold,
        served.new_id(TRANSACTION),
        body.target,
        bodies.minor(body.amount, body.currency),
        body.value_date or served.clock().date(),
        body.reference,
        body.description,
    )
    return await execute(request, command, stream=account, expected=body.expected_versions)


@router.get("/accounts", responses=READ_LIST)
def list_accounts(
    request: Request,
    owner: Filter = None,
    type: Filter = None,
    currency: Filter = None,
    status: Filter = None,
    number: Filter = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    min_position: MinPosition = None,
) -> Response:
    """Accounts, oldest first."""
    after = read_cursor(cursor, str)
    with reading(request, ["accounts"], min_position) as connection:
        if number is not None:
            found = accounts.account_by_number(connection, number)
            asked = {"owner": owner, "type": type, "currency": currency, "status": status}
            return page(Listed(one_that_passes(found, asked), None), account_view)
        listed = accounts.accounts(
            connection, owner=owner, type=type, currency=currency, status=status, after=after, limit=limit
        )
    return page(listed, account_view)


@router.get("/accounts/{account}", responses=READ_ONE)
def get_account(request: Request, account: PathId, min_position: MinPosition = None) -> Response:
    """One account."""
    with reading(request, ["accounts"], min_position) as connection:
        return one("account", account, accounts.account(connection, account), account_view)


@router.get("/accounts/{account}/entries", responses=READ_ONE)
def list_entries(
    request: Request,
    account: PathId,
    side: Filter = None,
    value_from: Annotated[bodies.IsoDate | None, Query()] = None,
    value_until: Annotated[bodies.IsoDate | None, Query()] = None,
    newest_first: bool = False,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    min_position: MinPosition = None,
) -> Response:
    """The account's entries in the order of booking, each with the balance after it."""
    after = read_cursor(cursor, int)
    with reading(request, ["entries", "accounts"], min_position) as connection:
        listed = entries.entries(
            connection,
            account,
            side=side,
            value_from=value_from,
            value_until=value_until,
            after=after,
            newest_first=newest_first,
            limit=limit,
        )
        if not listed.items:
            _must_exist(connection, account)
    return page(listed, entry_view)


@router.get("/accounts/{account}/movements", responses=READ_ONE)
def list_movements(
    request: Request,
    account: PathId,
    since: Annotated[bodies.IsoDate, Query(alias="from")] = date.min,
    until: Annotated[bodies.IsoDate, Query(alias="to")] = date.max,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
    min_position: MinPosition = None,
) -> Response:
    """Days with entries, by value date: opening, debits, credits, closing."""
    key = read_cursor(cursor, str)
    try:
        after = None if key is None else date.fromisoformat(key)
    except ValueError:
        raise Problem("malformed", "The cursor is not one of this list.") from None
    with reading(request, ["movements", "accounts"], min_position) as connection:
        listed = movements.daily_balances(connection, account, since=since, until=until, after=after, limit=limit)
        if not listed.items:
            _must_exist(connection, account)
    following = None if listed.next is None else listed.next.isoformat()
    return page(Listed(listed.items, following), movement_view)


@router.get("/trial-balance", responses=READ_LIST, tags=["reports"])
def trial_balance(request: Request, currency: Filter = None, min_position: MinPosition = None) -> Response:
    """Debits and credits per currency and type of account; they are equal in every currency."""
    with reading(request, ["trial_balance"], min_position) as connection:
        return json_response(
            trial_balance_view(trial_balances.trial_balance(connection, services(request).log, currency=currency))
        )


def _must_exist(connection: Connection[Any], account: str) -> None:
    """An empty list of what does not exist would be a wrong answer."""
    if accounts.account(connection, account) is None:
        raise Problem("unknown", f"There is no account {account}.", kind="account", id=account)
