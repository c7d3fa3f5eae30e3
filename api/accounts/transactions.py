"""Transfers and transactions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.accounts import bodies
from api.accounts.views import transaction_view
from api.commands.bodies import IsoDate
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import COMMANDERS, READERS
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reading
from domain.accounts.posting import Entry
from domain.accounts.transaction import TRANSACTION, PostTransaction, Transfer
from projections.accounts.transactions import queries

router = APIRouter(prefix="/v1", tags=["transactions"])


@command(router, "/transfers", may=COMMANDERS)
def transfer(caller: Caller, body: bodies.TransferBody) -> Intent:
    """Move money between two accounts of one currency, in one unit."""
    return Intent(
        Transfer(
            caller.services.new_id(TRANSACTION),
            body.source,
            body.target,
            body.amount,
            body.currency,
            body.value_date or caller.today,
            body.reference,
            body.description,
        )
    )


@command(router, "/transactions", may=COMMANDERS)
def post_transaction(caller: Caller, body: bodies.TransactionBody) -> Intent:
    """Post any balanced set of 2 to 1,000 entries, all or nothing."""
    return Intent(
        PostTransaction(
            caller.services.new_id(TRANSACTION),
            body.kind,
            tuple(Entry(entry.account, entry.side, entry.amount, entry.currency) for entry in body.entries),
            body.value_date or caller.today,
            body.reference,
            body.description,
        )
    )


@query(router, "/transactions", may=READERS, personal=True, projections=("transactions", "entries"))
def list_transactions(
    request: Request,
    account: Filter = None,
    kind: Filter = None,
    reference: Filter = None,
    value_from: Annotated[IsoDate | None, Query()] = None,
    value_until: Annotated[IsoDate | None, Query()] = None,
    newest_first: bool = False,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """Transactions in the order of the log; `account`: those with an entry of it."""
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.transactions(
            connection,
            account=account,
            kind=kind,
            reference=reference,
            value_from=value_from,
            value_until=value_until,
            after=after,
            cursor=key,
            newest_first=newest_first,
            limit=limit,
        )
    return page(listed, transaction_view)


@query(router, "/transactions/{transaction}", may=READERS, personal=True, projections=("transactions",))
def get_transaction(request: Request, transaction: PathId) -> Response:
    """One transaction with all its entries."""
    with reading(request) as connection:
        return one("transaction", transaction, queries.transaction(connection, transaction), transaction_view)
