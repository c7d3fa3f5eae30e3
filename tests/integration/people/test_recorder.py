"""What the recorder of reads does when the database is slow, away, full of complaints, or the process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import Connection

from eventstore.postgres.connect import connect
from eventstore.reads.read import Read
from eventstore.reads.recorder import BATCH, Recorder
from tests.integration.api.test_access_log import Lines, lines  # noqa: F401 - a fixture
from tests.support.ledger import NOW
from tests.support.postgres import Database
from tests.support.service import service_on
from tests.support.waiting import wait_until

READ = Read(NOW, "bi", None, "/v1/accounts", ("customer-1",), 1)
MOST = 5


@contextmanager
def held(database: Database, table: str = "access.reads") -> Iterator[None]:
    """Nobody can add a row to the table meanwhile."""
    with psycopg.connect(database.url) as owner:
        owner.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def recorder_on(database: Database, *, statement_seconds: Sequence[float] = (60,), **more: Any) -> Recorder:
    """A recorder whose connections, one after the other, give up a statement after so long; the last number repeats.

    A short time is for tests that wait until it has passed. In others the last attempt at a stop would be lost with it.
    """
    more = {"most_waiting": MOST, "gather_seconds": 0, "retry_seconds": 0.01, **more}
    left = list(statement_seconds)

    def login() -> Connection[Any]:
        seconds = left.pop(0) if len(left) > 1 else left[0]
        return connect(database.api_url, application_name="recorded", statement_seconds=seconds)

    return Recorder(login, 1, "reads_1", lambda: NOW, **more)


def asked(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.url) as owner:
        return owner.execute(statement.encode()).fetchall()


def numbers(database: Database) -> list[int]:
    return [row[0] for row in asked(database, "SELECT number FROM access.reads ORDER BY 1")]


def completeness(database: Database) -> tuple[Any, ...]:
    """What an auditor sees: kept, missing, lost, whether it has ended, whether it runs."""
    [row] = asked(database, "SELECT kept, missing, lost, ended_at IS NOT NULL, running FROM access.completeness")
    return row


def test_a_slow_database_delays_no_read_and_what_it_does_not_take_is_counted(database18: Database) -> None:
    with recorder_on(database18) as recorder:
        with held(database18):
            for number in range(MOST + 3):
                recorder.note(READ._replace(at=NOW + timedelta(seconds=number)))
            assert recorder.statistics() == (0, 3, MOST)
        wait_until(lambda: recorder.statistics().written == MOST, "reads were not written")
        recorder.note(READ)
        wait_until(lambda: recorder.statistics().written == MOST + 1, "a later read was not written")
        assert completeness(database18) == (MOST + 1, 3, 3, False, True)
    assert numbers(database18) == [*range(1, MOST + 1), MOST + 4]
    marks = "SELECT kind, lost, since, at FROM access.recorders ORDER BY number, kind"
    lost_from, lost_until = (NOW + timedelta(seconds=number) for number in (MOST, MOST + 2))
    assert asked(database18, marks) == [
        ("began", 0, NOW, NOW),
        ("lost", 3, lost_from, lost_until),
        ("ended", 0, NOW, NOW),
    ]
    assert completeness(database18) == (MOST + 1, 3, 3, True, False)


def test_a_process_starts_without_a_database_that_writes_and_says_later_that_it_began(database18: Database) -> None:
    with held(database18, "access.recorders"):
        recorder = recorder_on(database18, statement_seconds=(0.2, 60)).__enter__()
        recorder.note(READ)
    wait_until(lambda: recorder.statistics().written == 1, "a read was not written")
    recorder.__exit__()
    marks = asked(database18, "SELECT kind FROM access.recorders ORDER BY at, kind")
    assert marks == [("began",), ("ended",)]
    assert completeness(database18) == (1, 0, 0, True, False)


def test_a_connection_that_breaks_is_made_anew_and_no_read_is_twice(database18: Database) -> None:
    with recorder_on(database18, most_waiting=BATCH) as recorder:
        recorder.note(READ)
        wait_until(lambda: recorder.statistics().written == 1, "a read was not written")
        [(broken,)] = asked(
            database18,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'recorded'",
        )
        assert broken == 1
        for _ in range(10):
            recorder.note(READ)
        wait_until(lambda: recorder.statistics().written == 11, "reads were not written")
    assert numbers(database18) == list(range(1, 12))
    assert completeness(database18) == (11, 0, 0, True, False)


def test_more_than_a_batch_is_written_in_order(database18: Database) -> None:
    with recorder_on(database18, most_waiting=3 * BATCH) as recorder, held(database18):
        for _ in range(2 * BATCH + 1):
            recorder.note(READ)
    assert numbers(database18) == list(range(1, 2 * BATCH + 2)), "a stop writes what waits"


def test_a_row_that_is_refused_holds_up_no_other(database18: Database) -> None:
    with recorder_on(database18) as recorder:
        recorder.note(READ._replace(about=("ä",)))
        wait_until(lambda: recorder.statistics().lost == 1, "the row was taken")
        recorder.note(READ)
        wait_until(lambda: recorder.statistics().written == 1, "a later read was not written")
    assert completeness(database18) == (1, 1, 1, True, False)


def test_at_a_stop_without_a_database_the_loss_shows_as_no_end(database18: Database) -> None:
    with recorder_on(database18, statement_seconds=(0.2,)) as recorder:
        recorder.note(READ)
        wait_until(lambda: recorder.statistics().written == 1, "a read was not written")
        with held(database18):
            recorder.note(READ)
            recorder.__exit__()
        assert recorder.statistics() == (1, 1, 0)
        wait_until(lambda: completeness(database18) == (1, 0, 0, False, False), "the server did not notice the end")


_KILLED = """
import sys
from datetime import UTC, datetime
from eventstore.postgres.connect import connect
from eventstore.reads.read import Read
from eventstore.reads.recorder import Recorder

def now():
    return datetime(2026, 11, 21, 12, tzinfo=UTC)

recorder = Recorder(lambda: connect(sys.argv[1], application_name="recorded"), 1, "reads_1", now)
with recorder:
    for line in sys.stdin:
        recorder.note(Read(now(), "bi", None, line.strip(), (), 1))
        print("noted", flush=True)
"""


def test_a_process_that_is_killed_has_not_ended_and_loses_what_waits(database18: Database) -> None:
    """It is killed while the database takes nothing. What was written stays, and the row of the process has no end."""
    arguments = [sys.executable, "-c", _KILLED, database18.api_url]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert killed.stdin is not None
    assert killed.stdout is not None

    def note(route: str) -> None:
        assert killed.stdin is not None
        assert killed.stdout is not None
        killed.stdin.write(f"{route}\n")
        killed.stdin.flush()
        assert killed.stdout.readline() == "noted\n"

    note("/v1/accounts")
    wait_until(lambda: numbers(database18) == [1], "a read was not written")
    assert completeness(database18) == (1, 0, 0, False, True)
    with held(database18):
        note("/v1/orders")
        waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'recorded' AND wait_event_type = 'Lock'"
        wait_until(lambda: asked(database18, waits) == [(1,)], "it did not wait for the table")
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        left = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'recorded'"
        wait_until(lambda: asked(database18, left) == [(0,)], "the server did not notice it")
    assert numbers(database18) == [1]
    assert completeness(database18) == (1, 0, 0, False, False), "it neither runs nor has ended"


def test_reads_are_answered_while_nothing_can_be_recorded(
    database18: Database,
    lines: Lines,  # noqa: F811
) -> None:
    """And each is a line of the access log, so that what is lost here is not lost everywhere."""
    with service_on(database18) as service:
        with held(database18):
            lines.take()
            for _ in range(3):
                assert service.get("accounts", role="report", owner="customer-1").status_code == 200
            assert [line["event"] for line in lines.take()] == ["personal_data.read"] * 3
        recorder = service.services.recorder
        assert isinstance(recorder, Recorder)
        wait_until(lambda: recorder.statistics().written == 3, "reads were not written later")
