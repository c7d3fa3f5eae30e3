"""The plans of what workers and operators read stay fast when there are many processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from projections.processes.processes import processes
from projections.processes.work import due, next_due, to_do
from tests.support.ledger import NOW, fold, ledger_on
from tests.support.plans import Explained, probed_index
from tests.support.postgres import Database
from tests.support.relay import RELAY

MANAGERS = {RELAY.name: RELAY}
READS: dict[str, Callable[[Connection[Any]], object]] = {
    "processes_to_work": lambda connection: to_do(connection, MANAGERS, "proc_0", 100),
    "processes_due": lambda connection: due(connection, MANAGERS, NOW, None, 100),
    "processes_in_order": lambda connection: processes(connection, after=19_000),
    "processes_in_status": lambda connection: processes(connection, status="attention"),
    "processes_of_stream": lambda connection: processes(connection, stream="acct_7"),
}
"""What is read, and the index that finds it."""


@pytest.fixture(scope="module")
def many(postgres18: Any) -> Iterator[Database]:
    """20,000 processes. Every hundredth has work, another one is due, another one needs attention."""
    with postgres18.database() as database:
        with ledger_on(database):
            fold(database)
        with psycopg.connect(database.url, autocommit=True) as owner:
            owner.execute(
                "INSERT INTO read.processes (process, manager, stream, status, step, since, due_at, attempts, work,"
                " state, pending, open, timer, round, version, position, began_at, last_position, last_at)"
                " SELECT 'proc_' || n, 'relay', 'acct_' || n, CASE n %% 100 WHEN 3 THEN 'attention' ELSE 'waiting' END,"
                " 'waiting', %(now)s, %(now)s + make_interval(days => CASE n %% 100 WHEN 1 THEN 0 ELSE n END), 0,"
                " n %% 100 = 2, '{}', '[]', '[]', n, 0, 1, n, %(now)s, n, %(now)s FROM generate_series(1, 20000) n",
                {"now": NOW},
            )
            owner.execute("UPDATE read.processes SET state = 'null' WHERE work OR due_at <= %s", (NOW,))
            owner.execute("ANALYZE read.processes")
        yield database


@pytest.mark.parametrize("index", READS)
def test_the_plans(many: Database, index: str) -> None:
    with psycopg.connect(many.url, autocommit=True) as connection:
        [scan] = Explained(connection).scans(lambda: READS[index](connection))
    assert probed_index(scan) == index


def test_the_next_due_time_is_the_first_entry_of_an_index(many: Database) -> None:
    with psycopg.connect(many.url, autocommit=True) as connection:
        [scan] = Explained(connection).scans(lambda: next_due(connection, NOW))
        assert probed_index(scan) == "processes_due"
