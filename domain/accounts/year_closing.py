"""The process manager year_closing: it moves the balances of income and expense to equity once a year is to be closed.

It begins when an operator asks. The period is closed, so no posting changes a balance by value date up to its end any
more. The worker answers the question from read tables that have passed its position, and the answer is exact. Then it
sends `PostYearEnd`, which is refused if the period was reopened meanwhile.
"""

from __future__ import annotations

from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Literal

import msgspec
from msgspec.structs import replace

from domain.accounts.periods.state import PeriodReopened, YearClosingAsked
from domain.accounts.transaction.state import TRANSACTION
from domain.accounts.transaction.year_end import MOST_YEAR_END_ACCOUNTS, PostYearEnd, YearEnd
from domain.kernel import Value
from domain.process_manager import (
    NOTHING,
    Answered,
    Happened,
    ProcessManager,
    Question,
    Reaction,
    Retried,
    Trigger,
)

YEAR_END_BALANCES = "year_end_balances"
"""The query that it asks, with the day `until`: the number of income and expense accounts that have a balance by value
date up to that day, and a JSON array of (currency, account, balance), in that order. It has none if these are more than
can be moved."""
OVER = frozenset({"period_not_closed", "year_not_asked"})
"""Rules whose refusal means that there is nothing to close any more."""

Step = Literal["asking", "posting", "blocked", "ended"]


class YearClosing(Value, frozen=True):
    """The closing of the year that ends with a period."""

    step: Step
    period: str
    ends_on: date


def evolve(state: YearClosing | None, trigger: Trigger) -> YearClosing:
    match trigger:
        case Happened(event=YearClosingAsked(period=period, ends_on=ends_on)):
            return YearClosing("asking", period, ends_on)
        case Happened():
            return replace(_begun(state), step="ended")
        case Retried():
            begun = _begun(state)
            return begun if begun.step == "ended" else replace(begun, step="asking")
        case Answered():
            return _answered(_begun(state), trigger)
    raise TypeError(f"{type(trigger).__name__} is no trigger of a year's closing")


def _begun(state: YearClosing | None) -> YearClosing:
    if state is None:
        raise ValueError("a year's closing begins with YearClosingAsked")
    return state


def _answered(state: YearClosing, answer: Answered) -> YearClosing:
    if state.step == "ended":
        return state
    if isinstance(answer.intent, Question):
        few = int(answer.figures["count"] or 0) <= MOST_YEAR_END_ACCOUNTS
        return replace(state, step="posting" if few else "blocked")
    return replace(state, step="ended" if answer.outcome == "accepted" or answer.rule in OVER else "blocked")


def react(state: YearClosing, trigger: Trigger) -> Reaction:
    if state.step == "asking":
        return Reaction((Question(YEAR_END_BALANCES, {"until": state.ends_on.isoformat()}),))
    if isinstance(trigger, Answered) and isinstance(trigger.intent, Question) and state.step == "posting":
        return Reaction((PostYearEnd(state.period, _transactions(trigger)),))
    if isinstance(trigger, Answered) and state.step == "blocked":
        return Reaction(attention=trigger.rule or "year_end_accounts")
    return NOTHING


def _transactions(answer: Answered) -> tuple[YearEnd, ...]:
    """One transaction a currency. The same answer makes the same ids."""
    balances = msgspec.json.decode(str(answer.figures["balances"]), type=tuple[tuple[str, str, int], ...])
    return tuple(
        YearEnd(answer.id(TRANSACTION, number), currency, tuple((account, balance) for _, account, balance in rows))
        for number, (currency, rows) in enumerate(groupby(balances, itemgetter(0)), 1)
    )


def _its_period(event: YearClosingAsked | PeriodReopened) -> tuple[str, ...]:
    return (event.period,)


MANAGER = ProcessManager(
    name="year_closing",
    state=YearClosing,
    begins={YearClosingAsked: _its_period},
    concerns={PeriodReopened: _its_period},
    evolve=evolve,
    react=react,
    due=lambda state: None,
    ends=frozenset({"ended"}),
    sends=(PostYearEnd,),
    asks=(YEAR_END_BALANCES,),
)
