"""Snapshots are a cache: answers are the same with, without, and with unusable ones, and loads are short with them."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import psycopg
import pytest
from msgspec.structs import replace
from psycopg.errors import CheckViolation

from domain import registry
from domain.accounts.account.holds import MOST_HOLDS, PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.accounts.account.state import HOLD, Account, Profile
from domain.accounts.transaction import CaptureHold
from domain.orders.order import ORDER, ConfirmOrder, Order, OrderLine, PlaceOrder
from domain.registry import SNAPSHOTS
from eventstore.executor.snapshots import JsonStates, Snapshots
from eventstore.executor.stream_states import Fold
from eventstore.log.answers import Answer, Outcome
from eventstore.log.read import read_head
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
from tests.support.memory_ledger import TODAY, new_id
from tests.support.postgres import Database, Server
from workers.verify.snapshots import check_snapshots

COMMANDS = 40
EXPIRY = datetime(2027, 1, 31, 12, 0, 0, 1, tzinfo=UTC)
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
    keep = "SELECT log.keep_snapshots_by_shape(1, %s, %s, %s, %s)"
    with psycopg.connect(database.api_url, autocommit=True) as api:

        def kept(shape: bytes, version: int, state: bytes = b"{}") -> int:
            row = api.execute(keep, (["acct_1"], [version], [shape], [state])).fetchone()
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
    account = Account(7, profile, -(10**25), 12, "frozen", (("hold_1", 5, None), ("hold_2", 7, EXPIRY)))
    assert states.decode("acct_1", states.encode(account)) == account
    assert states.covers("acct_1")
    assert not states.covers("post_1")
    assert replace(account, balance=0) != account


def test_the_shape_of_an_aggregate_does_not_depend_on_others() -> None:
    states = JsonStates({"acct_": (Account, 1), "ord_": (Profile, 1)})
    assert states.shape("acct_1") not in (None, states.shape("ord_1"))
    assert states.shape("post_1") is None
    other_fold = JsonStates({"acct_": (Account, 2), "ord_": (Profile, 1)})
    assert other_fold.shape("acct_1") != states.shape("acct_1")
    assert other_fold.shape("ord_1") == states.shape("ord_1")
    other_class = JsonStates({"ord_": (Account, 1)})
    assert other_class.shape("ord_1") != states.shape("ord_1")


def test_a_program_of_before_keeps_its_snapshots(database: Database) -> None:
    """Before revision 0011 a call had one shape. Such a program may run beside this one."""
    old = "SELECT log.keep_snapshots(1, %s, %s, %s, %s)"
    with psycopg.connect(database.api_url, autocommit=True) as api:
        assert api.execute(old, (b"old", ["acct_1", "acct_2"], [3, 4], [b"{}", b"{}"])).fetchone() == (2,)
        assert api.execute(old, (b"old", ["acct_1"], [2], [b"{}"])).fetchone() == (0,)
        assert api.execute(old, (b"old", [], [], [])).fetchone() == (0,)
        found = api.execute("SELECT stream, version, shape, state FROM log.snapshots ORDER BY stream").fetchall()
    assert found == [("acct_1", 3, b"old", b"{}"), ("acct_2", 4, b"old", b"{}")]


def test_two_versions_of_the_program_share_the_snapshots_of_what_did_not_change(database: Database) -> None:
    """Each has another fold of accounts and the same fold of orders, and both execute commands on one log."""
    kinds: dict[str, tuple[type[msgspec.Struct], int]] = {"acct_": (Account, 1), f"{ORDER}_": (Order, 1)}
    first, second = (
        Snapshots(lambda: connect(database.api_url, application_name="snapshots"), 1, JsonStates(states), every=1)
        for states in (kinds, kinds | {"acct_": (Account, 2)})
    )
    with (
        first,
        second,
        ledger_on(database, snapshots=first, cache_limit=1) as ledger,
        executor_on(database, snapshots=second, cache_limit=1) as other,
    ):
        order = new_id(ORDER)
        ledger.accepted(PlaceOrder(order, "customer-1", "EUR", (OrderLine("sku", "Tea", 1, 150),)))
        account = ledger.account(1_000)
        first.settle()
        with ledger.connect() as reading:
            wanted = {account: 0, order: 0}
            assert first.read(reading, wanted)[0].keys() == {account, order}
            assert second.read(reading, wanted)[0].keys() == {order}, "what did not change is shared"
            for round in range(3):  # each in turn, so that each replaces the snapshots of the other
                [answer] = other.execute([submission(deposit(account, 1))])
                second.settle()
                assert answer.result["balances"][account]["balance"] == f"10.{2 * round + 1:02}"
                assert second.read(reading, wanted)[0][account].version == 2 * round + 3
                assert first.read(reading, wanted)[0].keys() == {order}
                mine = ledger.accepted(deposit(account, 1))
                first.settle()
                assert mine.result["balances"][account]["balance"] == f"10.{2 * round + 2:02}"
                assert first.read(reading, wanted)[0][account].version == 2 * round + 4
                assert second.read(reading, wanted)[0].keys() == {order}
            [answer] = other.execute([submission(ConfirmOrder(order))])
            second.settle()
            assert answer.outcome is Outcome.ACCEPTED
            assert first.read(reading, wanted)[0][order].status == "confirmed", "it is read by the version before too"
    assert first.statistics.failed == second.statistics.failed == 0
    assert_sound(database)


def test_verify_leaves_out_the_snapshots_of_another_version_and_checks_the_others(database: Database) -> None:
    changed = JsonStates({prefix: (kind, fold + 1) for prefix, (kind, fold) in SNAPSHOTS.items()})
    with snapshots_on(database, 1) as snapshots, ledger_on(database, snapshots=snapshots) as ledger:
        account = ledger.account(1_000)
        snapshots.settle()
    with psycopg.connect(database.url, autocommit=True) as owner:
        of_another = "UPDATE log.snapshots SET shape = %s WHERE stream = %s"
        owner.execute(of_another, (changed.shape(account), account))
    with connect(database.audit_url, application_name="verify") as connection:
        check = check_snapshots(connection, read_head(connection, "main"), codec_of(connection, 1))
    assert (check.ok, check.covered, check.not_covered) == (True, 1, {"made by another version": 1})


MANY_HOLDS = 1_600
"""So many holds do not fit a snapshot. Earlier revisions allowed 1,000, which do if none expires."""


def test_an_account_with_more_holds_than_new_ones_may_have_keeps_them(database: Database) -> None:
    """It goes on without a snapshot until its state fits again."""
    snapshots = snapshots_on(database, 1).start()
    with ledger_on(database, snapshots=snapshots, cache_limit=1) as ledger:
        account, other = ledger.account(2_000), ledger.account()
        holds = [new_id(HOLD) for _ in range(MANY_HOLDS)]
        with psycopg.connect(database.url, autocommit=True) as owner:
            _place_as_before(owner, account, holds)
        assert ledger.execute(PlaceHold(account, new_id(HOLD), 1, "EUR")).rule == "hold_count"
        ledger.accepted(ReleaseHold(account, holds[0]))
        ledger.accepted(CaptureHold(account, holds[1], new_id("txn"), other, 1, "EUR", TODAY))
        ledger.accepted(deposit(account, 5))
        snapshots.settle()
        with ledger.connect() as reading:
            [state] = snapshots.read(reading, {account: 0})[0].values()
        assert (state.version, state.holds) == (2, ()), "the last one that fitted"
        assert snapshots.statistics.failed > 0
        assert ledger.execute(PlaceHold(account, new_id(HOLD), 1, "EUR")).rule == "hold_count"
        released = [submission(ReleaseHold(account, hold)) for hold in holds[2 : MANY_HOLDS - MOST_HOLDS]]
        assert {answer.outcome for answer in ledger.executor.execute(released)} == {Outcome.ACCEPTED}
        assert ledger.execute(PlaceHold(account, new_id(HOLD), 1, "EUR")).rule == "hold_count", "it has the most"
        ledger.accepted(ReleaseHold(account, holds[-1]))
        ledger.accepted(PlaceHold(account, new_id(HOLD), 1, "EUR"))
        snapshots.settle()
        with ledger.connect() as reading:
            [state] = snapshots.read(reading, {account: 0})[0].values()
    snapshots.stop()
    assert (len(state.holds), state.reserved) == (MOST_HOLDS, MOST_HOLDS)
    assert_sound(database)


def _place_as_before(owner: psycopg.Connection[Any], account: str, holds: list[str]) -> None:
    """Append holds of 0.01 as an earlier revision did, when an account could have a thousand."""
    payload = '{{"amount":1,"currency":"EUR","hold":"{}","reference":null}}'
    owner.execute(
        "INSERT INTO log.events SELECT e.log, l.position + n, l.position + n, e.stream, e.version + n,"
        " 'account.hold_placed.v1', l.recorded_at, 0, convert_to(p, 'UTF8'), e.metadata"
        "  FROM log.logs l, unnest(%s::text[]) WITH ORDINALITY AS x(p, n),"
        "       (SELECT * FROM log.events WHERE stream = %s ORDER BY version DESC LIMIT 1) e",
        ([payload.format(hold) for hold in holds], account),
    )
    owner.execute("UPDATE log.logs SET position = position + %s", (len(holds),))


def test_a_snapshot_has_no_personal_data() -> None:
    for kind, _ in SNAPSHOTS.values():
        assert "Erased" not in msgspec.json.schema(kind)["$defs"], kind
