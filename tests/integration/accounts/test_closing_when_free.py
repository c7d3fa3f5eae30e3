"""Closing an account once it is free: the process waits for holds and pending transactions, and asks for attention."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from domain.accounts.account.holds import PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import CancelClosing, CloseWhenFree, FreezeAccount, UnfreezeAccount
from domain.accounts.account_closing import MANAGER
from domain.accounts.transaction import CancelPending, PendTransfer
from domain.processes.process import RetryProcess
from domain.registry import MANAGERS
from eventstore.log.answers import Outcome
from tests.support.ledger import TODAY, assert_sound, balances, new_id, transfer
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle


@pytest.fixture
def processes(database: Database) -> Iterator[Processes]:
    """All process managers. Log and read tables are verified at the end."""
    with processes_on(database, MANAGERS) as made:
        yield made
        assert made.verify().ok
        assert_sound(database)


def shown(database: Database, account: str) -> tuple[str, str | None]:
    with psycopg.connect(database.url) as connection:
        row = connection.execute(
            "SELECT status, closing_to FROM read.accounts WHERE account = %s", (account,)
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_an_account_is_closed_after_its_last_hold_and_pending_transaction(processes: Processes) -> None:
    ledger, worker, database = processes.ledger, processes.worker(), processes.ledger.database
    account, target, transaction = ledger.account(500), ledger.account(), new_id("txn")
    ledger.accepted(PlaceHold(account, "hold_1", 100, "EUR"))
    ledger.accepted(PendTransfer(transaction, account, target, 100, "EUR", TODAY))
    ledger.accepted(CloseWhenFree(account, "moves away", target))
    assert ledger.execute(transfer(account, target, 1)).outcome is Outcome.REFUSED
    processes.wait_until_folded()
    assert settle(worker) == 0
    ledger.accepted(ReleaseHold(account, "hold_1"))
    processes.wait_until_folded()
    assert settle(worker) == 0
    assert shown(database, account) == ("open", target)
    ledger.accepted(CancelPending(transaction))
    processes.wait_until_folded()
    settle(worker)
    assert processes.of(account).status == "done"
    assert shown(database, account) == ("closed", None)
    assert (balances(database)[account], balances(database)[target]) == (0, 500)


def test_a_sweep_that_is_refused_needs_attention_and_a_cancelled_closing_nothing(processes: Processes) -> None:
    ledger, worker, database = processes.ledger, processes.worker(), processes.ledger.database
    account, other, target = ledger.account(500), ledger.account(300), ledger.account()
    ledger.accepted(FreezeAccount(target, "a question"))
    ledger.accepted(CloseWhenFree(account, "moves away", target))
    ledger.accepted(PlaceHold(other, "hold_1", 100, "EUR"))
    ledger.accepted(CloseWhenFree(other, "moves away", target))
    ledger.accepted(CancelClosing(other, "stays"))
    ledger.accepted(ReleaseHold(other, "hold_1"))
    processes.wait_until_folded()
    settle(worker)
    by_stream = {one.stream: one for one in processes.all()}
    blocked = by_stream[account]
    assert (blocked.manager, blocked.status, blocked.cause) == (MANAGER.name, "attention", "account_frozen")
    assert by_stream[other].status == "done"
    assert shown(database, other) == ("open", None)
    ledger.accepted(UnfreezeAccount(target, "no question"))
    ledger.accepted(RetryProcess(blocked.process, "the account is free again"))
    processes.wait_until_folded()
    settle(worker)
    assert shown(database, account) == ("closed", None)
    assert balances(database)[target] == 500
