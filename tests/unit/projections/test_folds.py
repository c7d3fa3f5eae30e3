"""The folds alone: what facts sum up to, without a table in sight."""

from __future__ import annotations

import json
from datetime import date

import pytest

from domain.accounts.account.events import (
    AccountClosed,
    AccountDebited,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
)
from domain.accounts.posting import Entry, TransactionPosted
from domain.kernel import ERASED, UNREADABLE, Event, Personal
from domain.orders.order import OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced
from domain.posts.post import PostDeleted, PostDrafted, PostPublished, PostRestored, PostRevised
from projections.accounts.accounts import fold as accounts
from projections.accounts.entries import fold as entries
from projections.accounts.movements import fold as movements
from projections.accounts.transactions import fold as transactions
from projections.accounts.trial_balance import fold as trial_balance
from projections.engine.declared import Page
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.rows import copy_text, erasable
from projections.orders import orders
from projections.posts import posts
from projections.registry import PROJECTIONS

DAY, NEXT_DAY = date(2024, 1, 2), date(2024, 1, 3)


def facts(*events: Event) -> list[RecordedEvent]:
    """At positions 1, 2, 3 …, recorded at t1, t2, t3 …"""
    return [RecordedEvent(position, f"t{position}", event) for position, event in enumerate(events, 1)]


def opened(account: str, name: Personal = "Ada") -> AccountOpened:
    return AccountOpened(account, 1, f"number of {account}", "checking", "EUR", "ada", name, None, 100, DAY)


def moved(source: str, target: str, amount: int, day: date = DAY) -> TransactionPosted:
    both = Entry(source, "debit", amount, "EUR"), Entry(target, "credit", amount, "EUR")
    return TransactionPosted(f"txn_{source}_{target}", 1, "transfer", day, both, None, None, None)


def test_an_account_changes_by_the_sum_of_its_entries() -> None:
    changes = accounts.fold(facts(moved("a", "b", 5), moved("b", "a", 2), moved("a", "a", 7)))
    assert (changes["a"].balance, changes["a"].entries, changes["a"].version) == (-3, 4, 4)
    assert (changes["b"].balance, changes["b"].entries, changes["b"].version) == (3, 2, 2)
    assert (changes["b"].position, changes["b"].at) == (2, "t2")
    assert changes["a"].status is None


def test_holds_change_what_is_reserved() -> None:
    change = accounts.fold(
        facts(
            HoldPlaced("a", 1, "h1", 10, "EUR", None),
            HoldPlaced("a", 2, "h2", 20, "EUR", None),
            HoldReleased("a", 3, "h1", 10, "EUR"),
            HoldPlaced("a", 4, "h3", 40, "EUR", None),
            HoldCaptured("a", 5, "h2", 20, "EUR", "txn"),
        )
    )["a"]
    assert (change.reserved, change.balance, change.version, change.entries) == (40, 0, 5, 0)


def test_the_last_status_holds() -> None:
    frozen = accounts.fold(facts(opened("a"), AccountFrozen("a", 2, "ada", "why")))["a"]
    assert (frozen.status, frozen.reason, frozen.version) == ("frozen", "why", 2)
    assert frozen.opened is not None
    thawed = accounts.fold(facts(AccountFrozen("a", 2, "ada", "why"), AccountUnfrozen("a", 3, "ada", "error")))["a"]
    assert (thawed.status, thawed.reason) == ("open", None)
    closed = accounts.fold(facts(AccountClosed("a", 2, "ada", ERASED)))["a"]
    assert (closed.status, closed.reason, closed.reason_erased) == ("closed", None, True)


def test_an_account_cannot_begin_twice() -> None:
    with pytest.raises(FoldError, match="a is opened, but it has events before"):
        accounts.fold(facts(moved("a", "b", 1), opened("a")))


def test_a_foreign_event_is_no_account_s() -> None:
    with pytest.raises(FoldError, match="AccountDebited"):
        accounts.fold(facts(AccountDebited("a", 1, "txn", 1, 1, "EUR", DAY)))


def test_postings_are_signed_and_in_order() -> None:
    postings = entries.fold(facts(moved("a", "b", 5)))
    assert postings == [
        ("a", -5, "debit\t5\tEUR\t1\ttxn_a_b\t2024-01-02\t1\tt1"),
        ("b", 5, "credit\t5\tEUR\t2\ttxn_a_b\t2024-01-02\t1\tt1"),
    ]


def test_a_transaction_row_carries_its_entries_as_json() -> None:
    event = TransactionPosted("t", 1, "fee", DAY, moved("a", "b", 5).entries, "ref\\1", "ada", "a\tb")
    [line] = transactions.fold(facts(event))
    *columns, lines, position, at = line.split("\t")
    assert columns == ["t", "fee", "2024-01-02", "ref\\\\1", "a\\tb", "f"]
    assert (position, at) == ("1", "t1")
    assert json.loads(lines) == [
        {"account": "a", "side": "debit", "amount": 5, "currency": "EUR"},
        {"account": "b", "side": "credit", "amount": 5, "currency": "EUR"},
    ]
    erased = TransactionPosted("t", 1, "fee", DAY, event.entries, None, "ada", ERASED)
    assert transactions.fold(facts(erased))[0].split("\t")[3:6] == ["\\N", "\\N", "t"]


def test_movements_are_per_account_and_day() -> None:
    added = movements.fold(facts(moved("a", "b", 5), moved("b", "a", 2), moved("a", "b", 1, NEXT_DAY)))
    assert added == {
        DAY: {"a": movements.Sums("EUR", 5, 2, 2, 2), "b": movements.Sums("EUR", 2, 5, 2, 2)},
        NEXT_DAY: {"a": movements.Sums("EUR", 1, 0, 1, 3), "b": movements.Sums("EUR", 0, 1, 1, 3)},
    }


def test_movements_of_one_account_are_never_summed_across_currencies() -> None:
    dollars = Entry("a", "debit", 5, "USD"), Entry("b", "credit", 5, "USD")
    event = TransactionPosted("txn_1", 1, "transfer", DAY, dollars, None, None, None)
    with pytest.raises(FoldError, match="a has entries in EUR and in USD"):
        movements.fold(facts(moved("a", "b", 5), event))


def test_the_trial_balance_adds_debits_and_credits() -> None:
    sums = trial_balance.fold(facts(opened("a"), moved("a", "b", 5), moved("b", "a", 2)))
    assert sums.types == {"a": "checking"}
    assert sums.added == {"EUR": {"a": [5, 2, 3], "b": [2, 5, 3]}}


def folded(projection: Projection, *events: Event) -> Page:
    page: Page = projection.fold(facts(*events))
    return page


def test_an_order_that_begins_in_a_page_is_one_line() -> None:
    placed = OrderPlaced("o", 1, "ada", "EUR", (OrderLine("sku", "a\tb", 2, 5),), 10, None)
    page = folded(orders.ORDERS, placed, OrderConfirmed("o", 2), OrderCancelled("o", 3, "ada", "why"))
    [line] = page.begun
    row = dict(zip(orders.TABLE.columns.keys(), line.split("\t"), strict=True))
    assert (
        row.items() >= {"order": "o", "customer": "ada", "status": "cancelled", "total": "10", "reason": "why"}.items()
    )
    assert row.items() >= {"reference": "\\N", "reason_erased": "f", "transaction": "\\N", "version": "3"}.items()
    assert [row[name] for name in ("position", "placed_at", "last_position", "last_at")] == ["1", "t1", "3", "t3"]
    assert page.details == [["o\t1\tsku\ta\\tb\t2\t5"]]
    assert page.updates == []


def test_what_a_page_does_not_touch_stays() -> None:
    """A row that began earlier is not loaded: only the columns that the functions set are written."""
    page = folded(
        posts.POSTS,
        PostRevised("p", 2, "ada", 2, "T", "B", None),
        PostPublished("p", 3, "slug"),
        PostDeleted("q", 4, "ada", "spam"),
        PostRestored("q", 5),
        PostDrafted("r", 1, "ada", ERASED, ERASED),
    )
    revised, restored = page.updates
    always = ["last_at", "last_position", "version"]
    assert (revised.keys, restored.keys) == (("p",), ("q",))
    assert sorted(revised.names) == sorted(
        [*always, "title", "body", "revision", "text_erased", "status", "slug", "published_at"]
    )
    assert sorted(restored.names) == sorted([*always, "deleted", "reason", "reason_erased"])
    assert page.details == [["p\t2\tT\tB\t\\N\tf\t1\tt1", "r\t1\t\\N\t\\N\t\\N\tt\t5\tt5"]]


def test_a_row_begins_once_and_first() -> None:
    placed = OrderPlaced("o", 1, "ada", "EUR", (), 0, None)
    for events in ((placed, placed), (OrderConfirmed("o", 1), placed)):
        with pytest.raises(FoldError, match="o has events before its OrderPlaced"):
            folded(orders.ORDERS, *events)
    with pytest.raises(FoldError, match="o was never begun, and OrderConfirmed changes it"):
        orders.FOLD.rows(facts(OrderConfirmed("o", 1)))


def test_functions_change_neither_row_nor_event() -> None:
    before = orders.FOLD.rows(facts(OrderPlaced("o", 1, "ada", "EUR", (), 0, None)))["o"]
    as_it_was = dict(before)
    after = orders.cancelled(before, OrderCancelled("o", 2, "ada", "why"))
    assert (before, after["status"]) == (as_it_was, "cancelled")


def test_a_foreign_event_belongs_to_no_projection() -> None:
    for projection in (orders.ORDERS, posts.POSTS):
        with pytest.raises(FoldError, match="AccountDebited is none of its events"):
            projection.fold(facts(AccountDebited("a", 1, "txn", 1, 1, "EUR", DAY)))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (None, "\\N"),
        ("", ""),
        ("plain ü €", "plain ü €"),
        ("\\N", "\\\\N"),
        ("a\tb\nc\rd", "a\\tb\\nc\\rd"),
        ("\\.", "\\\\."),
        ("\u2028", "\u2028"),
    ],
)
def test_text_for_copy(text: str | None, written: str) -> None:
    assert copy_text(text) == written


def test_what_is_erased_is_null() -> None:
    assert erasable("text") == ("text", False)
    assert erasable(None) == (None, False)
    assert erasable(ERASED) == (None, True)


def test_what_cannot_be_read_says_so_and_is_not_erased() -> None:
    assert erasable(UNREADABLE) == ("[unreadable]", False)


def test_a_memory_is_bounded() -> None:
    memory = FoldCache({str(n): n for n in range(FoldCache.MOST)})
    memory.bound()
    assert len(memory) == FoldCache.MOST
    memory["one more"] = 1
    memory.bound()
    assert not memory


def test_money_is_read_from_transactions_not_from_their_shares() -> None:
    shares = {"AccountDebited", "AccountCredited"}
    assert all(not shares & {event.__name__ for event in projection.events} for projection in PROJECTIONS)
