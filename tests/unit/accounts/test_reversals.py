"""Reversals, refunds, chargebacks and adjustments: what they give back, and never more than was posted."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import AccountCredited, AccountDebited
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount
from domain.accounts.allocation import half_even
from domain.accounts.details import TransactionDetailed
from domain.accounts.posting import Entry, TransactionPosted
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.transaction import (
    AdjustBalance,
    CancelPending,
    ChargeBack,
    PostPending,
    PostTransaction,
    RefundTransaction,
)
from domain.accounts.transaction.events import TransactionReversed
from domain.accounts.transaction.reversal import Part
from domain.kernel import Refused
from domain.permissions import COMMANDERS, OPERATORS
from domain.registry import PERMISSIONS
from tests.support.bank import (
    ADA,
    CASH,
    FEES,
    FUNDED,
    REVENUE,
    A,
    B,
    at,
    bank,
    figures,
    pend,
    reverse,
    transfer,
    unknown,
    withdraw,
)
from tests.support.checking import broken
from tests.support.memory_ledger import NOW, TODAY, MemoryLedger

YESTERDAY = TODAY - timedelta(days=1)


def moved(amount: int = 400) -> MemoryLedger:
    """The bank after a transfer of so much from A to B, txn_1."""
    ledger = bank()
    ledger.accepted(transfer(amount))
    return ledger


def refund(amount: int, fee_rate: int = 25_000, id: str = "txn_2", original: str = "txn_1") -> RefundTransaction:
    return RefundTransaction(id, original, TODAY, "back", amount=amount, currency="EUR", fee_rate=fee_rate)


def charge_back(amount: int | None = None, id: str = "txn_2") -> ChargeBack:
    return ChargeBack(id, "txn_1", TODAY, "disputed", amount=amount, currency=None if amount is None else "EUR")


def with_fee() -> MemoryLedger:
    """The bank after A paid 4.00 to B and a fee of 0.10, in one transaction of four entries, txn_1."""
    ledger = bank()
    entries = (Entry(A, "debit", 410, "EUR"), Entry(B, "credit", 400, "EUR"), Entry(FEES, "credit", 10, "EUR"))
    ledger.accepted(PostTransaction("txn_1", "payment", entries, TODAY))
    return ledger


# The whole


def test_a_reversal_swaps_the_sides_and_says_so_on_the_original() -> None:
    ledger = moved(400)
    decided = ledger.accepted(reverse(metadata={"ticket": "7"}))
    entries = (Entry(A, "credit", 400, "EUR"), Entry(B, "debit", 400, "EUR"))
    assert decided.events == (
        TransactionPosted("txn_2", 1, "reversal", TODAY, entries, None, ADA, "twice"),
        TransactionDetailed("txn_2", 2, "txn_1", "reversal", None, None, None, {"ticket": "7"}),
        AccountCredited(A, 4, "txn_2", 1, 400, "EUR", TODAY),
        AccountDebited(B, 3, "txn_2", 2, 400, "EUR", TODAY),
        TransactionReversed("txn_1", 2, "txn_2", (400, 400), True),
    )
    assert (decided.result["status"], decided.result["left"]) == ("reversed", {"1": "0.00", "2": "0.00"})
    assert (figures(ledger), figures(ledger, B)) == ((FUNDED, 0), (0, 0))


def test_what_is_reversed_is_reversed_once() -> None:
    ledger = moved()
    ledger.accepted(reverse())
    refused = ledger.refused(reverse("txn_3"))
    assert (refused.rule, refused.figures["status"]) == ("transaction_not_posted", "reversed")


@pytest.mark.parametrize("undoing", [reverse(), refund(100), charge_back()])
def test_what_undoes_is_not_undone(undoing: Any) -> None:
    ledger = moved()
    ledger.accepted(undoing)
    for again in (reverse("txn_3", "txn_2"), refund(1, 0, "txn_3", "txn_2")):
        refused = ledger.refused(again)
        assert refused.rule == "reversal_of_reversal"
        assert refused.figures["kind"] == ledger["txn_2"].kind


def test_a_transaction_that_is_not_posted_is_not_reversed() -> None:
    ledger = bank()
    assert unknown(ledger.execute(reverse())) == ("transaction", "txn_1")
    ledger.accepted(pend())
    assert ledger.refused(reverse()).figures["status"] == "pending"
    ledger.accepted(CancelPending("txn_1"))
    assert ledger.refused(reverse()).figures["status"] == "cancelled"
    ledger.accepted(pend(300, "txn_3"))
    ledger.accepted(PostPending("txn_3"))
    ledger.accepted(reverse(original="txn_3"))
    assert figures(ledger) == (FUNDED, 0)


def test_it_needs_the_money_and_open_accounts() -> None:
    ledger = moved(400)
    ledger.accepted(transfer(1, "txn_4", B, A))
    refused = ledger.refused(reverse())
    assert (refused.rule, refused.figures["remaining"]) == ("below_minimum", "-0.01")
    ledger.accepted(reverse("txn_5", amount=399))
    ledger.accepted(CloseAccount(B, "empty"))
    assert ledger.refused(reverse("txn_6")).rule == "account_closed"
    ledger.accepted(FreezeAccount(A, "a question"))
    assert ledger["txn_1"].reversed == (399, 399)


def test_its_value_date_is_given_or_that_of_the_original() -> None:
    ledger = bank()
    entries = (Entry(A, "debit", 100, "EUR"), Entry(B, "credit", 100, "EUR"))
    ledger.accepted(PostTransaction("txn_1", "journal", entries, YESTERDAY))
    ledger.accepted(reverse("txn_2", amount=40, value_date=None))
    ledger.accepted(reverse("txn_3", amount=60, value_date=TODAY))
    assert (ledger["txn_2"].value_date, ledger["txn_3"].value_date) == (YESTERDAY, TODAY)


def test_that_of_the_original_can_be_too_old_by_now() -> None:
    ledger = moved()
    ledger.accepted(ChangePostingPolicy(3))
    at_most, late = NOW + timedelta(days=3), NOW + timedelta(days=4)
    assert ledger.refused(at(late, reverse(value_date=None))).rule == "value_date_too_old"
    ledger.accepted(at(late, reverse(amount=1, value_date=late.date())))
    ledger.accepted(at(at_most, reverse("txn_3", amount=1, value_date=None)))


# Parts


def test_amounts_add_up_to_the_whole_and_never_more() -> None:
    ledger = moved(400)
    decided = ledger.accepted(reverse("txn_2", amount=150))
    assert (decided.result["status"], decided.result["left"]) == ("partly_reversed", {"1": "2.50", "2": "2.50"})
    refused = ledger.refused(reverse("txn_3", amount=251))
    assert (refused.rule, refused.figures["left"], refused.figures["amount"]) == ("reversal_exceeded", "2.50", "2.51")
    ledger.accepted(reverse("txn_4", amount=249))
    ledger.accepted(reverse("txn_5"))
    assert ledger["txn_1"].status == "reversed"
    assert figures(ledger) == (FUNDED, 0)


@pytest.mark.parametrize(
    ("amount", "rule"), [(-1, "reversal_exceeded"), (0, "entry_count"), (401, "reversal_exceeded")]
)
def test_an_amount_is_positive_and_within_what_is_left(amount: int, rule: str) -> None:
    assert moved(400).refused(reverse(amount=amount)).rule == rule


def parts(*amounts: tuple[int, int], currency: str = "EUR") -> tuple[Part, ...]:
    return tuple(Part(entry, amount, currency) for entry, amount in amounts)


def test_parts_of_entries_are_reversed_and_must_balance() -> None:
    ledger = with_fee()
    ledger.accepted(reverse(parts=parts((1, 100), (2, 90), (3, 10))))
    assert (figures(ledger), figures(ledger, B), figures(ledger, FEES)) == ((690, 0), (310, 0), (0, 0))
    assert ledger["txn_1"].reversed == (100, 90, 10)
    assert ledger.refused(reverse("txn_3", parts=parts((1, 100), (2, 90)))).rule == "entries_unbalanced"
    refused = ledger.refused(reverse("txn_3", parts=parts((1, 1), (3, 1))))
    assert (refused.rule, refused.figures["entry"], refused.figures["left"]) == ("reversal_exceeded", 3, "0.00")
    ledger.accepted(reverse("txn_4"))
    assert (figures(ledger), figures(ledger, B)) == ((FUNDED, 0), (0, 0))


def test_parts_of_one_entry_are_added() -> None:
    ledger = moved(400)
    assert ledger.refused(reverse(parts=parts((1, 300), (1, 101), (2, 401)))).rule == "reversal_exceeded"
    ledger.accepted(reverse(parts=parts((1, 300), (1, 100), (2, 400))))
    assert ledger["txn_1"].status == "reversed"


@pytest.mark.parametrize("entry", [-1, 0, 3])
def test_a_part_names_an_entry_that_there_is(entry: int) -> None:
    assert moved().refused(reverse(parts=parts((entry, 1)))).rule == "reversal_entry_unknown"


def test_a_part_is_in_the_currency_of_its_entry() -> None:
    refused = moved().refused(reverse(parts=parts((2, 1), currency="USD")))
    assert (refused.rule, refused.figures["entry"], refused.figures["booked"]) == ("reversal_currency", 2, "EUR")


def test_an_amount_needs_one_debit_and_one_credit() -> None:
    for command in (reverse(amount=1), refund(1), charge_back(1)):
        assert with_fee().refused(command).rule == "reversal_of_many"


def test_with_the_fee_or_without_it() -> None:
    ledger = with_fee()
    decided = ledger.accepted(reverse(with_fee=False))
    assert decided.result["left"] == {"1": "0.10", "2": "0.00", "3": "0.10"}
    assert (figures(ledger), figures(ledger, B), figures(ledger, FEES)) == ((990, 0), (0, 0), (10, 0))
    assert ledger.refused(reverse("txn_3", with_fee=False)).rule == "entry_count", "only the fee is left"
    ledger.accepted(reverse("txn_4"))
    assert (figures(ledger), figures(ledger, FEES)) == ((FUNDED, 0), (0, 0))


def test_without_a_fee_the_whole_is_reversed_either_way() -> None:
    ledger = moved()
    ledger.accepted(reverse(with_fee=False))
    assert ledger["txn_1"].status == "reversed"


# Refunds and chargebacks


def test_a_refund_keeps_a_fee_that_is_rounded_half_even() -> None:
    ledger = bank()
    ledger.accepted(at(NOW, AdjustBalance("txn_9", A, "credit", 9_000, "EUR", "revenue", TODAY, "more")))
    ledger.accepted(transfer(3_333))
    decided = ledger.accepted(refund(3_333))
    [posted] = [event for event in decided.events if isinstance(event, TransactionPosted)]
    assert posted.entries == (
        Entry(A, "credit", 3_250, "EUR"),
        Entry(B, "debit", 3_333, "EUR"),
        Entry(FEES, "credit", 83, "EUR"),
    )
    assert ledger["txn_1"].status == "reversed"
    assert (ledger["txn_2"].parent, ledger["txn_2"].relation) == ("txn_1", "refund")


@pytest.mark.parametrize(
    ("amount", "rate", "fee"),
    [
        (3_333, 25_000, 83),  # 83.325
        (20, 25_000, 0),  # 0.5, to the even one
        (60, 25_000, 2),  # 1.5
        (100, 25_000, 2),  # 2.5
        (21, 25_000, 1),  # 0.525
        (1, 499_999, 0),
        (400, 0, 0),
    ],
)
def test_fees_of_refunds(amount: int, rate: int, fee: int) -> None:
    ledger = bank()
    ledger.accepted(at(NOW, AdjustBalance("txn_9", A, "credit", 9_000, "EUR", "revenue", TODAY, "more")))
    ledger.accepted(transfer(amount))
    ledger.accepted(refund(amount, rate))
    assert (figures(ledger), figures(ledger, B)) == ((10_000 - fee, 0), (0, 0))
    assert figures(ledger, FEES) == (fee, 0)


def test_half_even_is_the_rule_of_the_decimal_module() -> None:
    chance = Random(1)
    for _ in range(500):
        numerator, denominator = chance.randint(0, 10**9), chance.choice((1, 2, 4, 10, 1_000, 1_000_000))
        wanted = (Decimal(numerator) / denominator).quantize(Decimal(1), ROUND_HALF_EVEN)
        assert half_even(numerator, denominator) == wanted


def test_a_refund_leaves_something_and_counts_as_reversed() -> None:
    ledger = moved(400)
    assert ledger.refused(refund(1, 500_001)).rule == "refund_fee"
    ledger.accepted(refund(300))
    assert ledger.refused(refund(101, id="txn_3")).rule == "reversal_exceeded"
    assert ledger.refused(charge_back(101, "txn_3")).rule == "reversal_exceeded"
    ledger.accepted(charge_back(100, "txn_4"))
    assert ledger["txn_1"].status == "reversed"


def test_a_fee_needs_the_account_for_fees_and_no_fee_needs_none() -> None:
    ledger = moved()
    del ledger.states[FEES]
    assert ledger.refused(refund(400)).rule == "internal_account_missing"
    ledger.accepted(refund(400, 0))


def test_a_fee_is_refunded_from_the_account_for_fees() -> None:
    ledger = bank()
    entries = (Entry(A, "debit", 200, "EUR"), Entry(FEES, "credit", 200, "EUR"))
    ledger.accepted(PostTransaction("txn_1", "fee", entries, TODAY))
    ledger.accepted(refund(200))
    assert (figures(ledger), figures(ledger, FEES)) == ((995, 0), (5, 0))


def test_a_withdrawal_is_charged_back() -> None:
    ledger = bank()
    ledger.accepted(withdraw(600, "txn_1"))
    ledger.accepted(charge_back())
    assert (figures(ledger), figures(ledger, CASH)) == ((FUNDED, 0), (-FUNDED, 0))
    assert ledger["txn_2"].relation == "chargeback"


def test_who_may_undo() -> None:
    for command in (type(reverse()), RefundTransaction, ChargeBack):
        assert PERMISSIONS[command] == COMMANDERS, "and no customer"
    assert PERMISSIONS[AdjustBalance] == OPERATORS


# Adjustments


def adjust(side: Any, amount: int, account: str = A, **more: Any) -> AdjustBalance:
    return AdjustBalance("txn_1", account, side, amount, "EUR", "revenue", TODAY, "rounding", **more)


def test_an_adjustment_goes_against_an_account_of_the_ledger() -> None:
    ledger = bank()
    ledger.accepted(adjust("debit", FUNDED, parent="txn_0"))
    assert (figures(ledger), figures(ledger, REVENUE)) == ((0, 0), (FUNDED, 0))
    assert (ledger["txn_1"].kind, ledger["txn_1"].parent, ledger["txn_1"].relation) == (
        "adjustment",
        "txn_0",
        "adjustment",
    )


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        (adjust("debit", FUNDED + 1), "below_minimum"),
        (adjust("credit", 0), "entry_amount"),
        (adjust("credit", 1, CASH), "account_internal"),
    ],
)
def test_an_adjustment_keeps_the_limits(command: AdjustBalance, rule: str) -> None:
    assert bank().refused(command).rule == rule


def test_an_adjustment_can_be_reversed() -> None:
    ledger = bank()
    ledger.accepted(adjust("credit", 5))
    ledger.accepted(reverse())
    assert figures(ledger) == (FUNDED, 0)


# Any mix


@pytest.mark.parametrize("seed", range(20))
def test_of_any_mix_never_more_is_given_back_than_was_posted(seed: int) -> None:
    """Money goes back and forth, so that only what was reversed decides."""
    chance, ledger = Random(seed), moved(400)
    left = 400
    for n in range(30):
        amount = chance.choice((None, chance.randint(1, 120)))
        kinds: list[Any] = [reverse(f"txn_r{n}", amount=amount), charge_back(amount, f"txn_r{n}")]
        if amount is not None:
            kinds.append(refund(amount, chance.choice((0, 25_000)), f"txn_r{n}"))
        decided = ledger.execute(chance.choice(kinds))
        asked = left if amount is None else amount
        if asked <= left and left:
            assert not isinstance(decided, Refused), decided
            left -= asked
        else:
            assert isinstance(decided, Refused)
        assert ledger["txn_1"].reversed in ((), (400 - left, 400 - left))
    ledger.check()


# What verify holds the events to


@pytest.mark.parametrize("undoing", [reverse(amount=100), charge_back(100), refund(100, 0), refund(100)])
def test_a_reversal_of_other_amounts_than_were_paid_back_is_found(undoing: Any) -> None:
    ledger = moved(400)
    before = dict(ledger.states)
    *unit, event = ledger.accepted(undoing).events
    assert isinstance(event, TransactionReversed)
    assert [what for _, what in broken(before, (*unit, event), ledger.decided)] == []
    for reversed in ((99, 100), (100, 99), (101, 101)):
        forged = (*unit, replace(event, reversed=reversed))
        says = f"txn_1 is reversed by txn_2 for {list(reversed)} minor units of its entries, which that does not undo"
        assert [what for _, what in broken(before, forged, ledger.decided)] == [says]


def test_a_fee_of_a_refund_goes_to_the_account_of_fees() -> None:
    ledger = moved(400)
    before = dict(ledger.states)
    unit = ledger.accepted(refund(100)).events
    posted = unit[0]
    assert isinstance(posted, TransactionPosted)
    *paid, fee = posted.entries
    for entries, right in (
        (posted.entries, True),
        ((*paid, replace(fee, account=REVENUE)), False),
        ((*paid, replace(fee, amount=fee.amount + 1)), False),
    ):
        forged = (replace(posted, entries=entries), *unit[1:])
        found = [what for _, what in broken(before, forged, ledger.decided)]
        assert any("which that does not undo" in what for what in found) is not right


@pytest.mark.parametrize("undoing", [reverse(amount=100), charge_back(100), refund(100)])
def test_what_undoes_nothing_of_its_parent_is_found(undoing: Any) -> None:
    ledger = moved(400)
    before = dict(ledger.states)
    unit = ledger.accepted(undoing).events
    kind = ledger["txn_2"].kind
    without = [event for event in unit if not isinstance(event, TransactionReversed)]
    orphan = [event for event in without if not isinstance(event, TransactionDetailed)]
    assert [what for _, what in broken(before, without, ledger.decided)] == [
        f"txn_2 is posted as a {kind} of txn_1, which its unit does not reverse"
    ]
    assert [what for _, what in broken(before, orphan, ledger.decided)] == [
        f"txn_2 is posted as a {kind}, and names no parent that it undoes"
    ]
