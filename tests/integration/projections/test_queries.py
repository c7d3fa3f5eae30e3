"""Lists with filters and cursors, and the plans of the queries that must stay quick however much there is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from psycopg import Connection

from projections.accounts import queries as accounts
from projections.composed import Listed
from projections.engine import Runner
from projections.entries import queries as entries
from projections.entries.fold import _LAST as LAST_ENTRIES
from projections.movements import queries as movements
from projections.orders import queries as orders
from projections.posts import queries as posts
from projections.rooms import ROOMS
from projections.tables import prepare
from projections.transactions import queries as transactions
from tests.integration.projections.filling import LOG, Filler, a_life, projector
from tests.support.postgres import Server

MANY = 12_000


@pytest.fixture(scope="module")
def life(server: Server) -> Iterator[Connection[Any]]:
    """A folded history."""
    with server.database() as database:
        filler = Filler(database.url)
        filler.write(*a_life(filler, seed=1, units=900))
        with projector(database) as connection:
            prepare(connection, LOG, ROOMS)
            Runner(connection, LOG, filler.codec, ROOMS).run_to_head()
            yield connection
        filler.close()


def pages(read: Callable[..., Listed[Any, Any]], *of: Any, limit: int = 7, **filters: Any) -> list[Any]:
    """All items, page by page."""
    items: list[Any] = []
    after = None
    while True:
        page = read(*of, **filters, after=after, limit=limit)
        items += page.items
        after = page.next
        if after is None:
            return items
        assert page.items


def test_accounts_are_listed_by_any_filter(life: Connection[Any]) -> None:
    everything = pages(accounts.accounts, life, limit=7)
    assert everything == list(accounts.accounts(life, limit=1_000).items)
    assert [row.account for row in everything] == sorted(row.account for row in everything)
    for name in ("owner", "type", "currency", "status"):
        for value in {getattr(row, name) for row in everything}:
            found = pages(accounts.accounts, life, **{name: value}, limit=3)
            assert found == [row for row in everything if getattr(row, name) == value]
    assert accounts.account(life, "acct_none") is None
    assert accounts.account_by_number(life, everything[3].number) == everything[3]


def test_entries_are_listed_both_ways(life: Connection[Any]) -> None:
    busy = max(accounts.accounts(life, limit=1_000).items, key=lambda row: row.entries).account
    everything = pages(entries.entries, life, busy, limit=7)
    backwards = pages(entries.entries, life, busy, limit=7, newest_first=True)
    assert everything == backwards[::-1]
    debits = pages(entries.entries, life, busy, side="debit", limit=7)
    assert debits == [row for row in everything if row.side == "debit"]
    day = date(2024, 1, 3)
    assert entries.entries(life, busy, value_from=day, value_until=day, limit=1_000).items == tuple(
        row for row in everything if row.value_date == day
    )


def test_transactions_are_listed_by_any_filter(life: Connection[Any]) -> None:
    everything = pages(transactions.transactions, life, limit=50)
    backwards = pages(transactions.transactions, life, limit=50, newest_first=True)
    assert everything == backwards[::-1]
    journals = pages(transactions.transactions, life, kind="journal", limit=5)
    assert journals == [row for row in everything if row.kind == "journal"]
    assert journals == pages(transactions.transactions, life, reference="ref\\1", limit=5)
    day = date(2024, 1, 3)
    assert pages(transactions.transactions, life, value_from=day, value_until=day, limit=9) \
        == [row for row in everything if row.value_date == day]  # fmt: skip


def test_daily_balances_go_on_where_the_page_before_ended(life: Connection[Any]) -> None:
    busy = max(accounts.accounts(life, limit=1_000).items, key=lambda row: row.entries).account
    everything = movements.daily_balances(life, busy).items
    assert len(everything) == 4
    assert pages(movements.daily_balances, life, busy, limit=1) == list(everything)
    middle = movements.daily_balances(life, busy, since=everything[1].day, until=everything[2].day)
    assert middle.items == everything[1:3]
    assert movements.balance_on(life, busy, date(1999, 1, 1)) == 0


def test_orders_are_listed_by_any_filter(life: Connection[Any]) -> None:
    everything = pages(orders.orders, life, limit=7)
    for name in ("customer", "status"):
        for value in {getattr(row, name) for row in everything}:
            found = pages(orders.orders, life, **{name: value}, limit=3)
            assert found == [row for row in everything if getattr(row, name) == value]
    assert orders.order(life, everything[0].order) == everything[0]
    assert orders.order(life, "ord_none") is None


def test_posts_are_listed_by_any_filter(life: Connection[Any]) -> None:
    everything = pages(posts.posts, life, limit=7)
    assert {row.status for row in everything} == {"draft", "published", "archived", "deleted"}
    for name in ("author", "status"):
        for value in {getattr(row, name) for row in everything}:
            found = pages(posts.posts, life, **{name: value}, limit=3)
            assert found == [row for row in everything if getattr(row, name) == value]
    revised = max(everything, key=lambda row: row.revision)
    texts = pages(posts.revisions, life, revised.post, limit=1)
    assert len(texts) == revised.revision
    assert posts.revision(life, revised.post, 1) == texts[0]
    assert posts.revision(life, revised.post, 1_000) is None


def test_a_page_is_bounded(life: Connection[Any]) -> None:
    for limit in (0, 1_001):
        with pytest.raises(ValueError, match=f"not {limit}"):
            accounts.accounts(life, limit=limit)
        with pytest.raises(ValueError, match=f"not {limit}"):
            movements.daily_balances(life, "acct_1", limit=limit)


@pytest.fixture(scope="module")
def many(server: Server) -> Iterator[Connection[Any]]:
    """Tables of thousands of rows, with statistics."""
    with server.database() as database:
        filler = Filler(database.url)
        with projector(database) as connection:
            prepare(connection, LOG, ROOMS)
            for statement in _FILL:
                connection.execute(statement.format(many=MANY).encode())
            connection.execute("ANALYZE")
            yield connection
        filler.close()


_FILL = (
    """INSERT INTO read.accounts SELECT date '2024-01-01', false, false, 1, 0, n, now(), NULL, NULL, 0, 0,
       'acct_' || n, 'number' || n, CASE n % 100 WHEN 0 THEN 'merchant' ELSE 'checking' END,
       CASE n % 100 WHEN 1 THEN 'JPY' ELSE 'EUR' END, CASE n % 100 WHEN 0 THEN 'frozen' ELSE 'open' END,
       'owner' || n / 3, 'name', NULL FROM generate_series(1, {many}) n""",
    """INSERT INTO read.entries SELECT n / 10, 1, n, now(), date '2024-01-01' + n / 10, 1, 'acct_' || n % 100,
       'txn_' || n, 'debit', 'EUR', 1 FROM generate_series(1, {many}) n ON CONFLICT DO NOTHING""",
    """INSERT INTO read.transactions SELECT n, now(), date '2024-01-01' + n / 100, false, 'txn_' || n,
       CASE n % 100 WHEN 0 THEN 'fee' ELSE 'transfer' END, 'reference' || n / 3, NULL, '[]'
       FROM generate_series(1, {many}) n""",
    """INSERT INTO read.movements SELECT date '2024-01-01' + n / 100, 1, 'acct_' || n % 100, 'EUR', 1, 1
       FROM generate_series(1, {many}) n ON CONFLICT DO NOTHING""",
    """INSERT INTO read.orders SELECT 1, 1, n, now(), n, now(), false, 'ord_' || n, 'customer' || n / 10, 'EUR',
       CASE n % 100 WHEN 0 THEN 'paid' ELSE 'placed' END, NULL, NULL, NULL, NULL FROM generate_series(1, {many}) n""",
    """INSERT INTO read.order_lines SELECT 1, n % 3, 1, 'ord_' || n / 3, 'sku', 'name'
       FROM generate_series(1, {many}) n""",
    """INSERT INTO read.posts SELECT 1, n, now(), n, now(), NULL, 1, false, n % 100 = 0, false, 'post_' || n,
       'author' || n / 10, CASE n % 100 WHEN 1 THEN 'archived' ELSE 'published' END, 'slug' || n, 't', 'b', NULL
       FROM generate_series(1, {many}) n""",
    """INSERT INTO read.post_revisions SELECT n, now(), n % 100 + 1, false, 'post_' || n / 100, 't', 'b', NULL
       FROM generate_series(1, {many}) n""",
)

A, N, D = "acct_50", 50, date(2024, 3, 1)
HOT: dict[str, tuple[str, Any]] = {
    "account": (accounts.ACCOUNTS.sql("account"), {"account": A}),
    "account by number": (accounts.ACCOUNTS.sql("number"), {"number": "number50"}),
    "accounts": (accounts.ACCOUNTS.sql("after"), {"after": A}),
    "accounts of an owner": (accounts.ACCOUNTS.sql("owner", "after"), {"owner": "owner5", "after": ""}),
    "accounts of a type": (accounts.ACCOUNTS.sql("type", "after"), {"type": "merchant", "after": ""}),
    "accounts in a currency": (accounts.ACCOUNTS.sql("currency", "after"), {"currency": "JPY", "after": ""}),
    "accounts that are frozen": (accounts.ACCOUNTS.sql("status", "after"), {"status": "frozen", "after": ""}),
    "entries": (entries.OLDEST_FIRST.sql("account", "after"), {"account": A, "after": N}),
    "entries, newest first": (entries.NEWEST_FIRST.sql("account", "before"), {"account": A, "before": N}),
    "transaction": (transactions.OLDEST_FIRST.sql("transaction"), {"transaction": "txn_50"}),
    "transactions": (transactions.OLDEST_FIRST.sql("after"), {"after": N}),
    "transactions, newest first": (transactions.NEWEST_FIRST.sql("before"), {"before": N}),
    "transactions of a kind": (transactions.OLDEST_FIRST.sql("kind", "after"), {"kind": "fee", "after": N}),
    "transactions with a reference": (transactions.OLDEST_FIRST.sql("reference"), {"reference": "reference50"}),
    "transactions of a day": (
        transactions.OLDEST_FIRST.sql("value_from", "value_until"), {"value_from": D, "value_until": D},
    ),
    "daily balances": (movements.DAILY_BALANCES, {"account": A, "from": D, "until": D}),
    "balance on a day": (movements.BALANCE_ON, [A, D]),
    "order": (orders.ORDERS.sql("order"), {"order": "ord_50"}),
    "orders": (orders.ORDERS.sql("after"), {"after": "ord_50"}),
    "orders of a customer": (orders.ORDERS.sql("customer", "after"), {"customer": "customer5", "after": ""}),
    "orders of a status": (orders.ORDERS.sql("status", "after"), {"status": "paid", "after": ""}),
    "lines of orders": (orders.LINES, [["ord_50", "ord_51"]]),
    "post": (posts.POSTS.sql("post"), {"post": "post_50"}),
    "post by slug": (posts.POSTS.sql("slug"), {"slug": "slug50"}),
    "posts": (posts.POSTS.sql("after"), {"after": "post_50"}),
    "posts of an author": (posts.POSTS.sql("author", "after"), {"author": "author5", "after": ""}),
    "posts of a status": (posts.POSTS.sql("status", "after"), {"status": "archived", "after": ""}),
    "posts that are deleted": (posts.POSTS.sql("deleted", "after"), {"after": ""}),
    "revisions": (posts.REVISIONS.sql("post", "after"), {"post": "post_50", "after": N}),
    "last entries, for the fold": (LAST_ENTRIES, [["acct_50", "acct_51"]]),
}  # fmt: skip


@pytest.mark.parametrize("name", HOT)
def test_no_hot_query_reads_a_whole_table(many: Connection[Any], name: str) -> None:
    sql, parameters = HOT[name]
    if isinstance(parameters, dict):
        parameters = {**parameters, "row_limit": 101}
    with many.transaction():
        many.execute("SET LOCAL search_path = read")  # for the fold's
        row = many.execute(f"EXPLAIN (FORMAT JSON) {sql}".encode(), parameters).fetchone()
    assert row is not None
    nodes = list(_nodes(row[0][0]["Plan"]))
    scans = {node["Node Type"] for node in nodes if "Relation Name" in node}
    assert scans <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, json.dumps(row[0], indent=1)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
