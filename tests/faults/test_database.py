"""A database in trouble: a lock held too long, a transaction left open, a full disk, no connection left, a dump."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg

from tests.faults import gates
from tests.faults.checker import check
from tests.faults.clients import ask, deposit, load, open_accounts
from tests.faults.histories import Call, History
from tests.faults.world import Api, World, world_on
from tests.integration.workers.running import daybook, environment
from tests.support.ledger import assert_sound
from tests.support.postgres import SMALL, Database, Server
from tests.support.waiting import wait_until
from workers.embedded import EmbeddedPostgres

READER = {"Authorization": "Bearer secret-of-report"}
QUEUE, READERS = 5, 8
BEHIND = 500
"""Positions of which a fold needs more room than its tables have to spare."""


def waiting_for_locks(world: World) -> int:
    with psycopg.connect(world.database.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_append_held_in_its_lock_and_a_full_queue(world: World) -> None:
    """Who has a place waits and is answered; who has none is told so at once, and nothing is kept of it."""
    api = world.api(DAYBOOK_QUEUE_LIMIT=str(QUEUE))
    world.projector()
    (account,) = open_accounts(api, 1, "5.00")
    world.wait_until_folded()
    before = world.head()
    gates.put_in(world.database)
    with ThreadPoolExecutor(32) as pool, gates.closed(world.database, "before the head is moved") as closed:
        first = pool.submit(deposit, api, account, "first")
        closed.wait_for_somebody()  # its events are inserted; it has the head, and keeps it
        rest = [pool.submit(deposit, api, account, f"rest-{n}") for n in range(30)]
        wait_until(lambda: sum(one.done() for one in rest) >= 30 - 2 * QUEUE - 2, "those who have no place")
        answered = httpx.get(f"{api.url}/v1/accounts/{account}", headers=READER, timeout=30)
        assert answered.json()["balance"] == "5.00", "who only reads does not wait"
        closed.open()
        answers = [first.result(), *(one.result() for one in rest)]
    refused = [answer for answer in answers if answer.status_code == 503]
    accepted = [answer for answer in answers if answer.status_code == 201]
    assert len(refused) + len(accepted) == 31
    assert len(accepted) >= QUEUE
    assert {answer.json()["code"] for answer in refused} == {"busy"}
    assert all(answer.headers["Retry-After"] for answer in refused)
    assert world.head() == before + 3 * len(accepted)
    check(world)


def test_a_transaction_left_open_here_or_next_door_stops_no_reader(world: World) -> None:
    """Readers ask for positions, not for what is older than every open transaction of the cluster."""
    api = world.api()
    world.projector()
    accounts = open_accounts(api, 3, "50.00")
    with psycopg.connect(world.database.url.replace(world.database.name, "postgres")) as next_door:
        next_door.execute("CREATE TEMP TABLE left_open (n integer)")  # a transaction with an id, and never ended
        here = world.superuser()
        here.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        here.execute("SELECT pg_current_xact_id(), count(*) FROM log.events")
        with load([api], accounts, clients=4, seed=11, most=20) as history:
            pass
        check(world, history)  # which waits until every projection is at the head
        here.execute("ROLLBACK")


def test_readers_without_a_connection_are_told_so_and_commands_go_on(world: World) -> None:
    api = world.api()
    world.projector()
    (account,) = open_accounts(api, 1, "5.00")
    world.wait_until_folded()
    blocking = world.superuser()
    blocking.execute("BEGIN")
    blocking.execute("LOCK TABLE read.accounts IN ACCESS EXCLUSIVE MODE")

    def read() -> httpx.Response:
        return httpx.get(f"{api.url}/v1/accounts/{account}", headers=READER, timeout=60)

    with ThreadPoolExecutor(READERS + 1) as pool:
        stuck: list[Future[httpx.Response]] = [pool.submit(read) for _ in range(READERS)]
        wait_until(lambda: waiting_for_locks(world) >= READERS, "every connection of the pool in use")
        late = pool.submit(read).result()
        assert (late.status_code, late.json()["code"]) == (503, "unavailable")
        assert late.headers["Retry-After"]
        assert deposit(api, account, "meanwhile").status_code == 201
        blocking.execute("ROLLBACK")
        assert {one.result().status_code for one in stuck} == {200}
    check(world)


@contextmanager
def on_a_small_disk(megabytes: int) -> Iterator[tuple[Server, Path]]:
    """A server whose data lies in a file system of so many megabytes of its own."""
    folder = Path(tempfile.mkdtemp(prefix=f"daybook-test-{os.getpid()}-"))
    folder.chmod(0o711)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "tmpfs", folder], check=True)
    try:
        with EmbeddedPostgres(folder / "postgres", settings={**SMALL, "max_wal_size": "64MB"}) as postgres:
            yield Server(18, postgres), folder
    finally:
        subprocess.run(["/bin/umount", "--lazy", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def fill(file: Path) -> None:
    """Take all the room there is."""
    with file.open("wb", buffering=0) as full, suppress(OSError):
        while full.write(bytes(1 << 20)):
            pass


def gives_up(connection: psycopg.Connection[Any]) -> bool:
    """Ask for one more file of the write-ahead log, on a connection that is there: new ones want room too."""
    with suppress(psycopg.OperationalError):
        connection.execute("SELECT pg_switch_wal(), pg_logical_emit_message(true, 'test', 'one more')")
    return connection.broken


def is_back(small: World) -> bool:
    """Whether the server answers; started again if it has ended."""
    if small.server.postgres.pid is None:
        small.start_postgres()
    with suppress(psycopg.OperationalError), psycopg.connect(small.database.url):
        return True
    return False


def test_a_full_disk_loses_nothing_and_everything_goes_on_when_there_is_room(world: World) -> None:
    """The projector too: it is behind when the disk fills, so it needs room, and goes on by itself when there is."""
    with on_a_small_disk(300) as (server, folder), world_on(server) as small:
        small.folder = world.folder  # there is room for what the processes say
        api, projector = small.api(), small.projector()
        accounts = open_accounts(api, 4, "50.00")
        small.wait_until_folded()
        filler, urging = folder / "filler", small.superuser()
        urging.execute("BEGIN")
        urging.execute("LOCK TABLE read.accounts IN EXCLUSIVE MODE")
        with load([api], accounts, clients=4, seed=12) as history:
            small.grow(BEHIND)
            fill(filler)
            urging.execute("ROLLBACK")
            silent = len(history.silences)
            wait_until(lambda: len(history.silences) > silent + 8, "clients that are told nothing")
            wait_until(lambda: "No space left" in projector.messages(), "a projector that finds no room")
            wait_until(lambda: gives_up(urging), "a server without room for its write-ahead log")
            filler.unlink()
            wait_until(lambda: is_back(small), "the server")
            answered = len(history.answered)
            wait_until(lambda: len(history.answered) > answered + 50, "answers again")
        check(small, history, marked=False)  # which waits until every projection is at the head


def restored(world: World, fresh: Database) -> None:
    """The whole database, by pg_dump and psql."""
    programs = world.server.postgres._bin_dir
    dump = subprocess.run([programs / "pg_dump", world.database.url], capture_output=True, check=True).stdout
    done = subprocess.run(
        [programs / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", fresh.url],
        input=dump,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def told_again(api: Api, history: History) -> None:
    """Whoever asks again is told what he was told before, to the byte, and that it is no news.

    But positions are of the second epoch: one of the first would be refused to whoever wants to read from there on.
    """
    with httpx.Client(base_url=api.url, timeout=30) as http:
        for call in history.answered:
            answer = ask(http, Call(call.key, call.path, call.body))
            first = call.answers[0]
            answered = first.body.replace(b'"main.1.', b'"main.2.')
            assert (answer.status_code, answer.content) == (first.status, answered), call
            assert answer.headers.get("Idempotency-Replayed") == "true", call


def test_dump_restore_and_go_on(world: World, durable: Server) -> None:
    """A restored log is another history from here on: old positions are refused, projectors stop until a rebuild.

    The keys of the first history are known in the second. It is dumped while clients post: what they post meanwhile is
    in as far as the dump has it.
    """
    api = world.api()
    projector = world.projector()
    *accounts, untouched = open_accounts(api, 4, "50.00")
    with load([api], accounts, clients=3, seed=13, most=20) as history:
        pass
    world.wait_until_folded()
    kept = f"/v1/accounts/{untouched}"
    before = httpx.get(f"{api.url}{kept}", headers=READER).json()
    with durable.database(migrated=False) as fresh:
        with load([api], accounts, clients=3, seed=15) as meanwhile:
            world.grow(30)
            restored(world, fresh)
            world.grow(30)
        # After the dump the first history goes on: what is told from here on is not in the restored one.
        lost = deposit(api, untouched, "lost").json()["position"]
        api.kill()
        projector.kill()
        world.database = fresh
        for command in ("migrate", "restored"):  # a dump does not carry the rights on a database
            assert daybook(command, env=environment(fresh)).returncode == 0
        stopped = world.projector()
        wait_until(lambda: "epoch" in stopped.messages(), "a projector that says why it does not go on")
        rebuilt = daybook("rebuild", "--json", env=environment(fresh))
        assert orjson.loads(rebuilt.stdout)["ok"], rebuilt.stderr
        again = world.api()  # which is not ready before: it would answer from tables of another history
        refused = httpx.get(f"{again.url}/v1/accounts?min_position={lost}", headers=READER)
        assert (refused.status_code, refused.json()["code"]) == (400, "position")
        assert "epoch 1" in refused.json()["detail"]
        assert httpx.get(f"{again.url}{kept}", headers=READER).json() == before
        assert world.head() > max(call.position for call in history.answered if call.accepted), "nothing of meanwhile"
        assert world.head() < max(call.position for call in meanwhile.answered if call.accepted), "all of meanwhile"
        assert deposit(again, untouched, "anew").json()["position"].startswith("main.2.")
        with load([again], accounts, clients=3, seed=14, most=20) as second:
            pass
        assert any(call.accepted for call in second.answered), "nothing went in: nothing was shown"
        head = world.head()
        told_again(again, history)
        told_again(again, second)
        assert world.head() == head, "who only asked again has changed nothing"
        world.wait_until_folded()  # by the projector that had stopped
        assert_sound(fresh)
        report = world.verified()
        assert report.ok, report.as_json()
        for process in world.processes:
            process.kill()


def test_time_never_falls_though_the_clock_does(world: World) -> None:
    """The head remembers the time of the last append; a clock behind it is not believed."""
    api = world.api()
    (account,) = open_accounts(api, 1, "5.00")
    world.superuser().execute("UPDATE log.logs SET recorded_at = recorded_at + interval '1 hour'")
    first = world.head()
    for n in range(3):
        assert deposit(api, account, f"late-{n}").status_code == 201
    with psycopg.connect(world.database.url) as connection:
        times = connection.execute(
            "SELECT recorded_at, recorded_at > clock_timestamp() FROM log.events WHERE position > %s ORDER BY position",
            (first,),
        ).fetchall()
    assert all(ahead for _, ahead in times), "none went back to the clock's time"
    check(world)
