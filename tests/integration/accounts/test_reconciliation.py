"""Reconciliation on a database: the rules, races for one entry, workers that die, the summary, what `verify` finds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.posting import internal_account
from domain.accounts.reconciliation.session import OpenReconciliation
from domain.accounts.reconciliation.statement import RECONCILIATION, Statement, StatementLine
from domain.accounts.transaction import TRANSACTION, Deposit
from domain.registry import MANAGERS
from eventstore.postgres.connect import connect
from projections.accounts.reconciliations.sessions import ReconciliationRow, reconciliation
from projections.accounts.reconciliations.statement_lines import statement_lines
from projections.accounts.reconciliations.summary import Summary, summary, unmatched_entries
from tests.support.ledger import TODAY, assert_sound, codec_of, new_id
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle
from workers.verify import verify

CASH = internal_account("main", "cash", "EUR")


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


def deposit(processes: Processes, account: str, amount: int, reference: str | None = None, days: int = 0) -> str:
    """Deposit an amount, with a value date of so many days ago. Returns the transaction."""
    id = new_id(TRANSACTION)
    processes.ledger.accepted(Deposit(id, account, amount, "EUR", TODAY - timedelta(days=days), reference))
    return id


def line(amount: int, *references: str, days: int = 0) -> StatementLine:
    day = TODAY - timedelta(days=days)
    return StatementLine(day, day, amount, references, None, "Ada Lovelace", "for the engine")


def brought(account: str, *lines: StatementLine, opening: int = 0, **more: Any) -> OpenReconciliation:
    total = sum(one.amount for one in lines)
    id = new_id(RECONCILIATION)
    made = Statement(f"S-{id[-6:]}", "EUR", TODAY - timedelta(days=30), TODAY, opening, opening + total, lines)
    return replace(OpenReconciliation(id, account, made, False, 3), **more)


def read(processes: Processes, id: str) -> tuple[ReconciliationRow, Summary, dict[int, str]]:
    """A session, its summary, and the state or rule of each line."""
    processes.wait_until_folded()
    connection = processes.reading()
    row = reconciliation(connection, id)
    assert row is not None
    lines = statement_lines(connection, id, row.ambiguous).items
    return row, summary(connection, row), {one.number: one.rule or one.state for one in lines}


def test_lines_are_matched_by_the_rules_and_the_difference_is_explained(processes: Processes) -> None:
    account = processes.ledger.account()
    for amount, reference, days in (
        (1_000, "INV-1", 0),
        (700, "INV-2", 1),
        (300, "INV-2", 2),
        (55, None, 6),
        (99, None, 3),
        (99, None, 3),
        (5, "LATE", 0),
        (7, None, 40),
    ):
        deposit(processes, account, amount, reference, days)
    opened = brought(
        account, line(1_000, "INV-1"), line(1_000, "INV-2"), line(55, days=3), line(99, days=2), line(11, "X")
    )
    processes.ledger.accepted(opened)
    processes.wait_until_folded()
    settle(processes.worker())
    row, found, lines = read(processes, opened.reconciliation)
    assert lines == {1: "reference", 2: "reference_sum", 3: "amount_date", 4: "ambiguous", 5: "unmatched"}
    assert (row.status, row.running, row.ambiguous) == ("open", False, [4])
    assert (found.matched_lines.count, found.unmatched_lines.count, found.ambiguous_lines) == (3, 2, 1)
    assert (found.matched_entries.count, found.unmatched_entries.count) == (4, 3)
    assert found.unmatched_entries.amount == 99 + 99 + 5
    assert found.difference == sum(found.explained.values())
    left = unmatched_entries(processes.reading(), row).items
    assert [one.amount for one in left] == [99, 99, 5]
    assert [one.status for one in processes.all()] == ["done"]
