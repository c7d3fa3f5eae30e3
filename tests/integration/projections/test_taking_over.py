"""Tables of an earlier version are kept if nothing really changed, and get the indexes of this version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from bench.harness.tables import read_owner
from projections.engine.runner import Runner
from projections.engine.tables import ShapeError, prepare
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, a_life

SHAPES = "SELECT projection, shape FROM read.projections ORDER BY 1"
OLD_ORDER = (
    "status, reference, reason, transaction, account, total, version, position, placed_at, last_position, last_at,"
    ' reason_erased, "order", customer, currency, metadata, names_erased'
)


@pytest.fixture
def owner(filler: Filler, connection: Connection[Any]) -> Iterator[Connection[Any]]:
    """The owner of read tables of another version of the program, with other digests and another order of columns."""
    filler.write(*a_life(filler, seed=3, units=200))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    with read_owner(filler.database) as owner:
        owner.execute("SET search_path = read")
        owner.execute("DROP VIEW reporting.orders CASCADE; DROP VIEW reporting.order_lines")
        owner.execute(f"CREATE TABLE kept AS SELECT {OLD_ORDER} FROM orders".encode())
        owner.execute("DROP TABLE orders; ALTER TABLE kept RENAME TO orders")
        for column in ("order", "customer", "currency", "status", "total", "version", "position", "placed_at"):
            owner.execute(f'ALTER TABLE orders ALTER "{column}" SET NOT NULL'.encode())
        for column in ("last_position", "last_at", "reason_erased", "metadata", "names_erased"):
            owner.execute(f'ALTER TABLE orders ALTER "{column}" SET NOT NULL'.encode())
        owner.execute('ALTER TABLE orders ADD PRIMARY KEY ("order")')
        owner.execute('CREATE INDEX orders_by_status ON orders (status, "order")')
        owner.execute("UPDATE projections SET shape = '1:0123456789abcdef' WHERE projection = 'orders'")
        owner.execute("ALTER TABLE projections RENAME TO rooms; ALTER INDEX projections_pkey RENAME TO rooms_pkey")
        yield owner


def test_tables_without_real_changes_are_taken_over(
    filler: Filler, connection: Connection[Any], owner: Connection[Any]
) -> None:
    rows = owner.execute("SELECT count(*) FROM read.orders").fetchone()
    prepare(owner, PROJECTIONS)
    assert dict(owner.execute(SHAPES).fetchall()) == {one.name: one.shape for one in PROJECTIONS}
    assert owner.execute("SELECT to_regclass('read.rooms')").fetchone() == (None,)
    indexes = owner.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'orders' ORDER BY 1").fetchall()
    assert [name for (name,) in indexes] == ["orders_in_order", "orders_in_status", "orders_of_customer", "orders_pkey"]
    assert owner.execute("SELECT count(*) FROM reporting.orders").fetchone() == rows
    assert filler.verify().ok
    filler.write(*a_life(filler, seed=4, units=100))
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    assert not runner.stopped
    assert filler.verify().ok


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE orders ALTER total TYPE numeric",
        "ALTER TABLE orders ALTER reference SET NOT NULL",
        'ALTER TABLE orders ALTER customer TYPE text COLLATE "default"',
        "ALTER TABLE orders DROP COLUMN reason",
        "ALTER TABLE orders ADD COLUMN colour text",
        'ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (customer, "order")',
        "UPDATE rooms SET shape = '0:0123456789abcdef' WHERE projection = 'orders'",
    ],
)
def test_tables_that_really_changed_must_be_rebuilt(owner: Connection[Any], change: str) -> None:
    owner.execute("UPDATE orders SET reference = 'x' WHERE reference IS NULL")
    owner.execute(change.encode())
    with pytest.raises(ShapeError, match="the tables of orders were made by another version"):
        prepare(owner, PROJECTIONS)


def test_a_missing_index_is_created(filler: Filler, connection: Connection[Any]) -> None:
    with read_owner(filler.database) as owner:
        owner.execute("DROP INDEX read.posts_in_order")
        prepare(owner, PROJECTIONS)
        assert owner.execute("SELECT to_regclass('read.posts_in_order') IS NOT NULL").fetchone() == (True,)
