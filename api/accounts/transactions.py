"""The routes of transfers and transactions."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from psycopg import Connection
from starlette.responses import Response

from api.accounts import bodies
from api.accounts.answers import PendingEnded, PendingPosted, Posted, TransactionPending
from api.accounts.conditions import conditioned
from api.accounts.views import Transaction, transaction_view
from api.commands.bodies import Instant, IsoDate
from api.commands.execution import command
from api.commands.recorded_batches import transactions_of
from api.commands.routes import Caller, Intent
from api.gateway.principals import EVERY_READER
from api.gateway.problems import Problem
from api.people.access import refuse_on_replicas
from api.queries.filters import (
    AmountFilter,
    CurrencyFilter,
    MetadataFilter,
    amounts_between,
    choice,
    must_be_in_order,
    pairs_of,
)
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
from domain.codes import CODE, MOST_CODE
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


MOST_DAYS_SEARCHED = 92
"""Most days of a window in which amounts are searched. No index has them, so each transaction of the window is read."""
_TOO_WIDE = (
    "currency: nothing finds entries by currency and amount alone. Name an account, a reference, a parent, a batch, an "
    f"initiator, metadata, another status than posted, or a window of at most {MOST_DAYS_SEARCHED} days by value date "
    "or by time of recording."
)


def _searched(
    currency: Annotated[
        CurrencyFilter, Query(description="Transactions with an entry of it, with an amount in the bounds")
    ] = None,
    amount_from: AmountFilter = None,
    amount_until: AmountFilter = None,
) -> queries.EntryBetween | None:
    """The entry that is searched; None: any. Raises `Problem`."""
    if currency is None:
        if amount_from is None and amount_until is None:
            return None
        raise Problem("malformed", "currency: an amount is of a currency; name it.")
    return queries.EntryBetween(currency, *amounts_between(currency, amount_from, amount_until))


Searched = Annotated[queries.EntryBetween | None, Depends(_searched)]


def _are_near(first: date | None, last: date | None) -> bool:
    """Whether these days or times bound a window that may be searched."""
    return first is not None and last is not None and last - first <= timedelta(days=MOST_DAYS_SEARCHED)


def _of_batch(request: Request, connection: Connection[Any], batch: str) -> list[str]:
    refuse_on_replicas(request)
    return transactions_of(request, connection, batch)


@query(
    router,
    "/transactions",
    may=EVERY_READER,
    response=page_of(Transaction),
    personal=True,
    projections=("transactions", "entries", "account_persons"),
)
def list_transactions(
    request: Request,
    account: Filter = None,
    kind: KindFilter = None,
    reference: Filter = None,
    reference_prefix: Annotated[
        str | None, Query(pattern=CODE, max_length=MOST_CODE, description="What the reference begins with")
    ] = None,
    status: TransactionStatusFilter = None,
    parent: Filter = None,
    batch: Filter = None,
    initiator: Filter = None,
    metadata: MetadataFilter = None,
    searched: Searched = None,
    value_from: Annotated[IsoDate | None, Query()] = None,
    value_until: Annotated[IsoDate | None, Query()] = None,
    recorded_from: Annotated[Instant | None, Query(description="Recorded at this time or later")] = None,
    recorded_before: Annotated[Instant | None, Query(description="Recorded before this time")] = None,
    newest_first: bool = False,
    after: After = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> Response:
    """List transactions in the order of the log. `account` selects those with an entry of it, posted or waiting.

    A customer gets those with an entry of an account that the customer may see. `batch` selects what the items of a
    batch made or changed, for who may read the batch. Descriptions are sealed, so nothing searches them.
    """
    key, pairs, reader = read_cursor(cursor, int), pairs_of(metadata), reader_of(request)
    must_be_in_order(value_from or date.min, value_until or date.max)
    if recorded_from is not None and recorded_before is not None and recorded_before <= recorded_from:
        raise Problem("malformed", f"recorded_before: {recorded_before.isoformat()} is not after recorded_from.")
    if searched is not None and reader.everything:
        narrow = (account, reference, reference_prefix, parent, batch, initiator, metadata)
        few = any(narrow) or status not in (None, "posted")
        if not few and not _are_near(value_from, value_until) and not _are_near(recorded_from, recorded_before):
            raise Problem("malformed", _TOO_WIDE)
    with reading(request) as connection:
        among = None if batch is None else _of_batch(request, connection, batch)
        listed = queries.transactions(
            connection,
            reader=reader,
            account=account,
            kind=kind,
            reference=reference,
            reference_prefix=reference_prefix,
            status=status,
            parent=parent,
            among=among,
            initiator=initiator,
            metadata=pairs,
            entry=searched,
            value_from=value_from,
            value_until=value_until,
            recorded_from=recorded_from,
            recorded_before=recorded_before,
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
