"""Recurring payments under faults: a worker is killed after each of its commands, and each run happens once."""

from __future__ import annotations

from datetime import timedelta

from domain.accounts.recurring import CreateRecurringPayment, Schedule
from domain.registry import MANAGERS
from tests.faults.test_processes import Killed, doubles, killed_after
from tests.support.ledger import TODAY, assert_sound, balances
from tests.support.postgres import Database
from tests.support.processes import processes_on, settle
from workers.processes.worker import sender

RUNS = 3
COMMANDS = 2 * RUNS
"""So many commands carry out all runs: for each one the reaction to its due time, and the run."""


def test_killed_between_any_two_steps(database18: Database) -> None:
    with processes_on(database18, MANAGERS) as processes:
        ledger, executed = processes.ledger, 0
        processes.clock.forward(timedelta(days=RUNS))  # all runs are due
        while True:
            payer, payee = ledger.account(RUNS), ledger.account()
            payment = f"recur_{payee.removeprefix('acct_')}"
            schedule = Schedule("days", 1, TODAY, runs=RUNS)
            ledger.accepted(CreateRecurringPayment(payment, payer, payee, 1, "EUR", schedule))
            processes.wait_until_folded()
            killed = False
            try:
                settle(processes.worker(killed_after(sender(ledger.executor), executed)))
            except Killed:
                killed = True
                processes.wait_until_folded()
                settle(processes.worker())
            assert processes.of(payment).status == "done"
            assert (balances(database18)[payer], balances(database18)[payee]) == (0, RUNS)
            if not killed:
                break
            executed += 1
        assert executed == COMMANDS + 1, "killed before the first command, and after each of them"
        assert processes.verify().ok
    assert_sound(database18)
    assert doubles(database18) == []
