"""Every rule, a command that breaks it, and the sentence the refused client reads.

One small ledger serves all of them. A sentence here is part of the answer of the API: who changes one sees it changed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.accounts.account.holds import MOST_HOLDS, PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount, UnfreezeAccount
from domain.accounts.posting import Entry, internal_account
from domain.accounts.transaction import CaptureHold, Deposit, PostTransaction, Transfer, Withdraw
from domain.money import MAX_AMOUNT
from domain.orders.order import ConfirmOrder, OrderLine, PlaceOrder
from domain.posts.post import ArchivePost, DraftPost, PublishPost, RevisePost
from domain.registry import RULES, explain
from domain.together import Together
from tests.unit.domain.memory import OPENED, TODAY, MemoryLedger, opening

CASH = internal_account("main", "cash", "EUR")


def books() -> MemoryLedger:
    """acct_a has 5.00 EUR, 1.00 of it held, and limits of 1.00 and 10.00; the others are what their names say."""
    ledger = MemoryLedger()
    ledger.open_internal()
    commands: list[Any] = [
        opening(account="acct_a", number="CHK000000000101", minimum=100, maximum=1_000),
        Deposit("txn_1", "acct_a", 500, "EUR", TODAY),
        PlaceHold("acct_a", "hold_1", 100, "EUR"),
        opening(account="acct_any", minimum=None),
        opening(account="acct_frozen"),
        FreezeAccount("acct_frozen", "court order"),
        opening(account="acct_closed"),
        CloseAccount("acct_closed", "moved away"),
        opening(account="acct_usd", currency="USD"),
        opening(account="acct_rich"),
        Deposit("txn_2", "acct_rich", 2_00, "EUR", TODAY),
        opening(account="acct_held"),
        Deposit("txn_3", "acct_held", MOST_HOLDS + 1, "EUR", TODAY),
        *(PlaceHold("acct_held", f"hold_{n}", 1, "EUR") for n in range(MOST_HOLDS)),
        PlaceOrder("ord_1", "customer-1", "EUR", (OrderLine("sku", "thing", 1, 1),)),
        ConfirmOrder("ord_1"),
        DraftPost("post_1", "author-1", "Title", "Body"),
        PublishPost("post_1", "on-ledgers"),
        DraftPost("post_2", "author-1", "Title", "Body"),
    ]
    for command in commands:
        ledger.accepted(command)
    return ledger


def deposit(account: str, amount: int, currency: str = "EUR", days: int = 0) -> Deposit:
    return Deposit("txn_new", account, amount, currency, TODAY + timedelta(days))


def journal(*entries: Entry) -> PostTransaction:
    return PostTransaction("txn_new", "journal", entries, TODAY)


def order(*lines: OrderLine) -> PlaceOrder:
    return PlaceOrder("ord_new", "customer-1", "EUR", lines)


BROKEN: dict[str, tuple[Any, str]] = {
    "item_refused": (
        Together(
            (
                Transfer("txn_t1", "acct_rich", "acct_any", 200, "EUR", TODAY),
                Transfer("txn_t2", "acct_rich", "acct_any", 1, "EUR", TODAY),
            )
        ),
        "Nothing is carried out, because item 2 is refused: Account acct_rich has 0.00 EUR available; debiting 0.01 "
        "would leave -0.01, below its minimum of 0.00.",
    ),
    "account_exists": (opening(account="acct_a"), "Account acct_a exists already."),
    "account_closed": (
        deposit("acct_closed", 1),
        "Account acct_closed is closed; nothing can be posted to it or changed on it.",
    ),
    "account_frozen": (deposit("acct_frozen", 1), "Account acct_frozen is frozen; unfreeze it first."),
    "account_not_frozen": (UnfreezeAccount("acct_a", "x"), "Account acct_a is not frozen."),
    "account_internal": (
        PlaceHold(CASH, "hold_new", 1, "EUR"),
        f"Account {CASH} is an internal account (cash); this command is for customer accounts.",
    ),
    "internal_account_missing": (
        deposit("acct_usd", 1, "USD"),
        "The internal account for cash in USD is not open; an operator opens it with type 'cash' first.",
    ),
    "balance_not_zero": (
        CloseAccount("acct_rich", "x"),
        "Account acct_rich has a balance of 2.00 EUR; it must be zero to close.",
    ),
    "holds_open": (
        CloseAccount("acct_a", "x"),
        "Account acct_a has 1 open holds for 1.00 EUR; release or capture them first.",
    ),
    "number_taken": (opening(number="CHK000000000101"), "Account number CHK000000000101 is in use."),
    "limits_crossed": (opening(minimum=2, maximum=1), "The minimum 0.02 is higher than the maximum 0.01."),
    "opened_in_future": (
        opening(opened_on=TODAY + timedelta(1)),
        "The opening date 2026-11-22 is after today, 2026-11-21 (UTC).",
    ),
    "currency_mismatch": (
        Transfer("txn_new", "acct_a", "acct_usd", 1, "EUR", TODAY),
        "Account acct_usd is kept in USD; the amount is in EUR.",
    ),
    "same_account": (
        Transfer("txn_new", "acct_a", "acct_a", 1, "EUR", TODAY),
        "A transfer needs two different accounts; both are acct_a.",
    ),
    "value_date_in_future": (
        deposit("acct_a", 1, days=1),
        "The value date 2026-11-22 is after today, 2026-11-21 (UTC).",
    ),
    "value_date_before_opening": (
        deposit("acct_a", 1, days=(OPENED - TODAY).days - 1),
        "The value date 2019-12-31 is before account acct_a was opened, 2020-01-01.",
    ),
    "below_minimum": (
        Withdraw("txn_new", "acct_a", 301, "EUR", TODAY),
        "Account acct_a has 4.00 EUR available; debiting 3.01 would leave 0.99, below its minimum of 1.00.",
    ),
    "above_maximum": (
        deposit("acct_a", 501),
        "Account acct_a has a balance of 5.00 EUR; crediting 5.01 would make 10.01, above its maximum of 10.00.",
    ),
    "entry_count": (journal(), "A transaction has 2 to 1000 entries; this one has 0."),
    "entry_amount": (
        deposit("acct_any", MAX_AMOUNT + 1),
        "Entry 1 is for 10000000000000.00 EUR; an entry must be for 0.01 to 9999999999999.99.",
    ),
    "entries_unbalanced": (
        journal(Entry("acct_a", "debit", 3, "EUR"), Entry("acct_any", "credit", 2, "EUR")),
        "The EUR entries sum to -0.01; credits and debits must be equal.",
    ),
    "hold_exists": (PlaceHold("acct_a", "hold_1", 1, "EUR"), "Hold hold_1 exists already on account acct_a."),
    "hold_unknown": (ReleaseHold("acct_a", "hold_9"), "Account acct_a has no open hold hold_9."),
    "hold_amount": (
        PlaceHold("acct_a", "hold_new", -1, "EUR"),
        "Hold hold_new is for -0.01 EUR; a hold must be for 0.01 to 9999999999999.99.",
    ),
    "hold_count": (
        PlaceHold("acct_held", "hold_new", 1, "EUR"),
        "Account acct_held has 1000 open holds, the most that it can have.",
    ),
    "hold_exceeded": (
        CaptureHold("acct_a", "hold_1", "txn_new", "acct_any", 101, "EUR", TODAY),
        "Hold hold_1 reserves 1.00 EUR; 1.01 is more than that and cannot be captured.",
    ),
    "order_exists": (
        PlaceOrder("ord_1", "customer-1", "EUR", (OrderLine("sku", "thing", 1, 1),)),
        "Order ord_1 exists already.",
    ),
    "order_status": (
        ConfirmOrder("ord_1"),
        "Order ord_1 is confirmed; only an order that is placed can be confirmed.",
    ),
    "order_line_count": (order(), "An order has 1 to 500 lines; this one has 0."),
    "order_line_quantity": (
        order(OrderLine("sku", "thing", 0, 1)),
        "Line 1 has a quantity of 0; a line is for 1 to 1000000.",
    ),
    "order_line_amount": (
        order(OrderLine("sku", "thing", 1, 1), OrderLine("sku", "thing", 1, -1)),
        "Line 2 comes to -0.01 EUR; a line is 0.01 to 9999999999999.99.",
    ),
    "order_total": (
        order(OrderLine("sku", "thing", 1, MAX_AMOUNT), OrderLine("sku", "thing", 1, 1)),
        "The order comes to 10000000000000.00 EUR; the most is 9999999999999.99.",
    ),
    "post_exists": (DraftPost("post_1", "author-1", "Title", "Body"), "Post post_1 exists already."),
    "post_status": (
        ArchivePost("post_2"),
        "Post post_2 is draft; only a post that is published can be archived.",
    ),
    "post_unchanged": (
        RevisePost("post_1", "Title", "Body"),
        "Post post_1 already has this title and body; a revision must change one of them.",
    ),
    "slug_malformed": (
        PublishPost("post_2", "On Ledgers"),
        "'On Ledgers' is not a slug: use words of a-z and 0-9 joined by single hyphens, at most 120 characters.",
    ),
    "slug_taken": (PublishPost("post_2", "on-ledgers"), "The slug 'on-ledgers' is in use by post_1."),
}


@pytest.fixture(scope="module")
def ledger() -> MemoryLedger:
    """The books, for all: a refused command leaves nothing behind."""
    return books()


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_explains_itself(ledger: MemoryLedger, rule: str) -> None:
    command, sentence = BROKEN[rule]
    refusal = ledger.refused(command)
    assert refusal.rule == rule
    assert explain(rule, refusal.figures) == sentence
