"""Transfer orders as they are now, and each try to execute one: tables, fold, reporting views, queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from psycopg import Connection
from sqlalchemy import bindparam, or_, select

from domain.accounts.transfer_order.events import (
    TransferOrderCancelled,
    TransferOrderDelayed,
    TransferOrderExecuted,
    TransferOrderExpired,
    TransferOrderFailed,
    TransferOrderSubmitted,
)
from projections.accounts.account_persons import SEEN
from projections.engine.columns import amount, code, flag, free_text, index, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.erasure import PersonalText
from projections.engine.listing import EVERYTHING, Listed, Listing, Reader, Visible, readable
from projections.engine.reporting import View, last_position
from projections.engine.rows import erasable
from projections.engine.writing import Row

TryOutcome = Literal["executed", "refused"]

# Tables.

TABLE = read_table(
    "transfer_orders",
    "One row a transfer order, as it is now. Amounts in minor units.",
    code("transfer_order", "Public id; also the name of its stream in the log, and of its hold.", key=True),
    code("status", "waiting, executed, failed, expired or cancelled."),
    code("source", "The account that pays."),
    code("target", "The account that gets it."),
    code("currency", "ISO 4217 code of the source account."),
    code("target_currency", "ISO 4217 code of the target account."),
    amount("sum_amount", "The amount that is ordered. NULL: the quote says it.", optional=True),
    code("sum_currency", "The side that the amount is for: what is paid, or the least that is got.", optional=True),
    amount("bound_amount", "The least that the target gets, or the most that the source pays.", optional=True),
    code("bound_currency", "The currency of the bound: that of the other side.", optional=True),
    code("quote", "The quote that locks the price.", optional=True),
    code("fee_schedule", "The schedule that the fee is charged by. NULL: there is no fee.", optional=True),
    amount("fee", "The fee, in the currency of the source account; 0 without one."),
    amount("held", "What it holds on the source account while it waits, with the fee."),
    moment("execute_at", "When it is executed, UTC. NULL: at once.", optional=True),
    moment("expires_at", "The first instant at which it is not executed any more, UTC. NULL: none.", optional=True),
    flag("notify", "Whether the owners of the source account get a mail at the end."),
    number("tries", "How often its execution was refused.", bits=32),
    code("rule", "The rule that refused it last. NULL: none.", optional=True),
    json_value("figures", "What explains that refusal, as a JSON object."),
    moment("retry_at", "When it is tried again, UTC. NULL: it is not, or was not refused.", optional=True),
    code("transaction", "The transaction that moved the money.", optional=True),
    code("fee_transaction", "The transaction that charged the fee.", optional=True),
    code("conversion", "The conversion, with its rate.", optional=True),
    amount("paid", "What the source paid without the fee.", optional=True),
    amount("received", "What the target got, in its currency.", optional=True),
    code("reference", "The reference of its transactions.", optional=True),
    json_value("metadata", "Pairs of codes that its transactions get, as a JSON object."),
    code("subject", "The person whose key seals the description. NULL without a description.", optional=True),
    free_text("description", "Free text. NULL once the person it is about was erased.", optional=True),
    flag("description_erased", "Whether the description is gone with a person's key."),
    code("initiator", "The person who submitted it. NULL: a program.", optional=True),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its submission."),
    moment("submitted_at", "When it was submitted, UTC."),
    moment("ended_at", "When it ended, UTC. NULL while it waits.", optional=True),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("transfer_orders_in_order", "position", unique=True),
    index("transfer_orders_of_source", "source", "position"),
    index("transfer_orders_of_target", "target", "position"),
    index("transfer_orders_in_status", "status", "position"),
    index("transfer_orders_by_reference", "reference", "position", where="reference IS NOT NULL"),
    index("transfer_orders_of_subject", "subject", where="subject IS NOT NULL"),
    personal=PersonalText("subject", {"description": "description_erased"}),
)

TRIES = read_table(
    "transfer_order_tries",
    "One row each time that a transfer order was executed or refused. Rows are never changed.",
    code("transfer_order", "The transfer order.", key=True),
    number("version", "Version of its stream.", key=True),
    code("outcome", "executed or refused."),
    code("rule", "The rule that refused it. NULL: it was executed.", optional=True),
    json_value("figures", "What explains the refusal, as a JSON object."),
    moment("retry_at", "When it is tried again, UTC. NULL: it is not.", optional=True),
    number("position", "Position in the log of this event."),
    moment("recorded_at", "When it was recorded, UTC."),
    index("transfer_order_tries_in_order", "position", unique=True),
    index("transfer_order_tries_of_order", "transfer_order", "position"),
)

# Fold.


def submitted(row: Row, event: TransferOrderSubmitted) -> Row:
    """A new order, which holds its amount."""
    sum, bound, fee = event.sum, event.bound, event.fee
    description, erased = erasable(event.description)
    return {
        **row,
        "status": "waiting",
        "source": event.source,
        "target": event.target,
        "currency": event.currency,
        "target_currency": event.target_currency,
        "sum_amount": None if sum is None else sum.amount,
        "sum_currency": None if sum is None else sum.currency,
        "bound_amount": None if bound is None else bound.amount,
        "bound_currency": None if bound is None else bound.currency,
        "quote": event.quote,
        "fee_schedule": None if fee is None else fee.schedule,
        "fee": 0 if fee is None else fee.amount,
        "held": event.held,
        "execute_at": _text(event.execute_at),
        "expires_at": _text(event.expires_at),
        "notify": event.notify,
        "tries": 0,
        "figures": _json({}),
        "reference": event.reference,
        "metadata": _json(event.metadata),
        "subject": event.subject,
        "description": description,
        "description_erased": erased,
        "initiator": event.initiator,
        "position": row["last_position"],
        "submitted_at": row["last_at"],
    }


def delayed(row: Row, event: TransferOrderDelayed) -> Row:
    """A rule refused it, and it is tried again."""
    return {**row, **_refused(event), "retry_at": _text(event.retry_at)}


def executed(row: Row, event: TransferOrderExecuted) -> Row:
    """The money was moved."""
    made = {
        "transaction": event.transaction,
        "fee_transaction": event.fee_transaction,
        "conversion": event.conversion,
        "paid": event.paid.amount,
        "received": event.received.amount,
    }
    return {**row, "status": "executed", **made, **_ended(row)}


def failed(row: Row, event: TransferOrderFailed) -> Row:
    """A rule refused it for the last time."""
    return {**row, "status": "failed", **_refused(event), **_ended(row)}


def expired(row: Row, event: TransferOrderExpired) -> Row:
    """Its time is over."""
    return {**row, "status": "expired", **_ended(row)}


def cancelled(row: Row, event: TransferOrderCancelled) -> Row:
    """It ends."""
    return {**row, "status": "cancelled", **_ended(row)}


def _refused(event: TransferOrderDelayed | TransferOrderFailed) -> Row:
    return {"tries": event.tries, "rule": event.rule, "figures": _json(event.figures)}


def _ended(row: Row) -> Row:
    return {"retry_at": None, "ended_at": row["last_at"]}


def execution_of(row: Row, event: TransferOrderExecuted) -> list[tuple[Any, ...]]:
    """The row of a try that moved the money."""
    return [_try(row, event, "executed", None, {}, None)]


def delay_of(row: Row, event: TransferOrderDelayed) -> list[tuple[Any, ...]]:
    """The row of a try that was refused."""
    return [_try(row, event, "refused", event.rule, event.figures, event.retry_at)]


def failure_of(row: Row, event: TransferOrderFailed) -> list[tuple[Any, ...]]:
    """The row of the last try."""
    return [_try(row, event, "refused", event.rule, event.figures, None)]


def _try(
    row: Row,
    event: TransferOrderExecuted | TransferOrderDelayed | TransferOrderFailed,
    outcome: TryOutcome,
    rule: str | None,
    figures: Mapping[str, str],
    retry_at: datetime | None,
) -> tuple[Any, ...]:
    key = event.originator_id, event.originator_version
    return *key, outcome, rule, _json(figures), _text(retry_at), row["last_position"], row["last_at"]


def _json(pairs: Mapping[str, str]) -> str:
    return orjson.dumps(pairs, option=orjson.OPT_SORT_KEYS).decode()


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


FOLD = RowFold(
    TABLE,
    starts={TransferOrderSubmitted: submitted},
    changes={
        TransferOrderDelayed: delayed,
        TransferOrderExecuted: executed,
        TransferOrderFailed: failed,
        TransferOrderExpired: expired,
        TransferOrderCancelled: cancelled,
    },
)

TRANSFER_ORDERS = declared(
    "transfer_orders",
    FOLD,
    area="accounts",
    details={
        TRIES: {
            TransferOrderExecuted: execution_of,
            TransferOrderDelayed: delay_of,
            TransferOrderFailed: failure_of,
        }
    },
    reports=(
        View(
            TABLE,
            "One row a transfer order, as it is now. Amounts in major units.",
            tuple(one.name for one in TABLE.columns if one.name not in ("subject", "description_erased")),
        ),
        View(
            TRIES,
            "One row each time that a transfer order was executed or refused.",
            (*TRIES.columns.keys(), last_position("t.position")),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class TransferOrderRow:
    """A transfer order as it is now; amounts in minor units."""

    transfer_order: str
    status: str
    source: str
    target: str
    currency: str
    target_currency: str
    sum_amount: int | None
    sum_currency: str | None
    bound_amount: int | None
    bound_currency: str | None
    quote: str | None
    fee_schedule: str | None
    fee: int
    held: int
    execute_at: datetime | None
    expires_at: datetime | None
    notify: bool
    tries: int
    rule: str | None
    figures: dict[str, str]
    retry_at: datetime | None
    transaction: str | None
    fee_transaction: str | None
    conversion: str | None
    paid: int | None
    received: int | None
    reference: str | None
    metadata: dict[str, str]
    description: str | None
    description_erased: bool
    initiator: str | None
    version: int
    position: int
    submitted_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class TransferOrderTryRow:
    """A try to execute a transfer order."""

    transfer_order: str
    outcome: str
    rule: str | None
    figures: dict[str, str]
    retry_at: datetime | None
    position: int
    recorded_at: datetime


_T, _R = readable(TABLE), readable(TRIES)
_SEEN = _T.c.source.in_(SEEN)
ORDER_LIST = Listing(
    _T,
    TransferOrderRow,
    filters=("transfer_order", "status", "reference"),
    conditions={"account": or_(_T.c.source == bindparam("account"), _T.c.target == bindparam("account"))},
    visible=Visible(_SEEN),
)
TRY_LIST = Listing(
    _R,
    TransferOrderTryRow,
    filters=("transfer_order",),
    visible=Visible(_R.c.transfer_order.in_(select(_T.c.transfer_order).where(_SEEN))),
)


def transfer_order(
    connection: Connection[Any], transfer_order: str, *, reader: Reader = EVERYTHING
) -> TransferOrderRow | None:
    """One transfer order by its id."""
    return ORDER_LIST.one(connection, reader=reader, transfer_order=transfer_order)


def transfer_orders(
    connection: Connection[Any],
    *,
    reader: Reader = EVERYTHING,
    account: str | None = None,
    status: str | None = None,
    reference: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[TransferOrderRow, int]:
    """Transfer orders in the order in which they were submitted; `after` and `cursor` are positions."""
    filters = {"account": account, "status": status, "reference": reference, "after": after}
    return ORDER_LIST.read(connection, filters, limit, cursor=cursor, reader=reader)


def tries(
    connection: Connection[Any],
    transfer_order: str,
    *,
    reader: Reader = EVERYTHING,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[TransferOrderTryRow, int]:
    """The tries to execute an order, oldest first; `after` and `cursor` are positions."""
    filters = {"transfer_order": transfer_order, "after": after}
    return TRY_LIST.read(connection, filters, limit, cursor=cursor, reader=reader)
