"""A rebuild folds beside the live tables and replaces them in one transaction, or leaves them."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from bench.harness.tables import read_owner
from eventstore.postgres.connect import _Bounded, connect
from projections.engine import rebuild as rebuilding
from projections.engine import replacement
from projections.engine.checkpoint import read_state
from projections.engine.follow import follow
from projections.engine.projection import Projection
from projections.engine.rebuild import Rebuilt, rebuild
from projections.engine.replacement import SupersededError, make_next
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS, named
from tests.integration.projections.filling import LOG, Filler, a_life, codec_of, projector
from tests.integration.projections.test_pages import tables
from tests.support.postgres import Database
from tests.support.waiting import wait_until

NAMES = [projection.name for projection in PROJECTIONS]
SEEN = """
SELECT (SELECT count(*) FROM reporting.accounts), (SELECT count(*) FROM reporting.entries),
       (SELECT count(*) FROM reporting.transactions), (SELECT count(*) FROM reporting.orders),
       (SELECT count(*) FROM reporting.posts)
"""
UNBALANCED = "SELECT currency FROM reporting.trial_balance GROUP BY currency HAVING sum(balance) <> 0"


def folded(connection: Connection[Any], filler: Filler, *, seed: int, units: int = 100) -> None:
    filler.write(*a_life(filler, seed=seed, units=units))
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()


def left_over(filler: Filler) -> list[str]:
    """What rebuilds have left beside the live tables."""
    rows = filler.connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('read_next'::regnamespace,"
        " 'read_old'::regnamespace) AND relname NOT IN ('checkpoints', 'projection_errors')"
        " UNION ALL SELECT projection FROM read_next.checkpoints"
    )
    return [name for (name,) in rows]


def identities(filler: Filler) -> list[tuple[Any, ...]]:
    """The tables and views that are read, and their object ids."""
    return filler.connection.execute(
        "SELECT relnamespace::regnamespace::text, relname, oid FROM pg_class WHERE relkind IN ('r', 'v')"
        " AND relnamespace IN ('read'::regnamespace, 'reporting'::regnamespace) ORDER BY 1, 2"
    ).fetchall()


def with_reporting(projection: Projection, reporting: str) -> Projection:
    """The projection with other reporting views."""
    changed = type("Changed", (Projection,), {"reporting": reporting})
    made = changed(**{one.name: getattr(projection, one.name) for one in fields(projection)})
    assert isinstance(made, Projection)
    return made


@contextmanager
def reading(database: Database) -> Iterator[list[tuple[int, ...]]]:
    """What two readers of reports see, one after the other each. A fall, or books out of balance, fails."""
    stop, failures, seen = Event(), list[str](), list[tuple[int, ...]]()

    def read() -> None:
        before: tuple[int, ...] = (0,)
        with psycopg.connect(database.reader_url, autocommit=True) as reader:
            while not stop.is_set():
                now = reader.execute(SEEN).fetchone() or ()
                if any(one < other for one, other in zip(now, before, strict=False)):
                    failures.append(f"{before} fell to {now}")
                if unbalanced := reader.execute(UNBALANCED).fetchall():
                    failures.append(f"{unbalanced} are not balanced")
                before = now
                seen.append(now)

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        yield seen
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert failures == []


WRITER_PAUSE_SECONDS = 0.1
"""The load has a rate: with as many rows as the machine can write, the reports of the readers would become too long."""


def test_readers_see_the_old_or_the_new_under_load(
    database: Database, filler: Filler, connection: Connection[Any]
) -> None:
    folded(connection, filler, seed=60, units=400)
    before = identities(filler)
    stop, wrote = Event(), Event()
    make_codec = codec_of
    worker = Thread(target=follow, args=(lambda: projector(database), make_codec, LOG, PROJECTIONS, stop))

    def write() -> None:
        for seed in range(61, 1_000):
            if stop.wait(WRITER_PAUSE_SECONDS):
                return
            filler.write(*a_life(filler, seed=seed, units=30))
            wrote.set()

    writer = Thread(target=write)
    with reading(database) as seen:
        worker.start()
        writer.start()
        try:
            for _ in range(2):
                wrote.clear()
                wrote.wait(30)
                looked = len(seen)
                with projector(database) as own, projector(database) as ahead, read_owner(database) as owner:
                    report = rebuild(own, LOG, codec_of(own, filler.log), PROJECTIONS, owner=owner, ahead=ahead)
                assert report.ok, report
                assert len(seen) > looked, "it was read meanwhile"
        finally:
            stop.set()
            writer.join()
            worker.join()
    replaced = {(schema, name) for schema, name, oid in set(before) - set(identities(filler)) if schema == "read"}
    assert replaced == {("read", table) for projection in PROJECTIONS for table in projection.tables}
    assert left_over(filler) == []
    Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
    assert filler.verify().ok


def test_an_attempt_that_fails_leaves_the_old_tables_and_views(
    database: Database, filler: Filler, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folded(connection, filler, seed=62)
    before, rows = identities(filler), tables(connection)
    for step in ("_exchange", "_replace_views", "record_shape"):

        def fail(*_: object, step: str = step) -> None:
            raise ConnectionError(step)

        with monkeypatch.context() as patched:
            patched.setattr(replacement, step, fail)
            with pytest.raises(ConnectionError, match=step):
                filler.rebuild(connection)
        assert identities(filler) == before
        assert tables(connection) == rows
        assert left_over(filler) == []
    assert filler.rebuild(connection).ok
    assert filler.verify().ok


def rebuild_and_die(url: str, owner_url: str, waits: int) -> None:
    """What `daybook rebuild` does, killed at the n-th answer of the server that it waits for."""
    left = waits
    wait = _Bounded.wait

    def counted(connection: Any, *args: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return wait(connection, *args, **more)

    with connect(url, application_name="killed") as own, connect(owner_url, application_name="killed") as owner:
        codec = codec_of(own, 1)
        _Bounded.wait = counted  # type: ignore[method-assign, assignment]
        rebuild(own, LOG, codec, named(["posts", "orders"]), owner=owner)
    _Bounded.wait = wait  # type: ignore[method-assign]


def test_killed_at_any_step_it_leaves_old_or_new_tables_and_the_next_one_cleans_up(
    database18: Database,
) -> None:
    filler = Filler(database18)
    filler.begin()
    spawn = multiprocessing.get_context("spawn")
    chance = random.Random(63)
    with projector(database18) as connection:
        folded(connection, filler, seed=63)
        rows = tables(connection)
        codes = []
        for waits in (10, 25, 40, 55, 70, 85, chance.randrange(100)):
            process = spawn.Process(
                target=rebuild_and_die, args=(database18.projector_url, database18.read_owner_url, waits)
            )
            process.start()
            process.join()
            codes.append(process.exitcode)
            wait_until(lambda: not sessions_of_the_killed(filler), "the end of its sessions")
            assert tables(connection) == rows, f"killed after {waits} answers"
        assert codes.count(-signal.SIGKILL) >= 5, f"it was killed at work: {codes}"
        assert filler.rebuild(connection).ok
        assert left_over(filler) == []
        assert filler.verify().ok
    filler.close()


def sessions_of_the_killed(filler: Filler) -> list[Any]:
    return filler.connection.execute("SELECT FROM pg_stat_activity WHERE application_name = 'killed'").fetchall()


def test_a_projector_that_runs_loses_once_and_goes_on_with_the_new_tables(
    filler: Filler, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The position is the same before and after the swap: what it keeps of the old tables must go all the same."""
    filler.write(*a_life(filler, seed=64, units=100))
    running = Runner(connection, LOG, filler.codec, PROJECTIONS, page=50)
    running.step()
    monkeypatch.setattr(rebuilding, "_fold_to_head", lambda *_: (0, {}))
    with projector(filler.database) as own:
        assert not filler.rebuild(own).kept
        state = read_state(own, LOG, NAMES)
    positions = {status.checkpoint.position for status in state.statuses if status.checkpoint is not None}
    assert positions == set(running.positions.values())
    caplog.set_level("INFO")
    assert running.step() == 0
    assert "another runner moved" in caplog.text
    assert not any(running._caches.values())
    running.run_to_head()
    assert not running.stopped
    assert filler.verify().ok


def test_views_of_users_survive(filler: Filler, connection: Connection[Any]) -> None:
    folded(connection, filler, seed=65)
    filler.connection.execute(
        "CREATE VIEW public.mine AS SELECT account, balance FROM reporting.accounts;"
        "CREATE VIEW public.of_mine AS SELECT count(*) AS accounts FROM public.mine"
    )
    before = filler.connection.execute("SELECT * FROM public.mine ORDER BY 1").fetchall()
    assert filler.rebuild(connection).ok
    assert filler.connection.execute("SELECT * FROM public.mine ORDER BY 1").fetchall() == before
    assert filler.connection.execute("SELECT accounts FROM public.of_mine").fetchone() == (len(before),)


def test_a_view_that_cannot_be_replaced_changes_nothing_and_names_its_dependents(
    filler: Filler, connection: Connection[Any]
) -> None:
    folded(connection, filler, seed=66)
    [posts] = named(["posts"])
    newer = with_reporting(
        posts,
        "CREATE OR REPLACE VIEW reporting.posts AS SELECT post FROM read.posts;"
        "CREATE OR REPLACE VIEW reporting.post_revisions AS SELECT post FROM read.post_revisions",
    )
    filler.connection.execute(
        "CREATE VIEW public.titles AS SELECT title FROM reporting.posts;"
        "CREATE VIEW public.of_titles AS SELECT count(*) FROM public.titles"
    )
    before = identities(filler)
    report = filler.rebuild(connection, [newer])
    assert not report.ok
    assert "because of_titles, titles would not fit any more" in report.kept["posts"].replace("public.", "")
    assert "cannot" in report.kept["posts"]
    assert "drop them, run daybook rebuild posts" in report.kept["posts"]
    assert identities(filler) == before
    assert left_over(filler) == []
    filler.connection.execute("DROP VIEW public.titles CASCADE")
    assert filler.rebuild(connection, [newer]).ok, "nobody uses the view any more: it is made anew"
    with pytest.raises(psycopg.errors.UndefinedColumn):
        filler.connection.execute("SELECT title FROM reporting.posts")


def test_a_view_on_the_tables_themselves_is_named(filler: Filler, connection: Connection[Any]) -> None:
    folded(connection, filler, seed=67)
    filler.connection.execute("CREATE VIEW public.direct AS SELECT post FROM read.posts")
    report = filler.rebuild(connection, named(["posts", "orders"]))
    assert list(report.kept) == ["posts"], "the others are rebuilt"
    assert "direct" in report.kept["posts"]
    assert "they read the tables themselves" in report.kept["posts"]


def test_a_swap_gives_up_on_a_reader_that_does_not_end(
    database: Database, filler: Filler, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try is short: whoever comes to read meanwhile waits for no longer."""
    folded(connection, filler, seed=68)
    monkeypatch.setattr(replacement, "SWAP_SECONDS", 0.5)
    before = identities(filler)
    with psycopg.connect(database.url) as reader:
        reader.execute("SELECT count(*) FROM reporting.posts")  # and its transaction stays open
        report = filler.rebuild(connection, named(["posts"]))
        assert "for 0.5 s, so nothing was changed: end it" in report.kept["posts"]
        assert identities(filler) == before
        reader.rollback()
    assert filler.rebuild(connection, named(["posts"])).ok


def locks(filler: Filler, mode: str, *, granted: bool = True) -> set[str]:
    """The relations of the projection of posts that are locked in this mode, or are waited for."""
    rows = filler.connection.execute(
        "SELECT relation::regclass::text FROM pg_locks WHERE mode = %s AND granted = %s AND relation IN"
        " (SELECT oid FROM pg_class WHERE relname IN ('posts', 'post_revisions'))",
        (mode, granted),
    )
    return {name for (name,) in rows}


def test_a_swap_keeps_autovacuum_away_from_the_old_and_the_new_tables(
    filler: Filler, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folded(connection, filler, seed=68)
    [posts] = named(["posts"])
    exchange, held = replacement._exchange, set[str]()

    def look_and_exchange(own: Connection[Any], projection: Projection) -> None:
        held.update(locks(filler, "ShareUpdateExclusiveLock"))
        exchange(own, projection)

    monkeypatch.setattr(replacement, "_exchange", look_and_exchange)
    assert filler.rebuild(connection, [posts]).ok
    assert held >= {f"{schema}.{table}" for schema in ("read", "read_next") for table in posts.tables}


def test_a_swap_that_waits_for_a_view_has_not_locked_its_tables(
    database: Database, filler: Filler, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader of a report locks the view and then its tables. A swap in the other order could deadlock with it."""
    folded(connection, filler, seed=68)
    monkeypatch.setattr(replacement, "SWAP_LOCK_SECONDS", 60)
    reports: list[Rebuilt] = []
    swapping = Thread(target=lambda: reports.append(filler.rebuild(connection, named(["posts"]))))
    with psycopg.connect(database.url) as holder:
        holder.execute("COMMENT ON VIEW reporting.posts IS 'held'")  # it locks the view, not the tables
        swapping.start()
        wait_until(lambda: bool(locks(filler, "AccessExclusiveLock", granted=False)), "the swap to wait")
        assert locks(filler, "AccessExclusiveLock", granted=False) == {"reporting.posts"}
        assert not {name for name in locks(filler, "AccessExclusiveLock") if name.startswith("read.")}
        holder.rollback()
        swapping.join()
    assert reports[0].ok


def test_the_rebuild_that_began_first_gives_way(
    filler: Filler, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "CLOSE", 0)
    folded(connection, filler, seed=69)
    orders = named(["orders"])
    others: list[Rebuilt] = []

    def another_begins(position: int, head: int) -> None:
        if not others:
            with read_owner(filler.database) as owner:
                make_next(owner, filler.log, 1, orders, number=1)
            with projector(filler.database) as own:
                others.append(filler.rebuild(own, orders))

    with pytest.raises(SupersededError, match="another rebuild of orders has begun"):
        filler.rebuild(connection, orders, progress=another_begins)
    assert others[0].ok
    assert left_over(filler) == []
    assert filler.verify().ok


def test_tables_that_are_missing_or_of_another_history_are_replaced_at_the_head(
    filler: Filler, connection: Connection[Any]
) -> None:
    folded(connection, filler, seed=70)
    with read_owner(filler.database) as owner:
        owner.execute("DROP TABLE read.posts CASCADE")
        owner.execute("UPDATE read.checkpoints SET digest = 'x' WHERE projection = 'orders'")
        owner.execute("DELETE FROM read.checkpoints WHERE projection = 'entries'")
    report = filler.rebuild(connection)
    assert (report.ok, report.position) == (True, filler.position)
    assert filler.verify().ok


def test_verify_and_a_rebuild_beside_each_other_find_nothing(
    filler: Filler, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot from before the swap does not see the rows of the new tables: the swap waits for the comparison."""
    folded(connection, filler, seed=71)
    monkeypatch.setattr(replacement, "SWAP_SECONDS", 0.3)
    reports: list[Rebuilt] = []

    def rebuild_meanwhile(position: int, upto: int) -> None:
        if not reports:
            with projector(filler.database) as own:
                reports.append(filler.rebuild(own, named(["posts"])))

    assert filler.verify(progress=rebuild_meanwhile).ok
    assert "for 0.3 s, so nothing was changed" in reports[0].kept["posts"]
