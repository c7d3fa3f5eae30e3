"""Dry runs in the executor: validated like a command, without an effect on anything."""

from __future__ import annotations

import psycopg

from domain.accounts.account.lifecycle import FreezeAccount
from eventstore.log.answers import Outcome
from tests.support.ledger import assert_sound, deposit, executor_on, ledger_on, submission, withdrawal
from tests.support.postgres import Database


def test_a_command_behind_a_dry_run_does_not_see_it(database: Database) -> None:
    """All of them are in one group or in the next."""
    with ledger_on(database) as ledger:
        account = ledger.account(100)
        answers = ledger.executor.execute(
            [
                submission(withdrawal(account, 100), dry_run=True),
                submission(withdrawal(account, 60)),
                submission(withdrawal(account, 60), dry_run=True),
                submission(withdrawal(account, 40)),
            ]
        )
        assert [answer.outcome.name for answer in answers] == ["ACCEPTED", "ACCEPTED", "REFUSED", "ACCEPTED"]
        assert answers[0].result["balances"][account]["balance"] == "0.00"
        assert answers[2].result["available"] == "0.40", "it sees the commands before it"
        assert (answers[0].first_position, answers[2].last_position) == (None, None)
    with psycopg.connect(database.url) as connection:
        assert connection.execute("SELECT count(*) FROM log.commands WHERE rule IS NOT NULL").fetchone() == (0,)
    assert_sound(database)


def test_the_same_key_in_one_group_is_free_for_the_command(database: Database) -> None:
    with ledger_on(database) as ledger:
        account = ledger.account()
        command = deposit(account, 1)
        answers = ledger.executor.execute(
            [
                submission(command, key="k", dry_run=True),
                submission(command, key="k"),
                submission(command, key="k", dry_run=True),
            ]
        )
        assert [answer.outcome for answer in answers] == [Outcome.ACCEPTED] * 3
        assert answers[1].last_position is not None
        assert not answers[1].replayed
        again = ledger.executor.execute([submission(command, key="k", dry_run=True)])[0]
        assert (again.replayed, again.last_position) == (True, answers[1].last_position)


def test_a_stale_state_is_decided_again(database: Database) -> None:
    """Another process froze the account: the cached state would promise what cannot be."""
    with ledger_on(database) as ledger, executor_on(database) as other:
        account = ledger.account(100)
        frozen = other.execute([submission(FreezeAccount(account, "why"))])[0]
        assert frozen.outcome is Outcome.ACCEPTED
        answer = ledger.executor.execute([submission(withdrawal(account, 1), dry_run=True)])[0]
        assert (answer.outcome, answer.rule) == (Outcome.REFUSED, "account_frozen")
