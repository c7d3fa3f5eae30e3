"""The rows beside the log: two workers are kept apart, plans stay fast, and what is old is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from eventstore.postgres.connect import connect
from eventstore.webhooks.deliveries import deliveries
from eventstore.webhooks.outgoing import read
from eventstore.webhooks.positions import Attempt, Position, due_webhooks, keep_turn, next_due_webhook, read_position
from tests.integration.workers.running import daybook, environment
from tests.support.ledger import NOW, ledger_on
from tests.support.plans import Explained, probed_index
from tests.support.postgres import Database, Server

FIRST = Position(begun=1, restarted=1, position=5)


@pytest.fixture
def connection(database18: Database) -> Iterator[Connection[Any]]:
    with connect(database18.api_url, application_name="webhooks") as opened:
        yield opened


def attempt(position: int, cause: str | None = None) -> Attempt:
    return Attempt(position, NOW, 12, None if cause else 200, cause)


def test_the_first_of_two_workers_makes_the_row(connection: Connection[Any]) -> None:
    assert keep_turn(connection, 1, "whk_1", FIRST, [])
    assert not keep_turn(connection, 1, "whk_1", replace(FIRST, position=9), [])
    assert read_position(connection, 1, "whk_1") == replace(FIRST, turn=1)


def test_the_second_of_two_workers_changes_nothing_but_adds_its_attempts(connection: Connection[Any]) -> None:
    keep_turn(connection, 1, "whk_1", FIRST, [])
    one = replace(FIRST, turn=1, position=8, ahead=(10, 12), failures=2, failing_since=NOW, next_at=NOW)
    assert keep_turn(connection, 1, "whk_1", one, [attempt(8), attempt(9, "tls"), attempt(10)])
    assert not keep_turn(connection, 1, "whk_1", replace(one, position=100), [attempt(9, "too_slow")])
    assert read_position(connection, 1, "whk_1") == replace(one, turn=2)
    made = [(row.position, row.attempt, row.status, row.cause) for row in deliveries(connection, 1, "whk_1", 10)]
    assert made == [(9, 2, None, "too_slow"), (10, 1, 200, None), (9, 1, None, "tls"), (8, 1, 200, None)]


def test_a_row_is_of_one_webhook_of_one_log(connection: Connection[Any]) -> None:
    keep_turn(connection, 1, "whk_1", FIRST, [attempt(5)])
    keep_turn(connection, 2, "whk_1", replace(FIRST, position=7), [attempt(5)])
    assert read_position(connection, 1, "whk_2") is None
    assert read_position(connection, 2, "whk_1") == replace(FIRST, position=7, turn=1)
    assert [row.attempt for row in deliveries(connection, 2, "whk_1", 10)] == [1]


def test_what_is_due(connection: Connection[Any]) -> None:
    later = NOW + timedelta(hours=1)
    keep_turn(connection, 1, "whk_done", replace(FIRST, position=10), [])
    keep_turn(connection, 1, "whk_behind", FIRST, [])
    keep_turn(connection, 1, "whk_now", replace(FIRST, failures=1, failing_since=NOW, next_at=NOW), [])
    keep_turn(connection, 1, "whk_later", replace(FIRST, failures=1, failing_since=NOW, next_at=later), [])
    all_of_them = ["whk_done", "whk_behind", "whk_now", "whk_later", "whk_new"]
    assert due_webhooks(connection, 1, all_of_them, 10, NOW) == ["whk_new", "whk_behind", "whk_now"]
    assert due_webhooks(connection, 1, ["whk_later"], 10, later) == ["whk_later"]
    assert next_due_webhook(connection, 1, all_of_them, 10, NOW) == later
    assert next_due_webhook(connection, 1, ["whk_behind"], 10, NOW) is None


def test_old_attempts_are_forgotten_and_positions_stay(database18: Database, connection: Connection[Any]) -> None:
    keep_turn(connection, 1, "whk_1", FIRST, [])
    with psycopg.connect(database18.url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO webhooks.deliveries (log, webhook, position, attempt, at, milliseconds)"
            " SELECT 1, 'whk_1', days, 1, now() - make_interval(days => days), 1 FROM unnest(ARRAY[1, 40]) AS days"
        )
    done = daybook("forget-deliveries", env=environment(database18))
    assert (done.returncode, done.stdout.split()[0]) == (0, "1")
    assert [row.position for row in deliveries(connection, 1, "whk_1", 10)] == [1]
    assert read_position(connection, 1, "whk_1") is not None


READS: dict[str, Callable[[Connection[Any]], object]] = {
    "deliveries_of_webhook": lambda connection: deliveries(connection, 1, "whk_7", 50, before=19_000),
    "deliveries_that_failed": lambda connection: deliveries(connection, 1, "whk_7", 50, failed=True),
    "positions_pkey": lambda connection: read_position(connection, 1, "whk_7"),
    "events_pkey": lambda connection: read(connection, 1, [3, 5]),
}
"""What is read, and the index that finds it."""


def test_the_plans_stay_fast_with_many_attempts(postgres18: Server) -> None:
    with postgres18.database() as database, ledger_on(database) as ledger:
        for _ in range(5):
            ledger.account()
        with psycopg.connect(database.url, autocommit=True) as owner:
            owner.execute(
                "INSERT INTO webhooks.deliveries (log, webhook, position, attempt, at, milliseconds, cause)"
                " SELECT 1, 'whk_' || n % 40, n, 1, now(), 1, CASE n % 400 WHEN 7 THEN 'tls' END"
                " FROM generate_series(1, 20000) n"
            )
            owner.execute(
                "INSERT INTO webhooks.positions (log, webhook, begun, restarted, position, ahead, failures, turn)"
                " SELECT 1, 'whk_' || n, 1, 1, n, '{}', 0, 1 FROM generate_series(1, 2000) n"
            )
            owner.execute("ANALYZE webhooks.deliveries")
            owner.execute("ANALYZE webhooks.positions")
            for index, ask in READS.items():
                [scan] = Explained(owner).scans(lambda ask=ask: ask(owner))  # type: ignore[misc]
                assert probed_index(scan) == index
