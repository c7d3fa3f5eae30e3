"""Orders: what may become of one, and its payment as one unit over several streams."""

from __future__ import annotations

import pytest

from domain import registry
from domain.accounts.account.events import AccountCredited, AccountDebited, AccountFrozen, AccountOpened
from domain.accounts.numbers import AccountType
from domain.accounts.posting import Entry, TransactionPosted, internal_account
from domain.kernel import Event, NeedsStreams, Unknown
from domain.money import MAX_AMOUNT
from domain.orders.order import (
    CancelOrder,
    ConfirmOrder,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    PayOrder,
    PlacedLine,
    PlaceOrder,
)
from tests.support.given import given, refusal
from tests.support.memory_ledger import OPENED, TODAY

LINE = OrderLine("85123A", "White hanging heart", 6, 255)
REVENUE = internal_account("main", "revenue", "EUR")
CASH = internal_account("main", "cash", "EUR")


def place(*lines: OrderLine) -> PlaceOrder:
    return PlaceOrder("ord_1", "customer-1", "EUR", lines, "536365")


def placed(*lines: OrderLine) -> OrderPlaced:
    lines = lines or (LINE,)
    total = sum(line.quantity * line.unit_price for line in lines)
    kept = tuple(PlacedLine(line.sku, line.quantity, line.unit_price) for line in lines)
    names = tuple(line.name for line in lines)
    return OrderPlaced("ord_1", 1, "customer-1", "EUR", kept, names, total, "536365", {})


CONFIRMED = OrderConfirmed("ord_1", 2)
CANCELLED = OrderCancelled("ord_1", 3, "customer-1", "changed their mind")
PAY = PayOrder("ord_1", "acct_1", "txn_1", TODAY)


def account(
    id: str = "acct_1", balance: int = 2000, type: AccountType = "checking", currency: str = "EUR"
) -> tuple[Event, ...]:
    """An account with so much on it; one of the ledger's own has no limits."""
    minimum = 0 if type == "checking" else None
    opened = AccountOpened(id, 1, f"number of {id}", type, currency, "owner-1", "Ada", minimum, None, OPENED)
    return (opened, AccountCredited(id, 2, "txn_0", 1, balance, currency, TODAY)) if balance else (opened,)


OWN = (*account(REVENUE, 0, "revenue"), *account(CASH, 0, "cash"))


def test_an_order_is_placed_with_the_sum_of_its_lines() -> None:
    given().when(place(LINE, LINE)).then(placed(LINE, LINE))
    given(placed()).when(place(LINE)).then(refusal("order_exists", order="ord_1"))


def test_an_order_that_was_placed_is_confirmed() -> None:
    given(placed()).when(ConfirmOrder("ord_1")).then(CONFIRMED)
    given().when(ConfirmOrder("ord_1")).then(Unknown("order", "ord_1"))


def test_an_order_is_cancelled_until_it_is_paid() -> None:
    cancel = CancelOrder("ord_1", "changed their mind")
    given(placed()).when(cancel).then(OrderCancelled("ord_1", 2, "customer-1", "changed their mind"))
    given(placed(), CONFIRMED).when(cancel).then(CANCELLED)
    paid = OrderPaid("ord_1", 3, "txn_1", "acct_1", 1530, "EUR")
    given(placed(), CONFIRMED, paid).when(cancel).then(refusal("order_status", status="paid", verb="cancelled"))


@pytest.mark.parametrize("late", [ConfirmOrder("ord_1"), CancelOrder("ord_1", "again"), PAY])
def test_nothing_becomes_of_a_cancelled_order(late: object) -> None:
    given(placed(), CONFIRMED, CANCELLED).when(late).then(refusal("order_status", status="cancelled"))


def test_an_order_is_confirmed_once_and_before_it_is_paid() -> None:
    given(placed(), CONFIRMED).when(ConfirmOrder("ord_1")).then(refusal("order_status", status="confirmed"))
    figures = {"order": "ord_1", "status": "placed", "required": "confirmed", "verb": "paid"}
    given(placed(), *account()).when(PAY).then(refusal("order_status", **figures))


def test_an_order_is_paid_in_one_unit() -> None:
    entries = (Entry("acct_1", "debit", 1530, "EUR"), Entry(REVENUE, "credit", 1530, "EUR"))
    ledger = (
        given(placed(), CONFIRMED, *account(), *OWN)
        .when(PAY)
        .then(
            OrderPaid("ord_1", 3, "txn_1", "acct_1", 1530, "EUR"),
            TransactionPosted("txn_1", 1, "payment", TODAY, entries, "ord_1", None, None),
            AccountDebited("acct_1", 3, "txn_1", 1, 1530, "EUR", TODAY),
            AccountCredited(REVENUE, 2, "txn_1", 2, 1530, "EUR", TODAY),
        )
    )
    assert (ledger["acct_1"].balance, ledger[REVENUE].balance, ledger["ord_1"].status) == (470, 1530, "paid")


def test_the_payment_commutes_on_the_ledger_s_own_account() -> None:
    decision = given(placed(), CONFIRMED, *account(), *OWN).when(PAY).decision
    assert getattr(decision, "commuting", None) == {REVENUE}


def test_paying_asks_for_the_account_it_needs() -> None:
    ledger = given(placed(), CONFIRMED, *account()).ledger
    decision = registry.decide(PAY, {name: ledger.states.get(name) for name in PAY.streams}, ledger.context)
    assert decision == NeedsStreams((REVENUE,))


def test_what_hinders_the_money_hinders_the_payment() -> None:
    order = (placed(), CONFIRMED, *OWN)
    frozen = AccountFrozen("acct_1", 3, "owner-1", "court order")
    given(*order, *account(balance=1529)).when(PAY).then(refusal("below_minimum", account="acct_1"))
    given(*order, *account(), frozen).when(PAY).then(refusal("account_frozen", account="acct_1"))
    given(*order, *account(currency="USD")).when(PAY).then(refusal("currency_mismatch", account="acct_1"))
    from_cash = PayOrder("ord_1", CASH, "txn_1", TODAY)
    ledger = given(*order).when(from_cash).then(refusal("account_internal", type="cash"))
    assert ledger["ord_1"].status == "confirmed"


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ((), "order_line_count"),
        ((OrderLine("a", "b", 0, 1),), "order_line_quantity"),
        ((OrderLine("a", "b", 1, 0),), "order_line_amount"),
        ((OrderLine("a", "b", 1, -1),), "order_line_amount"),
        ((OrderLine("a", "b", 2, MAX_AMOUNT),), "order_line_amount"),
        ((LINE, OrderLine("a", "b", 1, MAX_AMOUNT)), "order_total"),
    ],
)
def test_orders_are_bounded(lines: tuple[OrderLine, ...], rule: str) -> None:
    """Each bound itself is among the samples."""
    given().when(place(*lines)).then(refusal(rule))
