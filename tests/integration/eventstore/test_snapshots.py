"""Snapshots are a cache: answers are the same with, without, and with unusable ones, and loads are short with them."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import orjson
import psycopg
import pytest
from msgspec.structs import replace
from psycopg.errors import CheckViolation

from domain import registry
from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.accounts.account.state import Account, Profile
from domain.registry import SNAPSHOTS
from eventstore.executor.snapshots import JsonStates, Snapshots
from eventstore.executor.stream_states import Fold
from eventstore.log.answers import Answer
from eventstore.postgres.connect import connect
from tests.support.ledger import (
    CASH,
    OPENED,
    assert_sound,
    codec_of,
    deposit,
    executor_on,
    ledger_on,
    opening,
    snapshots_on,
    submission,
    transfer,
    withdrawal,
)
from tests.support.postgres import Database, Server

COMMANDS = 40
Log = list[tuple[Any, ...]]


def _history(seed: int) -> list[Any]:
    choose = random.Random(seed)
    openings = [opening(owner=f"owner-{n}") for n in range(3)]
    accounts = [command.account for command in openings]
    commands: list[Any] = list(openings)
    for _ in range(COMMANDS):
        source, target = choose.sample(accounts, 2)
        commands.append(
            choose.choice(
                [
                    transfer(source, target, choose.randint(1, 300)),
                    deposit(target, choose.randint(1, 300)),
                    withdrawal(source, choose.randint(1, 300)),
                    FreezeAccount(choose.choice([source, CASH]), "random"),
                    UnfreezeAccount(choose.choice([source, CASH]), "random"),
                    UnfreezeAccount(CASH, "random"),
                ]
            )
        )
    return commands


def _execute(server: Server, commands: list[Any], every: int | None, *, drop: bool = False) -> tuple[Log, Log, int]:
    """Answers and events of commands that are each decided on freshly loaded states, and the number of snapshots."""
    with server.database() as database, psycopg.connect(database.url, autocommit=True) as owner:
        snapshots = snapshots_on(database, every).start() if every is not None else None
        answers: list[Answer] = []
        with ledger_on(database, snapshots=snapshots, cache_limit=1) as ledger:
            for number, command in enumerate(commands):
                answers += ledger.executor.execute([submission(command, key=f"key-{number}")])
                if snapshots is not None:
                    snapshots.settle()
                if drop and number % 5 == 0:
                    owner.execute("DELETE FROM log.snapshots")
        if snapshots is not None:
            snapshots.stop()
            assert snapshots.statistics.failed == snapshots.statistics.dropped == 0
        assert_sound(database)
        events = owner.execute(
            "SELECT position, unit_end,"
            " CASE WHEN type <> 'command.refused.v1' THEN stream END, version, type,"
            " CASE WHEN type IN ('account.debited.v1', 'account.credited.v1') THEN payload END"
            " FROM log.events WHERE position > 2 ORDER BY position"  # the first two open cash, with a new number
        ).fetchall()
        kept = owner.execute("SELECT count(*) FROM log.snapshots").fetchone()
        assert kept is not None
    answered = [
        (a.outcome, a.code, a.rule, orjson.dumps(a.result, option=orjson.OPT_SORT_KEYS), a.decided_position)
        for a in answers
    ]
    return answered, events, kept[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_answers_and_the_same_log_with_any_snapshots_or_none(server: Server, seed: int) -> None:
    commands = _history(seed)
    answers, events, kept = _execute(server, commands, None)
    assert kept == 0
    assert len({answer[0] for answer in answers}) > 1, "some commands are refused"
    for every in range(1, 6):
        again = _execute(server, commands, every)
        assert again[:2] == (answers, events), every
        assert again[2] == 4 if every == 1 else 0 < again[2] <= 4, "a snapshot of every account that is long enough"
    assert _execute(server, commands, 2, drop=True)[:2] == (answers, events)


def test_a_load_reads_the_tail_of_a_stream_in_one_statement(database: Database) -> None:
    snapshots = snapshots_on(database, 10).start()
    with ledger_on(database, snapshots=snapshots) as ledger, connect(database.api_url, application_name="t") as reading:
        account = ledger.account(1_000)
        for _ in range(23):
            ledger.accepted(deposit(account, 1))
        snapshots.settle()
        states, events = snapshots.read(reading, {account: 0, CASH: 0, "acct_none": 0})
        assert {stream: state.version for stream, state in states.items()} == {account: 20, CASH: 20}
        assert states[account].balance == 1_000 + 18
        assert [event[1] for event in events if event[0] == account] == [21, 22, 23, 24, 25]
        states, events = snapshots.read(reading, {account: 22})
        assert states == {}
        assert [event[1] for event in events] == [23, 24, 25]
        assert Snapshots(lambda: reading, 2, JsonStates(SNAPSHOTS)).read(reading, {account: 0}) == ({}, [])
    snapshots.stop()


def test_a_long_stream_without_a_snapshot_gets_one_at_its_first_load(database: Database) -> None:
    with ledger_on(database) as ledger:
        account = ledger.account(1_000)
        for _ in range(12):
            ledger.accepted(deposit(account, 1))
    snapshots = snapshots_on(database, 10).start()
    with ledger_on(database, snapshots=snapshots) as ledger:
        ledger.execute(withdrawal(account, 10_000))  # refused, so it only reads
        snapshots.settle()
        with ledger.connect() as reading:
            found = snapshots.read(reading, {account: 0})
    snapshots.stop()
    assert found[0][account].version == 14
    assert found[1] == []


APART = 10


def test_an_account_that_no_process_folds_has_snapshots_too(database: Database) -> None:
    """Two processes post to cash and none folds it. Its load still does not grow with its entries."""
    with connect(database.api_url, application_name="keys") as keys:
        fold = Fold(codec_of(keys, 1), registry.evolve)
        snapshots = snapshots_on(database, 2, fold, every_apart=APART).start()
        with ledger_on(database, snapshots=snapshots) as ledger, executor_on(database, snapshots=snapshots) as other:
            one, two = ledger.account(1), ledger.account(1)
            for _ in range(6 * APART):
                ledger.accepted(deposit(one, 1))
                other.execute([submission(deposit(two, 1))])
            snapshots.settle()
            with ledger.connect() as reading:
                kept, since = snapshots.read(reading, {CASH: 0})
            head = ledger.accepted(FreezeAccount(CASH, "audit")).result["versions"][CASH]
        snapshots.stop()
    assert kept[CASH].version + len(since) + 1 == head
    assert kept[CASH].balance == 1 - kept[CASH].version, "after the opening every entry is one cent"
    assert len(since) <= 2 * APART, f"{len(since)} of {head} entries are after its snapshot"
    assert snapshots.statistics.failed == 0


MILLION = 1_000_000


@pytest.mark.soak
def test_an_account_with_a_million_entries_loads_like_one_with_ten(postgres18: Server) -> None:
    """The test counts and does not measure time: none of the million events is read."""
    with postgres18.database() as database, psycopg.connect(database.url, autocommit=True) as owner:
        with ledger_on(database) as ledger:
            account = ledger.account(1)
        owner.execute(
            "INSERT INTO log.events SELECT e.log, l.position + n, l.position + n, e.stream, 2 + n, e.type,"
            " e.recorded_at, 0, e.payload, e.metadata"
            " FROM log.logs l, log.events e, generate_series(1, %s) n WHERE e.stream = %s AND e.version = 2",
            (MILLION - 2, account),
        )
        owner.execute("UPDATE log.logs SET position = position + %s", (MILLION - 2,))
        for _ in range(2):  # the first load finds no snapshot, so one is written
            snapshots = snapshots_on(database, 200)
            with snapshots, ledger_on(database, snapshots=snapshots) as ledger:
                answer = ledger.execute(withdrawal(account, MILLION))
                assert answer.rule == "below_minimum", answer
        with connect(database.api_url, application_name="t") as reading:
            states, events = snapshots_on(database, 200).read(reading, {account: 0})
        assert (states[account].version, states[account].balance) == (MILLION, MILLION - 1)
        assert events == []


def test_snapshots_of_another_shape_or_unreadable_ones_are_ignored(database: Database) -> None:
    other = JsonStates({prefix: (kind, fold + 1) for prefix, (kind, fold) in SNAPSHOTS.items()})
    snapshots = snapshots_on(database, 1).start()
    with (
        ledger_on(database, snapshots=snapshots) as ledger,
        connect(database.api_url, application_name="t") as reading,
        psycopg.connect(database.url, autocommit=True) as owner,
    ):
        account = ledger.account(1_000)
        snapshots.settle()
        assert account in snapshots.read(reading, {account: 0})[0]
        states, events = Snapshots(lambda: reading, 1, other).read(reading, {account: 0})
        assert states == {}
        assert [event[1] for event in events] == [1, 2]
        for damage in ("version = version + 1", "state = 'nonsense'", "state = '{}'"):
            owner.execute(f"UPDATE log.snapshots SET {damage}".encode())
            states, events = snapshots.read(reading, {account: 0, CASH: 1})
            assert states == {}
            assert [event[:2] for event in events] == [(account, 1), (account, 2), (CASH, 2)]
    snapshots.stop()


def test_the_newest_snapshot_wins_and_its_size_is_bounded(database: Database) -> None:
    keep = "SELECT log.keep_snapshots(1, %s, %s, %s, %s)"
    with psycopg.connect(database.api_url, autocommit=True) as api:

        def kept(shape: bytes, version: int, state: bytes = b"{}") -> int:
            row = api.execute(keep, (shape, ["acct_1"], [version], [state])).fetchone()
            assert row is not None
            return int(row[0])

        assert [kept(b"a", 5), kept(b"a", 4), kept(b"a", 5), kept(b"a", 6)] == [1, 0, 0, 1]
        assert [kept(b"b", 2), kept(b"b", 1)] == [1, 0], "another shape replaces a later version"
        assert [kept(b"b", 7, bytes(65_536)), kept(b"b", 8, bytes(65_537))] == [1, 0]
        assert api.execute("SELECT version FROM log.snapshots").fetchall() == [(7,)]
        with pytest.raises(CheckViolation):
            kept(b"c", 0)


def test_a_database_that_refuses_snapshots_costs_only_the_snapshots(database: Database) -> None:
    def refuse() -> psycopg.Connection[Any]:
        raise psycopg.OperationalError("not now")

    snapshots = Snapshots(refuse, 1, JsonStates(SNAPSHOTS), every=1).start()
    with ledger_on(database, snapshots=snapshots, cache_limit=1) as ledger:
        account = ledger.account(1_000)
        ledger.accepted(withdrawal(account, 1_000))
        snapshots.settle()
    snapshots.stop()
    assert snapshots.statistics.kept == 0
    assert snapshots.statistics.failed > 0


def test_a_state_is_the_same_after_a_snapshot() -> None:
    states = JsonStates(SNAPSHOTS)
    profile = Profile("acct_1", "CHK1", "checking", "EUR", "owner-1", None, 10**15, OPENED)
    account = Account(7, profile, -(10**25), 12, "frozen", (("hold_1", 5), ("hold_2", 7)))
    assert states.decode("acct_1", states.encode(account)) == account
    assert states.covers("acct_1")
    assert not states.covers("post_1")
    assert states.shape != JsonStates({"acct_": (Profile, 1)}).shape
    assert replace(account, balance=0) != account


def test_a_snapshot_has_no_personal_data() -> None:
    for kind, _ in SNAPSHOTS.values():
        assert "Erased" not in msgspec.json.schema(kind)["$defs"], kind
