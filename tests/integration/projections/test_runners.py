"""Exactly once: with rivals, killed owners, events that cannot be folded, logs that were replaced."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from threading import Barrier, Event, Thread
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from bench.harness.tables import begin_read_tables, read_owner
from domain.accounts.account.events import AccountClosed
from domain.orders.order import OrderConfirmed
from eventstore.postgres.ownership import Ownership
from projections.engine import follow as following
from projections.engine.follow import follow
from projections.engine.lag import lag
from projections.engine.projection import FoldCache, FoldError, Projection
from projections.engine.rebuild import rebuild
from projections.engine.runner import FOLDING, Runner
from projections.engine.tables import (
    AnotherLogError,
    NotPreparedError,
    ShapeError,
    begin,
    prepare,
)
from projections.registry import PROJECTIONS, named
from tests.integration.projections.filling import (
    LOG,
    MOST_WAITS,
    Filler,
    a_life,
    follow_and_die,
    follow_for_ever,
    projector,
    transfer,
)
from tests.integration.projections.test_pages import tables
from tests.support.pausing import pause
from tests.support.postgres import Database
from tests.support.waiting import wait_until
from workers.databases import logins

NAMES = [projection.name for projection in PROJECTIONS]


def lowest(connection: Connection[Any]) -> int:
    """The position all projections have reached."""
    return min(one.position for one in lag(connection, LOG, PROJECTIONS).projections)


@contextmanager
def followed(database: Database, filler: Filler, **more: float) -> Iterator[None]:
    """A worker in a thread of its own."""
    stop = Event()
    worker = Thread(
        target=follow,
        args=(lambda: projector(database), lambda connection, log_number: filler.codec, LOG, PROJECTIONS, stop),
        kwargs=more,
    )
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def test_two_runners_without_a_lock_apply_nothing_twice(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    filler.write(*a_life(filler, seed=1, units=400))
    failures: list[BaseException] = []
    pages = []
    together = Barrier(3)

    def race() -> None:
        try:
            with projector(database) as own:
                runner = Runner(own, LOG, filler.codec, PROJECTIONS, page=7)
                together.wait(60)  # all have the same checkpoints, so at most one first step can succeed
                pages.append(runner.step())
                while lowest(own) < filler.position:
                    pages.append(runner.step())
                assert not runner.stopped
        except BaseException as error:
            failures.append(error)

    racers = [Thread(target=race) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert not failures
    assert pages.count(0) > 0, "somebody lost a race"
    assert filler.verify().ok


def test_an_owner_who_wakes_up_late_notices_that_he_was_replaced(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    filler.write(*a_life(filler, seed=2, units=50))
    late = Runner(connection, LOG, filler.codec, PROJECTIONS, page=10)
    late.step()
    with projector(database) as own:
        Runner(own, LOG, filler.codec, PROJECTIONS).run_to_head()
    assert late.step() == 0
    assert set(late.positions.values()) == {filler.position}
    filler.write(*a_life(filler, seed=3, units=50))
    late.run_to_head()
    assert filler.verify().ok


def test_killed_at_any_moment_and_started_again_the_tables_are_those_of_a_fresh_fold(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    """The moment is a number of answers of the server that it has waited for, not a time: a machine may be slow."""
    chance = random.Random(4)
    spawn = multiprocessing.get_context("spawn")
    for life in range(5):
        filler.write(*a_life(filler, seed=10 + life, units=600))
        begun = lowest(connection)
        worker = spawn.Process(target=follow_and_die, args=(database.projector_url, chance.randrange(MOST_WAITS)))
        worker.start()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
        assert begun < lowest(connection) < filler.position, "it was killed at work"
        report = filler.verify(patience_seconds=0)
        assert report.rows_ok, report.findings
    with followed(database, filler):
        wait_until(lambda: lowest(connection) == filler.position, "the head")
    report = filler.verify()
    assert report.ok, report.findings
    live = tables(connection)
    assert filler.rebuild(connection).ok
    assert tables(connection) == live


def test_a_stand_by_takes_over_when_the_owner_ends(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    """Its end is seen, not its silence: of that it would have to be an hour."""
    with projector(database) as owner:
        assert Ownership(owner, FOLDING, filler.log, NAMES).acquire() == set(NAMES)
        with followed(database, filler, paused_seconds=3600):
            filler.write(*a_life(filler, seed=5, units=50))
            time.sleep(3 * following.IDLE_POLL_SECONDS)
            assert lowest(connection) == 0, "what is owned is left to its owner"
            owner.close()
            wait_until(lambda: lowest(connection) == filler.position, "the take-over")


def test_an_owner_that_was_paused_is_replaced_and_does_no_harm_when_it_wakes_up(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    filler.write(*a_life(filler, seed=30, units=600))
    worker = multiprocessing.get_context("spawn").Process(target=follow_for_ever, args=(database.projector_url,))
    worker.start()
    try:
        wait_until(lambda: lowest(connection) > 0, "the worker's first page")
        assert worker.pid is not None
        pause(worker.pid)
        with followed(database, filler):
            wait_until(lambda: lowest(connection) == filler.position, "the take-over")
            os.kill(worker.pid, signal.SIGCONT)
            filler.write(*a_life(filler, seed=31, units=100))
            wait_until(lambda: lowest(connection) == filler.position, "the head")
        filler.write(*a_life(filler, seed=32, units=100))
        wait_until(lambda: lowest(connection) == filler.position, "its taking over again")
    finally:
        worker.kill()
        worker.join()
    assert filler.verify().ok


def test_an_owner_that_falls_silent_in_the_middle_of_its_rows_is_replaced(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    """While the server waits for more rows the session is not idle to it, and holds what it has locked."""
    filler.write(*a_life(filler, seed=33, units=50))
    with closing(projector(database)) as owner:
        assert Ownership(owner, FOLDING, filler.log, NAMES).acquire() == set(NAMES)
        owner.execute("BEGIN")
        owner.execute("UPDATE read.checkpoints SET position = position")
        owner.pgconn.exec_(b"COPY read.checkpoints FROM STDIN")
        with followed(database, filler, paused_seconds=0.5):
            wait_until(lambda: lowest(connection) == filler.position, "the take-over", seconds=30)
    assert filler.verify().ok


def test_a_worker_outlives_its_connections(database: Database, filler: Filler, connection: Connection[Any]) -> None:
    with followed(database, filler):
        for life in range(3):
            filler.write(*a_life(filler, seed=20 + life, units=30))
            wait_until(lambda: lowest(connection) == filler.position, "the head")
            filler.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'"
                " AND datname = current_database() AND pid <> %s",
                (connection.info.backend_pid,),
            )
    assert filler.verify().ok


def test_notifications_shorten_the_wait(
    database: Database, filler: Filler, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "IDLE_POLL_SECONDS", 5.0)
    pace = following.Pace(0.02)
    pace.idle(True)
    for _ in range(10):
        pace.idle(False)
    assert pace.seconds == 5.0
    pace.idle(True)
    assert pace.seconds == 0.02
    for _ in range(10):
        pace.idle(False)
    pace.found()  # unannounced
    for _ in range(10):
        pace.idle(False)
    assert pace.seconds == 0.02, "without notifications it stays short"


def test_an_event_that_cannot_be_folded_stops_only_those_who_want_it(
    filler: Filler, connection: Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = filler.write(*a_life(filler, seed=6, units=60))
    poison = filler.write([OrderConfirmed("ord_never_placed", 1)])
    filler.write(*a_life(filler, seed=7, units=60))
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    assert set(runner.stopped) == {"orders"}
    assert f"at position {poison}, order.confirmed.v1 on ord_never_placed" in runner.stopped["orders"]
    assert "projection orders stopped" in caplog.text
    assert runner.positions == {name: before if name == "orders" else filler.position for name in NAMES}
    report = filler.verify()
    assert report.rows_ok, "what was folded is right"
    [stopped] = report.findings
    assert str(stopped).startswith(f"orders stopped at position {poison}, order.confirmed.v1 on ord_never_placed: ")
    assert str(stopped).endswith(
        f"; it stands at {before} of {filler.position}; once the cause is gone, run daybook rebuild orders"
    )

    again = Runner(connection, LOG, filler.codec, PROJECTIONS)
    again.run_to_head()
    assert set(again.stopped) == {"orders"}, "a new runner tries, and meets it again"
    state = {one.projection: one for one in lag(connection, LOG, PROJECTIONS).projections}
    assert state["orders"].stopped is not None
    assert state["orders"].events == filler.position - before
    assert state["accounts"].stopped is None


def test_a_unit_is_not_folded_up_to_the_event_that_cannot_be(filler: Filler, connection: Connection[Any]) -> None:
    one, other = filler.opening(), filler.opening()
    filler.write([one], [other])
    good = transfer("txn_1", one.originator_id, other.originator_id, 5)
    end = filler.write(good)
    filler.write(
        [*transfer("txn_2", one.originator_id, other.originator_id, 5), AccountClosed("acct_none", 1, "x", "y")]
    )
    runner = Runner(connection, LOG, filler.codec, named(["accounts"]))
    runner.run_to_head()
    assert runner.positions == {"accounts": end}
    assert "acct_none" in runner.stopped["accounts"]


def test_bytes_that_cannot_be_decoded_stop_those_who_want_them(filler: Filler, connection: Connection[Any]) -> None:
    before = filler.write(*a_life(filler, seed=8, units=60))
    filler.write([OrderConfirmed("ord_x", 1)])
    filler.connection.execute("UPDATE log.events SET payload = '{' WHERE position = %s", (filler.position,))
    filler.write(*a_life(filler, seed=9, units=20))
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    assert set(runner.stopped) == {"orders"}
    assert "does not fit the catalogue" in runner.stopped["orders"]
    assert runner.positions["orders"] == before
    assert runner.positions["posts"] == filler.position


def test_of_two_bad_events_in_a_page_the_first_stops_those_who_want_it_and_the_others_go_on(
    filler: Filler, connection: Connection[Any]
) -> None:
    """One that is decoded and cannot be folded, and one that cannot be decoded."""
    before = filler.write(*a_life(filler, seed=8, units=60))
    first = filler.write([OrderConfirmed("ord_x", 1)])
    filler.write(*a_life(filler, seed=9, units=20))
    second = filler.write([OrderConfirmed("ord_y", 1)])
    filler.connection.execute("UPDATE log.events SET payload = '{' WHERE position = %s", (second,))
    filler.write(*a_life(filler, seed=11, units=20))
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    assert set(runner.stopped) == {"orders"}
    assert f"at position {first}, order.confirmed.v1 on ord_x" in runner.stopped["orders"]
    assert runner.positions == {name: before if name == "orders" else filler.position for name in NAMES}
    assert filler.verify().rows_ok


def test_what_stopped_goes_on_when_it_can(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=10, units=30))
    filler.write([OrderConfirmed("ord_x", 1)])

    def refuse(connection: Connection[Any], result: Any, memory: FoldCache) -> None:
        raise FoldError("not with this version")

    orders = named(["orders"])[0]
    runner = Runner(connection, LOG, filler.codec, [replace(orders, write=refuse)])
    runner.run_to_head()
    assert "not with this version" in runner.stopped["orders"]

    mended = Runner(connection, LOG, filler.codec, [replace(orders, write=lambda connection, result, memory: None)])
    mended.run_to_head()
    assert not mended.stopped
    assert lag(connection, LOG, [orders]).stopped == ()
    assert runner.step() == 0
    assert not runner.stopped, "and the first one sees that it went on"


def test_an_error_of_the_server_stops_nothing(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=11, units=30))
    attempts = []

    def fail_once(connection: Connection[Any], result: Any, memory: FoldCache) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise psycopg.errors.DiskFull("no space left")

    runner = Runner(connection, LOG, filler.codec, [replace(PROJECTIONS[0], write=fail_once)])
    with pytest.raises(psycopg.OperationalError, match="no space"):
        runner.step()
    assert runner.step() == filler.position
    assert not runner.stopped


def test_another_event_at_the_checkpoint_refuses_to_go_on(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=12, units=30))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    at = filler.position
    filler.connection.execute("UPDATE log.events SET payload = payload || ' ' WHERE position = %s", (at,))
    filler.write(*a_life(filler, seed=13, units=30))
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    assert runner.step() == 0
    assert set(runner.stopped) == set(NAMES)
    assert runner.stopped["posts"] == (
        f"posts was folded up to position {at}, but the log has another event there, or none: its history was "
        "replaced; rebuild it: daybook rebuild posts"
    )
    assert set(lag(connection, LOG, PROJECTIONS).stopped) == set(NAMES)
    assert filler.rebuild(connection).ok


def test_a_checkpoint_ahead_of_the_log_refuses_to_go_on(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=14, units=30))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    filler.connection.execute("DELETE FROM log.events WHERE position > 10")
    filler.connection.execute("UPDATE log.logs SET position = 10")
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    assert "its history was replaced" in runner.stopped["entries"]


def test_a_restored_log_refuses_to_go_on(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=15, units=30))
    runner = Runner(connection, LOG, filler.codec, PROJECTIONS)
    runner.run_to_head()
    filler.connection.execute("UPDATE log.logs SET epoch = 2")
    filler.write(*a_life(filler, seed=16, units=30))
    assert runner.step() == 0
    assert (
        "was folded in epoch 1 and the log is in epoch 2: the log was restored from a dump" in runner.stopped["entries"]
    )
    assert filler.rebuild(connection).ok
    assert runner.step() == 0
    assert not runner.stopped


def test_without_tables_nothing_is_folded(database: Database, filler: Filler) -> None:
    with projector(database) as own:
        with pytest.raises(NotPreparedError, match=r"accounts, .* there are no tables yet; run daybook migrate"):
            begin(own, LOG, PROJECTIONS)
        filler.begin(PROJECTIONS[:1])
        with pytest.raises(NotPreparedError, match=f"{PROJECTIONS[1].name}, .*there are no tables yet"):
            begin(own, LOG, PROJECTIONS)
        with pytest.raises(NotPreparedError, match=PROJECTIONS[1].name):
            Runner(own, LOG, filler.codec, PROJECTIONS)


def test_preparing_at_once_and_again_changes_nothing(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    filler.write(*a_life(filler, seed=17, units=100))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    before = tables(connection)
    threads = [Thread(target=begin_read_tables, args=(database,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tables(connection) == before
    assert lowest(connection) == filler.position


def test_tables_of_another_shape_ask_for_a_rebuild(filler: Filler, connection: Connection[Any]) -> None:
    filler.write(*a_life(filler, seed=18, units=60))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    newer: list[Projection] = [
        replace(projection, version=2) if projection.name == "posts" else projection for projection in PROJECTIONS
    ]
    with pytest.raises(ShapeError, match=r"the tables of posts were made by another version .*daybook rebuild posts"):
        filler.begin(newer)
    posts = [projection for projection in newer if projection.name == "posts"]
    with read_owner(filler.database) as owner:
        owner.execute("ALTER TABLE read.posts RENAME COLUMN body TO text")
    assert filler.rebuild(connection, posts).ok
    filler.begin(newer)
    assert filler.verify(newer).ok
    assert filler.connection.execute("SELECT count(*) FROM reporting.posts WHERE body IS NULL").fetchone() == (0,)


def test_a_worker_of_another_version_does_not_fold_into_tables_made_anew(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    """A release comes with another shape and rebuilds, while a worker of the one before runs: that one has to end."""
    filler.write(*a_life(filler, seed=18, units=60))
    newer: list[Projection] = [replace(projection, version=projection.version + 1) for projection in PROJECTIONS]
    ended: list[BaseException] = []

    def older() -> None:
        try:
            follow(lambda: projector(database), lambda connection, log_number: filler.codec, LOG, PROJECTIONS, Event())
        except ShapeError as error:
            ended.append(error)

    worker = Thread(target=older)
    worker.start()
    wait_until(lambda: lowest(connection) == filler.position, "the head")
    with projector(database) as own:
        assert filler.rebuild(own, newer).ok
    worker.join(30)
    assert not worker.is_alive()
    assert "daybook rebuild" in str(ended[0])
    assert filler.verify(newer).ok


def test_preparing_again_waits_for_no_reader_of_a_report(database: Database, filler: Filler) -> None:
    """Nor does any reader wait for it. What is missing, or was made by another version, is made again."""
    filler.begin()
    with read_owner(database) as own, psycopg.connect(database.url) as reader:
        reader.execute("SELECT count(*) FROM reporting.entries")  # and its transaction stays open
        own.execute("SET lock_timeout = '1s'")
        prepare(own, PROJECTIONS)
        reader.rollback()
        comment = "SELECT obj_description(to_regclass('reporting.posts'))"
        as_made = own.execute(comment).fetchone()
        own.execute("DROP VIEW reporting.posts")
        prepare(own, PROJECTIONS)
        assert own.execute(comment).fetchone() == as_made
        own.execute("COMMENT ON VIEW reporting.posts IS 'older'")
        own.execute("UPDATE read.reports SET digest = 'older' WHERE projection = 'posts'")
        prepare(own, PROJECTIONS)
        assert own.execute(comment).fetchone() == as_made


def test_the_tables_of_one_log_are_refused_to_another(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    """Rows do not say of which log they are, and a rebuild empties tables: it would take the other ledger's."""
    filler.write(*a_life(filler, seed=18, units=60))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    with psycopg.connect(database.url) as owner:
        owner.execute("SELECT log.create_log('another')")
    refused = rf"are those of log {LOG}, not of another: .*set DAYBOOK_LOG"
    with pytest.raises(AnotherLogError, match=refused):
        begin(connection, "another", PROJECTIONS)
    with read_owner(database) as owner, pytest.raises(AnotherLogError, match=refused):
        rebuild(connection, "another", filler.codec, PROJECTIONS, owner=owner)
    assert filler.verify().ok


def test_a_rebuild_while_a_worker_runs(database: Database, filler: Filler, connection: Connection[Any]) -> None:
    answered: list[tuple[int, int]] = []
    with followed(database, filler):
        filler.write(*a_life(filler, seed=19, units=300))
        wait_until(lambda: lowest(connection) == filler.position, "the head")
        report = filler.rebuild(connection, named(["entries", "posts"]), progress=lambda *at: answered.append(at))
        assert report.ok
        assert report.head == report.position == filler.position
        filler.write(*a_life(filler, seed=20, units=100))
        wait_until(lambda: lowest(connection) == filler.position, "the head")
    assert answered[-1] == (report.head, report.head)
    assert filler.verify().ok


def test_a_rebuild_reports_what_stopped_it(filler: Filler, connection: Connection[Any]) -> None:
    filler.write([OrderConfirmed("ord_x", 1)])
    report = filler.rebuild(connection, named(["orders"]))
    assert not report.ok
    assert "ord_x" in report.stopped["orders"]


def takes(connection: Connection[Any], key: tuple[int]) -> bool:
    """Whether the connection gets this advisory lock now."""
    return connection.execute("SELECT pg_try_advisory_lock(%s)", key).fetchone() == (True,)


def test_a_reader_that_holds_our_locks_keeps_no_worker_from_its_work(
    database: Database, filler: Filler, connection: Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL lets every login take every advisory lock, and shows everybody which ones are held."""
    with psycopg.connect(logins(database.url)["reader_database_url"], autocommit=True) as reader:
        with projector(database) as owner:
            Ownership(owner, FOLDING, filler.log, NAMES).acquire()
            keys = reader.execute(
                "SELECT classid::bigint << 32 | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchall()
        assert len(keys) == len(NAMES)
        for key in keys:  # a session that ends releases one lock after the other
            wait_until(partial(takes, reader, key), "a free lock")
        filler.write(*a_life(filler, seed=40, units=50))
        with followed(database, filler):
            wait_until(lambda: lowest(connection) == filler.position, "the head")
        filler.begin()  # and the tables can be made, too
    assert caplog.text.count("and is no daybook_projector: going on without it") == len(NAMES)
    assert filler.verify().ok
