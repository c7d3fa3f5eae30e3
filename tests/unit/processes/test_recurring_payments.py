"""The process of a recurring payment, folded from events alone, and a year of it by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from domain.accounts.recurring import (
    CancelRecurringPayment,
    ChangeRecurringAmount,
    CreateRecurringPayment,
    PauseRecurringPayment,
    RecurringPayment,
    ResumeRecurringPayment,
    RunRecurringPayment,
    Schedule,
)
from domain.accounts.recurring.process import MANAGER
from domain.accounts.recurring.state import (
    RecurringPaymentCancelled,
    RecurringPaymentCreated,
    RecurringPaymentPaused,
    RecurringPaymentRun,
)
from domain.accounts.transaction import Deposit
from domain.kernel import Accepted, Event, Refused
from domain.process_manager import BACK_OFF, Answered, Due, Happened, Reaction, Retried
from tests.samples.accounts.recurring_payment import RUNNER
from tests.support.bank import FUNDED, A, B, bank, figures, set_clock
from tests.support.memory_ledger import NOW, TODAY, By, MemoryLedger

RENT = "recur_rent"
DAY = timedelta(days=1)
MOST_SWEEPS = 1_000


@dataclass
class Running:
    """Processes in memory: they fold the log of a ledger, and carry out their intents when they are due."""

    ledger: MemoryLedger
    read: int = 0  # events of the log that were folded
    states: dict[str, Any] = field(default_factory=dict)
    workers: int = 1  # that carry out each intent, one after the other
    answered: list[tuple[datetime, str | None]] = field(default_factory=list)

    def fold(self) -> None:
        """Fold what is new in the log."""
        for event in self.ledger.log[self.read :]:
            process = MANAGER.process_of(event)
            begins = type(event) in MANAGER.begins
            if process is not None and (begins or process in self.states):
                self._take(process, Happened(process, f"event:{self.read}", event))
            self.read += 1

    def _take(self, process: str, trigger: Any) -> Reaction:
        self.states[process] = state = MANAGER.evolve(self.states.get(process), trigger)
        return MANAGER.react(state, trigger)

    def sweep(self, now: datetime) -> bool:
        """Carry out what is due. Returns whether something was."""
        set_clock(self.ledger, now)
        self.fold()
        due = [(at, process) for process, state in self.states.items() if (at := MANAGER.due(state)) and at <= now]
        for at, process in due:
            for intent in self._take(process, Due(process, f"due:{self.read}", at)).intents:
                decisions = [self.ledger.execute_by(By(RUNNER, intent)) for _ in range(self.workers)]
                first = decisions[0]
                rule = first.rule if isinstance(first, Refused) else None
                self.answered.append((now, rule))
                self.fold()
                outcome: Any = "accepted" if isinstance(first, Accepted) else "refused"
                self._take(process, Answered(process, "answer:1:1", intent, outcome, rule, {}, now))
        return bool(due)

    def until(self, end: datetime, step: timedelta = timedelta(hours=1), *, start: datetime | None = None) -> None:
        """Sweep at every step of the clock up to a time."""
        now = start or self.ledger.context.decided_at
        while now <= end:
            sweeps = 0
            while self.sweep(now):
                sweeps += 1
                assert sweeps < MOST_SWEEPS, "it goes round and round"
            now += step

    def restarted(self) -> Running:
        """A new worker, which folds the log from its beginning."""
        return Running(self.ledger, workers=self.workers)

    @property
    def runs(self) -> list[RecurringPaymentRun]:
        return [one for one in self.ledger.log if isinstance(one, RecurringPaymentRun)]


def begun(schedule: Schedule, amount: int = 1, **more: Any) -> Running:
    running = Running(bank(), **more)
    running.ledger.accepted(CreateRecurringPayment(RENT, A, B, amount, "EUR", schedule))
    return running


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


# A year


def test_every_run_of_a_year_with_a_leap_day_happens_once_at_its_time() -> None:
    """From 31 January 2028 at the end of each month, with a new worker each time, and two that do the same."""
    running = begun(Schedule("months", 1, date(2028, 1, 31)), workers=2)
    made: list[tuple[int, str]] = []
    for month in range(1, 13):
        start, end = datetime(2028, month, 1, tzinfo=UTC), datetime(2028, month, 28, tzinfo=UTC) + 3 * DAY
        running.until(min(end, datetime(2028, 12, 31, 23, tzinfo=UTC)), start=start)
        running = running.restarted()
        running.fold()
        made = [(one.number, str(one.due_on)) for one in running.runs]
    ends = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    assert made == [(month, f"2028-{month:02}-{day}") for month, day in enumerate(ends, 1)]
    assert figures(running.ledger, B)[0] == 12
    running.ledger.check()


def test_every_day_of_a_year_has_its_run_with_an_outage_of_three_days() -> None:
    first = date(2027, 3, 1)
    running = begun(Schedule("days", 1, first))
    away = midnight(date(2028, 2, 27))
    running.until(away + timedelta(hours=1), start=midnight(first))
    assert len(running.runs) == (date(2028, 2, 27) - first).days + 1
    running = running.restarted()
    back = away + timedelta(days=3, hours=7)  # nothing ran on the 28th, on the leap day, and early on 1 March
    running.until(midnight(date(2028, 3, 2)), start=back)
    due = [one.due_on for one in running.runs]
    assert due == [first + number * DAY for number in range(len(due))]
    assert due[-1] == date(2028, 3, 2)
    assert [at for at, _ in running.answered] == [*[back] * 3, midnight(date(2028, 3, 2))]
    assert figures(running.ledger, B)[0] == len(due)


def test_business_days_of_a_year() -> None:
    """The 15th of each month of 2027; 15 May and 15 August are at a weekend."""
    running = begun(Schedule("months", 1, date(2027, 1, 15), day_rule="following", runs=12))
    running.until(midnight(date(2027, 12, 31)), DAY, start=midnight(date(2027, 1, 1)))
    days = {5: 17, 8: 16}
    assert [one.due_on for one in running.runs] == [date(2027, month, days.get(month, 15)) for month in range(1, 13)]
    [state] = running.states.values()
    assert (state.step, MANAGER.due(state)) == ("ended", None)


def test_refusals_are_tried_again_after_two_and_four_hours_and_then_it_stops() -> None:
    running = begun(Schedule("days", 1, TODAY), FUNDED + 1)
    running.until(NOW + 3 * DAY)
    hours = [(at - NOW) / timedelta(hours=1) for at, _ in running.answered]
    assert hours == [0, 2, 6]
    assert running.ledger[RENT].status == "suspended"
    [state] = running.states.values()
    assert (state.step, MANAGER.due(state)) == ("stopped", None)
    running.ledger.accepted(ChangeRecurringAmount(RENT, 1, "EUR"))
    running.ledger.accepted(ResumeRecurringPayment(RENT))
    running.until(NOW + 5 * DAY)
    made = [(one.number, one.due_on) for one in running.runs]
    assert made == [(number + 1, TODAY + number * DAY) for number in (3, 4, 5)], "from the day of the resumption on"


def test_a_success_between_refusals_lets_it_go_on() -> None:
    running = begun(Schedule("days", 1, TODAY), FUNDED + 1)
    running.until(NOW + timedelta(hours=3))
    running.ledger.accepted(Deposit("txn_more", A, 1, "EUR", TODAY))
    running.until(NOW + timedelta(hours=9))
    assert [rule for _, rule in running.answered] == ["below_minimum", "below_minimum", None]
    running.until(midnight(TODAY + DAY))
    assert running.answered[-1] == (midnight(TODAY + DAY), "below_minimum")
    assert running.ledger[RENT].strikes == 1


def test_nothing_runs_while_it_is_paused_or_after_it_was_cancelled() -> None:
    running = begun(Schedule("days", 1, TODAY))
    running.until(NOW)
    running.ledger.accepted(PauseRecurringPayment(RENT))
    running.until(NOW + 2 * DAY)
    assert len(running.runs) == 1
    running.ledger.accepted(ResumeRecurringPayment(RENT))
    running.until(NOW + 3 * DAY)
    assert [one.number for one in running.runs] == [1, 3, 4], "the run of the day of the resumption is made"
    running.ledger.accepted(CancelRecurringPayment(RENT))
    running.until(NOW + 5 * DAY)
    assert len(running.runs) == 3
    [state] = running.states.values()
    assert state.step in MANAGER.ends


# The fold

CREATED = RecurringPaymentCreated(
    RENT, 1, A, B, 1, "EUR", Schedule("days", 1, TODAY), TODAY, None, {}, None, None, None, False
)
DUE = Due("proc_1", "due:1", midnight(TODAY))
RUN = RunRecurringPayment(RENT, 1)


def state_after(*triggers: Any) -> Any:
    state = None
    for trigger in triggers:
        state = MANAGER.evolve(state, trigger)
    return state


def happened(event: Event) -> Happened:
    return Happened("proc_1", "event:1", event)


def refused(rule: str, at: datetime = NOW, intent: Any = RUN) -> Answered:
    return Answered("proc_1", "answer:1:1", intent, "refused", rule, {}, at)


def test_a_clock_that_was_ahead_is_waited_for() -> None:
    triggers: list[Any] = [happened(CREATED)]
    state, at = state_after(*triggers), NOW
    for pause in (*BACK_OFF, timedelta(0)):
        triggers += [DUE, refused("recurring_not_due", at)]
        state = state_after(*triggers)
        assert state.next_at == (at + pause if pause else None)
        at += pause
    assert state.step == "blocked"
    assert MANAGER.react(state, triggers[-1]) == Reaction(attention="recurring_not_due")
    retried = Retried("proc_1", "retry:9")
    assert MANAGER.react(state_after(*triggers, retried), retried) == Reaction((RUN,))


def test_another_refusal_without_a_strike_needs_an_operator() -> None:
    answer = refused("intent_impossible")
    state = state_after(happened(CREATED), DUE, answer)
    assert (state.step, MANAGER.due(state)) == ("blocked", None)
    assert MANAGER.react(state, answer) == Reaction(attention="intent_impossible")


@pytest.mark.parametrize(
    "before",
    [
        lambda: [happened(RecurringPaymentRun(RENT, 2, 1, TODAY, "txn_1", TODAY + DAY))],
        lambda: [happened(RecurringPaymentPaused(RENT, 2))],
        lambda: [happened(RecurringPaymentRun(RENT, 2, 1, TODAY, "txn_1", TODAY + DAY)), DUE],
    ],
    ids=["it ran", "it was paused", "the next run is on its way"],
)
def test_an_answer_that_comes_late_changes_nothing(before: Callable[[], list[Any]]) -> None:
    triggers = [happened(CREATED), DUE, *before()]
    late = refused("recurring_not_next")
    assert state_after(*triggers, late) == state_after(*triggers)
    assert MANAGER.react(state_after(*triggers, late), late).is_nothing


@pytest.mark.parametrize("event", [RecurringPaymentPaused(RENT, 2), RecurringPaymentCancelled(RENT, 2)])
def test_a_due_time_that_was_recorded_before_it_stopped_sends_nothing(event: Event) -> None:
    state = state_after(happened(CREATED), happened(event))
    assert MANAGER.evolve(state, DUE) == state
    assert MANAGER.react(state, DUE).is_nothing


def test_a_resumption_begins_the_process_again_where_an_operator_has_ended_it() -> None:
    running = begun(Schedule("days", 1, TODAY))
    running.ledger.accepted(PauseRecurringPayment(RENT))
    running.ledger.accepted(ResumeRecurringPayment(RENT))
    resumed = happened(running.ledger.log[-1])
    assert MANAGER.due(MANAGER.evolve(None, resumed)) == midnight(TODAY)
    payment: RecurringPayment = running.ledger[RENT]
    assert MANAGER.due(MANAGER.evolve(None, resumed)) == payment.due_at
