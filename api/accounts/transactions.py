"""The routes of transfers and transactions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.accounts import bodies
from api.accounts.answers import PendingEnded, PendingPosted, Posted, TransactionPending
from api.accounts.conditions import conditioned
from api.accounts.views import Transaction, transaction_view
from api.commands.bodies import IsoDate
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.principals import EVERY_READER
from api.queries.filters import choice
from api.queries.positions import read_cursor
from api.queries.query import query
from api.queries.reading import DEFAULT_LIMIT, After, Cursor, Filter, Limit, PathId, one, page, reader_of, reading
from api.queries.response_types import page_of, values_of
from domain.accounts.posting import Entry, TransactionKind
from domain.accounts.transaction import (
    TRANSACTION,
    CancelPending,
    PendTransaction,
    PendTransfer,
    PostPending,
    PostTransaction,
    Transfer,
)
from domain.accounts.transaction.state import TransactionStatus
from projections.accounts.transactions import queries

router = APIRouter(prefix="/v1", tags=["transactions"])

TransactionStatusFilter = Annotated[str, choice(values_of(TransactionStatus))] | None
KindFilter = Annotated[str, choice(values_of(TransactionKind))] | None


@command(router, "/transfers", makes=Transfer, answer=Posted)
def transfer(caller: Caller, body: bodies.TransferBody) -> Intent:
    """Move money between two accounts of one currency, in one unit."""
    movement = Transfer(
        transaction=caller.services.new_id(TRANSACTION),
        source=body.source,
        target=body.target,
        amount=body.amount,
        currency=body.currency,
        value_date=body.value_date or caller.today,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
    )
    return Intent(conditioned(movement, body))


def _entries(body: bodies.TransactionBody) -> tuple[Entry, ...]:
    return tuple(
        Entry(account=entry.account, side=entry.side, amount=entry.amount, currency=entry.currency)
        for entry in body.entries
    )


@command(router, "/transactions", makes=PostTransaction, answer=Posted)
def post_transaction(caller: Caller, body: bodies.TransactionBody) -> Intent:
    """Post any balanced set of 2 to 1,000 entries, all or nothing."""
    posting = PostTransaction(
        transaction=caller.services.new_id(TRANSACTION),
        kind=body.kind,
        entries=_entries(body),
        value_date=body.value_date or caller.today,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
        late_for=body.late_for,
    )
    return Intent(conditioned(posting, body))


@command(router, "/transfers/pending", makes=PendTransfer, answer=TransactionPending)
def pend_transfer(caller: Caller, body: bodies.PendingTransfer) -> Intent:
    """Reserve the amount of a transfer. It is posted, cancelled, or expires later."""
    pending = PendTransfer(
        transaction=caller.services.new_id(TRANSACTION),
        source=body.source,
        target=body.target,
        amount=body.amount,
        currency=body.currency,
        value_date=body.value_date or caller.today,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
        expires_at=body.expires_at,
        awaits=body.awaits,
    )
    return Intent(conditioned(pending, body))


@command(router, "/transactions/pending", makes=PendTransaction, answer=TransactionPending)
def pend_transaction(caller: Caller, body: bodies.PendingTransaction) -> Intent:
    """Reserve the amounts of any balanced set of entries. They are posted, cancelled, or expire later."""
    pending = PendTransaction(
        transaction=caller.services.new_id(TRANSACTION),
        kind=body.kind,
        entries=_entries(body),
        value_date=body.value_date or caller.today,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
        late_for=body.late_for,
        expires_at=body.expires_at,
        awaits=body.awaits,
    )
    return Intent(conditioned(pending, body))


@command(router, "/transactions/{transaction}/post", makes=PostPending, answer=PendingPosted, status=200)
def post_pending(caller: Caller, transaction: PathId, body: bodies.PostPendingBody) -> Intent:
    """Post a pending transaction. Every rule of a posting holds again."""
    return Intent(PostPending(transaction, body.value_date), transaction)


@command(router, "/transactions/{transaction}/cancel", makes=CancelPending, answer=PendingEnded, status=200)
def cancel_pending(caller: Caller, transaction: PathId, body: bodies.CancelPendingBody) -> Intent:
    """Cancel a pending transaction. What it reserved is available again."""
    return Intent(CancelPending(transaction, body.reason), transaction)


@query(
    router,
    "/transactions",
    may=EVERY_READER,
    response=page_of(Transaction),
    personal=True,
    projections=("transactions", "entries", "holds", "account_persons"),
)
def list_transactions(
    request: Request,
    account: Filter = None,
    kind: KindFilter = None,
    reference: Filter = None,
    status: TransactionStatusFilter = None,
    parent: Filter = None,
    value_from: Annotated[IsoDate | None, Query()] = None,
    value_until: Annotated[IsoDate | None, Query()] = None,
    newest_first: bool = False,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List transactions in the order of the log. `account` selects those with an entry of this account or a hold on it.

    A pending transaction has no entries yet, and holds on the accounts that it takes from. A customer gets those with
    an entry of an account that the customer may see, or a hold on it.
    """
    key = read_cursor(cursor, int)
    with reading(request) as connection:
        listed = queries.transactions(
            connection,
            reader=reader_of(request),
            account=account,
            kind=kind,
            reference=reference,
            status=status,
            parent=parent,
            value_from=value_from,
            value_until=value_until,
            after=after,
            cursor=key,
            newest_first=newest_first,
            limit=limit,
        )
    return page(listed, transaction_view)


@query(
    router,
    "/transactions/{transaction}",
    may=EVERY_READER,
    response=Transaction,
    personal=True,
    projections=("transactions", "account_persons"),
)
def get_transaction(request: Request, transaction: PathId) -> Response:
    """Get one transaction with all its entries."""
    with reading(request) as connection:
        found = queries.transaction(connection, transaction, reader=reader_of(request))
        return one("transaction", transaction, found, transaction_view)
