"""The process manager interest_run: it credits the interest of an account, month by month, each once it is over.

A process is about one account. After the end of a month it asks for the balances of its days, which the worker reads
from a table that has passed the position of the question, and sends `CreditInterest`. What is refused is tried again,
and then an operator has to look. After an outage it does so for each month that was missed.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Literal

import msgspec
from msgspec.structs import replace

from domain.accounts.interest.accrual import ONE_DAY, DayBalance, end_of_month
from domain.accounts.interest.crediting import CreditInterest
from domain.accounts.interest.terms import InterestAgreed, InterestCredited, InterestEnded, InterestTermsChanged
from domain.accounts.transaction.state import TRANSACTION
from domain.kernel import Event, Value
from domain.process_manager import (
    NOTHING,
    Answered,
    Due,
    Happened,
    ProcessManager,
    Question,
    Reaction,
    Retried,
    Trigger,
    again,
)

DAILY_BALANCES = "daily_balances"
"""The query that it asks, with an `account` and the days `first` and `last`: the position that was read up to, and a
JSON array of `DayBalance`: the balance by value date of the first day, and of each later one on which it changed."""

Step = Literal["waiting", "asking", "crediting", "blocked", "ended"]


class Run(Value, frozen=True):
    """How far the interest of an account is credited."""

    step: Step
    account: str
    next_day: date
    last_day: date | None = None
    refused: int = 0  # times, one after the other
    next_at: datetime | None = None  # the due time

    @property
    def last(self) -> date:
        """The last day of the next crediting."""
        month = end_of_month(self.next_day)
        return month if self.last_day is None else min(month, self.last_day)


def _waiting(run: Run) -> Run:
    """Wait for the end of the month, if there is something left to credit."""
    if run.last_day is not None and run.next_day > run.last_day:
        return replace(run, step="ended", next_at=None)
    over = datetime.combine(run.last + ONE_DAY, time(), UTC)
    return replace(run, step="waiting", refused=0, next_at=over)


def evolve(state: Run | None, trigger: Trigger) -> Run:
    if isinstance(trigger, Happened) and state is None:
        match trigger.event:
            case InterestAgreed() as begun:
                return _waiting(Run("waiting", begun.account, begun.rate.from_day))
            case InterestTermsChanged() as begun:
                return _waiting(Run("waiting", begun.account, begun.next_day, begun.last_day))
    if state is None:
        raise ValueError(f"{type(trigger).__name__} begins no interest of an account")
    match trigger:
        case Happened():
            return _happened(state, trigger.event)
        case Due() if state.step == "waiting":
            return replace(state, step="asking", next_at=None)
        case Retried() if state.step == "blocked":
            return replace(state, step="asking", next_at=None)
        case Answered(intent=Question() as question):
            answers = state.step == "asking" and question == _question(state)
            return replace(state, step="crediting") if answers else state
        case Answered() if state.step == "crediting" and trigger.outcome == "refused":
            refused = state.refused + 1
            next_at = again(refused, trigger.at)
            if next_at is None:
                return replace(state, step="blocked", refused=0)
            return replace(state, step="waiting", refused=refused, next_at=next_at)
    return state


def _happened(state: Run, event: Event) -> Run:
    match event:
        case InterestCredited():
            return _waiting(replace(state, next_day=event.last + ONE_DAY))
        case InterestEnded():
            return _waiting(replace(state, last_day=event.last_day))
    return state  # other terms: the next question and command are as before


def react(state: Run, trigger: Trigger) -> Reaction:
    match trigger:
        case Due() | Retried() if state.step == "asking":
            return Reaction((_question(state),))
        case Answered(intent=Question(), figures=figures) if state.step == "crediting":
            credit = CreditInterest(
                account=state.account,
                transaction=trigger.id(TRANSACTION),
                first=state.next_day,
                last=state.last,
                balances=msgspec.json.decode(str(figures["balances"]), type=tuple[DayBalance, ...]),
                position=int(figures["position"] or 0),
            )
            return Reaction((credit,))
        case Answered() if state.step == "blocked":
            return Reaction(attention=trigger.rule)
    return NOTHING


def _question(state: Run) -> Question:
    days = {"first": state.next_day.isoformat(), "last": state.last.isoformat()}
    return Question(DAILY_BALANCES, {"account": state.account, **days})


def _its_account(event: Event) -> tuple[str, ...]:
    return (event.originator_id,)


MANAGER = ProcessManager(
    name="interest_run",
    state=Run,
    begins={InterestAgreed: _its_account, InterestTermsChanged: _its_account},
    concerns={InterestCredited: _its_account, InterestEnded: _its_account},
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(CreditInterest,),
    asks=(DAILY_BALANCES,),
)
