"""The process manager settlement_run: it settles the days of an agreement, one after the other, each once it is over.

A process is about one merchant account. When a day is over it asks for its figures, which the worker reads from tables
that have passed the position of the question, and sends `CalculateSettlement`. After an outage it does so for each day
that was missed. What is paid out is the matter of another process (`domain.accounts.settlement.payout`), so a payout
that is refused does not stop the days.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Literal

from msgspec.structs import replace

from domain.accounts.settlement.agreement import (
    ONE_DAY,
    DaySettled,
    SettlementAgreed,
    SettlementEnded,
    SettlementPaused,
    SettlementRenewed,
    SettlementResumed,
)
from domain.accounts.settlement.settlement import CalculateSettlement
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

MERCHANT_DAY = "merchant_day"
"""The query that it asks, with an `account`, its `day`, the position `after` which entries count and the day from which
on they do, `starts_on`: the position `until` which they are counted, their number, and the sums `payments` and
`refunds` in minor units."""
PAYMENT_KINDS = ("payment", "capture")
"""The kinds of transactions whose credits are payments to a merchant."""
REFUND_KINDS = ("refund", "reversal", "chargeback")
"""The kinds of transactions whose debits are refunds, if what they undo is of one of `PAYMENT_KINDS`."""
MAY_CHANGE = frozenset({"settlement_day_not_over"})
"""Rules whose refusal may change: another clock was ahead."""

Step = Literal["waiting", "asking", "calculating", "paused", "blocked", "ended"]


class Run(Value, frozen=True):
    """How far the settlement of an account is."""

    step: Step
    account: str
    starts_on: date
    day: date  # the next one to settle
    after: int = 0  # the position up to which entries are settled
    last_day: date | None = None
    refused: int = 0  # times, one after the other
    next_at: datetime | None = None  # the due time


def over(day: date) -> datetime:
    """Return the first moment after a UTC day."""
    return datetime.combine(day + ONE_DAY, time(), UTC)


def _waiting(run: Run) -> Run:
    """Wait for the end of the next day, if there is one."""
    if run.last_day is not None and run.day > run.last_day:
        return replace(run, step="ended", next_at=None)
    return replace(run, step="waiting", refused=0, next_at=over(run.day))


def evolve(state: Run | None, trigger: Trigger) -> Run:
    if isinstance(trigger, Happened):
        match trigger.event:
            case SettlementAgreed() as begun:
                return _waiting(Run("waiting", begun.account, begun.starts_on, begun.starts_on))
            case SettlementRenewed() as begun:
                return _waiting(Run("waiting", begun.account, begun.starts_on, begun.starts_on, begun.after))
            case SettlementResumed() as begun:
                return _waiting(
                    Run("waiting", begun.account, begun.starts_on, begun.next_day, begun.after, begun.last_day)
                )
    if state is None:
        raise ValueError(f"{type(trigger).__name__} begins no settlement of an account")
    match trigger:
        case Happened():
            return _happened(state, trigger.event)
        case Due() if state.step == "waiting":
            return replace(state, step="asking", next_at=None)
        case Retried() if state.step == "blocked":
            return replace(state, step="asking", refused=0, next_at=None)
        case Answered(intent=Question() as question):
            answers = state.step == "asking" and question == _question(state)
            return replace(state, step="calculating") if answers else state
        case Answered() if state.step == "calculating" and trigger.outcome == "refused":
            return _refused(state, trigger)
    return state


def _happened(state: Run, event: Event) -> Run:
    match event:
        case DaySettled():
            return _waiting(replace(state, day=event.day + ONE_DAY, after=event.until))
        case SettlementPaused():
            return replace(state, step="paused", next_at=None)
        case SettlementEnded():
            ending = replace(state, last_day=event.last_day)
            return _waiting(ending) if state.day > event.last_day else ending
    raise TypeError(f"{type(event).__name__} does not concern a settlement")


def _refused(state: Run, answer: Answered) -> Run:
    refused = state.refused + 1
    next_at = again(refused, answer.at) if answer.rule in MAY_CHANGE else None
    if next_at is None:
        return replace(state, step="blocked", refused=0)
    return replace(state, step="waiting", refused=refused, next_at=next_at)


def react(state: Run, trigger: Trigger) -> Reaction:
    match trigger:
        case Due() | Retried() if state.step == "asking":
            return Reaction((_question(state),))
        case Answered(intent=Question(), figures=figures) if state.step == "calculating":
            until, entries, payments, refunds = (
                int(figures[name] or 0) for name in ("until", "entries", "payments", "refunds")
            )
            made = CalculateSettlement(state.account, state.day, state.after, until, entries, payments, refunds)
            return Reaction((made,))
        case Answered() if state.step == "blocked":
            return Reaction(attention=trigger.rule)
    return NOTHING


def _question(state: Run) -> Question:
    arguments: dict[str, str | int] = {
        "account": state.account,
        "day": state.day.isoformat(),
        "after": state.after,
        "starts_on": state.starts_on.isoformat(),
    }
    return Question(MERCHANT_DAY, arguments)


def _its_agreement(event: Event) -> tuple[str, ...]:
    return (event.originator_id,)


MANAGER = ProcessManager(
    name="settlement_run",
    state=Run,
    begins={SettlementAgreed: _its_agreement, SettlementRenewed: _its_agreement, SettlementResumed: _its_agreement},
    concerns={
        DaySettled: _its_agreement,
        SettlementPaused: _its_agreement,
        SettlementEnded: _its_agreement,
    },
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(CalculateSettlement,),
    asks=(MERCHANT_DAY,),
)
