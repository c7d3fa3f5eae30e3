"""A year of recurring payments on a real log, by a clock that the test moves: each due run happens once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from typing import Any

import psycopg
import pytest

from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.accounts.recurring import (
    CreateRecurringPayment,
    PauseRecurringPayment,
    ResumeRecurringPayment,
    Schedule,
)
from domain.registry import MANAGERS
from eventstore.executor.executor import Executor
from eventstore.postgres.connect import connect
from tests.support.ledger import assert_sound, balances, codec_of, executor_on
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle
from workers.verify import verify

MOMENT, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)
MONTHS, ENDS = range(1, 13), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""The months of 2028, and the last day of each."""


@pytest.fixture
def processes(database18: Database) -> Iterator[Processes]:
    """Processes of all managers."""
    with processes_on(database18, MANAGERS) as made:
        yield made
        made.wait_until_folded()
        with (
            connect(database18.audit_url, application_name="verify") as auditor,
            connect(database18.audit_url, application_name="verify-keys") as keys,
        ):
            report = verify(auditor, "main", codec_of(keys, 1))
        assert report.ok, report
        assert_sound(database18)


def pays(processes: Processes, schedule: Schedule, amount: int = 1, balance: int = 1_000) -> tuple[str, str, str]:
    """A payment between two new accounts: its id, and theirs."""
    ledger = processes.ledger
    payer, payee = ledger.account(balance), ledger.account()
    payment = f"recur_{payee.removeprefix('acct_')}"
    ledger.accepted(CreateRecurringPayment(payment, payer, payee, amount, "EUR", schedule, description="Rent"))
    processes.wait_until_folded()
    return payment, payer, payee


def runs(processes: Processes, payment: str) -> list[Any]:
    """Number, due date, transaction and rule of each run of a payment, from the read table."""
    processes.wait_until_folded()
    with psycopg.connect(processes.ledger.database.url) as connection:
        return connection.execute(
            "SELECT number, due_on, transaction, rule FROM read.recurring_runs WHERE payment = %s ORDER BY position",
            (payment,),
        ).fetchall()


def transactions(processes: Processes, payment: str) -> list[Any]:
    """The transactions that name the payment, from the read table."""
    with psycopg.connect(processes.ledger.database.url) as connection:
        found = connection.execute(
            "SELECT transaction, value_date, relation, description FROM read.transactions WHERE parent = %s"
            " ORDER BY position",
            (payment,),
        )
        return found.fetchall()


def together(processes: Processes, other: Executor) -> None:
    """Two new workers do everything that is due, at the same time."""
    workers = [processes.worker(), processes.worker(executor=other)]
    threads = [Thread(target=settle, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_year_with_a_leap_day_and_an_outage_of_three_days(processes: Processes, database18: Database) -> None:
    """Two workers, which are replaced each month, and which are away from the leap day on, for three days."""
    monthly, _, rent = pays(processes, Schedule("months", 1, date(2028, 1, 31), runs=12))
    daily, _, coffee = pays(processes, Schedule("days", 1, date(2028, 2, 27), last_on=date(2028, 3, 5)))
    days = [date(2028, 2, 27) + number * DAY for number in range(8)]
    with executor_on(database18) as other:
        for month, day in zip(MONTHS, ENDS, strict=True):
            due = datetime(2028, month, day, tzinfo=UTC)
            if month == 2:
                processes.clock.now = datetime(2028, 2, 28, tzinfo=UTC)
                together(processes, other)
                assert [due_on for _, due_on, *_ in runs(processes, daily)] == days[:2]
                processes.clock.now = due + 3 * DAY - MOMENT  # at the end of 2 March
                together(processes, other)
                assert [due_on for _, due_on, *_ in runs(processes, daily)] == days[:5]
                continue
            processes.clock.now = due - MOMENT
            together(processes, other)
            assert len(runs(processes, monthly)) == month - 1
            processes.clock.forward(MOMENT)
            together(processes, other)
    made = runs(processes, monthly)
    assert [(number, due_on) for number, due_on, *_ in made] == [
        (month, date(2028, month, day)) for month, day in zip(MONTHS, ENDS, strict=True)
    ]
    paid = transactions(processes, monthly)
    assert [id for id, *_ in paid] == [id for _, _, id, _ in made]
    assert {(relation, description) for _, _, relation, description in paid} == {("recurring", "Rent")}
    assert [due_on for _, due_on, *_ in runs(processes, daily)] == days
    values = [value_date for _, value_date, *_ in transactions(processes, daily)]
    assert values == [*[date(2028, 2, 28)] * 2, *[date(2028, 3, 2)] * 3, *[date(2028, 3, 30)] * 3], "when they are made"
    assert (balances(database18)[rent], balances(database18)[coffee]) == (12, len(days))
    assert {one.status for one in processes.all()} == {"done"}


def test_strikes_a_suspension_and_a_resumption(processes: Processes) -> None:
    payment, payer, payee = pays(processes, Schedule("days", 1, processes.clock().date()), balance=3)
    processes.ledger.accepted(FreezeAccount(payer, "under review"))
    processes.wait_until_folded()
    worker = processes.worker()
    settle(worker)
    for pause in (2 * HOUR, 4 * HOUR):
        waiting = processes.of(payment)
        assert (waiting.status, waiting.due_at) == ("waiting", processes.clock.now + pause)
        processes.clock.forward(pause - MOMENT)
        assert settle(worker) == 0
        processes.clock.forward(MOMENT)
        settle(worker)
    stopped = processes.of(payment)
    assert (stopped.status, stopped.step, stopped.due_at) == ("waiting", "stopped", None)
    assert [(number, rule) for number, _, _, rule in runs(processes, payment)] == [(1, "account_frozen")] * 3
    processes.ledger.accepted(UnfreezeAccount(payer, "reviewed"))
    processes.ledger.accepted(ResumeRecurringPayment(payment))
    processes.wait_until_folded()
    processes.clock.forward(DAY)
    settle(worker)
    assert [(number, rule) for number, _, _, rule in runs(processes, payment)][3:] == [(2, None)]
    assert balances(processes.ledger.database)[payee] == 1


def test_a_paused_payment_does_not_run(processes: Processes) -> None:
    payment, *_ = pays(processes, Schedule("days", 1, processes.clock().date()))
    processes.ledger.accepted(PauseRecurringPayment(payment))
    processes.wait_until_folded()
    processes.clock.forward(3 * DAY)
    assert settle(processes.worker()) == 0
    assert runs(processes, payment) == []
