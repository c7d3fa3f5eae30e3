"""The process of interest: a year by a clock that the test moves, and each reaction alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import msgspec

from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount, UnfreezeAccount
from domain.accounts.interest.accrual import WHOLE, DayBalance, Rate
from domain.accounts.interest.crediting import CreditInterest
from domain.accounts.interest.running import DAILY_BALANCES, MANAGER
from domain.accounts.interest.terms import (
    AgreeInterest,
    ChangeInterest,
    EndInterest,
    InterestAgreed,
    InterestCredited,
    InterestEnded,
    InterestTermsChanged,
    interest_stream,
)
from domain.accounts.posting import TransactionPosted
from domain.accounts.transaction import Deposit, Withdraw
from domain.process_manager import BACK_OFF, Answered, Due, Fact, Happened, Question, Reaction, Retried
from domain.processes.process import ResolveProcess, RetryProcess
from tests.support.memory_ledger import NOW, MemoryLedger, new_id
from tests.support.memory_processes import MemoryProcesses

DAY = timedelta(days=1)
FIRST = date(2027, 12, 20)
ENDS = tuple(
    date(year, month, day)
    for year, month, day in [
        (2027, 12, 31), (2028, 1, 31), (2028, 2, 29), (2028, 3, 31), (2028, 4, 30), (2028, 5, 31), (2028, 6, 30),
        (2028, 7, 31), (2028, 8, 31), (2028, 9, 30), (2028, 10, 31), (2028, 11, 30), (2028, 12, 31),
    ]
)  # fmt: skip
"""The ends of the months from the first day on, in a leap year."""


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def balances_of(ledger: MemoryLedger, arguments: Mapping[str, str | int]) -> Mapping[str, Fact]:
    """The answer to the question, summed from the entries day by day."""
    first, last = (date.fromisoformat(str(arguments[name])) for name in ("first", "last"))
    listed: list[DayBalance] = []
    for number in range((last - first).days + 1):
        day = first + number * DAY
        balance = balance_on(ledger, str(arguments["account"]), day)
        if not listed or listed[-1].balance != balance:
            listed.append(DayBalance(day, balance))
    return {"position": len(ledger.log), "balances": msgspec.json.encode(listed).decode()}


def balance_on(ledger: MemoryLedger, account: str, day: date) -> int:
    return sum(
        entry.signed
        for event in ledger.log
        if isinstance(event, TransactionPosted) and event.value_date <= day
        for entry in event.entries
        if entry.account == account
    )


def begun(day: date = FIRST) -> MemoryProcesses:
    ledger = MemoryLedger()
    processes = MemoryProcesses(ledger, (MANAGER,), {DAILY_BALANCES: lambda arguments: balances_of(ledger, arguments)})
    processes.at(midnight(day))
    ledger.open_internal()
    return processes


def earning(processes: MemoryProcesses, rate: int = 20_000, balance: int = 0) -> str:
    ledger = processes.ledger
    account = ledger.account(type="savings")
    today = processes.now.date()
    if balance:
        ledger.accepted(Deposit(new_id("txn"), account, balance, "EUR", today))
    ledger.accepted(AgreeInterest(account, account, rate, 365, today))
    return account


def credits(processes: MemoryProcesses, account: str) -> list[InterestCredited]:
    return [one for one in processes.ledger.log if isinstance(one, InterestCredited) and one.account == account]


# A year


def test_a_year_with_a_leap_day_two_workers_restarts_and_an_outage_of_three_days() -> None:
    """Each month of each account is credited once, and all of it is what its days have earned, to the last part."""
    chance, processes = Random(58), begun()
    accounts = [earning(processes, balance=1_000_000) for _ in range(2)]
    rates = {account: [Rate(FIRST, 20_000, 365)] for account in accounts}
    away, back = date(2028, 2, 29), date(2028, 3, 3)  # no worker at the end of February
    late: Any = []
    today, last = FIRST, ENDS[-1] + DAY
    while today <= last:
        processes.at(midnight(today) + timedelta(hours=chance.randint(0, 23)))
        for account in accounts:
            if chance.random() < 0.2:
                amount = chance.randint(1, 90_000)
                kind: Any = chance.choice((Deposit, Withdraw))
                processes.ledger.execute(kind(new_id("txn"), account, amount, "EUR", today))
            if chance.random() < 0.02:
                rate = Rate(today + chance.randint(0, 9) * DAY, chance.randint(0, 90_000), chance.choice((360, 365)))
                processes.ledger.accepted(ChangeInterest(account, account, rate.rate, rate.basis, rate.from_day))
                rates[account] = [*(one for one in rates[account] if one.from_day < rate.from_day), rate]
        if not away <= today < back:
            processes.settle(late=late)
        late = processes.rows()
        if chance.random() < 0.05:
            processes = processes.restarted()
        today += DAY
    for account in accounts:
        made = credits(processes, account)
        assert [one.last for one in made] == list(ENDS), "each month once, in order"
        assert [one.first for one in made] == [FIRST, *(day + DAY for day in ENDS[:-1])]
        earned, day = Fraction(0), FIRST
        while day <= ENDS[-1]:
            rate = [one for one in rates[account] if one.from_day <= day][-1]
            balance = balance_on(processes.ledger, account, day)
            earned += max(balance, 0) * Fraction(rate.rate, 1_000_000 * rate.basis)
            day += DAY
        credited = sum(one.amount for one in made)
        assert credited > 0
        assert Fraction(credited * WHOLE + made[-1].carried, WHOLE) == earned
    assert not [one for one in processes.tracked.values() if one.status != "waiting"]
    processes.ledger.check()


def test_months_that_were_missed_are_credited_each_by_itself_and_earn_from_their_day_on() -> None:
    processes = begun()
    account = earning(processes, 365_000, 1_000_000)
    processes.at(midnight(date(2028, 3, 1)))
    processes.settle()
    made = credits(processes, account)
    assert [one.last for one in made] == list(ENDS[:3])
    assert made[0].amount == 12_000, "12 days of December"
    assert made[1].amount == 31 * 1_012, "the interest of December is on it from the first of January on"


def test_nothing_is_credited_before_the_month_is_over() -> None:
    processes = begun()
    account = earning(processes, balance=1_000_000)
    processes.at(midnight(date(2028, 1, 1)) - timedelta(microseconds=1))
    processes.settle()
    assert credits(processes, account) == []
    processes.at(midnight(date(2028, 1, 1)))
    processes.settle()
    assert len(credits(processes, account)) == 1


def test_an_account_that_is_closed_in_the_month_needs_another_one_that_gets_the_interest() -> None:
    processes = begun()
    account, other = earning(processes, 365_000, 1_000_000), processes.ledger.account()
    processes.at(midnight(date(2027, 12, 26)))
    processes.ledger.accepted(CloseAccount(account, "a merger", other, new_id("txn")))
    processes.ledger.accepted(EndInterest(account, date(2027, 12, 25)))
    processes.at(midnight(date(2027, 12, 31)))
    for pause in (timedelta(0), *BACK_OFF):
        processes.at(processes.now + pause)
        processes.settle()
    [blocked] = processes.tracked.values()
    assert (blocked.status, blocked.cause) == ("attention", "account_closed")
    processes.ledger.accepted(ChangeInterest(account, other, 0, 365, date(2027, 12, 26)))
    processes.ledger.accepted(RetryProcess(blocked.process, "another account gets it"))
    processes.settle()
    [credited] = credits(processes, account)
    assert (credited.last, credited.amount) == (date(2027, 12, 25), 6_000)
    assert processes.ledger[other].balance == 1_006_000
    assert [one.status for one in processes.tracked.values()] == ["done"]


def test_an_account_that_is_frozen_stops_no_other() -> None:
    processes = begun()
    bad, good = earning(processes, balance=1_000_000), earning(processes, balance=1_000_000)
    processes.ledger.accepted(FreezeAccount(bad, "a court order"))
    processes.at(midnight(date(2028, 1, 1)))
    processes.settle()
    assert (len(credits(processes, bad)), len(credits(processes, good))) == (0, 1)
    processes.ledger.accepted(UnfreezeAccount(bad, "it was lifted"))
    processes.at(processes.now + BACK_OFF[0])
    processes.settle()
    assert credits(processes, bad)[0].amount == credits(processes, good)[0].amount


def test_other_terms_begin_what_an_operator_resolved_again() -> None:
    processes = begun()
    account = earning(processes, balance=1_000_000)
    processes.at(midnight(date(2028, 1, 1)))
    processes.settle()
    [run] = processes.tracked.values()
    processes.ledger.accepted(ResolveProcess(run.process, "to see what happens"))
    processes.at(midnight(date(2028, 2, 1)))
    processes.settle()
    assert len(credits(processes, account)) == 1
    processes.ledger.accepted(ChangeInterest(account, account, 20_000, 365, date(2028, 2, 1)))
    processes.settle()
    assert [one.last for one in credits(processes, account)] == list(ENDS[:2])


# Each reaction alone

STREAM = interest_stream("acct_1")
RATE = Rate(FIRST, 20_000, 365)
AGREED = InterestAgreed(STREAM, 1, "acct_1", "EUR", "acct_1", RATE)
ASKS = Question(DAILY_BALANCES, {"account": "acct_1", "first": "2027-12-20", "last": "2027-12-31"})
BALANCES = (DayBalance(FIRST, 5), DayBalance(FIRST + DAY, -7))
FIGURES: dict[str, Fact] = {"position": 9, "balances": msgspec.json.encode(BALANCES).decode()}
DUE, RETRIED = Due("proc_1", "due:1", midnight(date(2028, 1, 1))), Retried("proc_1", "retry:1")
CREDITED = InterestCredited(STREAM, 2, "acct_1", "EUR", "acct_1", FIRST, ENDS[0], BALANCES, 9, 0, 1, None)


def happened(event: Any) -> Happened:
    return Happened("proc_1", "event:1", event)


def answered(intent: Any, outcome: Any = "accepted", rule: str | None = None) -> Answered:
    return Answered("proc_1", "answer:1:1", intent, outcome, rule, FIGURES if intent == ASKS else {}, NOW)


def run(*triggers: Any) -> tuple[Any, Reaction]:
    state = None
    for trigger in triggers:
        state = MANAGER.evolve(state, trigger)
    return state, MANAGER.react(state, triggers[-1])


def test_it_waits_asks_and_credits() -> None:
    state, reaction = run(happened(AGREED))
    assert (state.step, MANAGER.due(state), reaction.is_nothing) == ("waiting", midnight(date(2028, 1, 1)), True)
    state, reaction = run(happened(AGREED), DUE)
    assert (state.step, reaction, MANAGER.due(state)) == ("asking", Reaction((ASKS,)), None)
    state, reaction = run(happened(AGREED), DUE, answered(ASKS))
    [command] = reaction.intents
    assert command == CreditInterest("acct_1", command.transaction, FIRST, ENDS[0], BALANCES, 9)
    assert state.step == "crediting"
    state, reaction = run(happened(AGREED), DUE, answered(ASKS), happened(CREDITED), answered(command))
    assert (state.step, MANAGER.due(state), reaction.is_nothing) == ("waiting", midnight(date(2028, 2, 1)), True)


def test_what_is_refused_is_tried_again_and_then_needs_an_operator() -> None:
    command = run(happened(AGREED), DUE, answered(ASKS))[1].intents[0]
    frozen = answered(command, "refused", "account_frozen")
    triggers: list[Any] = [happened(AGREED), DUE, answered(ASKS)]
    for pause in BACK_OFF:
        triggers.append(frozen)
        state, reaction = run(*triggers)
        assert (state.step, MANAGER.due(state), reaction.is_nothing) == ("waiting", NOW + pause, True)
        triggers += [DUE, answered(ASKS)]
    state, reaction = run(*triggers, frozen)
    assert (state.step, reaction, MANAGER.due(state)) == ("blocked", Reaction(attention="account_frozen"), None)
    assert run(*triggers, frozen, RETRIED)[1] == Reaction((ASKS,))


def test_an_answer_to_another_question_is_left_alone() -> None:
    ended = happened(InterestEnded(STREAM, 3, ENDS[0] - DAY))
    state, reaction = run(happened(AGREED), DUE, ended, answered(ASKS))
    assert (state.step, reaction.is_nothing) == ("waiting", True)
    state, reaction = run(happened(AGREED), DUE, ended, DUE, answered(ASKS))
    assert (state.step, reaction.is_nothing) == ("asking", True)
    before_it_began = happened(InterestEnded(STREAM, 3, FIRST - DAY))
    state, _ = run(happened(AGREED), DUE, before_it_began)
    assert (state.step, MANAGER.due(state)) == ("ended", None)


def test_other_terms_change_nothing_but_begin_a_process_that_was_resolved() -> None:
    changed = happened(InterestTermsChanged(STREAM, 3, "acct_1", "acct_1", RATE, date(2028, 1, 1), date(2028, 1, 9)))
    assert run(happened(AGREED), changed)[0] == run(happened(AGREED))[0]
    state, _ = run(changed)
    assert (state.step, state.next_day, MANAGER.due(state)) == (
        "waiting",
        date(2028, 1, 1),
        midnight(date(2028, 1, 10)),
    )
