"""Refusals on the log: each is the last event of its unit, with the facts that it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from domain import registry
from domain.accounts.account.events import AccountFrozen
from domain.accounts.account.state import Account
from domain.kernel import Context, Decision, Refused, Value
from eventstore.log.answers import Answer, Outcome
from tests.support.ledger import CASH, Ledger, assert_sound, deposit, ledger_on, submission, withdrawal
from tests.support.postgres import Database


class TryPin(Value, frozen=True):
    """A command whose refusal leaves a fact: the account is frozen."""

    account: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


def decide(command: Any, states: Mapping[str, Any], context: Context) -> Decision:
    if not isinstance(command, TryPin):
        return registry.decide(command, states, context)
    account: Account = states[command.account]
    if account.status != "open":
        return Refused("account_frozen", {"account": command.account})
    frozen = AccountFrozen(command.account, account.version + 1, account.profile.owner, "too many attempts")
    return Refused("account_not_frozen", {"account": command.account}, events=(frozen,))


@contextmanager
def ledger_that_locks(database: Database) -> Iterator[Ledger]:
    with ledger_on(database) as ledger:
        ledger.executor._groups._decide = decide
        yield ledger


def events_of(database: Database, answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    """Type and payload of the events of an answer's unit."""
    with psycopg.connect(database.url) as connection:
        return connection.execute(
            "SELECT type, payload FROM log.events_as_json WHERE position BETWEEN %s AND %s AND unit_end = %s"
            " ORDER BY position",
            (answer.first_position, answer.last_position, answer.last_position),
        ).fetchall()


def test_a_refusal_is_an_event_with_actor_key_command_rule_and_figures(database: Database) -> None:
    with ledger_on(database) as ledger:
        account = ledger.account(100)
        answer = ledger.execute(withdrawal(account, 101), key="too-much")
        assert answer.outcome is Outcome.REFUSED
        assert (answer.first_position, answer.decided_position) == (answer.last_position, answer.last_position - 1)  # type: ignore[operator]
        [(type, payload)] = events_of(database, answer)
        assert type == "command.refused.v1"
        assert payload == {
            "actor": "tester",
            "key": "too-much",
            "command": "Withdraw",
            "rule": "below_minimum",
            "figures": dict(answer.result),
        }
        again = ledger.execute(withdrawal(account, 101), key="too-much")
        assert (again.replayed, again.last_position, again.result) == (True, answer.last_position, answer.result)
        with psycopg.connect(database.url) as connection:
            assert connection.execute("SELECT position FROM log.logs").fetchone() == (answer.last_position,)
    assert_sound(database)


def test_a_failed_expectation_is_a_refusal_too(database: Database) -> None:
    with ledger_on(database) as ledger:
        account = ledger.account()
        answer = ledger.execute(deposit(account, 1), expected={account: 7})
        assert answer.outcome is Outcome.EXPECTATION_FAILED
        [(type, payload)] = events_of(database, answer)
        assert (type, payload["rule"]) == ("command.refused.v1", "expectation_failed")
        assert payload["figures"] == {"actual": {account: 1}, "expected": {account: 7}}


@pytest.mark.parametrize("behind", [False, True])
def test_the_facts_of_a_refusal_are_in_its_unit_and_decide_what_follows(database: Database, behind: bool) -> None:
    """Commands behind it, in its group or in the next one, are decided on the facts."""
    with ledger_that_locks(database) as ledger:
        account = ledger.account(100)
        commands = [
            submission(TryPin(account), key="pin"),
            submission(withdrawal(account, 1)),
            submission(TryPin(account)),
        ]
        if behind:
            refused, frozen, second = ledger.executor.execute(commands)
        else:
            refused, frozen, second = (ledger.executor.execute([command])[0] for command in commands)
        assert [answer.rule for answer in (refused, frozen, second)] == [
            "account_not_frozen",
            "account_frozen",
            "account_frozen",
        ]
        assert [type for type, _ in events_of(database, refused)] == ["account.frozen.v1", "command.refused.v1"]
        assert [type for type, _ in events_of(database, second)] == ["command.refused.v1"]
        again = ledger.execute(TryPin(account), key="pin")
        assert (again.rule, again.replayed) == ("account_not_frozen", True)
    assert_sound(database)


def test_a_failed_expectation_leaves_no_facts(database: Database) -> None:
    with ledger_that_locks(database) as ledger:
        account = ledger.account()
        answer = ledger.execute(TryPin(account), expected={account: 9})
        assert answer.outcome is Outcome.EXPECTATION_FAILED
        assert [type for type, _ in events_of(database, answer)] == ["command.refused.v1"]
        ledger.accepted(deposit(account, 1))


def test_a_refusal_on_a_busy_internal_account_does_not_wait_for_its_version(database: Database) -> None:
    """A refused deposit reads the cash account as commuting, also now that it appends."""
    with ledger_on(database) as ledger:
        account, other = ledger.account(maximum=100), ledger.account()
        answers = ledger.executor.execute(
            [submission(deposit(other, 1)), submission(deposit(account, 101)), submission(deposit(other, 1))]
        )
        assert [answer.outcome.name for answer in answers] == ["ACCEPTED", "REFUSED", "ACCEPTED"]
        assert ledger.executor.statistics.conflicts == 0
        assert CASH not in answers[1].result
    assert_sound(database)
