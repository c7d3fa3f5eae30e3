"""A process of `verify` that fails or is killed fails the verification, and none outlives the command."""

from __future__ import annotations

import multiprocessing
import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any

import psycopg
import pytest
from psycopg import Connection, IsolationLevel

from eventstore.postgres.connect import connect
from tests.support.ledger import deposit, ledger_on
from tests.support.postgres import Database
from tests.support.waiting import wait_until
from workers.verify.part import Part
from workers.verify.processes import EVENTS_OF_A_PROCESS, Processes, ProcessFailedError, examined

PARTS = [
    Part(log_number=1, log_name="main", last=6, after=0, upto=3, first_stream="", before_stream="b"),
    Part(log_number=1, log_name="main", last=6, after=3, upto=6, first_stream="b", before_stream=None),
]
PATIENCE_SECONDS = 60


@pytest.fixture
def filled(database18: Database) -> Database:
    with ledger_on(database18) as ledger:
        ledger.accepted(deposit(ledger.account(), 100))
    return database18


@contextmanager
def snapshot(database: Database) -> Iterator[Connection[Any]]:
    """A connection within the transaction of a verification."""
    with connect(database.audit_url, application_name="verify") as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        with connection.transaction(force_rollback=True):
            yield connection


_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'log.events'::regclass"


@contextmanager
def no_event_can_be_read(database: Database) -> Iterator[Callable[[], bool]]:
    """Every process waits for a lock meanwhile. Returns a function that tells whether all do."""
    with psycopg.connect(database.url) as owner:
        owner.execute("LOCK TABLE log.events IN ACCESS EXCLUSIVE MODE")
        yield lambda: owner.execute(_WAITING).fetchone() == (len(PARTS),)
        owner.rollback()


def test_processes_see_the_snapshot_of_the_verification(filled: Database) -> None:
    with snapshot(filled) as connection:
        before = connection.execute("SELECT count(*) FROM log.events").fetchone()
        with ledger_on(filled) as ledger:
            ledger.account()
        with examined(connection, filled.audit_url, PARTS) as results:
            covered = sum(one.streams.covered for one in results())
    with psycopg.connect(filled.url) as owner:
        after = owner.execute("SELECT count(*) FROM log.events").fetchone()
    assert (covered,) == before != after


def test_a_process_that_is_killed_fails_the_verification(filled: Database) -> None:
    with (
        snapshot(filled) as connection,
        no_event_can_be_read(filled) as all_wait,
        examined(connection, filled.audit_url, PARTS) as results,
    ):
        wait_until(all_wait, "the wait for a lock")
        first, *_ = multiprocessing.active_children()
        first.kill()
        with pytest.raises(ProcessFailedError, match=r"of 2 ended with exit code -9 before .* nothing is proven"):
            results()
    assert multiprocessing.active_children() == []


def test_a_process_that_fails_fails_the_verification(filled: Database) -> None:
    nowhere = filled.audit_url.replace("/test_", "/no_test_", 1)
    with (
        snapshot(filled) as connection,
        examined(connection, nowhere, PARTS) as results,
        pytest.raises(ProcessFailedError, match=r"of 2 could not check its part .* does not exist"),
    ):
        results()


def test_processes_end_with_a_command_that_is_killed(filled: Database) -> None:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    command = spawn.Process(target=begin_and_wait, args=(filled, theirs))
    with no_event_can_be_read(filled) as all_wait:
        command.start()
        children = [os.pidfd_open(pid) for pid in ours.recv()]
        wait_until(all_wait, "the wait for a lock")
        command.kill()
        command.join()
        for child in children:
            ended = select.poll()
            ended.register(child, select.POLLIN)
            assert ended.poll(PATIENCE_SECONDS * 1_000), "a process of verify outlived the command"
            os.close(child)


def begin_and_wait(database: Database, pipe: Pipe) -> None:
    """Begin a verification, and wait until somebody ends it."""
    with snapshot(database) as connection, examined(connection, database.audit_url, PARTS) as results:
        pipe.send([child.pid for child in multiprocessing.active_children()])
        results()


@pytest.mark.parametrize(
    ("most", "events", "number"),
    [
        (4, 0, 1),
        (4, 2 * EVENTS_OF_A_PROCESS - 1, 1),
        (4, 2 * EVENTS_OF_A_PROCESS, 2),
        (4, 9 * EVENTS_OF_A_PROCESS, 4),
        (1, 9 * EVENTS_OF_A_PROCESS, 1),
    ],
)
def test_a_small_log_gets_fewer_processes(most: int, events: int, number: int) -> None:
    assert Processes(most, "").number_for(events) == number
