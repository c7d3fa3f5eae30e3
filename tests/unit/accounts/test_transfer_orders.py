"""Transfer orders: what can be ordered, how an order is executed from its hold, and each way in which it ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given as given_values
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.accounts.account.events import AccountOpened
from domain.accounts.account.holds import MOST_DAYS_HELD, ExpireHold, PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import CloseAccount, CloseWhenFree, FreezeAccount, UnfreezeAccount
from domain.accounts.account.owners import GiveMandate, WithdrawMandate
from domain.accounts.allocation import Fee, Tier
from domain.accounts.currencies.conversions import ConvertMoney
from domain.accounts.currencies.quotes import QuoteConversion
from domain.accounts.currencies.rates import SetRate, WithdrawRate
from domain.accounts.fee_schedule import DefineFeeSchedule
from domain.accounts.kinds import TransactionKind
from domain.accounts.periods.closing import ClosePeriod
from domain.accounts.posting import TransactionPosted, internal_account, pair_account
from domain.accounts.posting_policy import MAY_COUNT, ChangePostingPolicy, ChangeRiskRules
from domain.accounts.risk.rules import DailyRule, RiskRules
from domain.accounts.thresholds import Threshold
from domain.accounts.transaction import CaptureHold, Transfer, Withdraw
from domain.accounts.transfer_order import CancelTransferOrder, ExecuteTransferOrder, SubmitTransferOrder, Sum
from domain.accounts.transfer_order.events import (
    TransferOrderCancelled,
    TransferOrderDelayed,
    TransferOrderExecuted,
    TransferOrderExpired,
    TransferOrderFailed,
)
from domain.kernel import Accepted, Principal, Refused, Unknown
from domain.money import MAX_AMOUNT
from domain.process_manager import BACK_OFF
from domain.registry import forbid
from tests.support.bank import (
    ADA,
    BOB,
    EVE,
    FEES,
    FOREIGN,
    FUNDED,
    A,
    B,
    at,
    bank,
    by,
    customer,
    figures,
    limited,
    set_clock,
)
from tests.support.memory_ledger import NOW, OPENED, TODAY, By, MemoryLedger, opening

ORDER, USD = "tord_1", "acct_usd"
RUNNER = Principal("process:transfer_orders", ("command", "process"), "process")
MOMENT, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)
LIQUIDITY = {currency: pair_account("main", "liquidity", "EUR:USD", currency) for currency in ("EUR", "USD")}
EXECUTE = By(RUNNER, ExecuteTransferOrder(ORDER))


def world(rate: str | None = "1.100000", spread: int = 0) -> MemoryLedger:
    """The small bank with Ada's account of dollars, a rate, and a fee of 0.05 and 1 %."""
    ledger = bank(AccountOpened(USD, 1, "number of dollars", "checking", "USD", ADA, "Dollars", 0, None, OPENED))
    for currency, account in LIQUIDITY.items():
        ledger.accepted(opening("liquidity", account=account, currency=currency, minimum=None))
    for role in ("revenue", "rounding"):
        ledger.accepted(opening(role, account=internal_account("main", role, "USD"), currency="USD", minimum=None))
    if rate is not None:
        ledger.accepted(SetRate("EUR", "USD", rate, spread, "ECB"))
    ledger.accepted(DefineFeeSchedule("wire", "EUR", Fee(5, (Tier(None, 1_000_000),))))
    return ledger


def order(amount: int | None = 300, currency: str = "EUR", target: str = B, **more: Any) -> SubmitTransferOrder:
    sum = None if amount is None else Sum(amount, currency)
    return SubmitTransferOrder(**{"order": ORDER, "source": A, "target": target, "sum": sum, **more})


def to_dollars(amount: int | None = 300, currency: str = "EUR", **more: Any) -> SubmitTransferOrder:
    return order(amount, currency, USD, **more)


def executed(ledger: MemoryLedger, now: datetime | None = None) -> TransferOrderExecuted:
    """Execute the order, which must be accepted."""
    decision = ledger.accepted(By(RUNNER, ExecuteTransferOrder(ORDER), now))
    [event] = [one for one in decision.events if isinstance(one, TransferOrderExecuted)]
    return event


def ended(ledger: MemoryLedger) -> bool:
    """Whether nothing is held for the order."""
    return ledger[A].hold(ORDER) is None


def kinds(ledger: MemoryLedger) -> list[TransactionKind]:
    """The kinds of the transactions, but for the deposit with which the bank begins."""
    return [event.kind for event in ledger.log if isinstance(event, TransactionPosted)][1:]


# Submission


def test_a_submission_holds_the_amount_and_the_fee_in_its_unit() -> None:
    ledger = world()
    decision = ledger.accepted(order(fee_schedule="wire"))
    assert [type(event).__name__ for event in decision.events] == ["TransferOrderSubmitted", "HoldPlaced"]
    assert figures(ledger) == (FUNDED, 300 + 8)
    assert (decision.result["held"], decision.result["fee"]) == ("3.08", "0.08")
    assert (ledger[ORDER].fee.account, ledger[ORDER].fee.number) == (FEES, 1)


def test_a_fee_of_zero_is_no_fee() -> None:
    ledger = world()
    ledger.accepted(DefineFeeSchedule("tiny", "EUR", Fee(0, (Tier(None, 1),))))
    ledger.accepted(order(1, fee_schedule="tiny"))
    assert ledger[ORDER].fee is None
    assert figures(ledger) == (FUNDED, 1)


def test_a_later_version_of_the_schedule_does_not_change_the_fee() -> None:
    ledger = world()
    ledger.accepted(order(fee_schedule="wire"))
    ledger.accepted(DefineFeeSchedule("wire", "EUR", Fee(500)))
    executed(ledger)
    assert ledger[FEES].balance == 8


@pytest.mark.parametrize(("amount", "accepted"), [(FUNDED - 15, True), (FUNDED - 14, False)])
def test_what_is_available_covers_the_amount_and_the_fee(amount: int, accepted: bool) -> None:
    ledger = world()  # 985 and 15 are 1,000
    decision = ledger.execute(order(amount, fee_schedule="wire"))
    assert isinstance(decision, Accepted) is accepted
    if isinstance(decision, Refused):
        assert decision.rule == "below_minimum"


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        (order(None), "transfer_order_what"),
        (order(quote="qte_1"), "transfer_order_what"),
        (order(0), "transfer_order_amount"),
        (to_dollars(bound=Sum(MAX_AMOUNT + 1, "USD")), "transfer_order_amount"),
        (order(1, "USD"), "amount_currency"),
        (order(bound=Sum(1, "EUR")), "transfer_order_bound"),
        (to_dollars(bound=Sum(1, "EUR")), "transfer_order_bound"),
        (to_dollars(300, "USD"), "transfer_order_bound"),
        (to_dollars(300, "USD", bound=Sum(300, "USD")), "transfer_order_bound"),
        (order(target=A), "same_account"),
        (order(execute_at=NOW), "transfer_order_start"),
        (order(execute_at=NOW + MOST_DAYS_HELD * DAY + MOMENT), "transfer_order_start"),
        (order(expires_at=NOW), "transfer_order_end"),
        (order(execute_at=NOW + HOUR, expires_at=NOW + HOUR), "transfer_order_end"),
        (order(expires_at=NOW + MOST_DAYS_HELD * DAY + MOMENT), "transfer_order_end"),
        (to_dollars(1, "USD", bound=Sum(1, "EUR"), fee_schedule="dollars"), "fee_schedule_currency"),
    ],
)
def test_what_cannot_be_ordered(command: SubmitTransferOrder, rule: str) -> None:
    ledger = world()
    ledger.accepted(DefineFeeSchedule("dollars", "USD", Fee(5)))
    ledger.accepted(QuoteConversion("qte_1", "EUR", "USD", "EUR", 100, 60))
    assert ledger.refused(command).rule == rule


@pytest.mark.parametrize(
    "command",
    [
        order(1),
        to_dollars(bound=Sum(MAX_AMOUNT, "USD")),
        to_dollars(300, "USD", bound=Sum(300, "EUR")),
        order(execute_at=NOW + MOMENT),
        order(execute_at=NOW + MOST_DAYS_HELD * DAY),
        order(expires_at=NOW + MOMENT),
        order(execute_at=NOW + HOUR, expires_at=NOW + HOUR + MOMENT),
        order(expires_at=NOW + MOST_DAYS_HELD * DAY),
    ],
)
def test_what_can_just_be_ordered(command: SubmitTransferOrder) -> None:
    world().accepted(command)


def test_an_order_at_a_quote_is_executed_before_the_quote_ends() -> None:
    ledger = world()
    ledger.accepted(QuoteConversion("qte_1", "EUR", "USD", "EUR", 100, 60))
    ends = NOW + timedelta(seconds=60)
    late = ledger.refused(to_dollars(None, quote="qte_1", execute_at=ends))
    assert (late.rule, late.figures["expires_at"]) == ("transfer_order_quote", ends.isoformat())
    ledger.accepted(to_dollars(None, quote="qte_1", execute_at=ends - MOMENT))
    assert figures(ledger) == (FUNDED, 100)


def test_nothing_is_ordered_to_a_closed_account_or_from_one_that_is_frozen_or_to_be_closed() -> None:
    for command, rule in (
        (CloseAccount(B, "why"), "account_closed"),
        (FreezeAccount(A, "why"), "account_frozen"),
        (CloseWhenFree(A, "why", B), "account_closing"),
    ):
        ledger = world()
        ledger.accepted(command)
        assert ledger.refused(order()).rule == rule
    ledger = world()
    ledger.accepted(FreezeAccount(B, "why"))
    ledger.accepted(order())  # it can be free in time


def test_what_one_person_may_not_decide_about_is_not_ordered() -> None:
    ledger = world()
    ledger.accepted(ChangePostingPolicy(None, None, {"EUR": 300}))
    assert ledger.refused(order(301)).rule == "approval_needed"
    ledger.accepted(order(300))
    ledger = world()
    ledger.accepted(limited(A, approve_above=300))
    assert ledger.refused(order(301)).rule == "approval_needed"
    ledger.accepted(order(300))


def test_an_order_exists_once() -> None:
    ledger = world()
    ledger.accepted(order(1))
    assert ledger.refused(order(2)).rule == "transfer_order_exists"
    assert figures(ledger) == (FUNDED, 1)


# Execution


def test_a_transfer_with_a_fee_is_one_unit_from_the_hold() -> None:
    ledger = world()
    ledger.accepted(order(fee_schedule="wire", reference="ref-1", description="Rent", metadata={"k": "v"}))
    event = executed(ledger)
    assert (figures(ledger), ledger[B].balance, ledger[FEES].balance) == ((FUNDED - 308, 0), 300, 8)
    assert (event.paid, event.received, event.fee) == (Sum(300, "EUR"), Sum(300, "EUR"), Sum(8, "EUR"))
    assert kinds(ledger) == ["capture", "fee"]
    posted = [one for one in ledger.log if isinstance(one, TransactionPosted)][1:]
    assert [(one.reference, one.description, one.value_date) for one in posted] == [
        ("ref-1", "Rent", TODAY),
        ("ref-1", None, TODAY),
    ]
    assert ledger[ORDER].status == "executed"
    ledger.check()


def test_a_conversion_at_the_rate_of_the_execution() -> None:
    ledger = world()
    ledger.accepted(to_dollars(fee_schedule="wire", execute_at=NOW + HOUR))
    ledger.accepted(SetRate("EUR", "USD", "1.200000", 0, "ECB"))
    event = executed(ledger, NOW + HOUR)
    assert (event.paid, event.received) == (Sum(300, "EUR"), Sum(360, "USD"))
    assert (figures(ledger), figures(ledger, USD)) == ((FUNDED - 308, 0), (360, 0))
    assert {currency: ledger[one].balance for currency, one in LIQUIDITY.items()} == {"EUR": 300, "USD": -360}
    assert event.conversion is not None
    assert ledger[event.conversion].event.price.rate == 1_200_000
    assert kinds(ledger) == ["conversion", "fee"]


def test_a_conversion_at_a_quote_ignores_the_rate() -> None:
    ledger = world()
    ledger.accepted(QuoteConversion("qte_1", "EUR", "USD", "EUR", 100, 3_600))
    ledger.accepted(to_dollars(None, quote="qte_1", fee_schedule="wire"))
    ledger.accepted(SetRate("EUR", "USD", "2.000000", 0, "ECB"))
    event = executed(ledger)
    assert (event.paid, event.received) == (Sum(100, "EUR"), Sum(110, "USD"))
    assert ledger["qte_1"].conversion == event.conversion


def test_an_amount_that_is_wanted_takes_what_it_costs_and_leaves_the_rest() -> None:
    ledger = world()
    ledger.accepted(to_dollars(330, "USD", bound=Sum(400, "EUR"), fee_schedule="wire"))
    assert figures(ledger) == (FUNDED, 400 + 9)
    event = executed(ledger)
    assert (event.paid, event.received) == (Sum(300, "EUR"), Sum(330, "USD"))
    assert (figures(ledger), ended(ledger)) == ((FUNDED - 309, 0), True)


@pytest.mark.parametrize(
    ("command", "inside"),
    [
        (to_dollars(bound=Sum(330, "USD")), True),
        (to_dollars(bound=Sum(331, "USD")), False),
        (to_dollars(330, "USD", bound=Sum(300, "EUR")), True),
        (to_dollars(330, "USD", bound=Sum(299, "EUR")), False),
    ],
)
def test_the_bound_of_an_order(command: SubmitTransferOrder, inside: bool) -> None:
    ledger = world()
    ledger.accepted(command)
    decision = ledger.execute_by(EXECUTE)
    if inside:
        assert isinstance(decision, Accepted), decision
    else:
        assert isinstance(decision, Refused)
        assert decision.rule == "transfer_order_outside_bound"
        assert not ended(ledger)


def test_the_hold_is_the_orders_alone() -> None:
    ledger = world()
    ledger.accepted(order())
    for command in (
        ReleaseHold(A, ORDER),
        ExpireHold(A, ORDER),
        CaptureHold(A, ORDER, "txn_1", B, 1, "EUR", TODAY),
        PlaceHold(A, "tord_2", 1, "EUR"),
    ):
        principal = RUNNER if isinstance(command, ExpireHold) else None
        refused = ledger.refused(by(principal, command) if principal else command)
        assert refused.rule == "hold_of_transfer_order"
    assert ledger.refused(Transfer("txn_1", A, B, FUNDED - 299, "EUR", TODAY)).rule == "below_minimum"
    ledger.accepted(Transfer("txn_1", A, B, FUNDED - 300, "EUR", TODAY))
    executed(ledger)
    assert figures(ledger) == (0, 0)


def test_an_order_is_executed_once() -> None:
    ledger = world()
    ledger.accepted(order())
    executed(ledger)
    again = ledger.refused(EXECUTE)
    assert (again.rule, again.figures["status"], again.events) == ("transfer_order_ended", "executed", ())
    assert ledger.refused(CancelTransferOrder(ORDER)).rule == "transfer_order_ended"
    assert ledger[B].balance == 300


def test_an_order_is_executed_at_its_time_and_not_before() -> None:
    ledger = world()
    ledger.accepted(order(execute_at=NOW + HOUR))
    early = ledger.refused(By(RUNNER, ExecuteTransferOrder(ORDER), NOW + HOUR - MOMENT))
    assert (early.rule, early.events) == ("transfer_order_not_due", ())
    executed(ledger, NOW + HOUR)


def test_only_a_process_executes() -> None:
    assert forbid(Principal("x", ("operator",)), ExecuteTransferOrder(ORDER), NOW) is not None
    assert forbid(RUNNER, ExecuteTransferOrder(ORDER), NOW) is None


def test_what_was_promised_leaves_an_account_that_is_to_be_closed() -> None:
    ledger = world()
    ledger.accepted(order(fee_schedule="wire"))
    ledger.accepted(CloseWhenFree(A, "why", B))
    executed(ledger)
    assert ledger[B].balance == 300


# Failing


def refusals() -> Iterator[Any]:
    """What can happen between the submission and the execution, and the rule that refuses then."""
    yield pytest.param(order(), (FreezeAccount(A, "why"),), "account_frozen", id="source frozen")
    yield pytest.param(order(), (FreezeAccount(B, "why"),), "account_frozen", id="target frozen")
    yield pytest.param(order(), (CloseAccount(B, "why"),), "account_closed", id="target closed")
    yield pytest.param(order(), (limited(B, maximum=299),), "above_maximum", id="target full")
    yield pytest.param(order(), (limited(A, minimum=800),), "below_minimum", id="minimum raised")
    yield pytest.param(order(), (limited(A, daily=299),), "outgoing_limit", id="limit of a day")
    yield pytest.param(order(), (limited(A, approve_above=299),), "approval_needed", id="four eyes")
    period = at(NOW + DAY, ClosePeriod("per_9", "up-to-now", OPENED, TODAY))
    yield pytest.param(order(), (period,), "period_closed", id="period closed")
    yield pytest.param(
        order(fee_schedule="wire"), (FreezeAccount(FEES, "why"),), "account_frozen", id="fee account frozen"
    )
    yield pytest.param(
        order(fee_schedule="wire"),
        (ChangePostingPolicy(None, tuple(MAY_COUNT)), limited(A, daily=307)),
        "outgoing_limit",
        id="limit of a day with the fee",
    )
    yield pytest.param(to_dollars(), (WithdrawRate("EUR:USD", 1),), "rate_missing", id="no rate")
    rate = SetRate("EUR", "USD", "1.050000", 0, "ECB")
    yield pytest.param(to_dollars(bound=Sum(330, "USD")), (rate,), "transfer_order_outside_bound", id="bound")
    yield pytest.param(
        to_dollars(), (CloseAccount(LIQUIDITY["USD"], "why"),), "account_closed", id="liquidity account closed"
    )


@pytest.mark.parametrize(("command", "meanwhile", "rule"), list(refusals()))
def test_a_refused_order_is_tried_again_and_then_fails(command: Any, meanwhile: tuple[Any, ...], rule: str) -> None:
    ledger = world()
    ledger.accepted(command)
    held = ledger[ORDER].held
    for change in meanwhile:
        ledger.accepted(change)
    now, moved = NOW, kinds(ledger)
    for tries, pause in enumerate(BACK_OFF, 1):
        refused = ledger.refused(By(RUNNER, ExecuteTransferOrder(ORDER), now))
        assert refused.rule == rule
        [delayed] = refused.events
        assert isinstance(delayed, TransferOrderDelayed)
        assert (delayed.tries, delayed.rule, delayed.retry_at) == (tries, rule, now + pause)
        assert delayed.figures == {name: str(value) for name, value in refused.figures.items()}
        assert ledger[A].hold(ORDER) == held
        now += pause
        early = ledger.refused(By(RUNNER, ExecuteTransferOrder(ORDER), now - MOMENT))
        assert early.rule == "transfer_order_not_due"
    failed, released = ledger.refused(By(RUNNER, ExecuteTransferOrder(ORDER), now)).events
    assert isinstance(failed, TransferOrderFailed)
    assert (failed.tries, failed.rule, failed.released) == (len(BACK_OFF) + 1, rule, held)
    assert (type(released).__name__, ended(ledger), ledger[ORDER].status) == ("HoldReleased", True, "failed")
    assert kinds(ledger) == moved, "nothing was moved"
    assert ledger.refused(By(RUNNER, ExecuteTransferOrder(ORDER), now + DAY)).rule == "transfer_order_ended"
    ledger.check()


def test_an_order_goes_on_once_its_cause_is_mended() -> None:
    ledger = world()
    ledger.accepted(order())
    ledger.accepted(FreezeAccount(B, "why"))
    assert ledger.refused(EXECUTE).rule == "account_frozen"
    ledger.accepted(UnfreezeAccount(B, "why"))
    executed(ledger, NOW + BACK_OFF[0])


@pytest.mark.parametrize("rule", ["quote_used", "quote_expired"])
def test_a_quote_that_is_gone_is_not_waited_for(rule: str) -> None:
    ledger = world()
    ledger.accepted(QuoteConversion("qte_1", "EUR", "USD", "EUR", 100, 60))
    ledger.accepted(to_dollars(None, quote="qte_1"))
    now = NOW
    if rule == "quote_used":
        ledger.accepted(ConvertMoney("cnv_1", "txn_1", A, USD, TODAY, quote="qte_1"))
    else:
        now += timedelta(seconds=60)
    refused = ledger.refused(By(RUNNER, ExecuteTransferOrder(ORDER), now))
    assert (refused.rule, ended(ledger), ledger[ORDER].status) == (rule, True, "failed")


RISK = RiskRules(on=True, verify=40, block=70, daily=DailyRule(70, (Threshold("EUR", 299),)))


def test_what_the_risk_rules_block_is_recorded_at_each_try_and_the_hold_is_released_after_the_last() -> None:
    ledger = world()
    ledger.accepted(order(fee_schedule="wire"))
    ledger.accepted(ChangeRiskRules(RISK))
    now = NOW
    for pause in BACK_OFF:
        names = [type(one).__name__ for one in ledger.refused(By(RUNNER, ExecuteTransferOrder(ORDER), now)).events]
        assert names == ["AccountAssessed", "TransferOrderDelayed"]
        now += pause
    names = [type(one).__name__ for one in ledger.refused(By(RUNNER, ExecuteTransferOrder(ORDER), now)).events]
    assert names == ["AccountAssessed", "TransferOrderFailed", "HoldReleased"]
    assert figures(ledger) == (FUNDED, 0)


def test_a_fee_that_the_risk_rules_block_is_assessed_as_if_it_were_alone() -> None:
    """The transfer of 3.00 is let through, and the fee of 0.08 with it is above 3.00 a day."""
    ledger = world()
    ledger.accepted(order(fee_schedule="wire"))
    ledger.accepted(ChangePostingPolicy(None, tuple(MAY_COUNT)))
    ledger.accepted(ChangeRiskRules(replace(RISK, daily=DailyRule(70, (Threshold("EUR", 300),)))))
    refused = ledger.refused(EXECUTE)
    assert refused.rule == "risk_blocked"
    assert [type(one).__name__ for one in refused.events] == ["TransferOrderDelayed"], "alone it has no points"
    assert not ended(ledger)


# Ends without an execution


def test_an_order_that_waits_is_cancelled() -> None:
    ledger = world()
    ledger.accepted(order(fee_schedule="wire"))
    decision = ledger.accepted(CancelTransferOrder(ORDER))
    assert decision.events[0] == TransferOrderCancelled(ORDER, 2, 308, "EUR")
    assert figures(ledger) == (FUNDED, 0)
    assert ledger.refused(EXECUTE).figures["status"] == "cancelled"
    assert ledger.refused(CancelTransferOrder(ORDER)).rule == "transfer_order_ended"


def test_an_order_on_a_frozen_account_is_cancelled_too() -> None:
    ledger = world()
    ledger.accepted(order())
    ledger.accepted(FreezeAccount(A, "why"))
    ledger.accepted(CancelTransferOrder(ORDER))
    assert figures(ledger) == (FUNDED, 0)


def test_an_order_expires_at_its_time_and_not_before() -> None:
    ledger = world()
    ledger.accepted(order(expires_at=NOW + HOUR, notify=True))
    just = MemoryLedger()
    just.record(ledger.log)
    executed(just, NOW + HOUR - MOMENT)
    decision = ledger.accepted(By(RUNNER, ExecuteTransferOrder(ORDER), NOW + HOUR))
    assert decision.events[0] == TransferOrderExpired(ORDER, 2, 300, "EUR", (ADA,))
    assert (figures(ledger), ledger[B].balance, ledger[ORDER].status) == ((FUNDED, 0), 0, "expired")


def test_an_order_that_is_refused_expires_before_the_next_try() -> None:
    ledger = world()
    ledger.accepted(order(expires_at=NOW + BACK_OFF[0] / 2))
    ledger.accepted(FreezeAccount(A, "why"))
    assert ledger.refused(EXECUTE).rule == "account_frozen"
    ledger.accepted(By(RUNNER, ExecuteTransferOrder(ORDER), NOW + BACK_OFF[0] / 2))
    assert (figures(ledger), ledger[ORDER].status) == ((FUNDED, 0), "expired")


def test_an_account_with_an_order_that_waits_is_not_closed() -> None:
    ledger = world()
    ledger.accepted(order())
    assert ledger.refused(CloseAccount(A, "why", B, "txn_1")).rule == "holds_open"


def test_the_owners_at_the_end_are_told() -> None:
    ledger = world()
    ledger.accepted(order(notify=True))
    assert executed(ledger).notify == (ADA,)
    ledger = world()
    ledger.accepted(order())
    assert executed(ledger).notify == ()


# Customers


def test_a_customer_orders_from_what_is_theirs() -> None:
    ledger = world()
    ledger.accepted(by(customer(ADA), order(target=FOREIGN)))
    assert (ledger[ORDER].initiator, ledger[ORDER].by_customer) == (ADA, True)
    decision = ledger.accepted(EXECUTE)
    assert FOREIGN in decision.unseen
    assert ledger[FOREIGN].balance == 300


def test_for_others_neither_the_account_nor_the_order_exists() -> None:
    ledger = world()
    assert ledger.execute_by(by(customer(EVE), order())) == Unknown("account", A)
    assert ledger.execute_by(by(customer(EVE), order(source="acct_none"))) == Unknown("account", "acct_none")
    ledger.accepted(order())
    assert ledger.execute_by(by(customer(EVE), CancelTransferOrder(ORDER))) == Unknown("transfer_order", ORDER)
    assert ledger.execute_by(by(customer(EVE), CancelTransferOrder("tord_9"))) == Unknown("transfer_order", "tord_9")
    ledger.accepted(by(customer(ADA), CancelTransferOrder(ORDER)))


def test_a_customer_does_not_learn_the_currency_of_a_foreign_account() -> None:
    ledger = world()
    ledger.record([AccountOpened("acct_eve", 1, "number", "checking", "USD", EVE, "Dollars", 0, None, OPENED)])
    refused = ledger.refused(by(customer(ADA), order(target="acct_eve")))
    assert (refused.rule, refused.figures["account"]) == ("account_unseen", "acct_eve")
    ledger.accepted(by(customer(ADA), to_dollars()))


@pytest.mark.parametrize(("up_to", "accepted"), [(308, True), (307, False)])
def test_a_mandate_is_for_the_amount_with_the_fee(up_to: int, accepted: bool) -> None:
    ledger = world()
    ledger.accepted(GiveMandate(A, BOB, False, up_to, "EUR"))
    decision = ledger.execute_by(by(customer(BOB), order(fee_schedule="wire")))
    assert isinstance(decision, Accepted) is accepted
    if isinstance(decision, Refused):
        assert decision.rule == "mandate_exceeded"


def test_the_permission_of_a_customer_is_looked_at_again() -> None:
    ledger = world()
    ledger.accepted(GiveMandate(A, BOB, True, 300, "EUR"))
    ledger.accepted(by(customer(BOB), order()))
    ledger.accepted(WithdrawMandate(A, BOB))
    refused = ledger.refused(EXECUTE)
    assert (refused.rule, refused.figures["person"]) == ("transfer_order_not_permitted", BOB)
    ledger.accepted(GiveMandate(A, BOB, True, 300, "EUR"))
    executed(ledger, NOW + BACK_OFF[0])


def test_a_customer_learns_no_more_of_a_foreign_account_by_a_refusal_than_by_a_transfer() -> None:
    ledger = world()
    ledger.accepted(by(customer(ADA), order(target=FOREIGN)))
    ledger.accepted(FreezeAccount(FOREIGN, "why"))
    refused = ledger.refused(EXECUTE)
    assert refused.rule == "account_unseen"
    [delayed] = refused.events
    assert isinstance(delayed, TransferOrderDelayed)
    assert (delayed.rule, delayed.figures) == ("account_unseen", {"account": FOREIGN, "person": ADA})


def test_a_quote_of_another_person_does_not_exist() -> None:
    ledger = world()
    ledger.accepted(by(customer(EVE), QuoteConversion("qte_1", "EUR", "USD", "EUR", 100, 60)))
    command = by(customer(ADA), to_dollars(None, quote="qte_1"))
    assert ledger.execute_by(command) == Unknown("quote", "qte_1")


# Money: whatever happens, the hold is consumed or released, and each currency sums to zero

STEPS = st.lists(
    st.sampled_from(("execute", "cancel", "freeze", "unfreeze", "spend", "rate", "no rate", "later")), max_size=12
)


@settings(max_examples=150)
@given_values(
    steps=STEPS,
    amount=st.integers(1, 600),
    wanted=st.booleans(),
    convert=st.booleans(),
    fee=st.booleans(),
    expires=st.booleans(),
)
def test_money_is_held_or_moved_or_available(
    steps: list[str], amount: int, wanted: bool, convert: bool, fee: bool, expires: bool
) -> None:
    """After each step: what left the source is what the order says, and exactly that, or nothing."""
    ledger = world(spread=25)
    more: dict[str, Any] = {"fee_schedule": "wire" if fee else None}
    more["expires_at"] = NOW + 2 * HOUR if expires else None
    if convert and wanted:
        command = to_dollars(amount, "USD", bound=Sum(amount + 10, "EUR"), **more)
    else:
        command = to_dollars(amount, **more) if convert else order(amount, **more)
    if not isinstance(ledger.execute(command), Accepted):
        return
    now, spent, held = NOW, 0, ledger[ORDER].held
    for number, step in enumerate(steps):
        set_clock(ledger, now)
        match step:
            case "execute":
                ledger.execute_by(By(RUNNER, ExecuteTransferOrder(ORDER)))
            case "cancel":
                ledger.execute(CancelTransferOrder(ORDER))
            case "freeze":
                ledger.execute(FreezeAccount(B, "why"))
            case "unfreeze":
                ledger.execute(UnfreezeAccount(B, "why"))
            case "spend":
                if isinstance(ledger.execute(Withdraw(f"txn_spent_{number}", A, 250, "EUR", now.date())), Accepted):
                    spent += 250
            case "rate":
                ledger.execute(SetRate("EUR", "USD", f"1.{number:02}0000", 25, "ECB"))
            case "no rate":
                ledger.execute(WithdrawRate("EUR:USD", 1))
            case "later":
                now += timedelta(minutes=30)
        state = ledger[ORDER]
        ends = [one for one in ledger.log if isinstance(one, TransferOrderExecuted)]
        left = sum(one.paid.amount + (one.fee.amount if one.fee else 0) for one in ends)
        assert len(ends) == (state.status == "executed")
        assert figures(ledger) == (FUNDED - spent - left, held if state.status == "waiting" else 0)
        assert left <= held
        got = ledger[USD if convert else B].balance
        assert got == sum(one.received.amount for one in ends)
    ledger.check()
