"""Lists with filters and cursors, and the plans of reads and folds that must stay fast on large tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from domain.accounts.account.events import AccountDetailsChanged, AccountFrozen, AccountMetadataChanged, HoldPlaced
from domain.kernel import Event
from domain.money import MAX_AMOUNT
from domain.orders.order import OrderConfirmed
from domain.posts.post import PostRevised
from eventstore.log import read
from eventstore.log.codec import Codec
from projections.accounts import account_persons as persons
from projections.accounts.accounts import fold as accounts_fold
from projections.accounts.accounts import queries as accounts
from projections.accounts.entries import fold as entries_fold
from projections.accounts.entries import queries as entries
from projections.accounts.movements import fold as movements_fold
from projections.accounts.movements import queries as movements
from projections.accounts.statements import balances, booked, sums
from projections.accounts.statements import statement as statements
from projections.accounts.transactions import queries as transactions
from projections.accounts.trial_balance import fold as trial_balance_fold
from projections.commands import refusals
from projections.engine import checkpoint
from projections.engine import pages as pages_of_log
from projections.engine.listing import AT, PERSON, Listed, Listing
from projections.engine.runner import Runner
from projections.orders import orders
from projections.posts import posts
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, a_life, projector, transfer
from tests.support.plans import Explained, Node, Statement, nodes, probed_index
from tests.support.postgres import Database, Server

MANY, EVENTS = 12_000, 60_000
CHANGED = 100
PAGE = 9 * CHANGED
"""The number of changes of each kind in one page."""


@pytest.fixture(scope="module")
def life(server: Server) -> Iterator[Connection[Any]]:
    """A folded history."""
    with server.database() as database:
        filler = Filler(database)
        filler.write(*a_life(filler, seed=1, units=3_000))
        with projector(database) as connection:
            filler.begin()
            Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
            yield connection
        filler.close()


def pages(read: Callable[..., Listed[Any, Any]], *of: Any, limit: int = 7, **filters: Any) -> list[Any]:
    """All items, page by page."""
    items: list[Any] = []
    cursor = None
    while True:
        page = read(*of, **filters, cursor=cursor, limit=limit)
        items += page.items
        cursor = page.next
        if cursor is None:
            return items
        assert page.items


def test_accounts_are_listed_by_any_filter(life: Connection[Any]) -> None:
    everything = pages(accounts.accounts, life, limit=7)
    assert everything == list(accounts.accounts(life, limit=1_000).items)
    assert [row.position for row in everything] == sorted(row.position for row in everything)
    for name in ("owner", "type", "currency", "status"):
        for value in {getattr(row, name) for row in everything}:
            found = pages(accounts.accounts, life, **{name: value}, limit=3)
            assert found == [row for row in everything if getattr(row, name) == value]
    asked = [{"branch": "12"}, *({"branch": str(n), "till": str(n)} for n in range(1, 10)), {"branch": "none"}]
    for pairs in asked:
        found = pages(accounts.accounts, life, metadata=pairs, limit=3)
        assert found == [row for row in everything if pairs.items() <= row.metadata.items()]
    assert {len(row.metadata) for row in everything} >= {0, 1, 2}
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
    for name in ("reference", "status", "parent"):
        values = {getattr(row, name) for row in everything} - {None}
        assert len(values) > 1, name
        for value in values:
            found = pages(transactions.transactions, life, **{name: value}, limit=5)
            assert found == [row for row in everything if getattr(row, name) == value]
    day = date(2024, 1, 3)
    assert pages(transactions.transactions, life, value_from=day, value_until=day, limit=9) \
        == [row for row in everything if row.value_date == day]  # fmt: skip


def test_transactions_are_searched(life: Connection[Any]) -> None:
    everything = pages(transactions.transactions, life, limit=50)

    def searched(**filters: Any) -> list[Any]:
        return pages(transactions.transactions, life, limit=9, **filters)

    references = {row.reference for row in everything if row.reference}
    for prefix in {one[:length] for one in references for length in (1, len(one) - 1, len(one))} | {"none"}:
        assert searched(reference_prefix=prefix) == [
            row for row in everything if (row.reference or "").startswith(prefix)
        ]
    pairs = {pair for row in everything for pair in (row.metadata or {}).items()}
    assert pairs
    for key, value in [*pairs, ("channel", "none")]:
        assert searched(metadata={key: value}) == [row for row in everything if (row.metadata or {}).get(key) == value]
    times = [everything[0].recorded_at, everything[len(everything) // 2].recorded_at, everything[-1].recorded_at]
    for time in (at + timedelta(microseconds=step) for at in times for step in (-1, 0, 1)):
        assert searched(recorded_from=time) == [row for row in everything if row.recorded_at >= time]
        assert searched(recorded_before=time) == [row for row in everything if row.recorded_at < time]
    chosen = everything[5:40:3]
    assert searched(among=[*(row.transaction for row in chosen), "txn_none"]) == chosen
    amounts = sorted({entry.amount for row in everything for entry in row.entries if entry.currency == "EUR"})
    assert len(amounts) > 2
    for least, most in (
        (0, MAX_AMOUNT),
        (amounts[1], amounts[-2]),
        (amounts[1], amounts[1]),
        (amounts[-1] + 1, MAX_AMOUNT),
    ):
        assert searched(entry=transactions.EntryBetween("EUR", least, most)) == [
            row
            for row in everything
            if any(entry.currency == "EUR" and least <= entry.amount <= most for entry in row.entries)
        ]


def test_an_account_lists_what_waits_to_pay_it(life: Connection[Any]) -> None:
    everything = pages(transactions.transactions, life, limit=50)
    waiting = [row for row in everything if row.status in ("pending", "cancelled", "rejected", "expired")]
    credited = {entry.account for row in waiting for entry in row.entries if entry.side == "credit"}
    assert credited
    for account in credited:
        assert pages(transactions.transactions, life, account=account, limit=9) == [
            row for row in everything if account in {entry.account for entry in row.entries}
        ]


def test_daily_balances_continue_after_the_previous_page(life: Connection[Any]) -> None:
    busy = max(accounts.accounts(life, limit=1_000).items, key=lambda row: row.entries).account
    everything = movements.daily_balances(life, busy).items
    assert len(everything) > 3
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
    assert {row.status for row in everything} == {"draft", "published", "archived"}
    for name in ("author", "status"):
        for value in {getattr(row, name) for row in everything}:
            found = pages(posts.posts, life, **{name: value}, limit=3)
            assert found == [row for row in everything if getattr(row, name) == value]
    deleted = pages(posts.posts, life, status="deleted", limit=3)
    assert {row.status for row in deleted} == {"deleted"}
    assert pages(posts.posts, life, author=deleted[0].author, status="deleted", limit=3) == [
        row for row in deleted if row.author == deleted[0].author
    ]
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
def filled(server: Server) -> Iterator[tuple[Database, Codec]]:
    """Tables with thousands of rows and statistics, and a log that begins with a page of changes of them."""
    with server.database() as database:
        filler = Filler(database)
        filler.write(*changes(filler))
        with projector(database) as connection:
            filler.begin()
            for statement in _FILL:
                connection.execute(statement.format(many=MANY).encode())
        filler.connection.execute(
            "INSERT INTO log.events SELECT %s, n, n, 'other_' || n %% 1000, n / 1000 + 1, 'other.happened.v1', now(),"
            " 0, '{}', '{}' FROM generate_series(%s::bigint, %s) n",
            (filler.log, filler.position + 1, EVENTS),
        )
        filler.connection.execute("UPDATE log.logs SET position = %s", (EVENTS,))
        filler.connection.execute("ANALYZE")
        yield database, filler.codec
        filler.close()


@pytest.fixture(scope="module")
def many(filled: tuple[Database, Codec]) -> Iterator[Connection[Any]]:
    """The filled tables, on a connection of a reader."""
    with projector(filled[0]) as connection:
        yield connection


def changes(filler: Filler) -> Iterator[list[Event]]:
    """A page with every kind of event on existing rows."""
    for n in range(1, CHANGED + 1):
        yield transfer(filler.id("txn"), f"acct_{n}", f"acct_{n + 1}", 1)
        yield [HoldPlaced(f"acct_{n}", 0, filler.id("hold"), 1, "EUR", None, {}, None)]
        yield [AccountFrozen(f"acct_{n}", 0, f"owner{n}", "a reason")]
        yield [AccountDetailsChanged(f"acct_{n}", 0, f"owner{n}", "a name")]
        yield [AccountMetadataChanged(f"acct_{n}", 0, {"branch": "12"}, ("till",))]
        yield [OrderConfirmed(f"ord_{n}", 0)]
        yield [PostRevised(f"post_{n}", 0, f"author{n}", 1_000, "title", "body", None)]


_FILL = (
    """INSERT INTO read.accounts (opened_on, name_erased, reason_erased, version, entries, position, last_position,
       last_at, balance, reserved, metadata, account, number, type, currency, status, owner, name)
       SELECT date '2024-01-01', false, false, 1, 0, n, n, now(), 0, 0,
       CASE n % 10 WHEN 0 THEN jsonb_build_object('branch', n % 100, 'client', n) ELSE '{{}}' END,
       'acct_' || n, 'number' || n, CASE n % 100 WHEN 0 THEN 'merchant' ELSE 'checking' END,
       CASE n % 100 WHEN 1 THEN 'JPY' ELSE 'EUR' END, CASE n % 100 WHEN 0 THEN 'frozen' ELSE 'open' END,
       'owner' || n / 3, 'name' FROM generate_series(1, {many}) n""",
    """INSERT INTO read.account_persons (account, person, standing, may_see, currency, move_up_to, until, position,
       last_position, last_at)
       SELECT 'acct_' || n, 'prsn_' || n / 3, 'owner', true, NULL, NULL, NULL, n, n, now()
       FROM generate_series(1, {many}) n
       UNION ALL SELECT 'acct_' || n, 'mandate_' || n / 3, 'mandate', n % 2 = 0, 'EUR', 1,
       timestamptz '2026-01-01 00:00Z', {many} + n, n, now() FROM generate_series(1, {many}) n""",
    """INSERT INTO read.trial_balance_accounts SELECT 'acct_' || n, 'checking' FROM generate_series(1, {many}) n""",
    """INSERT INTO read.entries (number, amount, position, recorded_at, value_date, entry, account, transaction, side,
       currency, balance_after)
       SELECT n / 10, 1, n, now(), date '2024-01-01' + n / 10, 1, 'acct_' || n % 100,
       'txn_' || n, 'debit', 'EUR', 1 FROM generate_series(1, {many}) n ON CONFLICT DO NOTHING""",
    """INSERT INTO read.transactions (position, recorded_at, value_date, description_erased, transaction, status,
       kind, reference, entries, parent, metadata, initiator)
       SELECT n, timestamptz '2024-01-01 00:00Z' + n * interval '1 minute', date '2024-01-01' + n / 100, false,
       'txn_' || n, CASE n % 100 WHEN 1 THEN 'pending' ELSE 'posted' END,
       CASE n % 100 WHEN 0 THEN 'fee' ELSE 'transfer' END, 'reference' || n / 3, '[]',
       CASE n % 100 WHEN 2 THEN 'txn_' || n - 1 END,
       CASE n % 10 WHEN 0 THEN jsonb_build_object('branch', n % 100, 'client', n) END,
       CASE n % 100 WHEN 1 THEN 'prsn_' || n / 300 END
       FROM generate_series(1, {many}) n""",
    """INSERT INTO read.transactions_that_waited (account, transaction)
       SELECT 'acct_' || n % 1000, 'txn_' || n FROM generate_series(1, {many}) n""",
    """INSERT INTO read.holds (amount, captured, remaining, position, placed_at, last_position, last_at, hold, account,
       status, currency, metadata, transaction)
       SELECT 1, 1, 0, {many} + n, now(), {many} + n, now(), 'hold_' || n, 'acct_' || n % 1000, 'captured', 'EUR',
       '{{}}', 'txn_' || n
       FROM generate_series(1, {many}) n""",
    """INSERT INTO read.movements (day, entries, account, currency, debits, credits, last_position)
       SELECT date '2024-01-01' + n / 100, 1, 'acct_' || n % 100, 'EUR', 1, 1, n
       FROM generate_series(1, {many}) n ON CONFLICT DO NOTHING""",
    """INSERT INTO read.movements_booked_on_other_days (day, booked_on, entries, account, debits, credits,
       first_position, last_position)
       SELECT date '2024-01-01' + n / 100, date '2024-01-02' + n / 100, 1, 'acct_' || n % 100, 1, 1, n, n
       FROM generate_series(1, {many}) n ON CONFLICT DO NOTHING""",
    """INSERT INTO read.orders (total, version, position, placed_at, last_position, last_at, reason_erased,
       names_erased, metadata, "order", customer, currency, status)
       SELECT 1, 1, n, now(), n, now(), false, false, '{{}}', 'ord_' || n, 'customer' || n / 10, 'EUR',
       CASE n % 100 WHEN 0 THEN 'paid' ELSE 'placed' END FROM generate_series(1, {many}) n""",
    """INSERT INTO read.order_lines (unit_price, line, quantity, "order", sku, name)
       SELECT 1, n % 3, 1, 'ord_' || n / 3, 'sku', 'name'
       FROM generate_series(1, {many}) n""",
    """INSERT INTO read.posts (version, position, drafted_at, last_position, last_at, revision, text_erased, deleted,
       reason_erased, post, author, status, slug, title, body)
       SELECT 1, n, now(), n, now(), 1, false, n % 100 = 0, false, 'post_' || n,
       'author' || n / 10, CASE n % 100 WHEN 1 THEN 'archived' ELSE 'published' END, 'slug' || n, 't', 'b'
       FROM generate_series(1, {many}) n""",
    """INSERT INTO read.post_revisions (position, recorded_at, revision, text_erased, post, title, body)
       SELECT n, now(), n % 100 + 1, false, 'post_' || n / 100, 't', 'b'
       FROM generate_series(1, {many}) n""",
    """INSERT INTO read.refusals (position, recorded_at, refusal, actor, command_key, command, rule, figures,
       transaction)
       SELECT n, timestamptz '2024-01-01 00:00Z' + n * interval '10 minutes', 'refusal_' || n, 'actor' || n / 10,
       'key' || n, CASE n % 100 WHEN 0 THEN 'Deposit' ELSE 'Transfer' END,
       CASE n % 100 WHEN 1 THEN 'account_frozen' ELSE 'below_minimum' END, '{{}}',
       CASE n % 10 WHEN 0 THEN 'txn_' || n END
       FROM generate_series(1, {many}) n""",
)

PAIR = '{"client": 50}'
ENTRY = '{"currency": "EUR", "least": 1, "most": 5}'
AN_HOUR = datetime(2024, 1, 3, 5, tzinfo=UTC)
A, N, D = "acct_50", 50, date(2024, 3, 1)
ADA = {PERSON: "prsn_16", AT: datetime(2025, 1, 1, tzinfo=UTC)}


def of_ada(listing: Listing[Any], newest_first: bool = False, **filters: Any) -> tuple[str, Any]:
    """What a customer asks for, who owns acct_48 to acct_50."""
    return listing.sql(*filters, newest_first=newest_first, everything=False), {**filters, **ADA}


HOT: dict[str, tuple[str, Any]] = {
    "persons of an account": (persons.ACCOUNT_PERSON_LIST.sql("account"), {"account": A}),
    "accounts of a person": (persons.ACCOUNT_PERSON_LIST.sql("person", "cursor"), {"person": "prsn_16", "cursor": 0}),
    "customer: account": of_ada(accounts.ACCOUNTS, account=A),
    "customer: account by number": of_ada(accounts.ACCOUNTS, number="number50"),
    "customer: accounts": of_ada(accounts.ACCOUNTS, cursor=N),
    "customer: accounts that are new": of_ada(accounts.ACCOUNTS, after=MANY - N),
    "customer: accounts of an owner": of_ada(accounts.ACCOUNTS, owner="owner16", cursor=0),
    "customer: entries": of_ada(entries.ENTRIES, account=A, cursor=N),
    "customer: entries that are new": of_ada(entries.ENTRIES, account=A, after=MANY - N),
    "customer: entries, newest first": of_ada(entries.ENTRIES, newest_first=True, account=A, before=N),
    "customer: daily balances": (movements.VISIBLE_DAILY_BALANCES, {"account": A, "from": D, "until": D, **ADA}),
    "customer: transaction": of_ada(transactions.TRANSACTION, transaction="txn_50"),
    "customer: transactions": of_ada(transactions.TRANSACTIONS, cursor=N),
    "customer: transactions, newest first": of_ada(transactions.TRANSACTIONS, newest_first=True, before=N),
    "customer: new transactions of an account": of_ada(transactions.TRANSACTIONS, account=A, after=MANY - N),
    "customer: transactions with a reference": of_ada(transactions.TRANSACTIONS, reference="reference50"),
    "customer: persons": of_ada(persons.ACCOUNT_PERSON_LIST, cursor=0),
    "customer: persons of an account": of_ada(persons.ACCOUNT_PERSON_LIST, account=A),
    "account": (accounts.ACCOUNTS.sql("account"), {"account": A}),
    "account by number": (accounts.ACCOUNTS.sql("number"), {"number": "number50"}),
    "accounts": (accounts.ACCOUNTS.sql("cursor"), {"cursor": N}),
    "accounts that are new": (accounts.ACCOUNTS.sql("after"), {"after": MANY - N}),
    "accounts of an owner": (accounts.ACCOUNTS.sql("owner", "cursor"), {"owner": "owner5", "cursor": 0}),
    "accounts of a type": (accounts.ACCOUNTS.sql("type", "cursor"), {"type": "merchant", "cursor": 0}),
    "accounts in a currency": (accounts.ACCOUNTS.sql("currency", "cursor"), {"currency": "JPY", "cursor": 0}),
    "accounts with metadata": (accounts.ACCOUNTS.sql("metadata", "cursor"), {"metadata": PAIR, "cursor": 0}),
    "customer: accounts with metadata": of_ada(accounts.ACCOUNTS, metadata=PAIR, cursor=0),
    "accounts that are frozen": (accounts.ACCOUNTS.sql("status", "cursor"), {"status": "frozen", "cursor": 0}),
    "entries": (entries.ENTRIES.sql("account", "cursor"), {"account": A, "cursor": N}),
    "entries that are new": (entries.ENTRIES.sql("account", "after"), {"account": A, "after": MANY - N}),
    "entries, newest first": (
        entries.ENTRIES.sql("account", "before", newest_first=True), {"account": A, "before": N},
    ),
    "transaction": (transactions.TRANSACTION.sql("transaction"), {"transaction": "txn_50"}),
    "transactions": (transactions.TRANSACTIONS.sql("cursor"), {"cursor": N}),
    "transactions, newest first": (transactions.TRANSACTIONS.sql("before", newest_first=True), {"before": N}),
    "new transactions of an account": (
        transactions.TRANSACTIONS.sql("account", "after"), {"account": A, "after": MANY - N},
    ),
    "transactions of an account that wait": (
        transactions.TRANSACTIONS.sql("account", "status"), {"account": A, "status": "pending"},
    ),
    "transactions of a kind": (transactions.TRANSACTIONS.sql("kind", "after"), {"kind": "fee", "after": N}),
    "transactions that wait": (transactions.TRANSACTIONS.sql("status", "after"), {"status": "pending", "after": N}),
    "transactions of a parent": (transactions.TRANSACTIONS.sql("parent"), {"parent": "txn_101"}),
    "transactions with a reference": (transactions.TRANSACTIONS.sql("reference"), {"reference": "reference50"}),
    "transactions that wait for long": (
        transactions.TRANSACTIONS.sql("status", "recorded_before"), {"status": "pending", "recorded_before": AN_HOUR},
    ),
    "transactions of an hour": (
        transactions.TRANSACTIONS.sql("recorded_from", "recorded_before"),
        {"recorded_from": AN_HOUR, "recorded_before": AN_HOUR + timedelta(hours=1)},
    ),
    "amounts of an hour": (
        transactions.TRANSACTIONS.sql("recorded_from", "recorded_before", "entry"),
        {"recorded_from": AN_HOUR, "recorded_before": AN_HOUR + timedelta(hours=1), "entry": ENTRY},
    ),
    "amounts of an account": (transactions.TRANSACTIONS.sql("account", "entry"), {"account": A, "entry": ENTRY}),
    "customer: amounts": of_ada(transactions.TRANSACTIONS, entry=ENTRY, cursor=N),
    "transactions with a prefix": (
        transactions.TRANSACTIONS.sql("reference_prefix"), {"reference_prefix": "reference39"},
    ),
    "transactions with metadata": (
        transactions.TRANSACTIONS.sql("metadata", "cursor"), {"metadata": PAIR, "cursor": 0},
    ),
    "customer: transactions with metadata": of_ada(transactions.TRANSACTIONS, metadata=PAIR, cursor=0),
    "transactions of an initiator": (transactions.TRANSACTIONS.sql("initiator"), {"initiator": "prsn_7"}),
    "transactions of a batch": (
        transactions.TRANSACTIONS.sql("transactions"), {"transactions": [f"txn_{n}" for n in range(1, 21)]},
    ),
    "refusals of a transaction": (refusals.REFUSAL_LIST.sql("transaction"), {"transaction": "txn_50"}),
    "transactions of a day": (
        transactions.TRANSACTIONS.sql("value_from", "value_until"), {"value_from": D, "value_until": D},
    ),
    "daily balances": (movements.DAILY_BALANCES, {"account": A, "from": D, "until": D}),
    "balance on a day": (movements.BALANCE_ON, [A, D]),
    "last entries by a position": (booked.LAST, {"account": A, "upto": [N], "before": [booked.LATEST]}),
    "sums of value dates": (sums.OF_VALUE_DATES, {"account": A, "since": D, "until": D}),
    "sums of days of booking": (
        sums.OF_DAYS, {"account": A, "since": D, "until": D, "booked_since": D, "booked_until": D},
    ),
    "sums of entries": (sums.OF_ENTRIES, {"account": A, "low": 1, "high": 100, "since": D, "until": D}),
    "balances of days": (balances.STEPS, {"every": "day", "account": A, "low": 1, "high": 100}),
    "value dates of a statement": (statements.DAYS, {"account": A, "since": D, "until": D, "upto": N}),
    "numbers of a statement by value": (
        statements.NUMBERS, {"account": A, "days": [D], "lows": [1], "highs": [100]},
    ),
    "lines of a statement": (statements.DETAILS, {"account": A, "numbers": [1, 2, 3]}),
    "customer: lines of a statement": (
        statements.VISIBLE_DETAILS, {"account": A, "numbers": [1, 2, 3], **ADA},
    ),
    "the position at a time": (read._POSITION_AT, {"log": 1, "head": EVENTS, "at": ADA[AT]}),
    "order": (orders.ORDER_LIST.sql("order"), {"order": "ord_50"}),
    "orders": (orders.ORDER_LIST.sql("cursor"), {"cursor": N}),
    "orders that are new": (orders.ORDER_LIST.sql("after"), {"after": MANY - N}),
    "orders of a customer": (orders.ORDER_LIST.sql("customer", "after"), {"customer": "customer5", "after": 0}),
    "orders of a status": (orders.ORDER_LIST.sql("status", "after"), {"status": "paid", "after": 0}),
    "lines of orders": (orders.LINES_OF_ORDERS, [["ord_50", "ord_51"]]),
    "post": (posts.POST_LIST.sql("post"), {"post": "post_50"}),
    "post by slug": (posts.POST_LIST.sql("slug"), {"slug": "slug50"}),
    "posts": (posts.POST_LIST.sql("not_deleted", "cursor"), {"cursor": N}),
    "posts that are new": (posts.POST_LIST.sql("not_deleted", "after"), {"after": MANY - N}),
    "posts of an author": (posts.POST_LIST.sql("author", "not_deleted", "after"), {"author": "author5", "after": 0}),
    "posts of a status": (posts.POST_LIST.sql("status", "after"), {"status": "archived", "after": 0}),
    "posts that are deleted": (posts.POST_LIST.sql("deleted", "after"), {"after": 0}),
    "refusal": (refusals.REFUSAL_LIST.sql("refusal"), {"refusal": "refusal_50"}),
    "refusals": (refusals.REFUSAL_LIST.sql("cursor"), {"cursor": N}),
    "refusals that are new": (refusals.REFUSAL_LIST.sql("after"), {"after": MANY - N}),
    "refusals of an actor": (refusals.REFUSAL_LIST.sql("actor", "after"), {"actor": "actor5", "after": 0}),
    "refusals of a command": (refusals.REFUSAL_LIST.sql("command", "after"), {"command": "Deposit", "after": 0}),
    "refusals by a rule": (refusals.REFUSAL_LIST.sql("rule", "after"), {"rule": "account_frozen", "after": 0}),
    "refusals of a day": (
        refusals.REFUSAL_LIST.sql("recorded_from", "recorded_before"),
        {"recorded_from": datetime(2024, 1, 2, tzinfo=UTC), "recorded_before": datetime(2024, 1, 3, tzinfo=UTC)},
    ),
    "revisions": (posts.REVISION_LIST.sql("post", "cursor"), {"post": "post_50", "cursor": N}),
}  # fmt: skip


IN_ORDER = {f"{what}{which}" for what in ("accounts", "orders", "posts", "refusals") for which in ("", " that are new")}
"""Lists that an index returns in order: the cost of a page depends on its rows and not on the length of the list."""


@pytest.mark.parametrize("name", HOT)
def test_no_hot_query_reads_a_whole_table(many: Connection[Any], name: str) -> None:
    sql, parameters = HOT[name]
    if isinstance(parameters, dict):
        parameters = {**parameters, "row_limit": 101}
    row = many.execute(f"EXPLAIN (FORMAT JSON) {sql}".encode(), parameters).fetchone()
    assert row is not None
    growing = [node for node in nodes(row[0][0]["Plan"]) if node.get("Relation Name") not in {None, *OF_A_HANDFUL}]
    scans = {node["Node Type"] for node in growing}
    assert scans <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, json.dumps(row[0], indent=1)
    if name in IN_ORDER:
        assert "Sort" not in {node["Node Type"] for node in nodes(row[0][0]["Plan"])}, json.dumps(row[0], indent=1)


def test_metadata_are_looked_up_in_their_index(many: Connection[Any]) -> None:
    """Whichever pairs are asked for, and on a generic plan too."""
    many.execute("SET plan_cache_mode = force_generic_plan")
    sql = re.sub(r"%\((\w+)\)s", lambda found: {"metadata": "$1", "cursor": "$2", "row_limit": "$3"}[found[1]],
                 accounts.ACCOUNTS.sql("metadata", "cursor"))  # fmt: skip
    many.execute(f"PREPARE with_metadata (jsonb, bigint, bigint) AS {sql}".encode())
    try:
        row = many.execute(f"EXPLAIN (FORMAT JSON) EXECUTE with_metadata ('{PAIR}', 0, 101)".encode()).fetchone()
    finally:
        many.execute("DEALLOCATE with_metadata")
        many.execute("RESET plan_cache_mode")
    assert row is not None
    assert "accounts_with_metadata" in {node.get("Index Name") for node in nodes(row[0][0]["Plan"])}, row[0]


FOLD: dict[str, tuple[str, str]] = {
    "how far a page goes": (pages_of_log._UPTO, "events_pkey"),
    "a page": (pages_of_log._PAGE, "events_pkey"),
    "checkpoints are moved": (checkpoint._move(checkpoint.LIVE), "events_pkey"),
    "amounts are booked": (accounts_fold._BOOK, "accounts_pkey"),
    "amounts are reserved": (accounts_fold._RESERVE, "accounts_pkey"),
    "accounts are frozen": (accounts_fold._SET_STATUS, "accounts_pkey"),
    "accounts get names": (accounts_fold._SET_NAME, "accounts_pkey"),
    "accounts get metadata": (accounts_fold._SET_METADATA, "accounts_pkey"),
    "last entries": (entries_fold._LAST, "entries_pkey"),
    "sums of days": (movements_fold._ADD, "movements_pkey"),
    "sums of other days": (movements_fold._ADD_OTHER_DAYS, "movements_booked_on_other_days_pkey"),
    "types of accounts": (trial_balance_fold._TYPES, "trial_balance_accounts_pkey"),
    "orders are changed": ("UPDATE orders t SET", "orders_pkey"),
    "posts are changed": ("UPDATE posts t SET", "posts_pkey"),
}
"""The statements of a fold on tables that grow, or how they begin, and the index of each."""
OF_A_HANDFUL = {"checkpoints"}
THAT_READ = [projection for projection in PROJECTIONS if projection.name != "transactions"]
"""The projections whose fold reads existing rows. That of transactions only adds rows."""


@pytest.fixture(scope="module")
def explained(filled: tuple[Database, Codec]) -> Iterator[Explained]:
    with psycopg.connect(filled[0].url, autocommit=True) as connection:
        yield Explained(connection)


def fold(explained: Explained, codec: Codec, *, without: Iterable[str] = ()) -> dict[str, list[Node]]:
    """Fold the page in the session of a runner, roll back, and return the scans of each statement.

    `without`: primary keys that are dropped before.
    """
    with explained.connection.transaction(force_rollback=True):
        for key in without:
            table = key.removesuffix("_pkey")
            schema = "log" if table == "events" else "read"
            explained.connection.execute(f"ALTER TABLE {schema}.{table} DROP CONSTRAINT {key}".encode())
        runner = Runner(explained.connection, LOG, codec, THAT_READ, page=PAGE)
        answered = explained.statements(runner.step)
        assert set(runner.positions.values()) == {PAGE}, runner.stopped
    return by_statement(answered)


def by_statement(answered: Iterable[Statement]) -> dict[str, list[Node]]:
    """The scans of each statement, from all its executions."""
    scans: dict[str, list[Node]] = {}
    for statement in answered:
        scans.setdefault(re.sub(r"\$\d+", "%s", statement.text).strip(), []).extend(statement.scans)
    return scans


def beside_its_index(name: str, folded: dict[str, list[Node]]) -> list[Node]:
    """The scans of a statement that read a growing table in another way."""
    sql, index = FOLD[name]
    unnamed = re.sub(r"%\(\w+\)s", "%s", sql).strip()
    found = [node for text, scans in folded.items() if text.startswith(unnamed) for node in scans]
    scans = [node for node in found if node["Relation Name"] not in OF_A_HANDFUL]
    assert scans, "the statement reads no table"
    return [node for node in scans if probed_index(node) != index]


@pytest.fixture(scope="module", params=[5, 0], ids=["planned again", "prepared"])
def folded(
    request: pytest.FixtureRequest, explained: Explained, filled: tuple[Database, Codec]
) -> dict[str, list[Node]]:
    """In the first pages of a session a statement is planned for its values, later with one generic plan."""
    explained.connection.prepare_threshold = request.param
    return fold(explained, filled[1])


@pytest.mark.parametrize("name", FOLD)
def test_a_fold_uses_its_index(folded: dict[str, list[Node]], name: str) -> None:
    assert beside_its_index(name, folded) == []


@pytest.fixture(scope="module")
def folded_from_nothing(server: Server) -> Iterator[dict[str, list[Node]]]:
    """The scans of a session that planned its statements when the statistics showed empty tables.

    This happens if autovacuum runs between the start of a rebuild and its first page. The plans last until it runs
    again.
    """
    with server.database() as database:
        filler = Filler(database)
        filler.write(*a_life(filler, seed=3, units=1_500))
        with projector(database) as connection:
            filler.begin()
        filler.connection.execute("VACUUM ANALYZE")
        with psycopg.connect(database.url, autocommit=True) as connection:
            explained = Explained(connection)
            connection.prepare_threshold = 0

            def in_two_runs() -> None:  # the second runner has an empty fold cache and reads the rows
                Runner(connection, LOG, filler.codec, PROJECTIONS, page=50).step()
                runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=50)
                runner.run_to_head()
                assert set(runner.positions.values()) == {filler.position}, runner.stopped

            yield by_statement(explained.statements(in_two_runs))
        filler.close()


@pytest.mark.parametrize("name", FOLD)
def test_a_fold_that_began_with_empty_tables_uses_its_index(
    folded_from_nothing: dict[str, list[Node]], name: str
) -> None:
    assert beside_its_index(name, folded_from_nothing) == []


def test_a_fold_without_an_index_is_detected(explained: Explained, filled: tuple[Database, Codec]) -> None:
    folded = fold(explained, filled[1], without={index for _, index in FOLD.values()})
    assert [name for name in FOLD if not beside_its_index(name, folded)] == []
