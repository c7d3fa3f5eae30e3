"""The tables are the result of the pure functions for the same events, with any size of pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from psycopg import Connection
from sqlalchemy import Column, DateTime, Table

from domain.kernel import Event
from domain.orders.order import OrderConfirmed, OrderPlaced
from domain.subjects import SubjectErased
from projections.accounts import conversions, quotes
from projections.accounts.accounts import tables as accounts
from projections.accounts.transactions import tables as transactions
from projections.engine.columns import code, free_text, moment, number, read_table, total
from projections.engine.ddl import primary_key, quoted
from projections.engine.declared import RowFold, declared
from projections.engine.projection import FoldCache, Projection, RecordedEvent
from projections.engine.runner import Runner
from projections.engine.session import fold_into
from projections.engine.writing import Row
from projections.orders import orders
from projections.people import approvals, mails, people, sign_ins
from projections.posts import posts
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, a_life

FOLDS = {
    fold.table.name: fold
    for fold in (
        accounts.PURE,
        transactions.PURE,
        quotes.FOLD,
        conversions.FOLD,
        orders.FOLD,
        posts.FOLD,
        people.FOLD,
        approvals.FOLD,
        sign_ins.FOLD,
        mails.FOLD,
    )
}


def recorded(connection: Connection[Any], filler: Filler) -> list[RecordedEvent]:
    """The decoded events of the whole log."""
    rows = connection.execute(
        "SELECT position, recorded_at::text, type, payload, stream, version FROM log.events WHERE log = %s"
        " ORDER BY position",
        (filler.log,),
    ).fetchall()
    events = filler.codec.decode_many([row[2:] for row in rows])
    return [RecordedEvent(row[0], row[1], event) for row, event in zip(rows, events, strict=True)]


def rows_of(connection: Connection[Any], table: Table) -> dict[str, dict[str, Any]]:
    """The rows of a table, by key."""
    names = [column.name for column in table.columns]
    found = connection.execute(f"SELECT {', '.join(map(quoted, names))} FROM {quoted(table.name)}".encode()).fetchall()
    [key] = primary_key(table)
    rows = [{name: _plain(value) for name, value in zip(names, row, strict=True)} for row in found]
    return {row[key]: row for row in rows}


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) else value


def _is_a(column: Column[Any], kind: type[Any]) -> bool:
    return isinstance(column.type, kind)


def with_times(rows: Mapping[str, Row]) -> dict[str, dict[str, Any]]:
    """Text of points in time and of JSON, as the server returns it."""
    times = {column.name for fold in FOLDS.values() for column in fold.table.columns if _is_a(column, DateTime)}
    return {
        key: {
            name: datetime.fromisoformat(value)
            if name in times and value is not None
            else orjson.loads(value)
            if name in ("metadata", "roles", "consents", "api_keys") and isinstance(value, str)
            else value
            for name, value in row.items()
        }
        for key, row in rows.items()
    }


@pytest.mark.parametrize("page", [1, 40, 64_000])
def test_tables_equal_the_result_of_the_pure_functions(filler: Filler, connection: Connection[Any], page: int) -> None:
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=page)
    filler.write(*a_life(filler, seed=page, units=2_000))
    runner.run_to_head()  # the tables have the text of those who are erased now
    for person in ("author-1", "customer-1", "owner-1"):
        if person not in filler.ledger.erased:
            filler.ledger.erased.add(person)
            filler.erase(person)
        filler.write(*a_life(filler, seed=page + 1, units=40))
    runner.run_to_head()
    assert not runner.stopped
    log = recorded(connection, filler)
    for name, fold in FOLDS.items():
        rows = rows_of(connection, fold.table)
        assert len(rows) > 4, name
        read = (*fold.steps, SubjectErased)
        assert rows == with_times(fold.rows(one for one in log if type(one.event) in read)), name


# A read model whose functions read columns, so its rows are loaded before they change.

COUNTED = read_table(
    "counted_orders",
    "How often an order was confirmed.",
    code("order", "The order.", key=True),
    number("confirmed", "How often."),
    total("sum", "Of its total, at each event."),
    moment("last_at", "When it was changed last, UTC."),
    moment("before", "When it was changed before.", optional=True),
    free_text("note", "Only set at the beginning.", optional=True),
)


def _begun(row: Row, event: OrderPlaced) -> Row:
    return {**row, "confirmed": 0, "sum": event.total, "note": "a\tnote", "seen": row["last_at"]}


def _confirmed(row: Row, event: OrderConfirmed) -> Row:
    return {**row, "confirmed": row["confirmed"] + 1, "sum": 2 * row["sum"], "before": row["last_at"]}


COUNTING: Projection = declared(
    "counting",
    RowFold(COUNTED, starts={OrderPlaced: _begun}, changes={OrderConfirmed: _confirmed}, reads=("confirmed", "sum")),
    area="orders",
    reports=(),
)


@pytest.mark.parametrize("cut", [1, 2, 3, 100])
def test_functions_may_read_the_columns_that_they_name(filler: Filler, connection: Connection[Any], cut: int) -> None:
    events: list[Event] = [OrderPlaced(order, 1, "ada", "EUR", (), (), 5, None, {}) for order in ("ord_1", "ord_2")]
    events += [OrderConfirmed("ord_1", 2), OrderConfirmed("ord_1", 3), OrderConfirmed("ord_2", 2)]
    at = [RecordedEvent(n, f"2024-01-01 00:00:{n:02}+00", event) for n, event in enumerate(events, 1)]
    with connection.transaction(force_rollback=True):
        fold_into(connection, "pg_temp", local=True)
        filler.connection.execute("GRANT TEMP ON DATABASE " + filler.database.name + " TO daybook_projector")
        connection.execute(COUNTING.schema.encode())
        for first in range(0, len(at), cut):
            COUNTING.write(connection, COUNTING.fold(at[first : first + cut]), FoldCache())
        rows = rows_of(connection, COUNTED)
    assert [(row["confirmed"], row["sum"], row["note"]) for row in rows.values()] == [
        (2, 20, "a\tnote"),
        (1, 10, "a\tnote"),
    ]
