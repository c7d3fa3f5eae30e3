"""Reading orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import bindparam, column, select, table

from projections.engine.listing import Listed, Listing


@dataclass(frozen=True, slots=True)
class OrderLineRow:
    """One article; the price in minor units of the order's currency."""

    sku: str
    name: str
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
    reason: str | None  # why it was cancelled
    reason_erased: bool
    transaction: str | None  # that paid it
    account: str | None  # from which it was paid
    version: int
    position: int
    placed_at: datetime
    last_position: int
    last_at: datetime
    lines: tuple[OrderLineRow, ...] = ()


_NAMES = (
    "order customer currency status total reference reason reason_erased transaction account version position "
    "placed_at last_position last_at"
).split()
_T = table("orders", *(column(name) for name in _NAMES), schema="read").c

ORDERS: Listing[OrderRow] = Listing(
    select(*(_T[name] for name in _NAMES)).order_by(_T.order),
    {
        "order": _T.order == bindparam("order"),
        "after": _T.order > bindparam("after"),
        "customer": _T.customer == bindparam("customer"),
        "status": _T.status == bindparam("status"),
    },
    OrderRow,
)

LINES = """
SELECT l."order", l.sku, l.name, l.quantity, l.unit_price
  FROM unnest(%s::text[]) AS o("order") JOIN read.order_lines l USING ("order") ORDER BY l."order", l.line
"""


def order(connection: Connection[Any], order: str) -> OrderRow | None:
    """One order by its id, with its lines."""
    found = ORDERS.read(connection, {"order": order}, 1, key=lambda row: row.order)
    return _with_lines(connection, found.items)[0] if found.items else None


def orders(
    connection: Connection[Any],
    *,
    customer: str | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Listed[OrderRow, str]:
    """Orders with their lines in order of their ids, so oldest first; `after` is an id."""
    filters = {"customer": customer, "status": status, "after": after}
    found = ORDERS.read(connection, filters, limit, key=lambda row: row.order)
    return replace(found, items=_with_lines(connection, found.items))


def _with_lines(connection: Connection[Any], orders: Sequence[OrderRow]) -> tuple[OrderRow, ...]:
    lines: dict[str, list[OrderLineRow]] = {row.order: [] for row in orders}
    for order, *line in connection.execute(LINES, (list(lines),)):
        lines[order].append(OrderLineRow(*line))
    return tuple(replace(row, lines=tuple(lines[row.order])) for row in orders)
