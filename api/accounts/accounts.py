"""The routes of accounts: open, move money, freeze, close and read."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request
from psycopg import Connection
from starlette.responses import Response

from api.accounts import bodies
from api.accounts.answers import (
    AccountChanged,
    AccountClosed,
    AccountOpened,
    ClosingAsked,
    FeeCharged,
    LimitsChanged,
    Posted,
)
from api.accounts.conditions import conditioned
from api.accounts.views import (
    Account,
    DailyBalance,
    Entry,
    LimitUsage,
    TrialBalance,
    account_view,
    entry_view,
    limit_usage_view,
    movement_view,
    trial_balance_view,
)
from api.commands.bodies import IsoDate, Reason
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import EVERY_READER, READERS
from api.gateway.problems import Problem
from api.queries.filters import CurrencyFilter, MetadataFilter, choice, must_be_in_order, pairs_of
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import (
    DEFAULT_LIMIT,
    After,
    Cursor,
    Filter,
    Limit,
    PathId,
    one,
    one_that_passes,
    page,
    reader_of,
    reading,
)
from api.queries.response_types import page_of, values_of
from api.queries.responses import json_response
from api.services import services
from domain import money
from domain.accounts.account.details import ChangeAccountDetails, ChangeAccountMetadata
from domain.accounts.account.lifecycle import (
    CancelClosing,
    CloseAccount,
    CloseWhenFree,
    FreezeAccount,
    OpenAccount,
    ReopenAccount,
    UnfreezeAccount,
)
from domain.accounts.account.limits import ChangeLimits, Limits
from domain.accounts.account.state import ACCOUNT, INTERNAL_ROLES, Status
from domain.accounts.currencies.rates import currencies_of
from domain.accounts.numbers import AccountType, account_number
from domain.accounts.posting import Side, internal_account, pair_account
from domain.accounts.transaction import TRANSACTION, ChargeFee, Deposit, Withdraw
from projections.accounts.accounts import queries as accounts
from projections.accounts.entries import queries as entries
from projections.accounts.limit_usage import limit_usage
from projections.accounts.movements import queries as movements
from projections.accounts.trial_balance import queries as trial_balances
from projections.engine.listing import Listed, Reader

router = APIRouter(prefix="/v1", tags=["accounts"])

TypeFilter = Annotated[str, choice(values_of(AccountType))] | None
StatusFilter = Annotated[str, choice(values_of(Status))] | None
SideFilter = Annotated[str, choice(values_of(Side))] | None


@command(router, "/accounts", makes=OpenAccount, answer=AccountOpened)
async def open_account(caller: Caller, body: bodies.Open) -> Intent:
    """Open an account. Daybook assigns its number."""
    served = caller.services
    internal = body.type in INTERNAL_ROLES
    if not internal and body.owner is None:
        raise Problem("malformed", "owner: a customer's account needs one.")
    id = _internal_id(served.log, body) if internal else served.new_id(ACCOUNT)
    number = await asyncio.to_thread(served.numbers.next)

    def limit(text: str | None) -> int | None:
        return None if text is None or internal else money.parse(text, body.currency)

    opening = OpenAccount(
        account=id,
        number=account_number(body.type, number),
        type=body.type,
        currency=body.currency,
        owner=body.owner or served.log,
        name=body.name,
        minimum=limit(body.minimum),
        maximum=limit(body.maximum),
        opened_on=body.opened_on or caller.today,
        metadata=body.metadata,
    )
    return Intent(opening, created="account")


def _internal_id(log: str, body: bodies.Open) -> str:
    """The id of an internal account. Raises `Problem` if it is one of a pair, and the body names none with it."""
    if body.type != "liquidity":
        return internal_account(log, body.type, body.currency)  # type: ignore[arg-type]
    if body.currency not in (currencies_of(body.pair or "") or ()):
        raise Problem("malformed", f"pair: an account for liquidity needs a pair of {body.currency} and another one.")
    return pair_account(log, "liquidity", cast(str, body.pair), body.currency)


def _movement(kind: type[Deposit | Withdraw], caller: Caller, account: str, body: bodies.Movement) -> Intent:
    """The intent of a deposit or a withdrawal on the account."""
    movement = kind(
        transaction=caller.services.new_id(TRANSACTION),
        account=account,
        amount=body.amount,
        currency=body.currency,
        value_date=body.value_date or caller.today,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
    )
    return Intent(conditioned(movement, body), account)


@command(router, "/accounts/{account}/deposits", makes=Deposit, answer=Posted)
def deposit(caller: Caller, account: PathId, body: bodies.Movement) -> Intent:
    """Deposit cash into an account."""
    return _movement(Deposit, caller, account, body)


@command(router, "/accounts/{account}/withdrawals", makes=Withdraw, answer=Posted)
def withdraw(caller: Caller, account: PathId, body: bodies.Movement) -> Intent:
    """Withdraw cash from an account."""
    return _movement(Withdraw, caller, account, body)


@command(router, "/accounts/{account}/fees", makes=ChargeFee, answer=FeeCharged)
def charge_fee(caller: Caller, account: PathId, body: bodies.FeeCharge) -> Intent:
    """Charge a fee to an account: an amount, or what a fee schedule makes of a base amount."""
    fee = ChargeFee(
        transaction=caller.services.new_id(TRANSACTION),
        account=account,
        amount=body.amount or body.base or 0,
        currency=body.currency,
        value_date=body.value_date or caller.today,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
        schedule=body.schedule,
    )
    return Intent(conditioned(fee, body), account)


@command(router, "/accounts/{account}/freeze", makes=FreezeAccount, answer=AccountChanged, status=200)
def freeze_account(caller: Caller, account: PathId, body: Reason) -> Intent:
    """Freeze an account. It takes no entry in either direction until it is unfrozen."""
    return Intent(FreezeAccount(account, body.reason), account)


@command(router, "/accounts/{account}/unfreeze", makes=UnfreezeAccount, answer=AccountChanged, status=200)
def unfreeze_account(caller: Caller, account: PathId, body: Reason) -> Intent:
    """Unfreeze an account. It takes entries again."""
    return Intent(UnfreezeAccount(account, body.reason), account)


@command(router, "/accounts/{account}/close", makes=CloseAccount, answer=AccountClosed, status=200)
def close_account(caller: Caller, account: PathId, body: bodies.Closing) -> Intent:
    """Close an account. No hold may be open, and its balance must be zero or is swept to another account.

    A sweep takes all that is left, also what is below the minimum of the account.
    """
    transaction = None if body.sweep_to is None else caller.services.new_id(TRANSACTION)
    closing = CloseAccount(account=account, reason=body.reason, sweep_to=body.sweep_to, transaction=transaction)
    return Intent(closing, account)


@command(router, "/accounts/{account}/close-when-free", makes=CloseWhenFree, answer=ClosingAsked, status=200)
def close_account_when_free(caller: Caller, account: PathId, body: bodies.ClosingWhenFree) -> Intent:
    """Close an account once no hold is open and no transaction is pending on it.

    From now on nothing new is taken from it or held on it. Then a process sweeps what is left, and closes it.
    """
    return Intent(CloseWhenFree(account, body.reason, body.sweep_to), account)


@command(router, "/accounts/{account}/cancel-closing", makes=CancelClosing, answer=AccountChanged, status=200)
def cancel_closing(caller: Caller, account: PathId, body: Reason) -> Intent:
    """Let an account go on that was to be closed once no hold is open."""
    return Intent(CancelClosing(account, body.reason), account)


@command(router, "/accounts/{account}/reopen", makes=ReopenAccount, answer=AccountChanged, status=200)
def reopen_account(caller: Caller, account: PathId, body: Reason) -> Intent:
    """Reopen a closed account."""
    return Intent(ReopenAccount(account, body.reason), account)


@command(router, "/accounts/{account}/details", makes=ChangeAccountDetails, answer=AccountChanged, status=200)
def change_account_details(caller: Caller, account: PathId, body: bodies.Details) -> Intent:
    """Give an account another name."""
    return Intent(ChangeAccountDetails(account, body.name), account)


@command(router, "/accounts/{account}/metadata", makes=ChangeAccountMetadata, answer=AccountChanged, status=200)
def change_account_metadata(caller: Caller, account: PathId, body: bodies.MetadataChange) -> Intent:
    """Set pairs of the metadata of an account, and remove others. Other pairs stay."""
    return Intent(ChangeAccountMetadata(account, body.set, tuple(body.remove)), account)


@command(router, "/accounts/{account}/limits", makes=ChangeLimits, answer=LimitsChanged, status=200)
def change_limits(caller: Caller, account: PathId, body: bodies.LimitsBody) -> Intent:
    """Replace the limits of an account. Owners and programs lower limits, and an operator raises them too."""
    limits = Limits(
        minimum=None if body.minimum is None else money.parse(body.minimum, body.currency),
        maximum=None if body.maximum is None else money.parse(body.maximum, body.currency),
        overdraft=body.overdraft or 0,
        overdraft_until=body.overdraft_until,
        daily=body.daily,
        monthly=body.monthly,
        hourly=body.hourly,
        hourly_count=body.hourly_count,
        approve_above=body.approve_above,
    )
    return Intent(ChangeLimits(account, currency=body.currency, limits=limits, reason=body.reason), account)


@query(
    router,
    "/accounts",
    may=EVERY_READER,
    response=page_of(Account),
    personal=True,
    projections=("accounts", "account_persons"),
)
def list_accounts(
    request: Request,
    owner: Filter = None,
    type: TypeFilter = None,
    currency: CurrencyFilter = None,
    status: StatusFilter = None,
    number: Filter = None,
    metadata: MetadataFilter = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List accounts in the order in which they were opened."""
    key, pairs = read_cursor(cursor, int), pairs_of(metadata)
    with reading(request) as connection:
        if number is not None:
            found = accounts.account_by_number(connection, number, reader=reader_of(request))
            asked = {"owner": owner, "type": type, "currency": currency, "status": status}
            passed = [one for one in one_that_passes(found, asked, after) if pairs.items() <= one.metadata.items()]
            return page(Listed(tuple(passed), None), account_view)
        listed = accounts.accounts(
            connection,
            reader=reader_of(request),
            owner=owner,
            type=type,
            currency=currency,
            status=status,
            metadata=pairs,
            after=after,
            cursor=key,
            limit=limit,
        )
    return page(listed, account_view)


@query(
    router,
    "/accounts/{account}",
    may=EVERY_READER,
    response=Account,
    personal=True,
    projections=("accounts", "account_persons"),
)
def get_account(request: Request, account: PathId) -> Response:
    """Get one account."""
    with reading(request) as connection:
        return one("account", account, accounts.account(connection, account, reader=reader_of(request)), account_view)


@query(
    router,
    "/accounts/{account}/limit-usage",
    may=EVERY_READER,
    response=page_of(LimitUsage),
    personal=True,
    projections=("limit_usage", "accounts", "account_persons"),
)
def list_limit_usage(
    request: Request,
    account: PathId,
    since: Annotated[IsoDate | None, Query(alias="from")] = None,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List what counted against the outgoing limits of an account, by UTC day."""
    key, reader = read_cursor(cursor, int), reader_of(request)
    with reading(request) as connection:
        listed = limit_usage(connection, account, reader=reader, since=since, after=after, cursor=key, limit=limit)
        if not listed.items:
            _must_exist(connection, account, reader)
    return page(listed, limit_usage_view)


@query(
    router,
    "/accounts/{account}/entries",
    may=EVERY_READER,
    response=page_of(Entry),
    personal=True,
    projections=("entries", "accounts", "account_persons"),
)
def list_entries(
    request: Request,
    account: PathId,
    side: SideFilter = None,
    value_from: Annotated[IsoDate | None, Query()] = None,
    value_until: Annotated[IsoDate | None, Query()] = None,
    newest_first: bool = False,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List the entries of an account in the order of booking, each with the balance after it."""
    key, reader = read_cursor(cursor, int), reader_of(request)
    with reading(request) as connection:
        listed = entries.entries(
            connection,
            account,
            reader=reader,
            side=side,
            value_from=value_from,
            value_until=value_until,
            after=after,
            cursor=key,
            newest_first=newest_first,
            limit=limit,
        )
        if not listed.items:
            _must_exist(connection, account, reader)
    return page(listed, entry_view)


@query(
    router,
    "/accounts/{account}/movements",
    may=EVERY_READER,
    response=page_of(DailyBalance),
    personal=True,
    projections=("movements", "accounts", "account_persons"),
)
def list_movements(
    request: Request,
    account: PathId,
    since: Annotated[IsoDate, Query(alias="from")] = date.min,
    until: Annotated[IsoDate, Query(alias="to")] = date.max,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List the value dates with entries, each with opening balance, debits, credits and closing balance."""
    must_be_in_order(since, until)
    key = read_cursor(cursor, str)
    try:
        day = None if key is None else date.fromisoformat(key)
    except ValueError:
        raise Problem("malformed", "The cursor is not one of this list.") from None
    reader = reader_of(request)
    with reading(request) as connection:
        listed = movements.daily_balances(
            connection, account, reader=reader, since=since, until=until, cursor=day, limit=limit
        )
        if not listed.items:
            _must_exist(connection, account, reader)
    following = None if listed.next is None else listed.next.isoformat()
    return page(Listed(listed.items, following), movement_view)


@query(
    router,
    "/trial-balance",
    may=READERS,
    response=TrialBalance,
    personal=False,
    projections=("trial_balance",),
    tags=["reports"],
)
def get_trial_balance(request: Request, currency: CurrencyFilter = None) -> Response:
    """Get debits and credits per currency and type of account. Their sums are equal in every currency."""
    with reading(request) as connection:
        return json_response(
            trial_balance_view(trial_balances.trial_balance(connection, services(request).log, currency=currency))
        )


def _must_exist(connection: Connection[Any], account: str, reader: Reader) -> None:
    """Raise `Problem` if the account does not exist for the reader. An empty list would be a wrong answer."""
    if accounts.account(connection, account, reader=reader) is None:
        raise Problem("unknown", f"There is no account {account}.", kind="account", id=account)
