"""Transfer orders on a real log: workers that are killed at each step, two workers, and races of the ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import psycopg
import pytest

from domain.accounts.account.lifecycle import FreezeAccount
from domain.accounts.allocation import Fee
from domain.accounts.fee_schedule import DefineFeeSchedule
from domain.accounts.transfer_order import (
    TRANSFER_ORDER,
    CancelTransferOrder,
    ExecuteTransferOrder,
    SubmitTransferOrder,
    Sum,
)
from domain.process_manager import BACK_OFF
from domain.registry import MANAGERS
from eventstore.executor.decided_commands import Submission
from eventstore.postgres.connect import connect
from tests.samples.accounts.transfer_order import RUNNER
from tests.support.ledger import assert_sound, balances, codec_of, executed, executor_on, new_id
from tests.support.memory_ledger import PRINCIPAL, By
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on, settle
from workers.processes.worker import Send, sender
from workers.verify import verify

MOMENT, HOUR = timedelta(microseconds=1), timedelta(hours=1)
BALANCE, AMOUNT, FEE = 1_000, 300, 5
ROUNDS = 8


class KilledError(Exception):
    """The worker is killed."""


@pytest.fixture
def processes(database18: Database) -> Iterator[Processes]:
    """Processes of all managers. At the end the log is verified."""
    with processes_on(database18, MANAGERS) as made:
        made.ledger.accepted(DefineFeeSchedule("wire", "EUR", Fee(FEE), role="cash"))
        yield made
        made.wait_until_folded()
        with (
            connect(database18.audit_url, application_name="verify") as auditor,
            connect(database18.audit_url, application_name="verify-keys") as keys,
        ):
            report = verify(auditor, "main", codec_of(keys, 1))
        assert report.ok, report
        assert_sound(database18)


def ordered(processes: Processes, **more: Any) -> tuple[str, str, str]:
    """An order between two new accounts: its id, and theirs."""
    ledger = processes.ledger
    source, target, order = ledger.account(BALANCE, owner="owner-1"), ledger.account(), new_id(TRANSFER_ORDER)
    ledger.accepted(
        SubmitTransferOrder(
            order, source, target, Sum(AMOUNT, "EUR"), fee_schedule="wire", notify=True, description="Rent", **more
        )
    )
    processes.wait_until_folded()
    return order, source, target


def row(processes: Processes, order: str) -> Any:
    """Status and tries of an order, and what its hold has, from the read tables."""
    processes.wait_until_folded()
    with psycopg.connect(processes.ledger.database.url) as connection:
        return connection.execute(
            "SELECT o.status, o.tries, o.rule, h.status, h.captured FROM read.transfer_orders o"
            " JOIN read.holds h ON h.hold = o.transfer_order WHERE o.transfer_order = %s",
            (order,),
        ).fetchone()


def mails(processes: Processes) -> list[Any]:
    """The templates of the mails, by person."""
    processes.wait_until_folded()
    with psycopg.connect(processes.ledger.database.url) as connection:
        return connection.execute("SELECT person, template FROM read.mails ORDER BY position").fetchall()


def available(processes: Processes, account: str) -> tuple[int, int]:
    """Balance and what is reserved, from the read table."""
    processes.wait_until_folded()
    with psycopg.connect(processes.ledger.database.url) as connection:
        found = connection.execute("SELECT balance, reserved FROM read.accounts WHERE account = %s", (account,))
        row = found.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def dies(send: Send, at: int, *, before: bool) -> Send:
    """Kill the worker at its submission with this number, before or after the log has it."""
    sent = 0

    def sending(submissions: Sequence[Submission]) -> Any:
        nonlocal sent
        answers: list[Any] = []
        for one in submissions:
            sent += 1
            if sent == at and before:
                raise KilledError
            answers.extend(send([one]))
            if sent == at:
                raise KilledError
        return answers

    return sending


@pytest.mark.parametrize("before", [True, False], ids=["before the log has it", "after the log has it"])
@pytest.mark.parametrize("step", [1, 2, 3, 4], ids=["reaction", "execution", "reaction to the end", "mail"])
def test_a_worker_that_is_killed_at_a_step_is_followed_by_another_one(
    processes: Processes, step: int, before: bool
) -> None:
    """The steps are the submissions of the worker: two reactions, the execution, and the mail."""
    order, source, target = ordered(processes)
    doomed = processes.worker(dies(sender(processes.ledger.executor), step, before=before))
    with pytest.raises(KilledError):
        settle(doomed)
    processes.wait_until_folded()
    settle(processes.worker())
    assert row(processes, order) == ("executed", 0, None, "captured", AMOUNT + FEE)
    assert available(processes, source) == (BALANCE - AMOUNT - FEE, 0)
    assert balances(processes.ledger.database).get(target, 0) == AMOUNT
    assert mails(processes) == [("owner-1", "transfer_executed")]
    assert processes.of(order).status == "done"


def test_two_workers_at_once_execute_each_order_once(processes: Processes, database18: Database) -> None:
    orders = [ordered(processes) for _ in range(ROUNDS)]
    with executor_on(database18) as other:
        workers = [processes.worker(), processes.worker(executor=other)]
        threads = [Thread(target=settle, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        settle(processes.worker())
    for order, source, target in orders:
        assert row(processes, order)[0] == "executed"
        assert available(processes, source) == (BALANCE - AMOUNT - FEE, 0)
        assert balances(database18).get(target, 0) == AMOUNT
    assert len(mails(processes)) == ROUNDS


@pytest.mark.parametrize("expires", [False, True], ids=["cancel", "cancel and expiry"])
def test_ends_that_race_end_the_order_once(processes: Processes, database18: Database, expires: bool) -> None:
    """Two processes of the service: one executes or lets expire, one cancels."""
    ends = processes.clock.now + HOUR
    with executor_on(database18) as other:
        for _ in range(ROUNDS):
            order, source, target = ordered(processes, expires_at=ends)
            start = Barrier(2)
            at = ends if expires else ends - MOMENT

            def run(executor: Any, command: Any, start: Barrier = start) -> None:
                start.wait()
                executed(executor, command)

            threads = [
                Thread(target=run, args=(processes.ledger.executor, By(RUNNER, ExecuteTransferOrder(order), at))),
                Thread(target=run, args=(other, By(PRINCIPAL, CancelTransferOrder(order)))),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            status, _, _, hold, captured = row(processes, order)
            moved = status == "executed"
            assert status in ({"cancelled", "expired"} if expires else {"cancelled", "executed"})
            assert (hold, captured) == (("captured", AMOUNT + FEE) if moved else ("released", 0))
            assert available(processes, source) == (BALANCE - (AMOUNT + FEE) * moved, 0)
            assert balances(database18).get(target, 0) == AMOUNT * moved


def test_an_order_that_keeps_being_refused_fails_and_releases_its_hold(processes: Processes) -> None:
    order, source, target = ordered(processes)
    processes.ledger.accepted(FreezeAccount(target, "under review"))
    processes.wait_until_folded()
    worker = processes.worker()
    settle(worker)
    for tries, pause in enumerate(BACK_OFF, 1):
        assert row(processes, order) == ("waiting", tries, "account_frozen", "open", 0)
        processes.clock.forward(pause - MOMENT)
        assert settle(worker) == 0
        processes.clock.forward(MOMENT)
        settle(worker)
    assert row(processes, order) == ("failed", len(BACK_OFF) + 1, "account_frozen", "released", 0)
    assert available(processes, source) == (BALANCE, 0)
    assert mails(processes) == [("owner-1", "transfer_not_executed")]
    with psycopg.connect(processes.ledger.database.url) as connection:
        found = connection.execute("SELECT outcome, rule FROM read.transfer_order_tries ORDER BY position").fetchall()
    assert found == [("refused", "account_frozen")] * (len(BACK_OFF) + 1)
