"""The processes of settlements: a year by a clock that the test moves, and each reaction alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.accounts.account.state import Account
from domain.accounts.allocation import MILLIONTHS, half_even
from domain.accounts.posting import entries_between, internal_account
from domain.accounts.settlement import payout, running
from domain.accounts.settlement.agreement import (
    AgreeSettlement,
    DaySettled,
    EndSettlement,
    PauseSettlement,
    ResumeSettlement,
    SettlementAgreed,
    SettlementAgreement,
    SettlementEnded,
    SettlementPaused,
    SettlementRenewed,
    SettlementResumed,
    agreement_stream,
)
from domain.accounts.settlement.events import Basis, SettlementCalculated, SettlementFailed, SettlementPaid
from domain.accounts.settlement.running import MERCHANT_DAY, over
from domain.accounts.settlement.settlement import CalculateSettlement, PaySettlement, Settlement, settlement_id
from domain.accounts.transaction import PostTransaction, RefundTransaction
from domain.process_manager import BACK_OFF, Answered, Due, Happened, Question, Reaction, Retried
from domain.processes.process import ResolveProcess, RetryProcess
from tests.support.memory_ledger import NOW, MemoryLedger, new_id
from tests.support.memory_processes import MemoryProcesses
from tests.support.merchants import Merchants

MANAGERS = (running.MANAGER, payout.MANAGER)
RATE = 25_000
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST = date(2027, 12, 30)
"""Two days before a leap year."""
CASH, FEES = internal_account("main", "cash", "EUR"), internal_account("main", "fees", "EUR")


def begun(day: date = FIRST) -> MemoryProcesses:
    """Processes on a ledger with the internal accounts, at the beginning of a day."""
    ledger = MemoryLedger()
    processes = MemoryProcesses(ledger, MANAGERS, {MERCHANT_DAY: Merchants(ledger.log).figures})
    processes.at(datetime.combine(day, datetime.min.time(), UTC))
    ledger.open_internal()
    return processes


def merchant(processes: MemoryProcesses, rate: int = RATE) -> tuple[str, str]:
    """A merchant account that is settled from today on, and the account that gets the money."""
    ledger = processes.ledger
    shop, bank = ledger.account(type="merchant", minimum=None), ledger.account(minimum=None)
    ledger.accepted(AgreeSettlement(shop, bank, rate, processes.now.date()))
    return shop, bank


def paid(processes: MemoryProcesses, shop: str, amount: int, day: date | None = None) -> str:
    """A payment of today, or of another value date."""
    id = new_id("txn")
    entries = entries_between(CASH, shop, amount, "EUR")
    processes.ledger.accepted(PostTransaction(id, "payment", entries, day or processes.now.date()))
    return id


def refund(processes: MemoryProcesses, payment: str, amount: int) -> None:
    today = processes.now.date()
    processes.ledger.accepted(
        RefundTransaction(new_id("txn"), payment, today, "it came back", amount=amount, currency="EUR", fee_rate=0)
    )


def settlements(processes: MemoryProcesses, shop: str) -> list[SettlementCalculated]:
    return [one for one in processes.ledger.log if isinstance(one, SettlementCalculated) and one.account == shop]


def status(processes: MemoryProcesses, shop: str, day: date) -> str:
    settlement = processes.ledger[settlement_id(shop, day)]
    assert isinstance(settlement, Settlement)
    return settlement.status


def balance(processes: MemoryProcesses, account: str) -> int:
    state = processes.ledger[account]
    assert isinstance(state, Account)
    return state.balance


# A year


def test_a_year_with_a_leap_day_two_workers_restarts_and_an_outage_of_three_days() -> None:
    """Every day of each merchant is settled once, and every payment and refund counts once, whatever happens."""
    chance, processes = Random(22), begun()
    shops = dict(merchant(processes) for _ in range(2))
    payments: list[tuple[str, int]] = []
    away, back = date(2028, 2, 28), date(2028, 3, 2)  # no worker on the leap day
    last = date(2029, 1, 1)
    late: Any = []
    today = FIRST
    while today <= last:
        for hour in sorted(chance.sample(range(24), 3)):
            processes.at(datetime.combine(today, datetime.min.time(), UTC) + hour * HOUR)
            for shop in shops:
                if chance.random() < 0.5:
                    day = today - chance.choice((0, 0, 0, 1, 5)) * DAY
                    payments.append((paid(processes, shop, amount := chance.randint(1, 9_999), day), amount))
            if payments and chance.random() < 0.3:
                payment, amount = payments.pop(chance.randrange(len(payments)))
                refund(processes, payment, chance.randint(1, amount))
            if not away <= today < back and chance.random() < 0.9:
                processes.settle(late=late)
                late = processes.rows()
            else:
                late = processes.rows()  # this worker reads, and acts when another one has done it all
        if chance.random() < 0.03:
            processes = processes.restarted()
        today += DAY
    processes.at(datetime.combine(last + DAY, datetime.min.time(), UTC))
    processes.settle(late=late)

    merchants = Merchants(processes.ledger.log)
    merchants.read()
    days = [FIRST + number * DAY for number in range((last - FIRST).days + 1)]
    assert date(2028, 2, 29) in days
    for shop, bank in shops.items():
        made = settlements(processes, shop)
        assert [one.day for one in made] == days, "each day once, in order"
        counted = [one.signed for one in merchants.entries[shop] if one.counts and one.value_date >= FIRST]
        assert sum(one.entries for one in made) == len(counted) > 300
        assert sum(one.payments - one.refunds for one in made) == sum(counted)
        assert any(one.basis.gross < 0 for one in made), "a negative net amount was carried over"
        agreement = processes.ledger[agreement_stream(shop)]
        assert isinstance(agreement, SettlementAgreement)
        fee = sum(half_even(one.payments * RATE, MILLIONTHS) for one in made) - agreement.fee
        net = sum(one.payments - one.refunds for one in made) - agreement.gross - fee
        assert balance(processes, bank) == net
        before = sum(one.signed for one in merchants.entries[shop] if one.value_date < FIRST)
        assert balance(processes, shop) == agreement.gross + before
    assert not [one for one in processes.tracked.values() if one.status in ("attention", "working")]
    processes.ledger.check()


def test_days_that_were_missed_are_settled_each_by_itself() -> None:
    processes = begun()
    shop, bank = merchant(processes)
    for number in range(3):
        processes.at(processes.now + DAY * bool(number))
        paid(processes, shop, 10_000 * (number + 1))
    processes.at(processes.now + 3 * DAY)
    processes.settle()
    assert [(one.day - FIRST, one.payments) for one in settlements(processes, shop)] == [
        (0 * DAY, 10_000),
        (1 * DAY, 20_000),
        (2 * DAY, 30_000),
        (3 * DAY, 0),
        (4 * DAY, 0),
    ]
    assert balance(processes, bank) == 60_000 - 1_500
    assert balance(processes, FEES) == 1_500


def test_nothing_happens_before_the_day_is_over() -> None:
    processes = begun()
    shop, _ = merchant(processes)
    processes.at(over(FIRST) - timedelta(microseconds=1))
    processes.settle()
    assert settlements(processes, shop) == []
    processes.at(over(FIRST))
    processes.settle()
    assert [one.day for one in settlements(processes, shop)] == [FIRST]


def test_a_payment_that_is_booked_late_is_in_the_next_settlement_once() -> None:
    processes = begun()
    shop, bank = merchant(processes, rate=0)
    paid(processes, shop, 100)
    processes.at(over(FIRST))
    paid(processes, shop, 20, FIRST)  # after midnight, and before anything of the new day: it is still of the old one
    paid(processes, shop, 3)
    paid(processes, shop, 4, FIRST)  # after something of the new day
    paid(processes, shop, 1_000, FIRST - DAY)  # from before the agreement
    processes.settle()
    assert [one.payments for one in settlements(processes, shop)] == [120]
    processes.at(over(FIRST + DAY))
    processes.settle()
    assert [one.payments for one in settlements(processes, shop)] == [120, 7]
    assert (balance(processes, bank), balance(processes, shop)) == (127, 1_000)


def test_a_negative_net_amount_and_its_fee_are_carried_over() -> None:
    processes = begun()
    shop, bank = merchant(processes)
    payment = paid(processes, shop, 10_000)
    processes.at(over(FIRST))
    processes.settle()
    assert (balance(processes, bank), balance(processes, FEES)) == (9_750, 250)
    paid(processes, shop, 1_000)
    refund(processes, payment, 4_000)
    processes.at(over(FIRST + DAY))
    processes.settle()
    assert status(processes, shop, FIRST + DAY) == "carried"
    agreement = processes.ledger[agreement_stream(shop)]
    assert (agreement.gross, agreement.fee) == (-3_000, 25)
    assert balance(processes, shop) == -3_000, "nothing was posted"
    paid(processes, shop, 3_000)
    processes.at(over(FIRST + 2 * DAY))
    processes.settle()
    assert (status(processes, shop, FIRST + 2 * DAY), agreement_stream(shop)) == ("carried", agreement_stream(shop))
    agreement = processes.ledger[agreement_stream(shop)]
    assert (agreement.gross, agreement.fee) == (0, 100), "the fees of both days are not covered"
    paid(processes, shop, 2_000)
    processes.at(over(FIRST + 3 * DAY))
    processes.settle()
    assert status(processes, shop, FIRST + 3 * DAY) == "paid"
    assert (balance(processes, shop), balance(processes, FEES)) == (0, 250 + 150)
    assert balance(processes, bank) == 9_750 + 2_000 - 150


# Failures


def test_one_merchant_that_fails_stops_no_other_and_not_its_own_next_days() -> None:
    processes = begun()
    (bad, bad_bank), (good, good_bank) = merchant(processes, 0), merchant(processes, 0)
    for shop in (bad, good):
        paid(processes, shop, 100)
    processes.ledger.accepted(FreezeAccount(bad, "a court order"))
    processes.at(over(FIRST))
    processes.settle()
    assert (status(processes, bad, FIRST), status(processes, good, FIRST)) == ("failed", "paid")
    for pause in BACK_OFF:
        processes.at(processes.now + pause)
        processes.settle()
    failures = [one for one in processes.ledger.log if isinstance(one, SettlementFailed)]
    assert [one.rule for one in failures] == ["account_frozen"] * (1 + len(BACK_OFF))
    [waiting] = [one for one in processes.tracked.values() if one.status == "attention"]
    assert (waiting.cause, waiting.manager) == ("account_frozen", "settlement_payout")

    processes.ledger.accepted(UnfreezeAccount(bad, "the order was lifted"))
    paid(processes, bad, 7)
    processes.at(over(FIRST + DAY))
    processes.settle()
    assert (status(processes, bad, FIRST), status(processes, bad, FIRST + DAY)) == ("failed", "paid")
    processes.ledger.accepted(RetryProcess(waiting.process, "it is free again"))
    processes.settle()
    assert status(processes, bad, FIRST) == "paid"
    assert (balance(processes, bad_bank), balance(processes, good_bank), balance(processes, bad)) == (107, 100, 0)


def test_a_payout_without_an_account_for_fees_fails_with_that_rule() -> None:
    ledger = MemoryLedger()
    processes = MemoryProcesses(ledger, MANAGERS, {MERCHANT_DAY: Merchants(ledger.log).figures})
    processes.at(datetime.combine(FIRST, datetime.min.time(), UTC))
    payer = ledger.account(minimum=None)
    shop, _ = merchant(processes)
    entries = entries_between(payer, shop, 1_000, "EUR")
    ledger.accepted(PostTransaction(new_id("txn"), "payment", entries, FIRST))
    processes.at(over(FIRST))
    processes.settle()
    [failed] = [one for one in ledger.log if isinstance(one, SettlementFailed)]
    assert failed.rule == "internal_account_missing"
    processes.ledger.open_internal()
    processes.at(processes.now + BACK_OFF[0])
    processes.settle()
    assert status(processes, shop, FIRST) == "paid"


# Pause, end, begin again


def test_days_of_a_pause_are_settled_after_it() -> None:
    processes = begun()
    shop, _ = merchant(processes)
    paid(processes, shop, 100)
    processes.ledger.accepted(PauseSettlement(shop))
    processes.at(over(FIRST + DAY))
    processes.settle()
    assert settlements(processes, shop) == []
    processes.ledger.accepted(ResumeSettlement(shop))
    processes.settle()
    assert [(one.day, one.payments) for one in settlements(processes, shop)] == [(FIRST, 100), (FIRST + DAY, 0)]


def test_it_ends_after_its_last_day_and_begins_again_where_it_ended() -> None:
    processes = begun()
    shop, bank = merchant(processes, 0)
    paid(processes, shop, 1)
    processes.ledger.accepted(EndSettlement(shop, FIRST))
    processes.at(over(FIRST + DAY))
    paid(processes, shop, 20)
    processes.settle()
    assert [one.day for one in settlements(processes, shop)] == [FIRST]
    [run] = [one for one in processes.tracked.values() if one.manager == "settlement_run"]
    assert run.status == "done"
    processes.at(over(FIRST + 2 * DAY))
    again = processes.now.date()
    processes.ledger.accepted(AgreeSettlement(shop, bank, 0, again))
    paid(processes, shop, 300)
    processes.at(over(again))
    processes.settle()
    assert [(one.day, one.payments) for one in settlements(processes, shop)] == [(FIRST, 1), (again, 300)]
    assert (balance(processes, bank), balance(processes, shop)) == (301, 20), "what was between is left alone"


def test_what_an_operator_resolved_begins_anew_after_a_pause() -> None:
    processes = begun()
    shop, _ = merchant(processes)
    paid(processes, shop, 100)
    processes.at(over(FIRST))
    processes.settle()
    [run] = [one for one in processes.tracked.values() if one.manager == "settlement_run"]
    processes.ledger.accepted(ResolveProcess(run.process, "to see what happens"))
    processes.at(over(FIRST + DAY))
    processes.settle()
    assert len(settlements(processes, shop)) == 1
    processes.ledger.accepted(PauseSettlement(shop))
    processes.ledger.accepted(ResumeSettlement(shop))
    processes.settle()
    assert [(one.day, one.payments) for one in settlements(processes, shop)] == [(FIRST, 100), (FIRST + DAY, 0)]


# Each reaction alone

STREAM = agreement_stream("acct_1")
AGREED = SettlementAgreed(STREAM, 1, "acct_1", "EUR", "acct_2", RATE, FIRST)
ASKS = Question(MERCHANT_DAY, {"account": "acct_1", "day": "2027-12-30", "after": 0, "starts_on": "2027-12-30"})
CALCULATES = CalculateSettlement("acct_1", FIRST, 0, 9, 2, 100, 30)
FIGURES = {"until": 9, "entries": 2, "payments": 100, "refunds": 30}
DUE, RETRIED = Due("proc_1", "due:1", over(FIRST)), Retried("proc_1", "retry:1")
BASIS = Basis(FIRST, 0, RATE, 0, 0)
SETTLED = DaySettled(STREAM, 2, FIRST, settlement_id("acct_1", FIRST), BASIS, 9, 0, 0)


def happened(event: Any) -> Happened:
    return Happened("proc_1", "event:1", event)


def answered(intent: Any, outcome: Any = "accepted", rule: str | None = None, at: datetime = NOW) -> Answered:
    return Answered("proc_1", "answer:1:1", intent, outcome, rule, FIGURES if intent == ASKS else {}, at)


def run(manager: Any, *triggers: Any) -> tuple[Any, Reaction]:
    """The state after the triggers, and the reaction to the last one."""
    state = None
    for trigger in triggers:
        state = manager.evolve(state, trigger)
    return state, manager.react(state, triggers[-1])


TO_CALCULATE = (happened(AGREED), DUE, answered(ASKS))


def test_a_run_waits_asks_and_calculates() -> None:
    state, reaction = run(running.MANAGER, happened(AGREED))
    assert (state.step, running.MANAGER.due(state), reaction.is_nothing) == ("waiting", over(FIRST), True)
    state, reaction = run(running.MANAGER, happened(AGREED), DUE)
    assert (state.step, reaction, running.MANAGER.due(state)) == ("asking", Reaction((ASKS,)), None)
    state, reaction = run(running.MANAGER, *TO_CALCULATE)
    assert (state.step, reaction) == ("calculating", Reaction((CALCULATES,)))
    state, reaction = run(running.MANAGER, *TO_CALCULATE, happened(SETTLED), answered(CALCULATES))
    assert (state.step, state.day, state.after, reaction.is_nothing) == ("waiting", FIRST + DAY, 9, True)
    assert running.MANAGER.due(state) == over(FIRST + DAY)


def test_an_answer_of_another_day_is_left_alone() -> None:
    before = (*TO_CALCULATE, happened(SETTLED), Due("proc_1", "due:2", over(FIRST + DAY)))
    state, reaction = run(running.MANAGER, *before, answered(ASKS))
    assert (state.step, reaction.is_nothing) == ("asking", True)


def test_a_clock_that_was_ahead_is_waited_for_and_another_refusal_needs_an_operator() -> None:
    ahead = answered(CALCULATES, "refused", "settlement_day_not_over")
    state, reaction = run(running.MANAGER, *TO_CALCULATE, ahead)
    assert (state.step, state.next_at, reaction.is_nothing) == ("waiting", NOW + BACK_OFF[0], True)
    triggers = list(TO_CALCULATE)
    for _ in BACK_OFF:
        triggers += [ahead, DUE, answered(ASKS)]
    assert run(running.MANAGER, *triggers, ahead)[0].step == "blocked"
    wrong = answered(CALCULATES, "refused", "settlement_not_next")
    state, reaction = run(running.MANAGER, *TO_CALCULATE, wrong)
    assert (state.step, reaction) == ("blocked", Reaction(attention="settlement_not_next"))
    assert run(running.MANAGER, *TO_CALCULATE, wrong, RETRIED)[1] == Reaction((ASKS,))


PAUSED, ENDED = SettlementPaused(STREAM, 3), SettlementEnded(STREAM, 3, FIRST - DAY)
RESUMED = SettlementResumed(STREAM, 4, "acct_1", FIRST, FIRST + DAY, None, 9)
RENEWED = SettlementRenewed(STREAM, 4, "acct_1", "acct_2", RATE, FIRST + 5 * DAY, 9)


@pytest.mark.parametrize("before", [(happened(AGREED),), (happened(AGREED), DUE), TO_CALCULATE])
@pytest.mark.parametrize("event", [PAUSED, ENDED])
def test_what_is_paused_or_ended_goes_no_further(before: tuple[Any, ...], event: Any) -> None:
    step = "paused" if event is PAUSED else "ended"
    for after in ((), (answered(ASKS),), (answered(CALCULATES, "refused", "settlement_status"),), (RETRIED,), (DUE,)):
        state, reaction = run(running.MANAGER, *before, happened(event), *after)
        assert (state.step, reaction.is_nothing, running.MANAGER.due(state)) == (step, True, None)


def test_it_begins_again_with_what_the_event_says() -> None:
    for before in ((), (happened(AGREED), happened(PAUSED))):
        state, _ = run(running.MANAGER, *before, happened(RESUMED))
        assert (state.step, state.day, state.after, state.starts_on) == ("waiting", FIRST + DAY, 9, FIRST)
    for before in ((), (happened(AGREED), happened(ENDED))):
        state, _ = run(running.MANAGER, *before, happened(RENEWED))
        assert (state.step, state.day, state.after) == ("waiting", FIRST + 5 * DAY, 9)
    resumed = happened(replace(RESUMED, last_day=FIRST))
    assert run(running.MANAGER, resumed)[0].step == "ended", "its last day is settled"


DUE_TO_PAY = SettlementCalculated("stl_1", 1, "acct_1", "EUR", FIRST, BASIS, 9, 1, 100, 0, 2)


def test_a_payout_pays_and_is_tried_again() -> None:
    state, reaction = run(payout.MANAGER, happened(DUE_TO_PAY))
    [pays] = reaction.intents
    assert (pays.settlement, pays.account, state.step) == ("stl_1", "acct_1", "paying")
    assert run(payout.MANAGER, happened(DUE_TO_PAY), answered(pays))[0].step == "ended"
    assert run(payout.MANAGER, happened(DUE_TO_PAY), answered(pays, "refused", "settlement_not_due"))[0].step == "ended"
    frozen = answered(pays, "refused", "account_frozen")
    triggers: list[Any] = [happened(DUE_TO_PAY)]
    for pause in BACK_OFF:
        triggers.append(frozen)
        state, reaction = run(payout.MANAGER, *triggers)
        assert (state.step, payout.MANAGER.due(state), reaction.is_nothing) == ("waiting", NOW + pause, True)
        triggers.append(Due("proc_1", f"due:{pause}", NOW))
        assert isinstance(run(payout.MANAGER, *triggers)[1].intents[0], PaySettlement)
    state, reaction = run(payout.MANAGER, *triggers, frozen)
    assert (state.step, reaction, payout.MANAGER.due(state)) == ("blocked", Reaction(attention="account_frozen"), None)
    assert isinstance(run(payout.MANAGER, *triggers, frozen, RETRIED)[1].intents[0], PaySettlement)


@pytest.mark.parametrize(
    ("payments", "refunds", "fee", "is_due"),
    [(100, 0, 2, True), (2, 0, 2, True), (1, 0, 2, False), (0, 0, 0, False), (0, 5, 0, False), (5, 5, 0, False)],
)
def test_only_what_is_due_has_a_payout(payments: int, refunds: int, fee: int, is_due: bool) -> None:
    event = replace(DUE_TO_PAY, payments=payments, refunds=refunds, fee=fee)
    assert (payout.MANAGER.process_of(event) is not None) is is_due


def test_the_whole_fee_of_a_small_payment_is_booked_without_a_payout() -> None:
    processes = begun()
    shop, bank = merchant(processes, MILLIONTHS - 1)
    paid(processes, shop, 1)
    processes.at(over(FIRST))
    processes.settle()
    [event] = [one for one in processes.ledger.log if isinstance(one, SettlementPaid)]
    assert (event.gross, event.fee) == (1, 1)
    assert (balance(processes, bank), balance(processes, FEES), balance(processes, shop)) == (0, 1, 0)
