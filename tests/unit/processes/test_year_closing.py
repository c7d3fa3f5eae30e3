"""The closing of a year, folded from events and answers alone."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from domain.accounts.periods.state import PERIODS, PeriodReopened, YearClosingAsked
from domain.accounts.periods.year_closing import MANAGER, YEAR_END_BALANCES
from domain.accounts.transaction.year_end import MOST_YEAR_END_ACCOUNTS, PostYearEnd, YearEnd
from domain.kernel import Event
from domain.money import EXPONENTS, MAX_AMOUNT
from domain.process_manager import (
    MOST_INTENT_CHARACTERS,
    Answered,
    Fact,
    Happened,
    Question,
    Reaction,
    Retried,
    recorded,
)
from tests.support.memory_ledger import NOW

ASKED = YearClosingAsked(PERIODS, 4, "per_1", date(2026, 1, 31), "tester")
REOPENED = PeriodReopened(PERIODS, 6, "per_1", "appr_1", "prsn_1")
ASKS = Question(YEAR_END_BALANCES, {"until": "2026-01-31"})
BALANCES = (("EUR", "acct_1", 5), ("EUR", "acct_2", -7), ("JPY", "acct_3", 9))
RETRIED = Retried("proc_1", "retry:1")


def happened(event: Event) -> Happened:
    return Happened("proc_1", "event:1", event)


def balances(count: int = len(BALANCES)) -> Answered:
    told: dict[str, Fact] = {"count": count, "balances": msgspec.json.encode(BALANCES).decode()}
    return Answered("proc_1", "answer:1:1", ASKS, "accepted", None, told, NOW)


def answered(outcome: Any, rule: str | None = None) -> Answered:
    return Answered("proc_1", "answer:2:1", PostYearEnd("per_1", ()), outcome, rule, {}, NOW)


def run(*triggers: Any) -> tuple[Any, Reaction]:
    """The state after the triggers, and the reaction to the last one."""
    state = None
    for trigger in triggers:
        state = MANAGER.evolve(state, trigger)
    return state, MANAGER.react(state, triggers[-1])


def test_it_asks_for_the_balances_and_moves_them_with_one_transaction_a_currency() -> None:
    state, reaction = run(happened(ASKED))
    assert (state.step, reaction, MANAGER.due(state)) == ("asking", Reaction((ASKS,)), None)
    state, reaction = run(happened(ASKED), balances())
    [command] = reaction.intents
    assert (state.step, command.period) == ("sending", "per_1")
    moved = [(one.currency, one.balances) for one in command.transactions]
    assert moved == [("EUR", (("acct_1", 5), ("acct_2", -7))), ("JPY", (("acct_3", 9),))]
    assert len({one.transaction for one in command.transactions}) == 2
    assert run(happened(ASKED), balances())[1] == reaction, "the same answer makes the same ids"
    state, reaction = run(happened(ASKED), balances(), answered("accepted"))
    assert (state.step, reaction.is_nothing) == ("ended", True)


def test_a_year_can_be_asked_for_again() -> None:
    state, reaction = run(happened(ASKED), balances(), answered("accepted"), happened(ASKED))
    assert (state.step, reaction) == ("asking", Reaction((ASKS,)))


def test_a_period_that_is_reopened_ends_it() -> None:
    for before in ((), (balances(),)):
        state, reaction = run(happened(ASKED), *before, happened(REOPENED))
        assert (state.step, reaction.is_nothing) == ("ended", True)
    for after in (balances(), answered("refused", "period_not_closed"), RETRIED):
        state, reaction = run(happened(ASKED), happened(REOPENED), after)
        assert (state.step, reaction.is_nothing) == ("ended", True)


def test_what_is_not_wanted_any_more_ends_it_and_another_refusal_needs_attention() -> None:
    for rule in ("period_not_closed", "year_not_asked"):
        assert run(happened(ASKED), balances(), answered("refused", rule))[0].step == "ended"
    blocked = (happened(ASKED), balances(), answered("refused", "internal_account_missing"))
    state, reaction = run(*blocked)
    assert (state.step, reaction) == ("blocked", Reaction(attention="internal_account_missing"))
    assert run(*blocked, RETRIED)[1] == Reaction((ASKS,))


def test_more_accounts_than_can_be_moved_need_attention() -> None:
    assert run(happened(ASKED), balances(MOST_YEAR_END_ACCOUNTS))[0].step == "sending"
    state, reaction = run(happened(ASKED), balances(MOST_YEAR_END_ACCOUNTS + 1))
    assert (state.step, reaction) == ("blocked", Reaction(attention="year_end_accounts"))


def test_the_most_accounts_fit_one_intent() -> None:
    widest, id = -MAX_AMOUNT * 10, "01h455vb4pex5vsknk084sn02q"
    currencies = sorted(EXPONENTS)
    spread = [MOST_YEAR_END_ACCOUNTS // len(currencies)] * len(currencies)
    spread[0] += MOST_YEAR_END_ACCOUNTS - sum(spread)
    ends = tuple(
        YearEnd(f"txn_{id}", currency, ((f"acct_{id}", widest),) * count)
        for currency, count in zip(currencies, spread, strict=True)
    )
    intent = recorded(MANAGER, PostYearEnd(f"per_{id}", ends))
    assert len(intent.fields) <= MOST_INTENT_CHARACTERS
