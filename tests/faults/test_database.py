"""Faults of the database: a long lock, an open transaction, a full disk, no free connection, a restored dump."""

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
"""The number of positions whose fold needs more space than its tables have free."""


def waiting_for_locks(world: World) -> int:
    with psycopg.connect(world.database.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_append_held_in_its_lock_and_a_full_queue(world: World) -> None:
    """Commands in the queue wait and are answered. Further commands are refused at once and leave no record."""
    api = world.api(DAYBOOK_QUEUE_LIMIT=str(QUEUE))
    world.projector()
    (account,) = open_accounts(api, 1, "5.00")
    world.wait_until_folded()
    before = world.head()
    gates.install(world.database)
    with ThreadPoolExecutor(32) as pool, gates.closed(world.database, "before the head is moved") as closed:
        first = pool.submit(deposit, api, account, "first")
        closed.wait_for_append()  # its events are inserted, and it keeps the lock of the head
        rest = [pool.submit(deposit, api, account, f"rest-{n}") for n in range(30)]
        wait_until(
            lambda: sum(one.done() for one in rest) >= 30 - 2 * QUEUE - 2, "refusals of the commands without a place"
        )
        answered = httpx.get(f"{api.url}/v1/accounts/{account}", headers=READER, timeout=30)
        assert answered.json()["balance"] == "5.00", "a read does not wait"
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


def test_an_open_transaction_in_any_database_of_the_server_stops_no_reader(world: World) -> None:
    """Readers use positions, and do not depend on the oldest open transaction of the server."""
    api = world.api()
    world.projector()
    accounts = open_accounts(api, 3, "50.00")
    with psycopg.connect(world.database.url.replace(world.database.name, "postgres")) as next_door:
        next_door.execute("CREATE TEMP TABLE left_open (n integer)")  # an open transaction with an id
        here = world.superuser()
        here.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        here.execute("SELECT pg_current_xact_id(), count(*) FROM log.events")
        with load([api], accounts, clients=4, seed=11, most=20) as history:
            pass
        check(world, history)  # `check` waits until every projection is at the head
        here.execute("ROLLBACK")


def test_reads_without_a_free_connection_are_refused_and_commands_go_on(world: World) -> None:
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
    """A server with its data in a separate file system of this size."""
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
    """Take all free space."""
    with file.open("wb", buffering=0) as full, suppress(OSError):
        while full.write(bytes(1 << 20)):
            pass


def gives_up(connection: psycopg.Connection[Any]) -> bool:
    """Request another file of the write-ahead log. Use an open connection: a new one needs space too."""
    with suppress(psycopg.OperationalError):
        connection.execute("SELECT pg_switch_wal(), pg_logical_emit_message(true, 'test', 'one more')")
    return connection.broken


def is_back(small: World) -> bool:
    """Whether the server answers. Start it if it has ended."""
    if small.server.postgres.pid is None:
        small.start_postgres()
    with suppress(psycopg.OperationalError), psycopg.connect(small.database.url):
        return True
    return False


def test_a_full_disk_loses_nothing_and_work_goes_on_when_space_is_free(world: World) -> None:
    """The projector is behind when the disk is full, so it needs space. It goes on when space is free."""
    with on_a_small_disk(300) as (server, folder), world_on(server) as small:
        small.folder = world.folder  # the output of the processes needs another disk
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
            unanswered = len(history.failures)
            wait_until(lambda: len(history.failures) > unanswered + 8, "clients without answers")
            wait_until(lambda: "No space left" in projector.messages(), "a projector without space")
            wait_until(lambda: gives_up(urging), "a server without space for its write-ahead log")
            filler.unlink()
            wait_until(lambda: is_back(small), "the server")
            answered = len(history.answered)
            wait_until(lambda: len(history.answered) > answered + 50, "answers again")
        check(small, history, marked=False)  # `check` waits until every projection is at the head


def restored(world: World, fresh: Database) -> None:
    """Copy the whole database with pg_dump and psql."""
    programs = world.server.postgres._bin_dir
    dump = subprocess.run([programs / "pg_dump", world.database.url], capture_output=True, check=True).stdout
    done = subprocess.run(
        [programs / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", fresh.url],
        input=dump,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def answers_are_repeated(api: Api, history: History) -> None:
    """Each repeated request gets the same bytes as before, with the mark of a replay.

    Only the positions are of the second epoch. A position of the first epoch would be refused by reads.
    """
    with httpx.Client(base_url=api.url, timeout=30) as http:
        for call in history.answered:
            answer = ask(http, Call(call.key, call.path, call.body))
            first = call.answers[0]
            answered = first.body.replace(b'"main.1.', b'"main.2.')
            assert (answer.status_code, answer.content) == (first.status, answered), call
            assert answer.headers.get("Idempotency-Replayed") == "true", call


def test_dump_restore_and_go_on(world: World, durable: Server) -> None:
    """A restored log is a separate history from the dump on: old positions are refused, and projectors stop until a
    rebuild.

    The second history knows the keys of the first. The dump is made while clients post, so it has a part of their
    commands.
    """
    api = world.api()
    projector = world.projector()
    *accounts, untouched = open_accounts(api, 4, "50.00")
    with load([api], accounts, clients=3, seed=13, most=20) as history:
        pass
    world.wait_until_folded()
    kept = f"/v1/accounts/{untouched}"
    before = httpx.get(f"{api.url}{kept}", headers=READER, timeout=30).json()
    with durable.database(migrated=False) as fresh:
        with load([api], accounts, clients=3, seed=15) as meanwhile:
            world.grow(30)
            restored(world, fresh)
            world.grow(30)
        # After the dump the first history goes on. The restored one does not have these commands.
        lost = deposit(api, untouched, "lost").json()["position"]
        api.kill()
        projector.kill()
        world.database = fresh
        for command in ("migrate", "restored"):  # a dump does not carry the rights on a database
            assert daybook(command, env=environment(fresh)).returncode == 0
        stopped = world.projector()
        wait_until(lambda: "epoch" in stopped.messages(), "the message of a projector that stopped")
        rebuilt = daybook("rebuild", "--json", env=environment(fresh))
        assert orjson.loads(rebuilt.stdout)["ok"], rebuilt.stderr
        again = world.api()  # an API is not ready before the rebuild: its tables would be of another history
        refused = httpx.get(f"{again.url}/v1/accounts?min_position={lost}", headers=READER, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (400, "position")
        assert "epoch 1" in refused.json()["detail"]
        assert httpx.get(f"{again.url}{kept}", headers=READER, timeout=30).json() == before
        assert world.head() > max(call.position for call in history.answered if call.accepted), (
            "the dump has nothing that was posted during it"
        )
        assert world.head() < max(call.position for call in meanwhile.answered if call.accepted), (
            "the dump has all that was posted during it"
        )
        assert deposit(again, untouched, "anew").json()["position"].startswith("main.2.")
        with load([again], accounts, clients=3, seed=14, most=20) as second:
            pass
        assert any(call.accepted for call in second.answered), "no command was accepted: the test shows nothing"
        head = world.head()
        answers_are_repeated(again, history)
        answers_are_repeated(again, second)
        assert world.head() == head, "repeated requests change nothing"
        world.wait_until_folded()  # by the projector that had stopped
        assert_sound(fresh)
        report = world.verified()
        assert report.ok, report.as_json()
        for process in world.processes:
            process.kill()


def test_recorded_times_never_fall_when_the_clock_does(world: World) -> None:
    """The head stores the time of the last append. A clock behind it is ignored."""
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
    assert all(ahead for _, ahead in times), "every time is that of the head, not of the clock"
    check(world)
