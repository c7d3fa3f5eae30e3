"""Positions are in the order of commits, each read is of one position, and no reader sees an uncommitted event."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from bench.harness.tables import begin_read_tables
from domain.money import MAX_AMOUNT, show
from eventstore.log.read import read_log
from eventstore.postgres.connect import connect
from projections.accounts.accounts.queries import account as read_account
from projections.accounts.entries.queries import entries
from projections.accounts.trial_balance.queries import trial_balance
from projections.engine.runner import Runner
from projections.engine.verify import verify_tables
from projections.registry import PROJECTIONS
from tests.faults import gates
from tests.faults.checker import Book, check, reads_are_of_one_position
from tests.faults.clients import load, open_accounts
from tests.faults.readers import reading
from tests.faults.world import World
from tests.support.appending import DecidedCommand, NewEvent, Read, append
from tests.support.ledger import assert_sound, balances, codec_of, deposit, ledger_on, submission
from tests.support.postgres import Database
from tests.support.waiting import wait_until


def written(key: str, stream: str) -> DecidedCommand:
    return DecidedCommand("a", key, [Read(stream, 0)], [NewEvent(stream, "x.v1", b"{}")], b"{}", None)


def blocked(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND cardinality(pg_blocking_pids(pid)) > 0 AND wait_event = ANY ('{transactionid,tuple}')"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_the_second_append_gets_the_later_position_and_is_never_visible_first(database18: Database) -> None:
    """The interleaving of ADR 1: A has positions but no commit, B appends, and a reader reads in between."""
    gates.install(database18)
    with (
        connect(database18.api_url, application_name="a") as a,
        connect(database18.api_url, application_name="b") as b,
        connect(database18.api_url, application_name="reader") as reader,
        psycopg.connect(database18.url, autocommit=True) as watching,
        ThreadPoolExecutor(2) as pool,
    ):
        log = a.execute("SELECT log.create_log('main')").fetchone()
        assert log is not None
        with gates.closed(database18, "before it returns") as gate:
            first = pool.submit(append, a, log[0], [written("1", "s")])
            gate.wait_for_append()  # A has inserted its event at position 1 without a commit
            second = pool.submit(append, b, log[0], [written("2", "t")])
            wait_until(lambda: blocked(watching) == 1, "B, waiting for the head")
            assert read_log(reader, log[0], 0, 10).events == [], "no event is visible, so a reader cannot miss one"
            gate.open()
        assert (first.result().commands[0].last_position, second.result().commands[0].last_position) == (1, 2)
        assert [event.stream for event in read_log(reader, log[0], 0, 10).events] == ["s", "t"]


def test_the_second_append_takes_the_position_of_one_that_is_rolled_back(database18: Database) -> None:
    gates.install(database18)
    with (
        connect(database18.api_url, application_name="a") as a,
        connect(database18.api_url, application_name="b") as b,
        psycopg.connect(database18.url, autocommit=True) as watching,
        ThreadPoolExecutor(2) as pool,
    ):
        log = a.execute("SELECT log.create_log('main')").fetchone()
        assert log is not None
        with gates.closed(database18, "before it returns") as gate:
            first = pool.submit(append, a, log[0], [written("1", "s")])
            backend = gate.wait_for_append()
            second = pool.submit(append, b, log[0], [written("2", "t")])
            wait_until(lambda: blocked(watching) == 1, "B, waiting for the head")
            watching.execute("SELECT pg_terminate_backend(%s)", (backend,))
            assert isinstance(first.exception(), psycopg.Error)
            gate.open()
        assert second.result().commands[0].last_position == 1
        assert [event.stream for event in read_log(b, log[0], 0, 10).events] == ["t"]


def test_every_read_of_all_accounts_is_of_one_position(world: World) -> None:
    """A bank test as in Jepsen that compares more than the sum: every row must match the log at one position."""
    apis = world.apis(2)
    world.projector()
    accounts = open_accounts(apis[0], 8, "50.00")
    with load(apis, accounts, clients=6, seed=21) as history, reading(apis, history, readers=2) as readings:
        wait_until(lambda: len({read.message for read in readings}) >= 100, "reads of changing accounts")
        wait_until(lambda: sum(read.at_least > 0 for read in readings) >= 30, "reads that requested a position")
    check(world, history)
    reads_are_of_one_position(Book.of(world), readings)


def test_the_highest_amount_ten_thousand_times(database18: Database) -> None:
    """10,000 times 9,999,999,999,999.99 is above 2**63 in minor units, and is exact in the fold and in the tables."""
    times = 10_000
    with ledger_on(database18) as ledger:
        account = ledger.account()
        answers = ledger.executor.execute([submission(deposit(account, MAX_AMOUNT)) for _ in range(times)])
        total = MAX_AMOUNT * times
        assert total > 2**63
        assert answers[-1].result["balances"][account]["balance"] == show(total, "EUR")
        assert balances(database18)[account] == total
    assert_sound(database18)
    begin_read_tables(database18)
    with (
        connect(database18.projector_url, application_name="fold") as connection,
        connect(database18.audit_url, application_name="verify") as auditor,
        connect(database18.api_url, application_name="keys") as keys,
    ):
        codec = codec_of(keys, 1)
        Runner(connection, "main", codec, PROJECTIONS).run_to_head()
        (last,) = entries(connection, account, newest_first=True, limit=1).items
        answered = read_account(connection, account)
        assert answered is not None
        assert (answered.balance, last.balance_after) == (total, total)
        assert {(line.debits, line.credits) for line in trial_balance(connection, "main").lines} == {
            (total, 0),
            (0, total),
        }
        assert verify_tables(auditor, "main", codec, PROJECTIONS).ok
