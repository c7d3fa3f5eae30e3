"""Orders as they are now, with their lines: tables, fold, reporting views, queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from domain.orders.order import OrderCancelled, OrderConfirmed, OrderPaid, OrderPlaced
from projections.engine.columns import (
    amount,
    code,
    erasure,
    flag,
    free_text,
    index,
    json_value,
    moment,
    number,
    read_table,
)
from projections.engine.declared import RowFold, declared
from projections.engine.erasure import PersonalText
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import Shown, View, last_position, shown
from projections.engine.rows import erasable, erasable_texts
from projections.engine.writing import Row

# Tables.

TABLE = read_table(
    "orders",
    "One row an order, as it is now. Amounts in minor units.",
    code("order", "Public id; also the name of its stream in the log.", key=True),
    code("customer", "Who placed it."),
    code("currency", "ISO 4217 code."),
    code("status", "placed, confirmed, paid or cancelled."),
    amount("total", "Sum of its lines."),
    code("reference", "Reference of the client's business.", optional=True),
    json_value("metadata", "Pairs of codes that the client keeps with it, as a JSON object."),
    flag("names_erased", "Whether the names of its lines are gone with the customer's key."),
    free_text("reason", "Why it was cancelled. NULL if it was not, and once the customer was erased.", optional=True),
    flag("reason_erased", "Whether the reason is gone with the customer's key."),
    code("transaction", "The transaction that paid it.", optional=True),
    code("account", "The account it was paid from.", optional=True),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its placing."),
    moment("placed_at", "When it was placed, UTC."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("orders_in_order", "position"),
    index("orders_of_customer", "customer", "position"),
    index("orders_in_status", "status", "position"),
    personal=PersonalText("customer", {"reason": "reason_erased"}, flags=("names_erased",)),
)

LINES = read_table(
    "order_lines",
    "One row a line of an order. Amounts in minor units of the order's currency.",
    code("order", "The order.", key=True),
    number("line", "Its number within the order, from 1.", key=True, bits=32),
    code("sku", "The article."),
    free_text("name", "Name of the article. NULL once the customer was erased.", optional=True),
    number("quantity", "How many.", bits=32),
    amount("unit_price", "Price of one."),
    erasure(),
    personal=PersonalText("customer", {"name": None}, of=TABLE),
)

# Fold.


def placed(row: Row, event: OrderPlaced) -> Row:
    """A new order."""
    return {
        **row,
        "customer": event.customer,
        "currency": event.currency,
        "status": "placed",
        "total": event.total,
        "reference": event.reference,
        "metadata": orjson.dumps(event.metadata, option=orjson.OPT_SORT_KEYS).decode(),
        "names_erased": erasable_texts(event.names, len(event.lines))[1],
        "reason_erased": False,
        "position": row["last_position"],
        "placed_at": row["last_at"],
    }


def lines_of(row: Row, event: OrderPlaced) -> list[tuple[Any, ...]]:
    """The lines of a new order."""
    names, _ = erasable_texts(event.names, len(event.lines))
    return [
        (event.originator_id, place, line.sku, name, line.quantity, line.unit_price, None)
        for place, (line, name) in enumerate(zip(event.lines, names, strict=True), 1)
    ]


def confirmed(row: Row, event: OrderConfirmed) -> Row:
    """It may be paid now."""
    return {**row, "status": "confirmed"}


def cancelled(row: Row, event: OrderCancelled) -> Row:
    """It ends unpaid."""
    reason, erased = erasable(event.reason)
    return {**row, "status": "cancelled", "reason": reason, "reason_erased": erased}


def paid(row: Row, event: OrderPaid) -> Row:
    """It ends paid."""
    return {**row, "status": "paid", "transaction": event.transaction, "account": event.account}


FOLD = RowFold(
    TABLE,
    starts={OrderPlaced: placed},
    changes={OrderConfirmed: confirmed, OrderCancelled: cancelled, OrderPaid: paid},
)

# Reporting views.

ORDERS_VIEW = View(
    TABLE,
    "One row an order, as it is now. Amounts in major units.",
    (
        "order",
        "customer",
        "status",
        "currency",
        "total",
        "reference",
        shown(TABLE.c.reason, "cancel_reason"),
        "transaction",
        "account",
        "version",
        "position",
        "placed_at",
        "last_position",
        "last_at",
        "metadata",
    ),
)

LINES_VIEW = View(
    LINES,
    "One row a line of an order. Amounts in major units.",
    (
        "order",
        "line",
        "sku",
        "name",
        "quantity",
        "unit_price",
        Shown("amount", "Quantity times price.", "t.quantity * t.unit_price * c.minor_unit"),
        Shown("currency", "ISO 4217 code of the order.", "o.currency"),
        last_position("coalesce(t.erasure, o.position)"),
    ),
    joined=TABLE,
)

ORDERS = declared(
    "orders",
    FOLD,
    area="orders",
    details={LINES: {OrderPlaced: lines_of}},
    reports=(ORDERS_VIEW, LINES_VIEW),
    obsolete_indexes=("orders_by_customer", "orders_by_status"),
)

# Queries.


@dataclass(frozen=True, slots=True)
class OrderLineRow:
    """One article; the price in minor units of the order's currency."""

    sku: str
    name: str | None
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as it is now; amounts in minor units."""

    order: str
    customer: str
    currency: str
    status: str
    total: int
    reference: str | None
    metadata: dict[str, str]
    names_erased: bool
    reason: str | None
    reason_erased: bool
    transaction: str | None
    account: str | None
    version: int
    position: int
    placed_at: datetime
    last_position: int
    last_at: datetime
    lines: tuple[OrderLineRow, ...] = ()


ORDER_LIST = Listing(readable(TABLE), OrderRow, filters=("order", "customer", "status"))

LINES_OF_ORDERS = """
SELECT l."order", l.sku, l.name, l.quantity, l.unit_price
  FROM unnest(%s::text[]) AS o("order") JOIN read.order_lines l USING ("order") ORDER BY l."order", l.line
"""


def order(connection: Connection[Any], order: str) -> OrderRow | None:
    """One order by its id, with its lines."""
    found = ORDER_LIST.one(connection, order=order)
    return None if found is None else _with_lines(connection, [found])[0]


def orders(
    connection: Connection[Any],
    *,
    customer: str | None = None,
    status: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[OrderRow, int]:
    """Orders with their lines, in the order in which they were placed; `after` and `cursor` are positions."""
    filters = {"customer": customer, "status": status, "after": after}
    found = ORDER_LIST.read(connection, filters, limit, cursor=cursor)
    return replace(found, items=_with_lines(connection, found.items))


def _with_lines(connection: Connection[Any], orders: Sequence[OrderRow]) -> tuple[OrderRow, ...]:
    lines: dict[str, list[OrderLineRow]] = {row.order: [] for row in orders}
    for order, *line in connection.execute(LINES_OF_ORDERS, (list(lines),)):
        lines[order].append(OrderLineRow(*line))
    return tuple(replace(row, lines=tuple(lines[row.order])) for row in orders)
