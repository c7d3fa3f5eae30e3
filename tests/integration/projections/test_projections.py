"""The rows of the read models match the states of the aggregates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from domain.accounts.account import state as account_state
from domain.accounts.account.events import AccountFrozen
from domain.accounts.account.state import Account
from domain.accounts.posting import Entry
from domain.orders import order as order_state
from domain.orders.order import Order, OrderCancelled, OrderConfirmed, OrderPaid, OrderPlaced, PlacedLine
from domain.posts import post as post_state
from domain.posts.post import Post, PostDeleted, PostDrafted, PostRevised
from eventstore.keys.master_keys import MasterKeyError
from eventstore.keys.rotation import rotate
from eventstore.log.read import read_stream
from projections.accounts.accounts import queries as accounts
from projections.accounts.entries import queries as entries
from projections.accounts.entries.fold import ENTRIES
from projections.accounts.movements import queries as movements
from projections.accounts.transactions import queries as transactions
from projections.accounts.trial_balance.fold import TRIAL_BALANCE
from projections.accounts.trial_balance.queries import trial_balance
from projections.engine.projection import FoldCache
from projections.engine.runner import Runner
from projections.orders import orders
from projections.posts import posts
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, MASTER_KEY, Filler, a_life, a_life_with, posting, transfer

HIGHEST = 10**15 - 1


def run(connection: Connection[Any], filler: Filler, **more: Any) -> None:
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS, **more)
    runner.run_to_head()
    assert not runner.stopped


def states(connection: Connection[Any], filler: Filler, prefix: str, evolve: Callable[[Any, Any], Any]) -> list[Any]:
    """The state of each aggregate with this prefix, folded by the domain from its stream."""
    folded = []
    for stream in sorted(stream for stream in filler.versions if stream.startswith(prefix)):
        state = None
        for event in read_stream(connection, filler.log, stream):
            state = evolve(state, filler.codec.decode(event.type, event.payload, stream, event.version))
        folded.append(state)
    return folded


def test_accounts_are_what_the_domain_folds_from_their_streams(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=1, units=400))
    run(connection, filler, page=50)
    rows = sorted(accounts.accounts(connection, limit=1_000).items, key=lambda row: row.account)
    folded: list[Account] = states(connection, filler, "acct_", account_state.evolve)
    assert [
        (row.account, row.version, row.number, row.type, row.currency, row.owner, row.opened_on) for row in rows
    ] == [(a.profile.id, a.version, *_profile(a)) for a in folded]
    assert [(row.balance, row.reserved, row.available, row.status) for row in rows] == [
        (a.balance, a.reserved, a.available, a.status) for a in folded
    ]
    assert [row.version for row in rows] == [filler.versions[row.account] for row in rows]


def _profile(account: Account) -> tuple[object, ...]:
    profile = account.profile
    return profile.number, profile.type, profile.currency, profile.owner, profile.opened_on


def test_entries_are_numbered_and_carry_the_balance_after_them(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=2, units=300))
    run(connection, filler, page=30)
    for row in accounts.accounts(connection, limit=1_000).items:
        balance = 0
        lines = entries.entries(connection, row.account, limit=1_000).items
        assert [line.number for line in lines] == list(range(1, row.entries + 1))
        assert [line.position for line in lines] == sorted(line.position for line in lines)
        for line in lines:
            balance += line.amount if line.side == "credit" else -line.amount
            assert line.balance_after == balance
        assert balance == row.balance


def test_daily_balances_follow_from_the_entries(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=3, units=300))
    run(connection, filler, page=40)
    for row in accounts.accounts(connection, limit=20).items:
        lines = entries.entries(connection, row.account, limit=1_000).items
        days = movements.daily_balances(connection, row.account).items
        assert sorted({line.value_date for line in lines}) == [day.day for day in days]
        for day in days:
            signed = [(x.value_date, x.amount if x.side == "credit" else -x.amount) for x in lines]
            assert day.opening == sum(amount for on, amount in signed if on < day.day)
            assert day.closing == sum(amount for on, amount in signed if on <= day.day)
            assert day.closing == movements.balance_on(connection, row.account, day.day)
            assert day.entries == sum(on == day.day for on, _ in signed)


def test_orders_are_what_the_domain_folds(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life_with(filler, 4, 1_000, OrderPlaced, OrderConfirmed, OrderPaid, OrderCancelled))
    run(connection, filler, page=60)
    rows = orders.orders(connection, limit=1_000).items
    folded: list[Order] = states(connection, filler, "ord_", order_state.evolve)
    assert {order.status for order in folded} == {"placed", "confirmed", "paid", "cancelled"}
    assert [(row.order, row.customer, row.version, row.status, row.total) for row in rows] == [
        (order.id, order.customer, order.version, order.status, order.total) for order in folded
    ]
    assert [[(x.sku, x.quantity, x.unit_price) for x in row.lines] for row in rows] == [
        [(x.sku, x.quantity, x.unit_price) for x in order.lines] for order in folded
    ]
    cancelled = next(row for row in rows if row.status == "cancelled")
    assert cancelled.reason == "changed\ntheir mind"
    paid = next(row for row in rows if row.status == "paid")
    assert paid.transaction is not None
    assert paid.account is not None


def test_posts_are_what_the_domain_folds(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=5, units=3_000))
    run(connection, filler, page=60)
    kept = posts.posts(connection, limit=1_000).items
    deleted = posts.posts(connection, status="deleted", limit=1_000).items
    assert not any(row.deleted for row in kept)
    assert all(row.deleted for row in deleted)
    rows = sorted((*kept, *deleted), key=lambda row: row.post)
    folded: list[Post] = states(connection, filler, "post_", post_state.evolve)
    assert {post.status for post in folded} == {"draft", "published", "archived", "deleted"}
    assert [(row.post, row.version, row.status, row.slug, row.title, row.body, row.revision) for row in rows] == [
        (post.id, post.version, post.status, post.slug, post.title, post.body, post.revision) for post in folded
    ]
    for row in rows:
        texts = posts.revisions(connection, row.post).items
        assert [text.revision for text in texts] == list(range(1, row.revision + 1))
        assert (texts[-1].title, texts[-1].body) == (row.title, row.body)
        assert (row.reason == "spam") == row.deleted
        assert row.slug is None or posts.post_by_slug(connection, row.slug) == (None if row.deleted else row)


def test_a_transaction_keeps_its_entries_and_texts(filler: Filler, connection: Connection[Any]) -> None:
    one, other = filler.opening(), filler.opening()
    text = 'a "quoted"\t\\N text\r\nüñí €'
    unit = transfer("txn_1", one.originator_id, other.originator_id, 5, reference=text, subject="s", description=text)
    filler.write([one], [other], unit)
    run(connection, filler)
    row = transactions.transaction(connection, "txn_1")
    assert row is not None
    assert (row.reference, row.description, row.kind, row.position) == (text, text, "transfer", 3)
    assert [(x.account, x.side, x.amount, x.currency) for x in row.entries] == [
        (one.originator_id, "debit", 5, "EUR"),
        (other.originator_id, "credit", 5, "EUR"),
    ]
    assert transactions.transaction(connection, "txn_2") is None


def test_sums_beyond_64_bits_are_exact(filler: Filler, connection: Connection[Any]) -> None:
    cash, account = filler.opening(type="cash"), filler.opening()
    count = 10_000
    ids = (cash.originator_id, account.originator_id)
    filler.write([cash], [account], *[transfer(f"txn_{n}", *ids, HIGHEST) for n in range(count)])
    run(connection, filler)
    row = accounts.account(connection, account.originator_id)
    assert row is not None
    assert row.balance == count * HIGHEST > 2**63
    last = entries.entries(connection, cash.originator_id, newest_first=True, limit=1).items[0]
    assert last.balance_after == -count * HIGHEST
    [day] = movements.daily_balances(connection, account.originator_id).items
    assert day.closing == count * HIGHEST
    [total] = trial_balance(connection, LOG).totals
    assert total.debits == total.credits == count * HIGHEST


def test_an_account_may_have_several_entries_of_one_transaction(filler: Filler, connection: Connection[Any]) -> None:
    one, other = filler.opening(), filler.opening()
    a, b = one.originator_id, other.originator_id
    parts = [Entry(a, "debit", 7, "EUR"), Entry(b, "credit", 3, "EUR"), Entry(b, "credit", 4, "EUR")]
    filler.write([one], [other], posting("txn_1", *parts))
    run(connection, filler)
    row = accounts.account(connection, b)
    assert row is not None
    assert (row.balance, row.version, row.entries) == (7, filler.versions[b], 2)
    assert [(e.number, e.entry, e.balance_after) for e in entries.entries(connection, b).items] == [
        (1, 2, 3),
        (2, 3, 7),
    ]


@pytest.mark.parametrize("page", [1, 1_000])
def test_movements_in_another_currency_stop_the_projection(
    filler: Filler, connection: Connection[Any], page: int
) -> None:
    one, other = filler.opening(), filler.opening()
    ids = one.originator_id, other.originator_id
    filler.write([one], [other], transfer("txn_1", *ids, 7), transfer("txn_2", *ids, 5, "USD"))
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS, page=page)
    runner.run_to_head()
    assert "movements" in runner.stopped
    [day] = movements.daily_balances(connection, other.originator_id).items
    assert (day.closing, day.currency) == (7, "EUR"), "only the earlier event is folded"


SKUS = ["tea", "cup"]
LINES = (PlacedLine("tea", 2, 3), PlacedLine("cup", 1, 2))


def test_erased_fields_are_null_and_flagged(filler: Filler, connection: Connection[Any]) -> None:
    account = filler.opening(owner="ada")
    id = account.originator_id
    filler.write(
        [account],
        [AccountFrozen(id, 0, "ada", "a reason")],
        transfer("txn_1", id, id, 1, subject="ada", description="to myself"),
        [PostDrafted("post_1", 1, "ada", "Title", "Body")],
        [PostRevised("post_1", 2, "ada", 2, "Title", "Body", "why")],
        [PostDeleted("post_1", 3, "ada", "spam")],
        [OrderPlaced("ord_1", 1, "ada", "EUR", LINES, ("Tea", "Cup"), 8, None, {"channel": "web"})],
        [OrderPlaced("ord_2", 1, "bob", "EUR", LINES, ("Tea", "Cup"), 8, None, {})],
    )
    filler.erase("ada")
    run(connection, filler)
    row = accounts.account(connection, id)
    assert row is not None
    assert (row.name, row.name_erased, row.reason, row.reason_erased, row.status) == (None, True, None, True, "frozen")
    transaction = transactions.transaction(connection, "txn_1")
    assert transaction is not None
    assert (transaction.description, transaction.description_erased) == (None, True)
    post = posts.post(connection, "post_1")
    assert post is not None
    assert (post.title, post.body, post.text_erased, post.reason, post.reason_erased) == (None, None, True, None, True)
    assert [text.text_erased for text in posts.revisions(connection, "post_1").items] == [True, True]
    order, other = orders.orders(connection).items
    assert (order.names_erased, order.metadata, [line.sku for line in order.lines]) == (True, {"channel": "web"}, SKUS)
    assert [line.name for line in order.lines] == [None, None]
    assert (other.names_erased, other.metadata, [line.name for line in other.lines]) == (False, {}, ["Tea", "Cup"])


def test_an_order_of_the_first_version_shows_its_names_as_they_were_stored(
    filler: Filler, connection: Connection[Any]
) -> None:
    """They are in clear in the log, so they are there without a key. The erasure takes them from the tables."""
    placed = OrderPlaced("ord_1", 1, "ada", "EUR", LINES, ("Tea", "Cup"), 8, "for Ada", {})
    filler.write([placed])
    old = (
        '{"currency":"EUR","customer":"ada","lines":[{"name":"Tea","quantity":2,"sku":"tea","unit_price":3},'
        '{"name":"Cup","quantity":1,"sku":"cup","unit_price":2}],"reference":"for Ada","total":8}'
    )
    filler.connection.execute(
        "UPDATE log.events SET type = 'order.placed.v1', payload = %s WHERE stream = 'ord_1'", (old.encode(),)
    )
    filler.destroy_key("ada")
    run(connection, filler)
    [order] = orders.orders(connection).items
    assert (order.reference, order.metadata, order.names_erased) == ("for Ada", {}, False)
    assert [(line.sku, line.name, line.quantity, line.unit_price) for line in order.lines] == [
        ("tea", "Tea", 2, 3),
        ("cup", "Cup", 1, 2),
    ]
    filler.erase("ada")
    run(connection, filler)
    [order] = orders.orders(connection).items
    assert (order.names_erased, [line.name for line in order.lines]) == (True, [None, None])


def test_an_unreadable_field_is_marked_in_its_row_and_affects_no_other(
    filler: Filler, connection: Connection[Any]
) -> None:
    """With a damaged key and a damaged value every projection folds to the head, and all balances are right."""
    ada, bob = filler.opening(owner="ada"), filler.opening(owner="bob")
    one, other = ada.originator_id, bob.originator_id
    filler.write(
        [ada],
        [bob],
        [AccountFrozen(one, 0, "ada", "a reason")],
        transfer("txn_1", one, other, 7, subject="ada", description="to bob"),
        transfer("txn_2", other, one, 2, subject="bob", description="back"),
        [PostDrafted("post_1", 1, "ada", "Title", "Body")],
        [PostRevised("post_1", 2, "ada", 2, "Title", "Body", "why")],
        [PostDrafted("post_2", 1, "bob", "Title", "Body")],
    )
    filler.connection.execute("UPDATE log.subject_keys SET sealed_key = 'junk' WHERE subject = 'ada'")
    filler.connection.execute(
        "UPDATE log.events SET payload = convert_to(regexp_replace(convert_from(payload, 'UTF8'),"
        ' \'"title":"[^"]*"\', \'"title":"2.damaged"\'), \'UTF8\') WHERE stream = \'post_2\''
    )
    filler.sealer.forget()
    run(connection, filler)
    gone = "[unreadable]"
    row = accounts.account(connection, one)
    assert row is not None
    assert (row.name, row.name_erased, row.reason, row.reason_erased, row.balance) == (gone, False, gone, False, -5)
    row = accounts.account(connection, other)
    assert row is not None
    assert (row.name, row.balance) == (bob.name, 5)
    found = [transactions.transaction(connection, id) for id in ("txn_1", "txn_2")]
    assert [(row.description, row.description_erased) for row in found if row] == [(gone, False), ("back", False)]
    texts = [posts.post(connection, id) for id in ("post_1", "post_2")]
    assert [(row.title, row.body, row.text_erased) for row in texts if row] == [
        (gone, gone, False),
        (gone, "Body", False),
    ]
    assert posts.revisions(connection, "post_1").items[-1].summary == gone


def test_a_projector_with_a_retired_master_key_ends_and_folds_nothing(
    filler: Filler, connection: Connection[Any]
) -> None:
    """The projector has only the old master key. It must not treat the moved keys as damaged."""
    filler.write([filler.opening(owner="ada")])
    rotate(filler.connection, b"n" * 32, MASTER_KEY)
    filler.sealer.forget()
    with pytest.raises(MasterKeyError, match="which this database has retired"):
        Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    assert not accounts.accounts(connection).items
    stopped = connection.execute("SELECT count(*) FROM read.projection_errors").fetchone()
    assert stopped == (0,), "no event is wrong"


def test_the_trial_balance_is_per_currency_and_type(filler: Filler, connection: Connection[Any]) -> None:
    cash, yen = filler.opening(type="cash"), filler.opening(type="cash", currency="JPY")
    one, other = filler.opening(), filler.opening(type="savings", currency="JPY")
    filler.write(
        *[[opened] for opened in (cash, yen, one, other)],
        transfer("txn_1", cash.originator_id, one.originator_id, 100),
        transfer("txn_2", yen.originator_id, other.originator_id, 30, "JPY"),
        transfer("txn_3", one.originator_id, cash.originator_id, 40),
    )
    run(connection, filler)
    balance = trial_balance(connection, LOG)
    assert balance.position == filler.position
    assert [(x.currency, x.type, x.debits, x.credits, x.balance) for x in balance.lines] == [
        ("EUR", "cash", 100, 40, -60),
        ("EUR", "checking", 40, 100, 60),
        ("JPY", "cash", 30, 0, -30),
        ("JPY", "savings", 0, 30, 30),
    ]
    assert balance.balanced
    assert [x.currency for x in trial_balance(connection, LOG, currency="JPY").lines] == ["JPY", "JPY"]


@pytest.mark.parametrize("page", [1, 1_000])
def test_an_account_opened_and_closed_within_a_page(filler: Filler, connection: Connection[Any], page: int) -> None:
    account = filler.opening()
    frozen = AccountFrozen(account.originator_id, 0, account.owner, "suspicion")
    filler.write([account], [frozen])
    run(connection, filler, page=page)
    row = accounts.account_by_number(connection, account.number)
    assert row is not None
    assert (row.status, row.reason, row.version) == ("frozen", "suspicion", 2)


@pytest.mark.parametrize("kind", [psycopg.OperationalError, ValueError])
def test_the_fold_cache_of_a_page_that_is_rolled_back_is_dropped(
    filler: Filler, connection: Connection[Any], kind: type[Exception]
) -> None:
    one, other = filler.opening(), filler.opening()
    ids = one.originator_id, other.originator_id
    filler.write([one], [other], transfer("txn_1", *ids, 7), transfer("txn_2", *ids, 5))
    failures = [kind("cut")]

    def write(connection: Connection[Any], postings: Any, memory: FoldCache) -> None:
        ENTRIES.write(connection, postings, memory)
        if failures:
            raise failures.pop()

    runner = Runner(connection, LOG, filler.codec, (replace(ENTRIES, write=write),))
    with suppress(psycopg.OperationalError):
        runner.step()
    runner.run_to_head()
    assert not runner.stopped
    booked = [(entry.number, entry.balance_after) for entry in entries.entries(connection, ids[0]).items]
    assert booked == [(1, -7), (2, -12)]


def test_the_fold_cache_of_the_search_for_a_bad_event_is_dropped(filler: Filler, connection: Connection[Any]) -> None:
    one, other = filler.opening(), filler.opening()
    ids = one.originator_id, other.originator_id
    filler.write([one], [other], *[transfer(f"txn_{n}", *ids, 1) for n in range(1, 9)])

    def write(connection: Connection[Any], postings: Any, memory: FoldCache) -> None:
        ENTRIES.write(connection, postings, memory)
        if any("txn_6" in columns for _, _, columns in postings):
            raise ValueError("poisoned")

    runner = Runner(connection, LOG, filler.codec, (replace(ENTRIES, write=write),))
    runner.run_to_head()
    assert "txn_6" in runner.stopped["entries"]
    booked = [(entry.number, entry.balance_after) for entry in entries.entries(connection, ids[0]).items]
    assert booked == [(n, -n) for n in range(1, 6)]


def test_the_trial_balance_stops_at_an_account_that_was_never_opened(
    filler: Filler, connection: Connection[Any]
) -> None:
    one, other = filler.opening(), filler.opening()
    filler.write([one], transfer("txn_1", one.originator_id, other.originator_id, 7))
    runner = Runner(connection, LOG, filler.codec, (TRIAL_BALANCE,))
    runner.run_to_head()
    assert f"{other.originator_id}, which was never opened" in runner.stopped["trial_balance"]
