"""Orders and posts: who may become what, one unit over several streams, one holder a slug."""

from __future__ import annotations

import pytest

from domain.accounts.account.lifecycle import FreezeAccount
from domain.accounts.posting import internal_account
from domain.kernel import Accepted, NeedsStreams, Unknown
from domain.money import MAX_AMOUNT
from domain.orders.order import (
    MOST_LINES,
    MOST_QUANTITY,
    CancelOrder,
    ConfirmOrder,
    OrderLine,
    OrderPaid,
    PayOrder,
    PlaceOrder,
)
from domain.posts.post import (
    MOST_SLUG_CHARACTERS,
    ArchivePost,
    DeletePost,
    DraftPost,
    PublishPost,
    RestorePost,
    RevisePost,
)
from tests.support.memory_ledger import TODAY, MemoryLedger, new_id

LINE = OrderLine("85123A", "White hanging heart", 6, 255)


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.open_internal()
    return ledger


def place(*lines: OrderLine, order: str | None = None) -> PlaceOrder:
    return PlaceOrder(order or new_id("ord"), "customer-1", "EUR", lines, "536365")


def pay(order: str, account: str) -> PayOrder:
    return PayOrder(order, account, new_id("txn"), TODAY)


def confirmed(ledger: MemoryLedger) -> str:
    command = place(LINE)
    ledger.accepted(command)
    ledger.accepted(ConfirmOrder(command.order))
    return command.order


def test_an_order_is_paid_in_one_unit(ledger: MemoryLedger) -> None:
    order, account = confirmed(ledger), ledger.account(2000)
    command = pay(order, account)
    revenue = internal_account("main", "revenue", "EUR")
    done = ledger.accepted(command)
    assert {event.originator_id for event in done.events} == {order, command.transaction, account, revenue}
    assert done.commuting == {revenue}
    assert done.result["status"] == "paid"
    assert (ledger[account].balance, ledger[revenue].balance, ledger[order].status) == (470, 1530, "paid")
    paid = next(event for event in done.events if isinstance(event, OrderPaid))
    assert (paid.amount, paid.transaction, paid.account) == (1530, command.transaction, account)
    posted = ledger[command.transaction].event
    assert (posted.kind, posted.reference) == ("payment", order), "without a reference of its own it names the order"
    assert ledger.refused(pay(order, account)).rule == "order_status"
    ledger.check()


def test_paying_asks_for_the_account_it_needs(ledger: MemoryLedger) -> None:
    from domain import registry

    order, account = confirmed(ledger), ledger.account(2000)
    states = {s: ledger.states[s] for s in (order, account)}
    decision = registry.decide(pay(order, account), states, ledger.context)
    assert decision == NeedsStreams((internal_account("main", "revenue", "EUR"),))


def test_what_hinders_the_money_hinders_the_payment(ledger: MemoryLedger) -> None:
    order, poor, frozen = confirmed(ledger), ledger.account(1529), ledger.account(2000)
    ledger.accepted(FreezeAccount(frozen, "x"))
    refusal = ledger.refused(pay(order, poor))
    assert refusal.rule == "below_minimum"
    assert refusal.commuting == {internal_account("main", "revenue", "EUR")}
    assert ledger.refused(pay(order, frozen)).rule == "account_frozen"
    assert ledger.refused(pay(order, internal_account("main", "cash", "EUR"))).rule == "account_internal"
    ledger.open_internal("USD")
    assert ledger.refused(pay(order, ledger.account(5000, currency="USD"))).rule == "currency_mismatch"
    assert ledger[order].status == "confirmed"


def test_an_order_goes_only_forward(ledger: MemoryLedger) -> None:
    command = place(LINE)
    ledger.accepted(command)
    assert ledger.refused(place(LINE, order=command.order)).rule == "order_exists"
    refusal = ledger.refused(pay(command.order, ledger.account(9000)))
    assert refusal.figures == {"order": command.order, "status": "placed", "required": "confirmed", "verb": "paid"}
    ledger.accepted(ConfirmOrder(command.order))
    assert ledger.refused(ConfirmOrder(command.order)).rule == "order_status"
    ledger.accepted(CancelOrder(command.order, "changed their mind"))
    for late in (ConfirmOrder(command.order), CancelOrder(command.order, "x")):
        assert ledger.refused(late).rule == "order_status"
    assert ledger.execute(ConfirmOrder("ord_none")) == Unknown("order", "ord_none")


def test_orders_are_bounded(ledger: MemoryLedger) -> None:
    ledger.accepted(place(*[LINE] * MOST_LINES))
    assert ledger.refused(place(*[LINE] * (MOST_LINES + 1))).rule == "order_line_count"
    assert ledger.refused(place()).rule == "order_line_count"
    ledger.accepted(place(OrderLine("a", "b", MOST_QUANTITY, 1)))
    assert ledger.refused(place(OrderLine("a", "b", MOST_QUANTITY + 1, 1))).rule == "order_line_quantity"
    ledger.accepted(place(OrderLine("a", "b", 1, MAX_AMOUNT - 1), OrderLine("a", "b", 1, 1)))
    ledger.accepted(place(OrderLine("a", "b", 1, MAX_AMOUNT)))
    assert ledger.refused(place(OrderLine("a", "b", 1, 0))).rule == "order_line_amount"
    assert ledger.refused(place(OrderLine("a", "b", 2, MAX_AMOUNT))).rule == "order_line_amount"
    assert ledger.refused(place(LINE, OrderLine("a", "b", 1, MAX_AMOUNT))).rule == "order_total"


def draft(ledger: MemoryLedger) -> str:
    post = new_id("post")
    ledger.accepted(DraftPost(post, "author-1", "On ledgers", "A daybook is"))
    return post


def test_each_edit_is_a_revision(ledger: MemoryLedger) -> None:
    post = draft(ledger)
    done = ledger.accepted(RevisePost(post, "On ledgers", "A daybook is the book of original entry.", "finished"))
    assert done.result["revision"] == 2
    same = RevisePost(post, "On ledgers", "A daybook is the book of original entry.", None)
    assert ledger.refused(same).rule == "post_unchanged"
    ledger.accepted(RevisePost(post, "On daybooks", same.body, None))
    ledger.accepted(RevisePost(post, "On daybooks", "Another body", None))
    assert (ledger[post].revision, ledger[post].title, ledger[post].body) == (4, "On daybooks", "Another body")
    assert ledger.refused(DraftPost(post, "a", "b", "c")).rule == "post_exists"


def test_a_slug_has_one_holder(ledger: MemoryLedger) -> None:
    first, second = draft(ledger), draft(ledger)
    ledger.accepted(PublishPost(first, "on-ledgers"))
    refusal = ledger.refused(PublishPost(second, "on-ledgers"))
    assert refusal.figures == {"slug": "on-ledgers", "holder": first}
    ledger.accepted(ArchivePost(first))
    again = ledger.accepted(PublishPost(first, "on-ledgers"))
    assert len(again.events) == 1, "the claim is kept"
    ledger.accepted(ArchivePost(first))
    moved = ledger.accepted(PublishPost(first, "about-ledgers"))
    assert len(moved.events) == 3, "published, taken, released"
    ledger.accepted(PublishPost(second, "on-ledgers"))


@pytest.mark.parametrize("slug", ["", "-a", "a-", "a--b", "A", "a b", "é", "a" * (MOST_SLUG_CHARACTERS + 1)])
def test_slugs_have_a_shape(ledger: MemoryLedger, slug: str) -> None:
    assert ledger.refused(PublishPost(draft(ledger), slug)).rule == "slug_malformed"


def test_a_deleted_post_keeps_its_slug_and_comes_back_as_it_was(ledger: MemoryLedger) -> None:
    post, other = draft(ledger), draft(ledger)
    ledger.accepted(PublishPost(post, "s" * MOST_SLUG_CHARACTERS))
    ledger.accepted(DeletePost(post, "duplicate"))
    for command in (DeletePost(post, "x"), ArchivePost(post), PublishPost(post, "t"), RevisePost(post, "t", "b", None)):
        assert ledger.refused(command).rule == "post_status"
    assert ledger.refused(PublishPost(other, "s" * MOST_SLUG_CHARACTERS)).rule == "slug_taken"
    assert ledger.accepted(RestorePost(post)).result["status"] == ledger[post].status == "published"
    assert ledger.refused(RestorePost(post)).rule == "post_status"
    assert isinstance(ledger.execute(RevisePost(post, "t", "b", None)), Accepted)
