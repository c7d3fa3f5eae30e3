"""Payroll runs: at once or in parts, employees who cannot be paid, and what is left of the hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import HoldCaptured, HoldPartlyCaptured, HoldPlaced, HoldReleased
from domain.accounts.account.holds import ExpireHold, PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount, UnfreezeAccount
from domain.accounts.account.limits import ChangeLimits, Limits
from domain.accounts.payroll.events import (
    ParkedItem,
    PayrollFinished,
    PayrollItem,
    PayrollItemsPaid,
    PayrollItemsParked,
    PayrollPartListed,
    PayrollSubmitted,
)
from domain.accounts.payroll.part import GiveUpPayrollItem, PayPart, PayrollPart, RetryPayrollItem, evolve
from domain.accounts.payroll.paying import MOST_AT_ONCE, MOST_ITEMS, PART_ITEMS, part_of, part_stream, parts_of
from domain.accounts.payroll.run import FinishPayroll, RunPayroll, StopPayroll
from domain.accounts.posting import TransactionPosted
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.transaction import CaptureHold, Transfer
from domain.codes import MOST_CODE
from domain.kernel import Accepted, Event, Unknown
from domain.money import MAX_AMOUNT
from eventstore.executor.snapshots import MOST_STATE_BYTES, JsonStates
from tests.support.checking import broken
from tests.support.memory_ledger import TODAY, MemoryLedger

RUN, COMPANY = "payroll_1", "acct_company"
WAGE = 100
FUNDED = 1_000_000


def employee(number: int) -> str:
    return f"acct_{number}"


def item(number: int, amount: int = WAGE) -> PayrollItem:
    return PayrollItem(f"E-{number}", employee(number), amount)


def run(count: int, **more: Any) -> RunPayroll:
    items = tuple(map(item, range(1, count + 1)))
    return replace(RunPayroll(RUN, "txn_1", COMPANY, "2026-11", "EUR", items, TODAY), **more)


def world(count: int, missing: frozenset[int] = frozenset()) -> MemoryLedger:
    """A company with 10,000.00, and the accounts of so many employees, but for those who have none."""
    ledger = MemoryLedger()
    ledger.open_internal()
    ledger.account(FUNDED, account=COMPANY)
    for number in range(1, count + 1):
        if number not in missing:
            ledger.account(account=employee(number))
    return ledger


def kinds(decision: Accepted) -> list[type[Event]]:
    """The kinds of events of a unit, each once, in order."""
    return list(dict.fromkeys(map(type, decision.events)))


def balances(ledger: MemoryLedger, *numbers: int) -> list[int]:
    return [ledger[employee(number)].balance for number in numbers]


def paid(ledger: MemoryLedger, count: int) -> None:
    """Pay all parts of a run, and end it."""
    for part in parts_of(count):
        ledger.accepted(PayPart(RUN, part, f"txn_part_{part}"))
    ledger.accepted(FinishPayroll(RUN))


def test_payroll_of_three() -> None:
    """T17: three employees get 800 from 5,000, and 2,600 are left."""
    ledger = MemoryLedger()
    ledger.open_internal()
    ledger.account(5_000, account=COMPANY)
    for number in (1, 2, 3):
        ledger.account(account=employee(number))
    answer = ledger.accepted(run(3, items=tuple(item(number, 800) for number in (1, 2, 3))))
    assert (answer.result["status"], answer.result["total"], answer.result["transaction"]) == (
        "finished",
        "24.00",
        "txn_1",
    )
    assert ledger[COMPANY].balance == 2_600
    assert balances(ledger, 1, 2, 3) == [800] * 3
    ledger.check()


def test_999_employees_are_one_transaction_and_1000_are_held() -> None:
    ledger = world(MOST_AT_ONCE + 1)
    at_once = ledger.accepted(run(MOST_AT_ONCE))
    [posted] = [event for event in at_once.events if isinstance(event, TransactionPosted)]
    assert (posted.kind, len(posted.entries), posted.reference) == ("transfer", 1_000, "PAYROLL-2026-11")
    assert ledger[RUN].status == "finished"
    assert ledger[COMPANY].balance == FUNDED - MOST_AT_ONCE * WAGE
    in_parts = ledger.accepted(run(MOST_AT_ONCE + 1, payroll="payroll_2"))
    assert kinds(in_parts) == [PayrollSubmitted, HoldPlaced, PayrollPartListed]
    assert ledger["payroll_2"].status == "running"
    assert ledger[COMPANY].hold("payroll_2") == (MOST_AT_ONCE + 1) * WAGE
    ledger.check()


def test_a_run_at_once_pays_all_or_nobody() -> None:
    ledger = world(3)
    ledger.accepted(FreezeAccount(employee(2), "a question"))
    refused = ledger.refused(run(3))
    assert refused.rule == "payroll_item_refused"
    assert (refused.figures["item"], refused.figures["employee"], refused.figures["rule"]) == (
        2,
        "E-2",
        "account_frozen",
    )
    assert balances(ledger, 1, 2, 3) == [0, 0, 0]


def test_the_company_needs_the_whole_sum() -> None:
    count = MOST_AT_ONCE + 1
    for employees in (3, count):
        ledger = world(3)
        ledger.accepted(Transfer("txn_0", COMPANY, employee(1), FUNDED - employees * WAGE + 1, "EUR", TODAY))
        refused = ledger.refused(run(employees))
        assert (refused.rule, refused.figures["available"]) == ("below_minimum", f"{employees - 1}.99")
        ledger.accepted(Transfer("txn_9", employee(1), COMPANY, 1, "EUR", TODAY))
        ledger.accepted(run(employees))


def test_parts_are_paid_from_the_hold_and_nobody_else_gets_it() -> None:
    count = MOST_AT_ONCE + 1
    ledger = world(count)
    ledger.accepted(ChangeLimits(COMPANY, "EUR", Limits(minimum=FUNDED - count * WAGE, maximum=None), "a reserve"))
    ledger.accepted(run(count))
    free = []
    for part in parts_of(count):
        assert ledger.refused(Transfer("txn_x", COMPANY, employee(1), 1, "EUR", TODAY)).rule == "below_minimum"
        decision = ledger.accepted(PayPart(RUN, part, f"txn_part_{part}"))
        free.append(ledger[COMPANY].available)
        [posted] = [event for event in decision.events if isinstance(event, TransactionPosted)]
        assert (posted.kind, len(posted.entries)) == ("capture", PART_ITEMS + 1)
    assert free == [FUNDED - count * WAGE] * len(parts_of(count))
    assert ledger[COMPANY].holds == ()
    assert ledger.accepted(FinishPayroll(RUN)).events == (
        PayrollFinished(RUN, 2, paid_items=count, paid=count * WAGE, parked_items=0, parked=0, currency="EUR"),
    )
    assert set(balances(ledger, *range(1, count + 1))) == {WAGE}
    ledger.check()


@pytest.mark.parametrize(
    "command",
    [
        ReleaseHold(COMPANY, RUN),
        CaptureHold(COMPANY, RUN, "txn_x", employee(1), 1, "EUR", TODAY),
        PlaceHold(COMPANY, "payroll_2", 1, "EUR"),
        ExpireHold(COMPANY, RUN),
    ],
    ids=lambda command: type(command).__name__,
)
def test_only_the_run_uses_its_hold(command: Any) -> None:
    ledger = world(1)
    ledger.accepted(run(MOST_AT_ONCE + 1))
    assert ledger.refused(command).rule == "hold_of_payroll"


def test_who_cannot_be_paid_is_parked_and_the_others_are_paid() -> None:
    count, missing = MOST_AT_ONCE + 1, frozenset({2, 251, *range(501, 751)})
    ledger = world(count, missing)
    ledger.accepted(FreezeAccount(employee(3), "a question"))
    ledger.accepted(run(count))
    first = ledger.accepted(PayPart(RUN, 1, "txn_part_1"))
    assert kinds(first)[:3] == [PayrollItemsParked, PayrollItemsPaid, HoldPartlyCaptured]
    parked = first.events[0]
    assert isinstance(parked, PayrollItemsParked)
    assert parked.items == (
        ParkedItem(2, "payroll_account_missing", {"account": employee(2)}),
        ParkedItem(3, "account_frozen", {"account": employee(3)}),
    )
    assert (first.result["paid"], first.result["parked"]) == (PART_ITEMS - 2, 2)
    ledger.accepted(PayPart(RUN, 2, "txn_part_2"))
    nobody = ledger.accepted(PayPart(RUN, 3, "txn_part_3"))
    assert kinds(nobody) == [PayrollItemsParked]
    assert "txn_part_3" not in ledger.states
    last = ledger.accepted(PayPart(RUN, 4, "txn_part_4"))
    assert HoldPartlyCaptured in kinds(last), "what is held for parked items stays held until the run ends"
    assert HoldCaptured not in kinds(last)
    left = (len(missing) + 1) * WAGE
    assert ledger[COMPANY].hold(RUN) == left
    ended = ledger.accepted(FinishPayroll(RUN))
    paid_items = count - len(missing) - 1
    assert ended.events[0] == HoldReleased(COMPANY, ledger[COMPANY].version, RUN, left, "EUR")
    assert ended.events[1] == PayrollFinished(RUN, 2, paid_items, paid_items * WAGE, len(missing) + 1, left, "EUR")
    assert ledger[COMPANY].available == ledger[COMPANY].balance == FUNDED - paid_items * WAGE
    assert balances(ledger, 1, 3, 4, 250, 252, 500, 751, 1000) == [WAGE, 0, WAGE, WAGE, WAGE, WAGE, WAGE, WAGE]
    ledger.check()


def test_a_parked_item_is_retried_or_given_up_once() -> None:
    count = MOST_AT_ONCE + 1
    ledger = world(4)
    for number in (1, 2):
        ledger.accepted(FreezeAccount(employee(number), "a question"))
    ledger.accepted(run(count))
    again = RetryPayrollItem(RUN, 1, "txn_again", TODAY)
    assert ledger.refused(again).rule == "payroll_running"
    paid(ledger, count)
    assert ledger.refused(again).rule == "account_frozen"
    ledger.accepted(UnfreezeAccount(employee(1), "no question"))
    ledger.accepted(again)
    assert balances(ledger, 1, 2, 3) == [WAGE, 0, WAGE]
    assert ledger.refused(replace(again, transaction="txn_twice")).rule == "payroll_item_not_parked"
    ledger.accepted(GiveUpPayrollItem(RUN, 2, "paid by cheque"))
    for once_more in (GiveUpPayrollItem(RUN, 2, "why"), replace(again, item=2), GiveUpPayrollItem(RUN, 3, "why")):
        assert ledger.refused(once_more).rule == "payroll_item_not_parked"
    assert isinstance(ledger.execute(GiveUpPayrollItem(RUN, count + 1, "why")), Unknown)
    ledger.check()


def test_a_retry_needs_money_that_is_available() -> None:
    """The hold ended with the run, so what was held for the item may be spent."""
    ledger = world(2)
    ledger.accepted(run(MOST_AT_ONCE + 1))
    ledger.accepted(StopPayroll(RUN, "the wrong month"))
    ledger.accepted(Transfer("txn_x", COMPANY, employee(2), FUNDED - WAGE + 1, "EUR", TODAY))
    retry = RetryPayrollItem(RUN, 1, "txn_again", TODAY)
    assert ledger.refused(retry).rule == "below_minimum"
    ledger.accepted(Transfer("txn_y", employee(2), COMPANY, 1, "EUR", TODAY))
    ledger.accepted(retry)
    assert ledger[COMPANY].balance == 0


def test_a_stopped_run_parks_what_it_has_not_paid() -> None:
    count = MOST_AT_ONCE + 1
    ledger = world(count)
    ledger.accepted(run(count))
    ledger.accepted(PayPart(RUN, 1, "txn_part_1"))
    stopped = ledger.accepted(StopPayroll(RUN, "the wrong month"))
    [finished] = [event for event in stopped.events if isinstance(event, PayrollFinished)]
    left = count - PART_ITEMS
    assert (finished.paid_items, finished.parked_items, finished.parked) == (PART_ITEMS, left, left * WAGE)
    assert (ledger[RUN].status, ledger[COMPANY].holds) == ("stopped", ())
    assert ledger.refused(PayPart(RUN, 2, "txn_part_2")).rule == "payroll_stopped"
    assert ledger.refused(FinishPayroll(RUN)).rule == "payroll_ended"
    assert balances(ledger, 250, 251) == [WAGE, 0], "what is paid stays paid"
    ledger.check()


def test_a_frozen_company_pays_no_part_and_keeps_the_hold() -> None:
    count = MOST_AT_ONCE + 1
    ledger = world(count)
    ledger.accepted(run(count))
    ledger.accepted(FreezeAccount(COMPANY, "a question"))
    assert ledger.refused(PayPart(RUN, 1, "txn_part_1")).rule == "account_frozen"
    assert len(ledger[part_stream(RUN, 1)].waiting) == PART_ITEMS, "it is no employee's fault"
    ledger.accepted(UnfreezeAccount(COMPANY, "no question"))
    paid(ledger, count)


def test_parts_do_not_evade_what_holds_for_the_whole() -> None:
    """Another person decides above an amount. A part is for less, and the run is not."""
    count = MOST_AT_ONCE + 1
    limits = [
        ChangePostingPolicy(None, None, {"EUR": count * WAGE - 1}),
        ChangeLimits(COMPANY, "EUR", Limits(0, None, approve_above=count * WAGE - 1), "a contract"),
        ChangeLimits(COMPANY, "EUR", Limits(0, None, daily=count * WAGE - 1), "a contract"),
    ]
    for limit, rule in zip(limits, ("approval_needed", "approval_needed", "outgoing_limit"), strict=True):
        ledger = world(count)
        ledger.accepted(limit)
        assert ledger.refused(run(count)).rule == rule
        ledger.accepted(run(count, items=(*map(item, range(1, count)), item(count, WAGE - 1))))
        paid(ledger, count)


def test_the_currency_and_the_account_are_the_companys() -> None:
    ledger = world(1)
    assert ledger.refused(run(1, currency="USD")).rule == "currency_mismatch"
    assert ledger.execute(run(1, account="acct_nobody")) == Unknown("account", "acct_nobody")
    ledger.accepted(CloseAccount(employee(1), "moved"))
    assert ledger.refused(run(1)).figures["rule"] == "account_closed"


def test_items_have_the_part_of_their_number() -> None:
    assert [part_of(number) for number in (1, PART_ITEMS, PART_ITEMS + 1)] == [1, 1, 2]
    assert (parts_of(1), parts_of(PART_ITEMS), parts_of(MOST_ITEMS)) == (range(1, 2), range(1, 2), range(1, 21))


def test_the_state_of_a_part_would_fit_a_snapshot() -> None:
    """A part has no snapshot, because it has few events. It stays small all the same."""
    items = tuple(PayrollItem("x" * MOST_CODE, f"acct_{'7' * 26}", MAX_AMOUNT) for _ in range(PART_ITEMS))
    listed = PayrollPartListed(part_stream(RUN, 20), 1, f"payroll_{'7' * 26}", f"acct_{'7' * 26}", "EUR", 4_751, items)
    encoded = JsonStates({"paypart_": (PayrollPart, 1)}).encode(evolve(None, listed))
    assert len(encoded) < MOST_STATE_BYTES


# What verify finds


def findings(ledger: MemoryLedger, command: Any, forge: Callable[[Event], Event | None]) -> list[str]:
    """What is wrong with the unit of the command, where each event is forged. None leaves the event out."""
    decision = ledger.decide(command)
    assert isinstance(decision, Accepted)
    unit: list[Event] = []
    versions: dict[str, int] = {}
    for event in decision.events:
        stream = event.originator_id
        forged = forge(event)
        if forged is not None:
            before = ledger.states.get(stream)
            versions[stream] = versions.get(stream, before.version if before else 0) + 1
            unit.append(replace(forged, originator_version=versions[stream]))
    before_unit = {event.originator_id: ledger.states.get(event.originator_id) for event in unit}
    return [what for _, what in broken(before_unit, unit, ledger.decided)]


def with_fields(kind: type[Event], **fields: Any) -> Callable[[Event], Event]:
    return lambda event: replace(event, **fields) if isinstance(event, kind) else event


def without(kind: type[Event]) -> Callable[[Event], Event | None]:
    return lambda event: None if isinstance(event, kind) else event


LARGE = run(MOST_AT_ONCE + 1)


@pytest.mark.parametrize(
    ("command", "forge", "says"),
    [
        (run(3), with_fields(PayrollSubmitted, total=301), "lists others"),
        (run(3), with_fields(PayrollSubmitted, items=2), "lists others"),
        (run(3), with_fields(PayrollSubmitted, period="2026-13"), "is no month"),
        (run(3), with_fields(PayrollSubmitted, mode="in_parts"), "pays 3 items in parts"),
        (run(3), with_fields(PayrollPartListed, account="acct_1"), "is not listed in its unit as the run was"),
        (run(3), with_fields(PayrollPartListed, first=2), "begins with item 2"),
        (run(3), with_fields(PayrollPartListed, items=(item(1), item(1), item(3))), "Employee E-1 is in items 1 and 2"),
        (run(3), with_fields(PayrollItemsPaid, numbers=(1, 2)), "are for 200 minor units, not for 300"),
        (run(3), with_fields(PayrollItemsPaid, numbers=(1, 2, 4)), "of which it has none left"),
        (run(3), with_fields(PayrollItemsPaid, retried=True), "of which it has none left"),
        (run(3), with_fields(PayrollItemsPaid, transaction="txn_x"), "its unit does not post it"),
        (run(3), without(PayrollFinished), "does not end in its unit"),
        (run(3), with_fields(PayrollFinished, paid_items=2), "ends with 2 items for 300, of 3 for 300"),
        (run(3), with_fields(PayrollFinished, paid=200, parked=100), "releases no hold"),
        (LARGE, without(HoldPlaced), "holds nothing on acct_company"),
        (LARGE, with_fields(HoldPlaced, amount=1), "does not submit so"),
        (LARGE, with_fields(HoldPlaced, hold="payroll_2"), "does not submit so"),
        (LARGE, without(PayrollPartListed), "part 1 of payroll_1 is not listed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_forged_run_is_found(command: Any, forge: Any, says: str) -> None:
    ledger = world(3)
    assert findings(ledger, command, lambda event: event) == []
    assert any(says in what for what in findings(ledger, command, forge)), findings(ledger, command, forge)


@pytest.mark.parametrize(
    ("command", "forge", "says"),
    [
        (PayPart(RUN, 1, "txn_part_1"), without(PayrollItemsPaid), "its unit pays no items of it"),
        (PayPart(RUN, 1, "txn_part_1"), with_fields(PayrollItemsPaid, payroll="payroll_2"), "its unit pays no items"),
        (PayPart(RUN, 1, "txn_part_1"), with_fields(PayrollItemsParked, amount=1), "not for 1"),
        (StopPayroll(RUN, "why"), without(PayrollFinished), "does not end so in its unit"),
        (StopPayroll(RUN, "why"), with_fields(HoldReleased, amount=1), "does not end so in its unit"),
        (StopPayroll(RUN, "why"), without(HoldReleased), "releases no hold"),
        (StopPayroll(RUN, "why"), with_fields(PayrollFinished, parked_items=1), "ends with 1 items"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_forged_step_of_a_run_is_found(command: Any, forge: Any, says: str) -> None:
    ledger = world(3)
    ledger.accepted(LARGE)
    assert findings(ledger, command, lambda event: event) == []
    assert any(says in what for what in findings(ledger, command, forge)), findings(ledger, command, forge)


def test_a_run_that_ends_twice_is_found() -> None:
    ledger = world(3)
    ledger.accepted(LARGE)
    ledger.accepted(StopPayroll(RUN, "why"))
    again = PayrollFinished(RUN, 4, 0, 0, MOST_AT_ONCE + 1, (MOST_AT_ONCE + 1) * WAGE, "EUR")
    found = [what for _, what in broken({RUN: ledger[RUN]}, [again], ledger.decided)]
    assert found[0] == "payroll_1 ends again; it was stopped before"
