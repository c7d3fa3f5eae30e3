"""Reconciliation on a database: the rules, races for one entry, workers that die, the summary, what `verify` finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from threading import Barrier
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.posting import internal_account
from domain.accounts.reconciliation.events import EntryName
from domain.accounts.reconciliation.match import MOST_MATCHES, MatchByHand, UndoMatch
from domain.accounts.reconciliation.session import CloseReconciliation, OpenReconciliation
from domain.accounts.reconciliation.statement import MATCH, PART_LINES, RECONCILIATION, Statement, StatementLine
from domain.accounts.transaction import TRANSACTION, Deposit
from domain.registry import MANAGERS
from eventstore.executor.decided_commands import Submission
from eventstore.executor.executor import Executor
from eventstore.log.answers import Outcome
from eventstore.postgres.connect import connect
from projections.accounts.reconciliations.matches import matches
from projections.accounts.reconciliations.sessions import ReconciliationRow, reconciliation
from projections.accounts.reconciliations.statement_lines import statement_lines
from projections.accounts.reconciliations.summary import Summary, summary, unmatched_entries
from tests.support.ledger import TODAY, assert_sound, codec_of, executor_on, new_id, submission
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle
from workers.erasure import erase_subject
from workers.processes.worker import sender
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


class DiedError(Exception):
    """The worker is gone."""


def test_workers_that_die_match_a_large_statement_once(processes: Processes) -> None:
    """Three commands are needed, and after each second answer the worker dies before it learns of it."""
    ledger = processes.ledger
    account = ledger.account()
    many = 2 * MOST_MATCHES + PART_LINES
    deposits = [Deposit(new_id(TRANSACTION), account, 1, "EUR", TODAY, f"R-{n}") for n in range(many)]
    for first in range(0, many, PART_LINES):
        ledger.executor.execute([submission(one) for one in deposits[first : first + PART_LINES]])
    opened = brought(account, *(line(1, f"R-{n}") for n in range(many)))
    ledger.accepted(opened)
    processes.wait_until_folded()
    deliver, sent, died = sender(ledger.executor), 0, 0

    def dies_after(submissions: Sequence[Submission]) -> Any:
        nonlocal sent
        sent += 1
        answers = deliver(submissions)
        if sent % 2 == 0:
            raise DiedError
        return answers

    for _ in range(many):
        try:
            settle(processes.worker(dies_after))
            break
        except DiedError:
            died += 1
            processes.wait_until_folded()
    assert died > 2
    row, found, _ = read(processes, opened.reconciliation)
    assert (row.running, found.matched_lines.count, found.unmatched_lines.count) == (False, many, 0)
    made = matches(processes.reading(), opened.reconciliation, limit=1_000).items
    references = {one.transaction: one.reference for one in deposits}
    assert len(made) == many
    for one in made:
        assert (one.rule, references[one.entries[0].transaction]) == ("reference", f"R-{one.lines[0] - 1}")
    assert [one.status for one in processes.all()] == ["done"]


def test_of_two_sessions_and_two_people_that_race_for_an_entry_one_wins(processes: Processes) -> None:
    """Two executors, as of two processes: each decides on what it has read, and one finds that the entry is taken."""
    ledger = processes.ledger
    account = ledger.account()
    won = []
    with executor_on(ledger.database) as other:
        for turn in range(8):
            transaction = deposit(processes, account, 500 + turn)
            sessions = [brought(account, line(500 + turn), opening=n) for n in range(2)]
            for session in sessions:
                ledger.accepted(session)
            commands = [
                MatchByHand(session.reconciliation, new_id(MATCH), (1,), (EntryName(transaction, 2),))
                for session in sessions
            ]
            barrier = Barrier(2)

            def send(executor: Executor, command: MatchByHand, barrier: Barrier = barrier) -> Any:
                barrier.wait()
                [answer] = executor.execute([submission(command)])
                return answer

            with ThreadPoolExecutor(2) as pool:
                both = list(pool.map(send, (ledger.executor, other), commands))
            outcomes = [answer.outcome for answer in both]
            assert sorted(outcomes, key=str) == sorted((Outcome.ACCEPTED, Outcome.REFUSED), key=str)
            loser = both[outcomes.index(Outcome.REFUSED)]
            winner = commands[outcomes.index(Outcome.ACCEPTED)]
            assert (loser.rule, loser.result["match"]) == ("entry_matched", winner.match)
            won.append(outcomes.index(Outcome.ACCEPTED))
    assert len(won) == 8


def test_two_processes_that_bring_the_same_statement_at_once_open_one_session(processes: Processes) -> None:
    ledger = processes.ledger
    account = ledger.account()
    with executor_on(ledger.database) as other:
        first = brought(account, line(100))
        second = replace(first, reconciliation=new_id(RECONCILIATION))
        barrier = Barrier(2)

        def send(executor: Executor, command: OpenReconciliation) -> Any:
            barrier.wait()
            [answer] = executor.execute([submission(command)])
            return answer

        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(send, (ledger.executor, other), (first, second)))
    assert sorted(str(answer.rule) for answer in both) == ["None", "statement_known"]


@pytest.mark.parametrize("seed", range(3))
def test_the_difference_of_random_books_is_explained_at_every_moment(processes: Processes, seed: int) -> None:
    """Entries and lines at random, on an account at a bank; the rules match, people match, undo and close."""
    chance, ledger = Random(seed), processes.ledger
    accounts = [CASH, ledger.account()]
    sessions: list[OpenReconciliation] = []
    for _ in range(6):
        amounts = [chance.randint(1, 4) for _ in range(chance.randint(1, 6))]
        for amount in amounts:
            reference = f"R-{chance.randint(1, 9)}" if chance.random() < 0.5 else None
            deposit(processes, accounts[1], amount, reference, chance.randint(0, 40))
        lines = [
            line(chance.randint(1, 4), *([f"R-{chance.randint(1, 9)}"] if chance.random() < 0.5 else []), days=days)
            for days in (chance.randint(0, 30) for _ in range(chance.randint(0, 6)))
        ]
        account = chance.choice(accounts)
        session = brought(account, *lines, opening=chance.randint(0, 10_000), mirrored=account == CASH)
        sessions.append(session)
        ledger.accepted(session)
        processes.wait_until_folded()
        settle(processes.worker())
        for one in sessions:
            row, found, states = read(processes, one.reconciliation)
            assert found.difference == sum(found.explained.values())
            connection = processes.reading()
            entries = unmatched_entries(connection, row, limit=1_000).items
            assert found.unmatched_entries.count == len(entries)
            assert found.unmatched_entries.amount == sum(entry.amount for entry in entries)
            free = [number for number, state in states.items() if state in ("unmatched", "ambiguous")]
            if row.status == "open" and free and entries and chance.random() < 0.5:
                number, entry = chance.choice(free), chance.choice(entries)
                difference = row.ours(one.statement.lines[number - 1].amount) - entry.amount
                name = EntryName(entry.transaction, entry.entry)
                ledger.accepted(
                    MatchByHand(row.reconciliation, new_id(MATCH), (number,), (name,), difference, "as they say")
                )
            made = [match for match in matches(connection, row.reconciliation).items if match.status == "matched"]
            if row.status == "open" and made and chance.random() < 0.3:
                ledger.accepted(UndoMatch(row.reconciliation, chance.choice(made).match, "the other one"))
            elif row.status == "open" and chance.random() < 0.1:
                ledger.accepted(CloseReconciliation(row.reconciliation, "enough"))


def test_pages_of_lines_entries_and_matches(processes: Processes) -> None:
    account = processes.ledger.account()
    for amount in range(1, 8):
        deposit(processes, account, amount, f"R-{amount}" if amount % 2 else None, amount % 3)
    opened = brought(account, *(line(amount, f"R-{amount}") for amount in (1, 3, 5, 50, 70)))
    processes.ledger.accepted(opened)
    processes.wait_until_folded()
    settle(processes.worker())
    row, _, _ = read(processes, opened.reconciliation)
    connection = processes.reading()

    def pages(read_page: Any) -> list[list[Any]]:
        found, cursor = [], None
        while True:
            page = read_page(cursor)
            found.append(list(page.items))
            cursor = page.next
            if cursor is None:
                return found

    lines = pages(lambda cursor: statement_lines(connection, row.reconciliation, [], cursor=cursor, limit=2))
    assert [[one.number for one in page] for page in lines] == [[1, 2], [3, 4], [5]]
    left = statement_lines(connection, row.reconciliation, [4], state="unmatched").items
    assert [(one.number, one.counterparty, one.text) for one in left] == [(5, "Ada Lovelace", "for the engine")]
    assert [one.number for one in statement_lines(connection, row.reconciliation, [4], state="ambiguous").items] == [4]
    entries = pages(lambda cursor: unmatched_entries(connection, row, cursor=cursor, limit=2))
    amounts = [entry.amount for page in entries for entry in page]
    assert amounts == sorted(amounts, key=lambda amount: (-(amount % 3), amount))
    assert sorted(amounts) == [2, 4, 6, 7]
    assert max(map(len, entries)) == 2
    made = pages(lambda cursor: matches(connection, row.reconciliation, cursor=cursor, limit=2))
    assert [[one.lines for one in page] for page in made] == [[(1,), (2,)], [(3,)]]


def test_erasing_the_session_erases_the_texts_of_a_statement_of_an_internal_account(processes: Processes) -> None:
    opened = brought(CASH, line(100), mirrored=True, outside_account="DE89370400440532013000")
    processes.ledger.accepted(opened)
    row, _, _ = read(processes, opened.reconciliation)
    assert row.outside_account == "DE89370400440532013000"
    with connect(processes.ledger.database.url, application_name="owner") as owner:
        erase_subject(owner, processes.ledger.log_number, opened.reconciliation, "erase-key-1")
    row, _, _ = read(processes, opened.reconciliation)
    assert (row.outside_account, row.outside_account_erased) == (None, True)
    [one] = statement_lines(processes.reading(), opened.reconciliation, []).items
    assert (one.amount, one.counterparty, one.text, one.erased) == (100, None, None, True)
