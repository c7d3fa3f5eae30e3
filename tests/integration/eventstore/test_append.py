"""The append: dense positions, whole units, expectations, and commands of a group that do not affect each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from eventstore.log.append import MOST_EVENTS_PER_UNIT, UnitTooLargeError, Verdict
from eventstore.log.read import read_head, read_log, read_stream
from eventstore.postgres.connect import connect
from tests.support.appending import DecidedCommand, NewEvent, Read, Record, append
from tests.support.postgres import Database

ENTRY = "entry.v1"
OTHER = "other.v1"


@pytest.fixture
def connection(database: Database) -> Iterator[Connection[Any]]:
    with connect(database.api_url, application_name="test") as opened:
        yield opened


@pytest.fixture
def log_number(connection: Connection[Any]) -> int:
    row = connection.execute("SELECT log.create_log('test')").fetchone()
    assert row is not None
    return int(row[0])


def command(
    key: str, *events: NewEvent, reads: tuple[Read, ...] = (), record: Record | None = None, actor: str = "a"
) -> DecidedCommand:
    return DecidedCommand(actor, key, reads, events, b"{}", record)


def write(
    key: str, stream: str, base: int, type: str = OTHER, *, commuting: bool = False, count: int = 1
) -> DecidedCommand:
    events = [NewEvent(stream, type, b"{}", commuting and type == ENTRY)] * count
    return DecidedCommand("a", key, (Read(stream, base, commuting),), events, b"{}", None)


def test_positions_are_dense_and_a_unit_ends_with_its_command(connection: Connection[Any], log_number: int) -> None:
    done = append(connection, log_number, [write("1", "s", 0, count=3), write("2", "t", 0, count=2)])
    assert [(c.verdict, c.first_position, c.last_position) for c in done.commands] == [(0, 1, 3), (0, 4, 5)]
    page = read_log(connection, log_number, 0, 100)
    assert [(e.position, e.unit_end, e.stream, e.version) for e in page.events] == [
        (1, 3, "s", 1), (2, 3, "s", 2), (3, 3, "s", 3), (4, 5, "t", 1), (5, 5, "t", 2),
    ]  # fmt: skip
    assert read_head(connection, "test").position == 5


def test_a_conflict_does_not_affect_other_commands_of_the_group(connection: Connection[Any], log_number: int) -> None:
    append(connection, log_number, [write("1", "s", 0)])
    done = append(connection, log_number, [write("2", "t", 0), write("3", "s", 0), write("4", "u", 0)])
    assert [c.verdict for c in done.commands] == [Verdict.IN, Verdict.CONFLICT, Verdict.IN]
    assert done.actual == {"s": 1}
    assert [e.stream for e in read_log(connection, log_number, 1, 100).events] == ["t", "u"]


def test_a_command_decided_on_the_events_of_a_failed_one_fails_too(
    connection: Connection[Any], log_number: int
) -> None:
    append(connection, log_number, [write("1", "s", 0)])
    leaning = DecidedCommand("a", "3", (Read("t", 0), Read("s", 0)), [NewEvent("t", OTHER, b"{}")], b"{}", None)
    after = write("4", "t", 0)  # decided on the state after command 3, which writes t
    done = append(connection, log_number, [leaning, after, write("5", "u", 0)])
    assert [c.verdict for c in done.commands] == [Verdict.CONFLICT, Verdict.CONFLICT, Verdict.IN]


def test_an_event_of_another_process_does_not_replace_the_expected_one(
    connection: Connection[Any], log_number: int
) -> None:
    """The version of t is the expected one, but its event is another. Comparing versions alone would accept it."""
    append(connection, log_number, [write("1", "s", 0), write("2", "t", 0)])
    first = DecidedCommand("a", "3", (Read("s", 0), Read("t", 0)), [NewEvent("t", OTHER, b"{}")], b"{}", None)
    done = append(connection, log_number, [first, write("4", "t", 0)])
    assert [c.verdict for c in done.commands] == [Verdict.CONFLICT, Verdict.CONFLICT]
    assert read_head(connection, "test").position == 2


def test_a_read_without_a_write_is_an_expectation_too(connection: Connection[Any], log_number: int) -> None:
    append(connection, log_number, [write("1", "s", 0)])
    record = Record(2, 422, "some_rule", b"{}", b"h")
    done = append(connection, log_number, [command("2", reads=(Read("s", 0),), record=record)])
    assert [c.verdict for c in done.commands] == [Verdict.CONFLICT]
    assert connection.execute("SELECT count(*) FROM log.commands").fetchone() == (0,)
    done = append(connection, log_number, [command("2", reads=(Read("s", 1),), record=record)])
    assert [c.verdict for c in done.commands] == [Verdict.IN]
    row = connection.execute("SELECT outcome, status, rule, decided_position, first_position FROM log.commands")
    assert row.fetchone() == (2, 422, "some_rule", 1, None)


def test_a_commuting_command_is_accepted_after_entries_and_not_after_a_freeze(
    connection: Connection[Any], log_number: int
) -> None:
    append(connection, log_number, [write("1", "cash", 0)])
    append(connection, log_number, [write("2", "cash", 1, ENTRY, commuting=True)], commuting_types=[ENTRY])
    late = append(connection, log_number, [write("3", "cash", 1, ENTRY, commuting=True)], commuting_types=[ENTRY])
    assert late.commands[0].verdict is Verdict.IN
    assert late.actual == {"cash": 2}
    append(connection, log_number, [write("4", "cash", 3, OTHER)], commuting_types=[ENTRY])
    after = append(connection, log_number, [write("5", "cash", 1, ENTRY, commuting=True)], commuting_types=[ENTRY])
    assert after.commands[0].verdict is Verdict.CONFLICT
    assert [(e.version, e.type) for e in read_stream(connection, log_number, "cash")] == [
        (1, OTHER), (2, ENTRY), (3, ENTRY), (4, OTHER),
    ]  # fmt: skip


def test_a_failed_entry_does_not_taint_commuting_commands(connection: Connection[Any], log_number: int) -> None:
    append(connection, log_number, [write("1", "cash", 0), write("2", "s", 0)])
    failing = DecidedCommand(
        "a", "3", (Read("s", 0), Read("cash", 1, True)), [NewEvent("cash", ENTRY, b"{}", True)], b"{}", None
    )
    fine = write("4", "cash", 1, ENTRY, commuting=True)
    exact = write("5", "cash", 1)
    done = append(connection, log_number, [failing, fine, exact], commuting_types=[ENTRY])
    assert [c.verdict for c in done.commands] == [Verdict.CONFLICT, Verdict.IN, Verdict.CONFLICT]


def test_a_key_is_recorded_once(connection: Connection[Any], log_number: int) -> None:
    record = Record(1, 201, None, b"{}", b"hash")
    first = DecidedCommand("a", "k", (Read("s", 0),), [NewEvent("s", OTHER, b"{}")], b"{}", record)
    assert append(connection, log_number, [first]).commands[0].verdict is Verdict.IN
    again = DecidedCommand("a", "k", (Read("s", 1),), [NewEvent("s", OTHER, b"{}")], b"{}", record)
    others = DecidedCommand("b", "k", (Read("t", 0),), [NewEvent("t", OTHER, b"{}")], b"{}", record)
    done = append(connection, log_number, [again, write("2", "s", 1), others])
    assert [c.verdict for c in done.commands] == [Verdict.DUPLICATE, Verdict.CONFLICT, Verdict.IN]


def test_a_stream_cannot_be_continued_beyond_its_end(connection: Connection[Any], log_number: int) -> None:
    assert append(connection, log_number, [write("1", "s", 5)]).commands[0].verdict is Verdict.CONFLICT
    append(connection, log_number, [write("2", "s", 0, count=3)])
    done = append(connection, log_number, [write("3", "s", 5), write("4", "s", 5)])
    assert [c.verdict for c in done.commands] == [Verdict.CONFLICT, Verdict.CONFLICT]
    assert done.actual == {"s": 3}, "the answer has the actual version"


def test_a_rolled_back_append_leaves_no_gap(connection: Connection[Any], log_number: int) -> None:
    with connection.transaction(force_rollback=True):
        append(connection, log_number, [write("1", "s", 0, count=7)])
    done = append(connection, log_number, [write("2", "s", 0)])
    assert done.commands[0].first_position == 1


def test_logs_are_independent(connection: Connection[Any], log_number: int) -> None:
    other = connection.execute("SELECT log.create_log('other')").fetchone()
    assert other is not None
    append(connection, log_number, [write("1", "s", 0)])
    done = append(connection, other[0], [write("1", "s", 0)])
    assert done.commands[0].first_position == 1


def test_a_unit_has_a_bound(connection: Connection[Any], log_number: int) -> None:
    append(connection, log_number, [write("1", "s", 0, count=MOST_EVENTS_PER_UNIT)])
    assert read_head(connection, "test").position == MOST_EVENTS_PER_UNIT
    with pytest.raises(UnitTooLargeError, match="10001"):
        append(connection, log_number, [write("2", "t", 0, count=MOST_EVENTS_PER_UNIT + 1)])


@pytest.mark.parametrize("limit", range(1, 11))
def test_pages_end_with_a_unit_at_every_size(connection: Connection[Any], log_number: int, limit: int) -> None:
    append(connection, log_number, [write(str(n), f"s{n}", 0, count=1 + n % 4) for n in range(12)])
    head = read_head(connection, "test").position
    after, seen = 0, []
    while not (page := read_log(connection, log_number, after, limit)).at_end:
        assert page.events[-1].position == page.events[-1].unit_end == page.upto
        assert len(page.events) <= limit + 3
        seen += [event.position for event in page.events]
        after = page.upto
    assert seen == list(range(1, head + 1))


def test_filters_still_advance(connection: Connection[Any], log_number: int) -> None:
    append(connection, log_number, [write("1", "acct_1", 0), write("2", "txn_1", 0, ENTRY), write("3", "acct_2", 0)])
    page = read_log(connection, log_number, 0, 2, types=("no.such.type",))
    assert (page.events, page.upto) == ([], 2)
    assert [e.stream for e in read_log(connection, log_number, 0, 10, prefix="acct_").events] == ["acct_1", "acct_2"]
    assert [e.stream for e in read_log(connection, log_number, 0, 10, types=(ENTRY,)).events] == ["txn_1"]


def test_an_append_is_index_work_only(connection: Connection[Any], log_number: int, database: Database) -> None:
    """The plans inside the function use indexes, with statistics of empty tables and of large ones."""
    with connect(database.url, application_name="plans") as owner:
        commands: list[str] = []
        owner.add_notice_handler(lambda notice: commands.append(notice.message_primary or ""))
        for setting in ("log_nested_statements = on", "log_min_duration = 0", "log_analyze = on"):
            owner.execute("LOAD 'auto_explain'")
            owner.execute(f"SET auto_explain.{setting}".encode())
        owner.execute("SET client_min_messages = log")
        record = Record(1, 201, None, b"{}", b"h")
        for round in range(12):
            group = [
                DecidedCommand(
                    "a", f"{round}-{n}", (Read(f"s{n}", round),), [NewEvent(f"s{n}", OTHER, b"{}")], b"{}", record
                )
                for n in range(100)
            ]
            commands.clear()
            append(owner, log_number, group)
        touching = [decided for decided in commands if "log.commands k" in decided or "FROM log.events ev" in decided]
        assert len(touching) == 2
        for decided in touching:
            assert "Index" in decided
            assert "Seq Scan" not in decided
            assert "Join" not in decided


def test_a_call_that_miscounts_its_events_changes_nothing(connection: Connection[Any], log_number: int) -> None:
    """The function computes positions and versions, so no caller can leave a gap."""
    call = (
        "SELECT log.append(%s, 0::smallint, '{}', '{a}', '{k}', '{h}', '{1}', '{201}', '{NULL}', '{x}', '{NULL}',"
        " '{f}', %s::integer[], '{s}', '{0}', '{f}', '{1}', '{1}', '{f}', '{1,1}', '{1,1}', '{f,f}', '{t,t}',"
        " '{p,p}', '{m,m}')"
    )
    for counted in ("{1}", "{3}"):
        with pytest.raises(psycopg.Error):
            connection.execute(call, (log_number, counted))
    assert read_head(connection, "test").position == 0
    connection.execute(call, (log_number, "{2}"))
    assert [(e.position, e.unit_end, e.version) for e in read_log(connection, log_number, 0, 10).events] == [
        (1, 2, 1),
        (2, 2, 2),
    ]


def test_an_append_that_is_refused_at_the_commit_has_no_effect(
    connection: Connection[Any], log_number: int, database: Database
) -> None:
    """The row of the function comes before the commit, so it is not the final result."""
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'refused at the commit'; END $$"
        )
        owner.execute(
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON log.events DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION public.refuse()"
        )
    with pytest.raises(psycopg.Error, match="refused at the commit"):
        append(connection, log_number, [write("k", "s", 0)])
    assert read_log(connection, log_number, 0, 10).events == []


def test_a_stream_that_is_assumed_new_and_exists_is_refused(connection: Connection[Any], log_number: int) -> None:
    """The stream is not looked up. The unique index detects it, and the whole call has no effect."""
    append(connection, log_number, [write("first", "s", 0)])
    invented = command("second", NewEvent("s", OTHER, b"{}"), reads=(Read("s", None),))
    with pytest.raises(psycopg.errors.UniqueViolation):
        append(connection, log_number, [invented])
    assert read_head(connection, "test").position == 1
