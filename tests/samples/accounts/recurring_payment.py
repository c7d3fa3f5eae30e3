"""Samples of recurring payments."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.owners import AddOwner, RemoveOwner
from domain.accounts.account.state import Account
from domain.accounts.recurring import (
    RECURRING,
    CancelRecurringPayment,
    ChangeRecurringAmount,
    CreateRecurringPayment,
    PauseRecurringPayment,
    RecurringPayment,
    ResumeRecurringPayment,
    RunRecurringPayment,
    Schedule,
)
from domain.accounts.recurring.schedule import MOST_RUNS
from domain.codes import MOST_PAIRS
from domain.kernel import Principal
from domain.money import MAX_AMOUNT
from tests.samples.accounts.account import CURRENCIES, with_balance
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import NOW, TODAY, By, MemoryLedger, by_person, opening

RUNNER = Principal("process:recurring_payments", ("command", "process"), "process")
"""The process manager that carries out the runs."""

# Requests

LATER = "2027-01-31"
RENT = {
    "amount": "8.50",
    "currency": "EUR",
    "every": 1,
    "unit": "months",
    "first_on": LATER,
    "day": 31,
    "day_rule": "modified_following",
    "last_on": "2030-01-31",
    "runs": 24,
    "reference": "rent-7",
    "description": "Rent",
    "metadata": {"k_symbol": "SIPO"},
}


def creation(world: World) -> dict[str, Any]:
    return {**RENT, "payer": with_balance(world, "100.00"), "payee": with_balance(world)}


def one(world: World) -> str:
    """A payment that is due later."""
    id: str = world.do("recurring-payments", creation(world))["payment"]
    return id


def paused(world: World) -> str:
    """A payment that is paused."""
    payment = one(world)
    world.do(f"recurring-payments/{payment}/pause", {})
    return payment


ROUTES = {
    "/v1/recurring-payments": lambda world: Request({}, creation(world)),
    "/v1/recurring-payments/{payment}/amount": lambda world: Request(
        {"payment": one(world)}, {"amount": "9.00", "currency": "EUR"}
    ),
    "/v1/recurring-payments/{payment}/pause": lambda world: Request({"payment": one(world)}, {}),
    "/v1/recurring-payments/{payment}/resume": lambda world: Request({"payment": paused(world)}, {}),
    "/v1/recurring-payments/{payment}/cancel": lambda world: Request({"payment": one(world)}, {}),
}

# Rules

PAYS, GETS = opening(account="acct_a", minimum=None), opening(account="acct_b", minimum=None)
GIVEN = (PAYS, GETS)
TOMORROW = TODAY + timedelta(days=1)
OWNER, STAFF = by_person("prsn_owner", "customer"), Principal("tester", ("operator",))


def daily(first_on: date = TODAY, every: int = 1, **more: Any) -> Schedule:
    return Schedule("days", every, first_on, **more)


def create(
    schedule: Schedule | None = None, *, payment: str = "recur_1", payee: str = "acct_b", amount: int = 100, **more: Any
) -> CreateRecurringPayment:
    return CreateRecurringPayment(payment, "acct_a", payee, amount, "EUR", schedule or daily(), **more)


def run(number: int = 1, at: datetime | None = None) -> By:
    return By(RUNNER, RunRecurringPayment("recur_1", number), at)


PAUSE, RESUME = PauseRecurringPayment("recur_1"), ResumeRecurringPayment("recur_1")
RULES = {
    "recurring_exists": RuleSample(
        given=(*GIVEN, create()),
        broken=create(),
        sentence="Recurring payment recur_1 exists already.",
        kept=(create(payment="recur_2"),),
    ),
    "same_account": RuleSample(
        given=GIVEN,
        broken=create(payee="acct_a"),
        sentence="A transfer needs two different accounts; both are acct_a.",
        kept=(create(),),
    ),
    "recurring_amount": RuleSample(
        given=GIVEN,
        broken=create(amount=0),
        sentence="A recurring payment is for 0.01 to 9999999999999.99 EUR; this one is for 0.00.",
        kept=(create(amount=1), ChangeRecurringAmount("recur_1", MAX_AMOUNT, "EUR")),
    ),
    "recurring_amount_unchanged": RuleSample(
        given=(*GIVEN, create()),
        broken=ChangeRecurringAmount("recur_1", 100, "EUR"),
        sentence="Recurring payment recur_1 is for 1.00 EUR already.",
        kept=(ChangeRecurringAmount("recur_1", 101, "EUR"),),
    ),
    "recurring_status": RuleSample(
        given=(*GIVEN, create()),
        broken=RESUME,
        sentence="Recurring payment recur_1 is active; only one that is paused or suspended can be resumed.",
        kept=(PAUSE, RESUME),
    ),
    "recurring_over": RuleSample(
        given=(*GIVEN, create(daily(last_on=TODAY)), PAUSE),
        broken=By(STAFF, RESUME, NOW + timedelta(days=1)),
        sentence=("Recurring payment recur_1 has no due date from today, 2026-11-22, on; it cannot be resumed."),
        kept=(By(STAFF, RESUME, NOW + timedelta(hours=11)),),
    ),
    "recurring_period": RuleSample(
        given=GIVEN,
        broken=create(Schedule("months", 121, TODAY)),
        sentence="A payment recurs every 1 to 120 months; this one would every 121.",
        kept=(create(Schedule("months", 120, TODAY)), create(daily(every=366), payment="recur_2")),
    ),
    "recurring_day": RuleSample(
        given=GIVEN,
        broken=create(Schedule("months", 1, date(2026, 12, 30), 31)),
        sentence=(
            "The first due date, 2026-12-30, is not day 31 of its month. A day is 1 to 31, only for a period in "
            "months, and a shorter month has its last day instead."
        ),
        kept=(create(Schedule("months", 1, date(2026, 11, 30), 31)),),
    ),
    "recurring_start": RuleSample(
        given=GIVEN,
        broken=create(daily(TODAY - timedelta(days=1))),
        sentence="The payment would be due first on 2026-11-20; the first date is 2026-11-21 to 2036-11-28.",
        kept=(create(), create(daily(TODAY + timedelta(days=3_660)), payment="recur_2")),
    ),
    "recurring_end": RuleSample(
        given=GIVEN,
        broken=create(daily(TOMORROW, last_on=TODAY)),
        sentence="The payment would end on 2026-11-21, before its first due date, 2026-11-22.",
        kept=(create(daily(TOMORROW, last_on=TOMORROW)),),
    ),
    "recurring_runs": RuleSample(
        given=GIVEN,
        broken=create(daily(runs=0)),
        sentence="A payment has 1 to 10000 runs, or no number of them; this one would have 0.",
        kept=(create(daily(runs=1)), create(daily(runs=MOST_RUNS), payment="recur_2")),
    ),
    "recurring_not_due": RuleSample(
        given=(*GIVEN, create(daily(TOMORROW))),
        broken=run(),
        sentence=(
            "Run 1 of recurring payment recur_1 is due at 2026-11-22T00:00:00+00:00; it is 2026-11-21T12:00:00+00:00."
        ),
        kept=(run(at=datetime(2026, 11, 22, tzinfo=UTC)),),
    ),
    "recurring_not_next": RuleSample(
        given=(*GIVEN, create(), run()),
        broken=run(),
        sentence="Run 1 of recurring payment recur_1 is not the next one, which is 2.",
        kept=(run(2, NOW + timedelta(days=1)),),
    ),
    "recurring_not_permitted": RuleSample(
        given=(
            *GIVEN,
            AddOwner("acct_a", "prsn_owner"),
            By(OWNER, create()),
            RemoveOwner("acct_a", "prsn_owner"),
        ),
        broken=run(),
        sentence=(
            "prsn_owner, who set recurring payment recur_1 going, may not take 1.00 EUR from account acct_a any more."
        ),
        kept=(AddOwner("acct_a", "prsn_owner"), run()),
    ),
    "not_a_code": no_code("reference", create(reference="for rent"), create(reference="rent"), given=GIVEN),
    "metadata_pairs": RuleSample(
        given=GIVEN,
        broken=create(metadata={f"key-{number}": "1" for number in range(MOST_PAIRS + 1)}),
        sentence="The metadata has 21 pairs; the most is 20.",
        kept=(create(metadata={f"key-{number}": "1" for number in range(MOST_PAIRS)}),),
    ),
}

# A life

FEW = 4
"""Payments that go on at the same time."""


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Payments are made every day, stop when there is no money, and are changed by their owners."""
    going = [one for one in ledger.of(RecurringPayment) if one.status in ("active", "paused", "suspended")]
    if len(going) < FEW:
        return _creates(ledger, chance)
    payment, choice = chance.choice(going), chance.random()
    if payment.status != "active":
        return ResumeRecurringPayment(payment.id) if choice < 0.7 else CancelRecurringPayment(payment.id)
    if choice < 0.8:
        due_at = payment.due_at or NOW
        ledger.context = replace(ledger.context, decided_at=max(ledger.context.decided_at, due_at))
        return By(RUNNER, RunRecurringPayment(payment.id, payment.number))
    if choice < 0.9:
        return ChangeRecurringAmount(payment.id, chance.randint(1, 9_999), payment.currency)
    return PauseRecurringPayment(payment.id) if choice < 0.97 else CancelRecurringPayment(payment.id)


def _creates(ledger: MemoryLedger, chance: Random) -> Any:
    currency, today = chance.choice(CURRENCIES), ledger.context.today
    accounts = [
        one.profile.id for one in ledger.of(Account) if one.profile.currency == currency and not one.profile.internal
    ]
    if len(accounts) < 2:
        return opening(account=ledger.new_id("acct"), currency=currency)
    payer, payee = chance.sample(accounts, 2)
    schedule = chance.choice(
        (
            Schedule("days", 1, today, runs=chance.choice((None, 3))),
            Schedule("days", 1, today, day_rule="following", last_on=today + timedelta(days=chance.randint(0, 5))),
            Schedule("months", 1, today, today.day, "modified_following"),
        )
    )
    described = "rent\tMay" if chance.random() < 0.5 else None
    metadata = {"k_symbol": "SIPO"} if chance.random() < 0.5 else {}
    id, amount = ledger.new_id(RECURRING), chance.randint(1, 999)
    return CreateRecurringPayment(id, payer, payee, amount, currency, schedule, "rent-7", described, metadata)


# Events as they were stored

EVENTS: tuple[StoredEvent, ...] = (
    StoredEvent(
        type="recurring_payment.created.v1",
        stream="recur_0000000000000000000000019e",
        version=1,
        payload='{"amount":445,"by_customer":false,"currency":"EUR","description":"2.A6lg0G2BvfBVB5wOXaafJjtnpCOs5HRcnh8QiQi4-9cwZeaT","due_on":"2027-02-23","initiator":null,"metadata":{"k_symbol":"SIPO"},"payee":"acct_0000000000000000000000003e","payer":"acct_000000000000000000000000v7","reference":"rent-7","schedule":{"day":22,"day_rule":"modified_following","every":1,"first_on":"2027-02-22","last_on":null,"runs":null,"unit":"months"},"subject":"owner-1"}',
        means={
            "payer": "acct_000000000000000000000000v7",
            "payee": "acct_0000000000000000000000003e",
            "amount": 445,
            "currency": "EUR",
            "schedule": {
                "unit": "months",
                "every": 1,
                "first_on": "2027-02-22",
                "day": 22,
                "day_rule": "modified_following",
                "last_on": None,
                "runs": None,
            },
            "due_on": "2027-02-23",
            "reference": "rent-7",
            "metadata": {"k_symbol": "SIPO"},
            "subject": "owner-1",
            "description": "rent\tMay",
            "initiator": None,
            "by_customer": False,
        },
    ),
    StoredEvent(
        type="recurring_payment.struck.v1",
        stream="recur_0000000000000000000000005s",
        version=2,
        payload='{"due_on":"2026-11-21","number":1,"retry_at":"2026-11-21T14:00:01Z","rule":"below_minimum","strikes":1}',
        means={
            "number": 1,
            "due_on": "2026-11-21",
            "strikes": 1,
            "rule": "below_minimum",
            "retry_at": "2026-11-21T14:00:01Z",
        },
    ),
    StoredEvent(
        type="recurring_payment.paused.v1", stream="recur_0000000000000000000000007x", version=3, payload="{}", means={}
    ),
    StoredEvent(
        type="recurring_payment.resumed.v1",
        stream="recur_0000000000000000000000007x",
        version=4,
        payload='{"by_customer":false,"due_on":"2026-11-25","initiator":null,"number":5,"skipped":4}',
        means={"number": 5, "due_on": "2026-11-25", "skipped": 4, "initiator": None, "by_customer": False},
    ),
    StoredEvent(
        type="recurring_payment.run.v1",
        stream="recur_00000000000000000000000089",
        version=3,
        payload='{"due_on":"2026-11-25","next_on":"2026-12-21","number":1,"transaction":"txn_725rhmwj8da1mvbm7rvvd4tms0"}',
        means={
            "number": 1,
            "due_on": "2026-11-25",
            "transaction": "txn_725rhmwj8da1mvbm7rvvd4tms0",
            "next_on": "2026-12-21",
        },
    ),
    StoredEvent(
        type="recurring_payment.suspended.v1",
        stream="recur_0000000000000000000000004h",
        version=5,
        payload='{"number":1,"rule":"account_frozen"}',
        means={"number": 1, "rule": "account_frozen"},
    ),
    StoredEvent(
        type="recurring_payment.amount_changed.v1",
        stream="recur_00000000000000000000000089",
        version=5,
        payload='{"amount":4634,"by_customer":false,"currency":"JPY","initiator":null}',
        means={"amount": 4634, "currency": "JPY", "initiator": None, "by_customer": False},
    ),
    StoredEvent(
        type="recurring_payment.cancelled.v1",
        stream="recur_0000000000000000000000007x",
        version=6,
        payload="{}",
        means={},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
