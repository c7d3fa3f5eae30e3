"""The cost of a command as counts: round trips, bytes of write-ahead log, and the plans of frequent statements.

It measures no times. A count is the same on every machine, so a test fails in the commit that makes a command dearer.
"""

from __future__ import annotations

import re
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import pairwise
from typing import Any, BinaryIO

import psycopg
import pytest
from psycopg import Connection, pq

from bench.harness.tables import begin_read_tables
from domain import refusals, registry
from domain.registry import COMMUTING, SNAPSHOTS
from eventstore.executor.executor import MOST_OTHERS, Executor
from eventstore.executor.snapshots import SNAPSHOT_EVERY, JsonStates, Snapshots
from eventstore.keys.master_keys import WrappedKey
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.answers import find_answers
from eventstore.log.append import Appender
from eventstore.log.read import (
    read_head,
    read_log,
    read_moved,
    read_naming,
    read_of_units,
    read_stream,
    read_streams,
    read_unit,
    read_unit_end,
    version_at,
)
from eventstore.postgres.connect import connect
from projections.engine.checkpoint import read_state
from projections.registry import PROJECTIONS
from tests.support.appending import DecidedCommand, NewEvent, Read, Record, batch_of
from tests.support.ledger import (
    codec_of,
    deposit,
    executor_on,
    ledger_on,
    new_id,
    opening,
    snapshots_on,
    submission,
    transfer,
    withdrawal,
)
from tests.support.plans import INDEX_SCANS, Explained, probed_index
from tests.support.postgres import Database, Server
from tests.support.waiting import wait_until

GROUP = 512
ACCOUNTS = 50

# ---------------------------------------------------------------------- round trips


class Traced:
    """The messages of connections in both directions: the trace of libpq, one line for each message of the protocol."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._traces: list[tuple[Connection[Any], BinaryIO]] = []

    def connect(self) -> Connection[Any]:
        """A connection that is traced after its set-up."""
        connection = connect(self._database.api_url, application_name="executor")
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._traces.append((connection, file))
        _trace(connection, file)
        return connection

    def message(self) -> str:
        """The messages since the last call. No statement may be running."""
        parts = []
        for connection, file in self._traces:
            connection.pgconn.untrace()  # flushes the buffer
            file.seek(0)
            parts.append(file.read().decode(errors="replace"))
            file.seek(0)
            file.truncate()
            _trace(connection, file)
        return "".join(parts)

    def close(self) -> None:
        """Remove the files."""
        for _, file in self._traces:
            file.close()


def _trace(connection: Connection[Any], file: BinaryIO) -> None:
    connection.pgconn.trace(file.fileno())
    connection.pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)


@contextmanager
def traced_executor(
    database: Database, snapshots: Snapshots | None = None
) -> Iterator[tuple[Executor, Traced, Traced]]:
    """An executor, the trace of its connections, and the trace of the connection for the keys of persons."""
    with (
        closing(Traced(database)) as traced_keys,
        closing(Traced(database)) as traced,
        traced_keys.connect() as keys,
    ):
        codec = codec_of(keys, read_head(keys, "main").log_number, erasure_seconds=float("inf"))
        executor = Executor(
            traced.connect,
            "main",
            codec,
            registry.decide,
            registry.evolve,
            refusals.recorder(new_id, registry.name_of),
            commuting_types=COMMUTING,
            transient_prefixes=registry.WRITTEN_ONCE,
            read_mostly=registry.READ_MOSTLY,
            group_limit=GROUP,
            snapshots=snapshots,
        )
        with executor:
            yield executor, traced, traced_keys


def round_trips(message: str) -> dict[str, int]:
    """The number of round trips, by purpose. Each ends with ReadyForQuery."""
    return {
        "append": len(re.findall(r'^F\t\d+\tBind\t.*"append_\d+"', message, re.MULTILINE)),
        "load": len(re.findall(r"unnest\(\$1::text\[\], \$2::bigint\[\].*\) AS [sw]\(stream, version", message)),
        "moved": message.count("SELECT stream, max(version)"),
        "all": len(re.findall(r"^B\t\d+\tReadyForQuery\t", message, re.MULTILINE)),
    }


@pytest.mark.parametrize("kept", [False, True], ids=["without snapshots", "with snapshots"])
def test_a_group_is_one_round_trip_and_its_streams_are_loaded_in_one(
    database: Database, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr(
        "eventstore.executor.executor.NOTIFY_SECONDS", float("inf")
    )  # the notification comes after the answers, so it is not counted
    with ExitStack() as stack:
        ledger = stack.enter_context(ledger_on(database))
        accounts = [ledger.account(1_000, owner=f"owner-{n}") for n in range(ACCOUNTS)]
        snapshots = stack.enter_context(snapshots_on(database, SNAPSHOT_EVERY)) if kept else None
        with traced_executor(database, snapshots) as (executor, traced, _):
            opened = round_trips(traced.message())
            # the head of the log, the clock, then the preparation of the append; time-outs are set before the trace
            assert opened == {"append": 0, "load": 0, "moved": 0, "all": 3}

            group = [
                submission(transfer(accounts[n % ACCOUNTS], accounts[(n + 1) % ACCOUNTS], 1)) for n in range(GROUP)
            ]
            executor.execute(group)
            first = round_trips(traced.message())
            assert (first["append"], first["load"]) == (1, 1)

            again = [submission(transfer(accounts[0], accounts[1], 1)) for _ in range(GROUP)]
            executor.execute(again)
            second = round_trips(traced.message())
            assert (second["append"], second["load"]) == (1, 0)

            for asked in (first, second):
                assert asked["all"] == asked["append"] + asked["load"]
            assert executor.statistics.groups == 2
            assert executor.statistics.events == 3 * 2 * GROUP
        if snapshots is not None:
            snapshots.settle()
            assert snapshots.statistics.kept > 0, "no snapshot was written: the test shows nothing"


def test_the_keys_of_all_streams_of_a_load_are_looked_up_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []
    find = SubjectKeys.find

    def counted(keys: SubjectKeys, subjects: Iterable[str]) -> dict[str, WrappedKey | None]:
        asked.append(set(subjects))
        return find(keys, asked[-1])

    with ledger_on(database) as ledger:
        accounts = [ledger.account(1_000, owner=f"owner-{n}") for n in range(ACCOUNTS)]
        monkeypatch.setattr(SubjectKeys, "find", counted)
        with traced_executor(database) as (executor, _, _):
            executor.execute([submission(transfer(a, b, 1)) for a, b in pairwise(accounts)])
    assert asked == [{f"owner-{n}" for n in range(ACCOUNTS)}]


def test_round_trips_of_a_command_alone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.executor.executor.NOTIFY_SECONDS", float("inf"))
    with ledger_on(database) as ledger:
        one, two = ledger.account(1_000, owner="owner-1"), ledger.account(1_000, owner="owner-2")
        with traced_executor(database) as (executor, traced, traced_keys):

            def trips(command: Any) -> dict[str, int]:
                """The number of round trips of a command, by purpose, without zeros."""
                executor.execute([submission(command)])
                asked = {**round_trips(traced.message()), "keys": round_trips(traced_keys.message())["all"]}
                return {what: times for what, times in asked.items() if times}

            traced.message(), traced_keys.message()
            # the first time, the time from which on keys may have been erased is asked for too
            assert trips(transfer(one, two, 1)) == {"append": 1, "load": 1, "all": 2, "keys": 2}
            assert trips(transfer(one, two, 1)) == {"append": 1, "all": 1}, "a cached account is not loaded again"
            assert trips(deposit(one, 1)) == {"append": 1, "load": 1, "all": 2, "keys": 1}, "the cash account is loaded"
            assert trips(deposit(one, 1)) == {"append": 1, "all": 1}
            # the claim of the number is looked up; the key of a new person is looked up, then made
            assert trips(opening(owner="owner-3")) == {"append": 1, "load": 1, "all": 2, "keys": 2}
            assert trips(opening(owner="owner-3")) == {"append": 1, "load": 1, "all": 2}
            ledger.accepted(deposit(one, 1))  # by another process
            assert trips(transfer(one, two, 1)) == {"append": 2, "load": 1, "moved": 1, "all": 4}
            assert executor.statistics.conflicts == 1
            assert trips(transfer(one, two, 1)) == {"append": 1, "all": 1}


# ---------------------------------------------------------------------- write-ahead log

WAL_A_TRANSFER = (2_550, 2_950)
"""Bytes of a transfer in a group: three events, the answer, and their entries in three indexes."""

WAL_ALONE = {
    "a transfer": (3_056, 3_120),
    "a deposit": (2_904, 2_968),
    "opening an account, with its person's key": (2_392, 2_480),
    "a withdrawal that conflicts once": (3_028, 3_092),
}
"""Bytes of a command alone, with a separate commit. It is a median, so that full pages do not matter."""


def wal_bytes(admin: Connection[Any], run: Callable[[], object]) -> int:
    """The bytes that `run` writes."""
    before = admin.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
    assert before is not None
    run()
    found = admin.execute("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", before).fetchone()
    assert found is not None
    return int(found[0])


@contextmanager
def without_autovacuum(admin: Connection[Any]) -> Iterator[None]:
    """Only the test writes to the server. The position of the write-ahead log is that of all its databases."""
    admin.execute("ALTER SYSTEM SET autovacuum = off")
    admin.execute("SELECT pg_reload_conf()")
    try:
        running = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'"
        wait_until(lambda: admin.execute(running).fetchone() == (0,), "the end of autovacuum")
        yield
    finally:
        admin.execute("ALTER SYSTEM RESET autovacuum")
        admin.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("kept", [False, True], ids=["without snapshots", "with snapshots"])
def test_wal_bytes_of_a_transfer(database: Database, kept: bool) -> None:
    """A group of transfers among cached accounts, without images of whole pages.

    Each account goes from its second event to about its 22nd, so with snapshots one is due.
    """
    with ExitStack() as stack:
        snapshots = stack.enter_context(snapshots_on(database, SNAPSHOT_EVERY)) if kept else None
        ledger = stack.enter_context(ledger_on(database, snapshots=snapshots))
        admin = stack.enter_context(psycopg.connect(database.url, autocommit=True))
        accounts = [ledger.account(1_000, owner=f"owner-{n}") for n in range(ACCOUNTS)]
        assert admin.execute("SHOW full_page_writes").fetchone() == ("off",)
        admin.execute("CHECKPOINT")
        commands = [transfer(accounts[n % ACCOUNTS], accounts[(n + 1) % ACCOUNTS], 1) for n in range(GROUP)]

        def execute() -> None:
            ledger.executor.execute([submission(command) for command in commands])
            if snapshots is not None:
                snapshots.settle()

        with without_autovacuum(admin):
            bytes_each = wal_bytes(admin, execute) / GROUP
    print(f"{bytes_each:.0f} bytes of write-ahead log a transfer")  # shown if the test fails
    assert WAL_A_TRANSFER[0] <= bytes_each <= WAL_A_TRANSFER[1]


def test_wal_bytes_of_a_command_alone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command is a group of one."""
    monkeypatch.setattr("eventstore.executor.executor.NOTIFY_SECONDS", float("inf"))
    with (
        ledger_on(database) as ledger,
        executor_on(database) as another,
        psycopg.connect(database.url, autocommit=True) as admin,
    ):
        accounts = [ledger.account(1_000, owner=f"owner-{n}") for n in range(ACCOUNTS)]
        assert admin.execute("SHOW full_page_writes").fetchone() == ("off",)
        admin.execute("CHECKPOINT")

        def median(make: Callable[[int], Any], *, moved: bool = False) -> float:
            """The median over all accounts. `moved`: another process writes to the account before each command."""
            found = []
            for n in range(ACCOUNTS):
                if moved:
                    another.execute([submission(deposit(accounts[n], 1))])
                command = submission(make(n), key=new_id("key"))  # all keys have one length
                found.append(wal_bytes(admin, partial(ledger.executor.execute, [command])))
            return statistics.median(found)

        measured = {
            "a transfer": median(lambda n: transfer(accounts[n], accounts[n - 1], 1)),
            "a deposit": median(lambda n: deposit(accounts[n], 1)),
            "opening an account, with its person's key": median(lambda n: opening(owner=f"person-{n}")),
            "a withdrawal that conflicts once": median(lambda n: withdrawal(accounts[n], 1), moved=True),
        }
        assert ledger.executor.statistics.conflicts == ACCOUNTS
    assert measured.keys() == WAL_ALONE.keys()
    print(measured)  # shown if the test fails
    for name, (least, most) in WAL_ALONE.items():
        assert least <= measured[name] <= most, name


# ---------------------------------------------------------------------- plans

EVENTS, STREAMS = 60_000, 6_000
INDEXES = {"events_pkey", "events_log_stream_version_key", "commands_pkey", "logs_pkey", "logs_name_key"}
_BY_POSITION, _BY_VERSION = "events_pkey", "events_log_stream_version_key"


@pytest.fixture(scope="module")
def explained(server: Server) -> Iterator[Explained]:
    """A log with statistics, on a connection that shows the plan of every statement, also within functions."""
    with server.database() as database, psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SELECT log.create_log('main'), log.create_log('other')")
        for log in (1, 2):
            connection.execute(
                "INSERT INTO log.events SELECT %s, n, n, 'acct_' || n %% %s, n / %s + 1, 'account.credited.v1', now(),"
                " 0, convert_to('{\"amount\":' || n || '}', 'UTF8'), '{}' FROM generate_series(1, %s) n",
                (log, STREAMS, STREAMS, EVENTS),
            )
            connection.execute(
                "INSERT INTO log.commands SELECT %s, 'tester', 'key-' || n, '', 1, 201, NULL, '{}', n, n, n, now()"
                " FROM generate_series(1, %s) n",
                (log, EVENTS),
            )
        connection.execute("UPDATE log.logs SET position = %s, recorded_at = now()", (EVENTS,))
        connection.execute(
            "INSERT INTO log.subject_keys (log, subject, sealed_key, master_key)"
            " SELECT 1, 'owner-' || n, 'sealed', 1 FROM generate_series(1, %s) n",
            (STREAMS,),
        )
        connection.execute(
            "INSERT INTO log.snapshots SELECT 1, 'acct_' || n, 3, 'other code', '{}' FROM generate_series(1, %s) n",
            (STREAMS,),
        )
        begin_read_tables(database)
        connection.execute("ANALYZE")
        yield Explained(connection)


def _keys(connection: Connection[Any]) -> object:
    return SubjectKeys(connection, 1).find(["owner-1", "owner-2"])


HOT: dict[str, tuple[Callable[[Connection[Any]], object], set[str]]] = {
    "a page of the log": (lambda c: read_log(c, 1, 30_000, 500), {_BY_POSITION}),
    "a page of one category": (lambda c: read_log(c, 1, 30_000, 500, prefix="acct_"), {_BY_POSITION}),
    "a page of one type": (lambda c: read_log(c, 1, 30_000, 500, types=("account.opened.v1",)), {_BY_POSITION}),
    "a stream": (lambda c: read_stream(c, 1, "acct_7"), {_BY_VERSION}),
    "a stream from a version": (lambda c: read_stream(c, 1, "acct_7", after=5), {_BY_VERSION}),
    "streams to be folded": (
        lambda c: read_streams(c, 1, {f"acct_{n}": n % 3 for n in range(GROUP)}),
        {_BY_VERSION},
    ),
    "streams to be folded, from their snapshots": (
        lambda c: Snapshots(lambda: c, 1, JsonStates(SNAPSHOTS)).read(c, {f"acct_{n}": 0 for n in range(GROUP)}),
        {_BY_VERSION, "snapshots_pkey"},
    ),
    "the version of a stream at a position": (lambda c: version_at(c, 1, "acct_7", 30_000), {_BY_VERSION}),
    "the events of a unit": (lambda c: read_unit(c, 1, 30_000, 100), {_BY_POSITION}),
    "the end of a unit": (lambda c: read_unit_end(c, 1, 30_000), {_BY_POSITION}),
    "streams in units": (lambda c: read_of_units(c, 1, ["acct_7", "acct_8"], [7, 8]), {_BY_VERSION}),
    "the events of a page that name a text": (lambda c: read_naming(c, 1, 30_000, 500, b'"x"'), {_BY_POSITION}),
    "the first answers of keys": (
        lambda c: find_answers(c, 1, [("tester", f"key-{n}") for n in range(100)]),
        {"commands_pkey"},
    ),
    "the keys of people": (_keys, {"subject_keys_pkey"}),
    "the status of projections": (
        lambda c: read_state(c, "main", [projection.name for projection in PROJECTIONS]),
        {_BY_POSITION},
    ),
}
SMALL = {"logs", "checkpoints", "projection_errors", "copies"}
"""Tables of few rows on one page. A sequential scan is the right plan."""


@pytest.mark.parametrize("name", HOT)
def test_a_hot_read_uses_its_index(explained: Explained, name: str) -> None:
    run, indexes = HOT[name]
    scans = [node for node in explained.scans(lambda: run(explained.connection)) if not SMALL & {node["Relation Name"]}]
    assert scans
    for node in scans:
        assert node["Node Type"] in INDEX_SCANS, node
        assert node["Index Name"] in indexes, node


@pytest.mark.parametrize("others", [1, 100, MOST_OTHERS])
def test_streams_that_others_changed_are_read_by_position(explained: Explained, others: int) -> None:
    """For any number of new events up to the bound."""
    scans = explained.scans(lambda: read_moved(explained.connection, 1, EVENTS - others, EVENTS))
    assert [probed_index(node) for node in scans] == [_BY_POSITION]


def _append(connection: Connection[Any], streams: int) -> None:
    """Append a group on changed streams, with known and new keys, so that every statement is executed."""
    record = Record(1, 201, None, b"{}", b"hash")
    batch = batch_of(
        DecidedCommand(
            "tester",
            f"key-{EVENTS - 10 + n}" if n < 2 else new_id("key"),
            [Read(stream := f"acct_{n}", 3, n % 2 == 0)],
            [NewEvent(stream, "account.credited.v1", b"{}", n % 2 == 0)],
            b"{}",
            record,
        )
        for n in range(streams)
    )
    with connection.transaction(force_rollback=True):
        appender = Appender(connection, 1, COMMUTING)
        appender.send(batch)
        answer = appender.receive()
        assert answer.verdicts is not None
        assert {0, 1, 2} <= set(answer.verdicts)


def test_the_append_probes_indexes_and_nothing_else(explained: Explained) -> None:
    scans = explained.scans(lambda: _append(explained.connection, GROUP))
    found = {(node["Relation Name"], node["Node Type"], node.get("Index Name")) for node in scans}
    assert {node["Relation Name"] for node in scans} == {"events", "commands", "logs"}
    for relation, kind, index in found:
        assert kind in INDEX_SCANS, (relation, kind)
        assert index in INDEXES, (relation, index)
    assert ("events", "Index Only Scan", _BY_VERSION) in found
    versions = [node for node in scans if node.get("Index Name") == _BY_VERSION]
    assert any("version >=" in node["Index Cond"] for node in versions), (
        "otherwise a whole page of entries is read for each command"
    )


def test_the_append_has_the_same_plans_on_an_empty_log(server: Server) -> None:
    """A plan that a session makes on a small log must be good for a large one too."""
    with server.database() as database, psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SELECT log.create_log('main')")
        connection.execute("VACUUM ANALYZE")  # as autovacuum does: now the statistics show empty tables
        watched = Explained(connection)

        def append_one() -> None:
            event = NewEvent("acct_1", "account.opened.v1", b"{}")
            record = Record(1, 201, None, b"{}", b"hash")
            appender = Appender(connection, 1, COMMUTING)
            appender.send(batch_of([DecidedCommand("tester", "key", [Read("acct_1", 0)], [event], b"{}", record)]))
            assert appender.receive().verdicts is None

        scans = watched.scans(append_one)
        assert {node["Node Type"] for node in scans} <= INDEX_SCANS
        probed = {(node["Relation Name"], probed_index(node)) for node in scans}
        assert probed == {("logs", "logs_pkey"), ("commands", "commands_pkey"), ("events", _BY_VERSION)}
