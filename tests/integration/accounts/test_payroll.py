"""Payroll runs on a database: a large run whose workers die on the way, employees who cannot be paid, the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.accounts.account.state import ACCOUNT
from domain.accounts.payroll.events import PayrollItem
from domain.accounts.payroll.part import GiveUpPayrollItem, RetryPayrollItem
from domain.accounts.payroll.paying import MOST_AT_ONCE, PART_ITEMS, PAYROLL, parts_of
from domain.accounts.payroll.run import RunPayroll, StopPayroll
from domain.accounts.transaction import TRANSACTION
from domain.process_manager import BACK_OFF
from domain.processes.process import RetryProcess
from domain.registry import MANAGERS
from eventstore.executor.decided_commands import Submission
from eventstore.log.answers import Outcome
from eventstore.postgres.connect import connect
from projections.accounts.payrolls import PayrollItemRow, PayrollRow, payroll, payroll_items
from projections.engine.listing import MOST_ROWS
from tests.support.ledger import TODAY, assert_sound, balances, codec_of, new_id, opening, submission, transfer
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle
from workers.processes.worker import sender
from workers.verify import verify

EMPLOYEES = 2_500
WAGE = 245_000
MISSING = frozenset({1, 250, 1_001, 2_500})
"""Employees whose accounts do not exist."""
FROZEN = frozenset({2, 1_100})


@pytest.fixture
def processes(database: Database) -> Iterator[Processes]:
    """All process managers. Log and read tables are verified at the end."""
    with processes_on(database, MANAGERS) as made:
        yield made
        assert made.verify().ok
        assert_sound(database)
        url = database.audit_url
        with connect(url, application_name="verify") as reading, connect(url, application_name="keys") as keys:
            report = verify(reading, "main", codec_of(keys, 1), patience_seconds=0)
        assert [finding.what for check in report.checks for finding in check.findings] == []


class DiedError(Exception):
    """The worker is gone."""


def employed(processes: Processes, count: int, missing: frozenset[int] = frozenset()) -> list[str]:
    """The accounts of so many employees, with those that do not exist."""
    accounts = [opening() for _ in range(count)]
    opened = [one for number, one in enumerate(accounts, 1) if number not in missing]
    executor = processes.ledger.executor
    for first in range(0, len(opened), PART_ITEMS):
        answers = executor.execute([submission(one) for one in opened[first : first + PART_ITEMS]])
        assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
    return [one.account for one in accounts]


def run_for(company: str, accounts: Sequence[str]) -> RunPayroll:
    items = tuple(PayrollItem(f"E-{number}", account, WAGE) for number, account in enumerate(accounts, 1))
    return RunPayroll(new_id(PAYROLL), new_id(TRANSACTION), company, "2026-11", "EUR", items, TODAY)


def read(processes: Processes, id: str) -> tuple[PayrollRow, dict[int, PayrollItemRow]]:
    """A run and its items, page by page, once they are folded."""
    processes.wait_until_folded()
    connection = processes.reading()
    row = payroll(connection, id)
    assert row is not None
    items: dict[int, PayrollItemRow] = {}
    cursor: int | None = None
    while True:
        page = payroll_items(connection, id, cursor=cursor, limit=MOST_ROWS)
        items |= {item.number: item for item in page.items}
        cursor = page.next
        if cursor is None:
            return row, items


def available(database: Database, account: str) -> int:
    with psycopg.connect(database.url) as connection:
        row = connection.execute(
            "SELECT balance - reserved FROM read.accounts WHERE account = %s", (account,)
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_large_run_is_paid_once_though_its_workers_die(processes: Processes) -> None:
    ledger, database = processes.ledger, processes.ledger.database
    accounts = employed(processes, EMPLOYEES, MISSING)
    for number in FROZEN:
        ledger.accepted(FreezeAccount(accounts[number - 1], "a question"))
    company = ledger.account(EMPLOYEES * WAGE + 1)
    run = run_for(company, accounts)
    ledger.accepted(run)
    processes.wait_until_folded()
    assert available(database, company) == 1
    assert ledger.execute(transfer(company, accounts[2], 2)).outcome is Outcome.REFUSED, "the total is held"

    deliver, sent = sender(ledger.executor), 0

    def dies_after(submissions: Sequence[Submission]) -> Any:
        """Every third time the commands are carried out, and the worker dies before it learns that."""
        nonlocal sent
        sent += 1
        answers = deliver(submissions)
        if sent % 3 == 0:
            raise DiedError
        return answers

    died = 0
    for _ in range(10 * len(parts_of(EMPLOYEES))):
        worker = processes.worker(dies_after)
        try:
            settle(worker)
            break
        except DiedError:
            died += 1
            processes.wait_until_folded()
            assert available(database, company) >= 1
    assert died > 2

    row, items = read(processes, run.payroll)
    unpaid = MISSING | FROZEN
    assert (row.status, row.items, row.total) == ("finished", EMPLOYEES, EMPLOYEES * WAGE)
    assert (row.paid_items, row.paid) == (EMPLOYEES - len(unpaid), (EMPLOYEES - len(unpaid)) * WAGE)
    assert (row.parked_items, row.parked) == (len(unpaid), len(unpaid) * WAGE)
    assert list(items) == list(range(1, EMPLOYEES + 1))
    assert {number: one.rule for number, one in items.items() if one.status == "parked"} == {
        **dict.fromkeys(MISSING, "payroll_account_missing"),
        **dict.fromkeys(FROZEN, "account_frozen"),
    }
    paid = balances(database)
    assert {paid.get(one.account, 0) for one in items.values() if one.status == "paid"} == {WAGE}
    assert {paid.get(one.account, 0) for one in items.values() if one.status == "parked"} == {0}
    assert len({one.transaction for one in items.values()} - {None}) == len(parts_of(EMPLOYEES))
    assert available(database, company) == paid[company] == len(unpaid) * WAGE + 1
    assert [one.status for one in processes.all()] == ["done"]

    ledger.accepted(UnfreezeAccount(accounts[1], "no question"))
    ledger.accepted(RetryPayrollItem(run.payroll, 2, new_id(TRANSACTION), TODAY))
    ledger.accepted(GiveUpPayrollItem(run.payroll, 1, "paid by cheque"))
    row, items = read(processes, run.payroll)
    assert (items[2].status, items[1].status) == ("paid", "given_up")
    assert (row.paid_items, row.parked_items, row.given_up_items) == (EMPLOYEES - 5, 4, 1)
    assert (row.parked, row.given_up) == (4 * WAGE, WAGE)
    assert balances(database)[accounts[1]] == WAGE


def test_a_blocked_run_goes_on_once_its_cause_is_mended_and_another_one_is_stopped(processes: Processes) -> None:
    ledger, database = processes.ledger, processes.ledger.database
    nobody = [new_id(ACCOUNT) for _ in range(MOST_AT_ONCE)]
    [employee] = employed(processes, 1)
    company = ledger.account(2 * (MOST_AT_ONCE + 1) * WAGE)
    first, second = (run_for(company, [employee, *nobody]) for _ in range(2))
    ledger.accepted(first)
    ledger.accepted(FreezeAccount(company, "a question"))
    processes.wait_until_folded()
    worker = processes.worker()
    settle(worker)
    for pause in BACK_OFF:
        processes.clock.forward(pause)
        settle(worker)
    [process] = processes.all()
    assert (process.status, process.cause) == ("attention", "account_frozen")
    ledger.accepted(UnfreezeAccount(company, "no question"))
    ledger.accepted(RetryProcess(process.process, "the account is free again"))
    ledger.accepted(second)
    ledger.accepted(StopPayroll(second.payroll, "paid twice"))
    processes.wait_until_folded()
    settle(worker)
    finished, stopped = (read(processes, run.payroll)[0] for run in (first, second))
    assert (finished.status, finished.paid_items, finished.parked_items) == ("finished", 1, MOST_AT_ONCE)
    assert (stopped.status, stopped.paid_items, stopped.parked_items) == ("stopped", 0, MOST_AT_ONCE + 1)
    assert balances(database)[employee] == WAGE
    assert available(database, company) == balances(database)[company]
    assert {one.status for one in processes.all()} == {"done"}
