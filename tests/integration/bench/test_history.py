"""A loaded history equals one written by the service, and the service goes on from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from bench.harness import history, oracle
from bench.harness.history import BLOCK_ACCOUNTS, BLOCK_EVENTS
from bench.harness.ledger import CURRENCY, LOG, codec_of, running_ledger, submission, transfers
from bench.harness.server import Database
from bench.harness.tables import begin_read_tables
from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.account.state import ACCOUNT
from domain.accounts.numbers import account_number
from eventstore.executor.snapshots import is_due
from eventstore.postgres.connect import connect
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.support import postgres
from workers.clock_and_ids import new_id
from workers.verify import verify

BLOCKS = 5
"""Enough commands for a snapshot of the cash account."""

# Sealed names and data keys are random, and the service has another clock.
EVENTS = """
SELECT position, unit_end, stream, version, type, encoding, metadata,
       CASE type WHEN 'account.opened.v1' THEN convert_from(payload, 'UTF8')::jsonb - 'name'
                 ELSE to_jsonb(convert_from(payload, 'UTF8')) END
  FROM log.events ORDER BY log, position
"""
COMMANDS = """
SELECT actor, key, request_hash, outcome, status, rule, result, decided_position, first_position, last_position, origin
  FROM log.commands ORDER BY log, decided_position
"""
SUBJECTS = "SELECT subject, octet_length(sealed_key), erased_at FROM log.subject_keys ORDER BY subject"
HEAD = "SELECT log, name, epoch, position FROM log.logs"
SNAPSHOTS = "SELECT stream, shape FROM log.snapshots ORDER BY stream"


@pytest.fixture
def other18(postgres18: postgres.Server) -> Iterator[postgres.Database]:
    with postgres18.database() as fresh:
        yield fresh


def random() -> Random:
    return Random(1)


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with connect(database.url, application_name="test") as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_loaded_history_equals_one_written_by_the_service(
    database18: postgres.Database, other18: postgres.Database
) -> None:
    loaded, served = (Database(it.name, it.url) for it in (database18, other18))
    blocks = list(history.submissions(BLOCKS, [], random()))
    history.write(loaded, blocks)
    with running_ledger(served) as ledger:
        for _, block in blocks:
            ledger.execute(block)
    for query in (EVENTS, COMMANDS, SUBJECTS, HEAD, SNAPSHOTS):
        assert rows(loaded, query) == rows(served, query)
    kept = [version for (version,) in rows(loaded, "SELECT version FROM log.snapshots")]
    assert kept
    assert all(is_due(version - 1, version) for version in kept), "the snapshots that were due, not the newest states"


def test_the_service_goes_on_from_it(database18: postgres.Database) -> None:
    database = Database(database18.name, database18.url)
    choose = random()
    loaded = history.load(database, BLOCKS, choose)
    assert loaded.events == BLOCKS * BLOCK_EVENTS + 2
    assert len(loaded.accounts) == BLOCKS * BLOCK_ACCOUNTS
    account, today = new_id(ACCOUNT), datetime.now(UTC).date()
    with running_ledger(database) as ledger:
        ((number,),) = rows(database, "SELECT nextval('log.numbers')")
        ledger.execute(
            [
                submission(
                    OpenAccount(
                        account,
                        account_number("checking", number),
                        "checking",
                        CURRENCY,
                        "somebody",
                        "Some Body",
                        0,
                        None,
                        today,
                    )
                )
            ]
        )
        ledger.execute(transfers(loaded.accounts, 200, choose))
        assert ledger.executor.statistics.conflicts == 0
    oracle.check(database.url, loaded.commands + 201)
    begin_read_tables(database, LOG)
    with connect(database.projector_url, application_name="test") as connection:
        codec = codec_of(database, connection, 1)
        Runner(connection, LOG, codec, PROJECTIONS).run_to_head()
    with connect(database.audit_url, application_name="test") as connection:
        report = verify(connection, LOG, codec_of(database, connection, 1))
    assert report.ok, report
    assert report.head == loaded.events + 2 + 600


def test_a_log_that_is_not_empty_is_refused(database18: postgres.Database) -> None:
    database = Database(database18.name, database18.url)
    history.load(database, 1, random())
    with pytest.raises(ValueError, match="events already"):
        history.load(database, 1, random())
