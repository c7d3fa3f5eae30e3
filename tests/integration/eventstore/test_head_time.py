"""If the time of the head is far ahead of the clock, nothing is appended, and the answer gives the reason."""

from __future__ import annotations

import psycopg
import pytest

from eventstore.executor.reply_sinks import UnavailableError
from eventstore.log.answers import Outcome
from eventstore.log.head_time import HeadTimeError
from tests.integration.workers.running import daybook, environment
from tests.support.ledger import deposit, ledger_on
from tests.support.postgres import Database

AS_BEFORE = "UPDATE log.logs SET recorded_at = (SELECT max(recorded_at) FROM log.events)"


def far_ahead(connection: psycopg.Connection[object]) -> None:
    """Set the head to 2099, as a wrong clock or the owner could do."""
    connection.execute("ALTER TABLE log.logs DROP CONSTRAINT head_time_near_the_clock")
    connection.execute("UPDATE log.logs SET recorded_at = '2099-01-01'")
    connection.execute(
        "ALTER TABLE log.logs ADD CONSTRAINT head_time_near_the_clock"
        " CHECK (recorded_at < clock_timestamp() + interval '1 day') NOT VALID"
    )


def test_a_running_executor_appends_nothing_until_the_time_is_right(database: Database) -> None:
    with ledger_on(database) as ledger, psycopg.connect(database.url, autocommit=True) as owner:
        account = ledger.account(100)
        before = owner.execute("SELECT count(*), max(recorded_at) FROM log.events").fetchone()
        far_ahead(owner)
        with pytest.raises(UnavailableError, match="more than 1 day ahead of the database's clock; set the clock"):
            ledger.execute(deposit(account, 1))
        assert owner.execute("SELECT count(*), max(recorded_at) FROM log.events").fetchone() == before
        owner.execute(AS_BEFORE)
        assert ledger.execute(deposit(account, 1)).outcome is Outcome.ACCEPTED


def test_an_executor_does_not_start(database18: Database) -> None:
    with ledger_on(database18), psycopg.connect(database18.url, autocommit=True) as owner:
        far_ahead(owner)
    why = r"last append to log main is of 2099-01-01 00:00 UTC, .*set the clock"
    with pytest.raises(HeadTimeError, match=why), ledger_on(database18):
        pass
    done = daybook("serve", env=environment(database18, DAYBOOK_AUTH="off"))
    assert done.returncode != 0
    assert "is of 2099-01-01 00:00 UTC" in done.stderr.replace("\n", " ")


def test_the_constraint_prevents_a_head_far_ahead(database18: Database) -> None:
    with ledger_on(database18), psycopg.connect(database18.url, autocommit=True) as owner:
        owner.execute("UPDATE log.logs SET recorded_at = now() + interval '23 hours'")  # as with another time zone
        with pytest.raises(psycopg.errors.CheckViolation):
            owner.execute("UPDATE log.logs SET recorded_at = '2099-01-01'")
