"""How events become rows of `orders` and `order_lines`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.orders.order import OrderCancelled, OrderConfirmed, OrderPaid, OrderPlaced
from eventstore.postgres.arrays import bool_array, int8_array, text_array
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.rows import copy_rows, copy_text, erasable


@dataclass(slots=True)
class Change:
    """What some events do to one order. What is None stays as it was."""

    position: int  # of the last of them
    at: str
    version: int
    placed: RecordedEvent | None = None  # the order is new
    status: str | None = None
    reason: str | None = None
    reason_erased: bool = False
    transaction: str | None = None
    account: str | None = None


def fold(events: Iterable[RecordedEvent]) -> dict[str, Change]:
    """What the facts do to each order."""
    changes: dict[str, Change] = {}
    for recorded in events:
        position, at, event = recorded
        order = event.originator_id
        change = changes.setdefault(order, Change(position, at, 0))
        change.position, change.at, change.version = position, at, event.originator_version
        match event:
            case OrderPlaced():
                change.placed, change.status = recorded, "placed"
            case OrderConfirmed():
                change.status = "confirmed"
            case OrderCancelled():
                change.status = "cancelled"
                change.reason, change.reason_erased = erasable(event.reason)
            case OrderPaid():
                change.status, change.transaction, change.account = "paid", event.transaction, event.account
            case _:
                raise FoldError(f"{type(event).__name__} is none of its events")
    return changes


def write(connection: Connection[Any], changes: Mapping[str, Change], cache: FoldCache) -> None:
    """Apply the changes. Raises `FoldError` for events of an order that was never placed."""
    placed = [change for change in changes.values() if change.placed is not None]
    copy_rows(connection, _ORDERS, [_line(change) for change in placed])
    copy_rows(connection, _LINES, [line for change in placed for line in _article_lines(change)])
    changed = {order: change for order, change in changes.items() if change.placed is None}
    if changed:
        _update(connection, changed)


_ORDERS = (
    'orders ("order", customer, currency, total, reference, position, placed_at, status, reason, reason_erased,'
    " transaction, account, version, last_position, last_at)"
)
_LINES = 'order_lines ("order", line, sku, name, quantity, unit_price)'

_UPDATE = """
UPDATE orders o
   SET status = c.status, reason = c.reason, reason_erased = c.reason_erased, transaction = c.transaction,
       account = c.account, version = c.version, last_position = c.position, last_at = c.at::timestamptz
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::boolean[], %s::text[], %s::text[], %s::bigint[], %s::bigint[],
              %s::text[])
       AS c("order", status, reason, reason_erased, transaction, account, version, position, at)
 WHERE o."order" = c."order"
"""


def _update(connection: Connection[Any], changes: Mapping[str, Change]) -> None:
    # A reason, transaction and account come with the last status an order can have, so none is overwritten by NULL.
    rows = changes.values()
    updated = connection.execute(
        _UPDATE,
        (
            text_array(list(changes)),
            text_array([change.status for change in rows]),
            text_array([change.reason for change in rows]),
            bool_array([change.reason_erased for change in rows]),
            text_array([change.transaction for change in rows]),
            text_array([change.account for change in rows]),
            int8_array([change.version for change in rows]),
            int8_array([change.position for change in rows]),
            text_array([change.at for change in rows]),
        ),
    ).rowcount
    if updated != len(changes):
        raise FoldError(f"{len(changes) - updated} of {len(changes)} orders were never placed")


def _line(change: Change) -> str:
    assert change.placed is not None, "only new orders are inserted"
    position, at, event = change.placed
    return "\t".join(
        (
            copy_text(event.originator_id),
            copy_text(event.customer),
            copy_text(event.currency),
            str(event.total),
            copy_text(event.reference),
            str(position),
            at,
            copy_text(change.status),
            copy_text(change.reason),
            "t" if change.reason_erased else "f",
            copy_text(change.transaction),
            copy_text(change.account),
            str(change.version),
            str(change.position),
            change.at,
        )
    )


def _article_lines(change: Change) -> list[str]:
    assert change.placed is not None, "only new orders are inserted"
    event = change.placed.event
    return [
        f"{copy_text(event.originator_id)}\t{number}\t{copy_text(line.sku)}\t{copy_text(line.name)}\t"
        f"{line.quantity}\t{line.unit_price}"
        for number, line in enumerate(event.lines, 1)
    ]


ORDERS = Projection(
    name="orders",
    events=(OrderPlaced, OrderConfirmed, OrderCancelled, OrderPaid),
    tables=("orders", "order_lines"),
    fold=fold,
    write=write,
    folder=Path(__file__).parent,
)
