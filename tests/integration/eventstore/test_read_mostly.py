"""Streams that many commands read and that may not exist: what they cost, and that they are never out of date."""

from __future__ import annotations

import psycopg
import pytest

from domain import registry
from domain.accounts.posting_policy import POSTING_POLICY, ChangePostingPolicy
from domain.accounts.transaction import TRANSACTION, Transfer
from eventstore.log.answers import Outcome
from eventstore.log.append import AppendBatch, Appender
from eventstore.postgres.connect import connect
from tests.integration.eventstore.test_costs import round_trips, traced_executor
from tests.support.ledger import OPENED, Ledger, assert_sound, executor_on, ledger_on, new_id, submission, transfer
from tests.support.postgres import Database
from workers.policies import create_policies


def dated(ledger: Ledger, source: str, target: str) -> Transfer:
    """A transfer with an old value date."""
    return Transfer(new_id(TRANSACTION), source, target, 1, "EUR", OPENED)


@pytest.mark.parametrize("created", [False, True], ids=["without the policy", "with the policy"])
def test_a_cached_policy_costs_no_round_trip(
    database: Database, monkeypatch: pytest.MonkeyPatch, created: bool
) -> None:
    monkeypatch.setattr("eventstore.executor.executor.NOTIFY_SECONDS", float("inf"))
    with ledger_on(database) as ledger:
        one, two = ledger.account(1_000), ledger.account(1_000)
        if created:
            ledger.accepted(ChangePostingPolicy(10_000))
        with traced_executor(database) as (executor, traced, _):

            def trips() -> dict[str, int]:
                traced.message()
                executor.execute([submission(transfer(one, two, 1)), submission(transfer(two, one, 1))])
                return round_trips(traced.message())

            assert trips() == {"append": 1, "load": 1, "moved": 0, "all": 2}
            assert trips() == {"append": 1, "load": 0, "moved": 0, "all": 1}


def test_a_group_probes_the_policy_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command reads it, and the append gets it as one stream."""
    sent: list[list[str]] = []
    send = Appender.send

    def noted(appender: Appender, batch: AppendBatch) -> None:
        sent.append(list(batch.index))
        send(appender, batch)

    monkeypatch.setattr(Appender, "send", noted)
    with ledger_on(database) as ledger:
        one, two = ledger.account(1_000), ledger.account(1_000)
        sent.clear()
        ledger.executor.execute([submission(transfer(one, two, 1)) for _ in range(50)])
    assert sum(streams.count(POSTING_POLICY) for streams in sent) == len(sent)


def test_a_policy_that_another_process_creates_decides_at_once(database: Database) -> None:
    """The cached absence is version 0: the append finds version 2, and the posting is decided again."""
    with ledger_on(database) as ledger, executor_on(database) as other:
        one, two = ledger.account(1_000), ledger.account(1_000)
        ledger.accepted(dated(ledger, one, two))
        answer = other.execute([submission(ChangePostingPolicy(30))])[0]
        assert answer.outcome is Outcome.ACCEPTED
        refused = ledger.execute(dated(ledger, one, two))
        assert (refused.outcome, refused.rule) == (Outcome.REFUSED, "value_date_too_old")
        assert ledger.executor.statistics.conflicts == 1
        assert other.execute([submission(ChangePostingPolicy(None))])[0].outcome is Outcome.ACCEPTED
        ledger.accepted(dated(ledger, one, two))
    assert_sound(database)


def test_a_change_in_the_same_group_decides_about_the_postings_behind_it(database: Database) -> None:
    with ledger_on(database) as ledger:
        one, two = ledger.account(1_000), ledger.account(1_000)
        commands = [dated(ledger, one, two), ChangePostingPolicy(30), dated(ledger, one, two), transfer(one, two, 1)]
        answers = ledger.executor.execute([submission(command) for command in commands])
        assert [answer.outcome.name for answer in answers] == ["ACCEPTED", "ACCEPTED", "REFUSED", "ACCEPTED"]
    assert_sound(database)


def test_other_streams_that_do_not_exist_are_not_cached(database: Database) -> None:
    """A client could ask for any number of accounts, and push the real ones out of the cache."""
    with ledger_on(database, cache_limit=3) as ledger:
        account = ledger.account(1_000)
        for number in range(10):
            ledger.execute(transfer(account, f"acct_missing_{number}", 1))
        cached = ledger.executor._states._cache
        assert account in cached._known
        assert POSTING_POLICY in cached._known


def test_migrate_creates_the_policies_once_in_each_log_of_daybook(database: Database) -> None:
    with connect(database.url, application_name="test") as owner:
        for name in ("main", "second", "library:main:dogschool"):
            owner.execute("SELECT log.create_log(%s)", (name,))
        for _ in range(2):
            create_policies(owner)
        rows = owner.execute("SELECT log, stream, version FROM log.events_as_json ORDER BY log, position").fetchall()
    assert rows == [(log, event.originator_id, 1) for log in ("main", "second") for event in registry.POLICIES]
    with ledger_on(database) as ledger:
        with psycopg.connect(database.url) as connection:
            stored = connection.execute(
                "SELECT type, payload, stream, version FROM log.events WHERE log = 1 AND stream = %s", (POSTING_POLICY,)
            ).fetchone()
        assert stored is not None
        assert ledger.codec.decode(*stored) == registry.POLICIES[0]
        one, two = ledger.account(1_000), ledger.account(1_000)
        ledger.accepted(ChangePostingPolicy(30))
        assert ledger.execute(dated(ledger, one, two)).rule == "value_date_too_old"
    assert_sound(database)
