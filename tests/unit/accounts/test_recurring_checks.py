"""What `verify` finds in the stored events of recurring payments and of the calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.business_calendar import CALENDAR, CREATED, WEEKDAYS, CalendarChanged, CalendarCreated
from domain.accounts.recurring import CreateRecurringPayment, PauseRecurringPayment, RunRecurringPayment, Schedule
from domain.accounts.recurring.state import (
    RecurringAmountChanged,
    RecurringPaymentCancelled,
    RecurringPaymentCreated,
    RecurringPaymentPaused,
    RecurringPaymentResumed,
    RecurringPaymentStruck,
    RecurringPaymentSuspended,
)
from domain.kernel import Accepted, Event
from tests.samples.accounts.recurring_payment import RUNNER
from tests.support.bank import FUNDED, A, B, bank
from tests.support.checking import broken
from tests.support.memory_ledger import NOW, TODAY, By, MemoryLedger

RENT = "recur_rent"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DAILY = Schedule("days", 1, TODAY)
CREATION = RecurringPaymentCreated(RENT, 1, A, B, 100, "EUR", DAILY, TODAY, None, {}, None, None, None, False)


def begun(amount: int = 100, schedule: Schedule = DAILY) -> MemoryLedger:
    ledger = bank()
    ledger.accepted(CreateRecurringPayment(RENT, A, B, amount, "EUR", schedule))
    return ledger


def found(ledger: MemoryLedger, *unit: Event, at: datetime = NOW) -> list[str]:
    """What is wrong with these events if they follow in one unit. Their versions are made right."""
    versions: dict[str, int] = {}
    numbered = []
    for event in unit:
        stream = event.originator_id
        before: Any = ledger.states.get(stream)
        versions[stream] = versions.get(stream, before.version if before else 0) + 1
        numbered.append(replace(event, originator_version=versions[stream]))
    return [what for _, what in broken(ledger.states, numbered, replace(ledger.decided, decided_at=at))]


def says(what: list[str], part: str | None) -> bool:
    """Whether one thing is found, which has this part; nothing without one."""
    return what == [] if part is None else len(what) == 1 and part in what[0]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, None),
        ({"payee": A}, "to itself"),
        ({"amount": 0}, "this one is for 0.00"),
        ({"currency": "XXX"}, "no currency"),
        ({"due_on": TODAY + DAY}, "not what its schedule says"),
        ({"schedule": replace(DAILY, every=0)}, "every 0"),
        ({"schedule": replace(DAILY, first_on=TODAY - DAY)}, "first on"),
        ({"schedule": replace(DAILY, day_rule="following")}, "not what its schedule says"),
    ],
)
def test_a_payment_is_created_as_a_decision_does(changes: Any, part: str | None) -> None:
    assert says(found(bank(), replace(CREATION, **changes)), part)


def test_a_payment_is_created_once() -> None:
    assert "created again" in found(begun(), CREATION)[0]


def run_of(ledger: MemoryLedger, at: datetime = NOW) -> tuple[Event, ...]:
    """The events of the next run."""
    ledger.context = replace(ledger.context, decided_at=at, principal=RUNNER)
    decision = ledger.decide(RunRecurringPayment(RENT, ledger[RENT].number))
    assert isinstance(decision, Accepted)
    return decision.events


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, []),
        ({"number": 2}, ["has the transaction", "is due next", "run 1 of"]),
        ({"due_on": TODAY + DAY}, ["run 1 of"]),
        ({"next_on": TODAY + 2 * DAY}, ["is due next on"]),
        ({"next_on": None}, ["is due next on"]),
        ({"transaction": "txn_0"}, ["has the transaction", "which its unit does not make"]),
    ],
)
def test_a_run_is_the_next_one_with_its_transaction(changes: Any, parts: list[str]) -> None:
    ledger = begun()
    run, *others = run_of(ledger)
    what = found(ledger, replace(run, **changes), *others)
    assert [part for part, one in zip(parts, what, strict=True) if part not in one] == []


def test_a_run_has_the_amount_of_the_payment() -> None:
    ledger = begun()
    events = run_of(ledger)
    ledger.record([RecurringAmountChanged(RENT, 2, 101, "EUR", None, False)])
    assert says(found(ledger, *events), "not with this amount")


def test_a_run_is_not_too_early_and_not_of_a_payment_that_is_paused() -> None:
    ledger = begun()
    run, *others = run_of(ledger)
    midnight = datetime(2026, 11, 21, tzinfo=UTC)
    assert found(ledger, run, *others, at=midnight) == []
    early = found(ledger, run, at=midnight - timedelta(microseconds=1))
    assert any("is due at" in one for one in early)
    ledger.accepted(PauseRecurringPayment(RENT))
    assert says(found(ledger, run, *others), "is paused, and has a run")


STRUCK = RecurringPaymentStruck(RENT, 0, 1, TODAY, 1, "below_minimum", NOW + 2 * HOUR)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, None),
        ({"strikes": 2, "retry_at": NOW + 4 * HOUR}, "strike 2"),
        ({"retry_at": NOW + 3 * HOUR}, "strike 1"),
        ({"number": 2}, "run 1 of"),
    ],
)
def test_a_strike_counts_on_and_waits_as_long_as_it_has_to(changes: Any, part: str | None) -> None:
    assert says(found(begun(), replace(STRUCK, **changes)), part)


def test_a_strike_pays_nothing() -> None:
    ledger = begun()
    _, *others = run_of(ledger)
    assert says(found(ledger, STRUCK, *others), "its unit makes its transaction")


def test_the_third_strike_suspends_and_no_other_one() -> None:
    suspended = RecurringPaymentSuspended(RENT, 0, 1, "below_minimum")
    assert found(begun(), STRUCK, suspended) != []
    ledger = begun(FUNDED + 1)
    third = NOW + 6 * HOUR
    for at in (NOW, NOW + 2 * HOUR):
        ledger.refused(By(RUNNER, RunRecurringPayment(RENT, 1), at))
    last = replace(STRUCK, strikes=3, retry_at=None)
    assert found(ledger, last, suspended, at=third) == []
    assert says(found(ledger, last, at=third), "is not given up")
    assert says(found(ledger, last, replace(suspended, number=2), at=third), "run 2 is given up")


@pytest.mark.parametrize(
    ("paused", "event", "part"),
    [
        (False, RecurringPaymentPaused(RENT, 0), None),
        (True, RecurringPaymentPaused(RENT, 0), "only one that is active"),
        (True, RecurringPaymentResumed(RENT, 0, 1, TODAY, 0, None, False), None),
        (True, RecurringPaymentResumed(RENT, 0, 2, TODAY + DAY, 1, None, False), "not the next one"),
        (True, RecurringPaymentResumed(RENT, 0, 1, TODAY, 1, None, False), "not the next one"),
        (False, RecurringPaymentResumed(RENT, 0, 1, TODAY, 0, None, False), "only one that is paused"),
        (False, RecurringAmountChanged(RENT, 0, 101, "EUR", None, False), None),
        (False, RecurringAmountChanged(RENT, 0, 100, "EUR", None, False), "to what it was"),
        (False, RecurringAmountChanged(RENT, 0, 101, "USD", None, False), "its amount in USD"),
        (False, RecurringAmountChanged(RENT, 0, 0, "EUR", None, False), "this one is for 0.00"),
        (True, RecurringPaymentCancelled(RENT, 0), None),
    ],
)
def test_it_changes_only_from_the_right_status(paused: bool, event: Event, part: str | None) -> None:
    ledger = begun()
    if paused:
        ledger.accepted(PauseRecurringPayment(RENT))
    assert says(found(ledger, event), part)


def test_nothing_happens_after_it_was_cancelled() -> None:
    cancelled = RecurringPaymentCancelled(RENT, 0)
    for event in (cancelled, RecurringAmountChanged(RENT, 0, 101, "EUR", None, False)):
        assert says(found(begun(), cancelled, event), "is cancelled; only one")


HOLIDAYS = (date(2026, 12, 24), date(2026, 12, 25))


@pytest.mark.parametrize(
    ("weekend", "holidays", "part"),
    [
        (("sunday",), HOLIDAYS, None),
        (("saturday", "sunday"), (), "to what it was"),
        (("sunday", "saturday"), (), "not in order"),
        (("sunday",), (*HOLIDAYS, HOLIDAYS[0]), "not in order"),
        (WEEKDAYS, (), "at least one business day"),
    ],
)
def test_a_calendar_changes_within_its_bounds(weekend: Any, holidays: Any, part: str | None) -> None:
    ledger = MemoryLedger()
    ledger.record([CREATED])
    assert says(found(ledger, CalendarChanged(CALENDAR, 0, weekend, holidays)), part)


def test_a_calendar_is_created_once_and_first() -> None:
    ledger = MemoryLedger()
    assert found(ledger, CREATED) == []
    assert says(found(ledger, CalendarChanged(CALENDAR, 0, (), ())), "before it is created")
    ledger.record([CREATED])
    assert says(found(ledger, CalendarCreated(CALENDAR, 0, (), ())), "created again")
