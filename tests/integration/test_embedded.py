"""The embedded PostgreSQL starts, keeps its data, survives `kill -9` of itself and its parent, and explains errors."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import FAST, SMALL, bin_dir, server_folder
from workers import embedded
from workers.embedded import EmbeddedPostgres, EmbeddedPostgresError, url_of_running
from workers.ports import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder() as made:
        yield made


def server(folder: Path, *, port: int | None = None, durable: bool = False, version: int = 18) -> EmbeddedPostgres:
    settings = SMALL if durable else {**SMALL, **FAST}
    return EmbeddedPostgres(folder / "var" / "postgres", port=port, bin_dir=bin_dir(version), settings=settings)


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


@pytest.mark.parametrize("version", [15, 18])
def test_data_is_kept_between_runs(folder: Path, version: int) -> None:
    with server(folder, version=version) as first:
        with psycopg.connect(first.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        assert query(first.url, "SELECT current_setting('server_version_num')::int / 10000") == [(version,)]
    assert url_of_running(first.data_dir) is None
    with server(folder, version=version) as second:
        assert query(second.url, "SELECT answer FROM kept") == [(42,)]


def test_by_default_a_commit_is_flushed_to_disk(folder: Path) -> None:
    with EmbeddedPostgres(folder / "postgres") as postgres:
        assert query(
            postgres.url,
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'), "
            "current_setting('full_page_writes'), current_setting('data_checksums')",
        ) == [("on", "on", "on", "on")]


def test_a_server_that_was_killed_recovers_all_commits(folder: Path) -> None:
    postgres = server(folder, durable=True)
    with psycopg.connect(postgres.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)
    postgres.stop()
    assert (postgres.data_dir / "postmaster.pid").exists(), "the lock file of the killed server is still there"
    with server(folder, durable=True) as recovered:
        assert query(recovered.url, "SELECT answer FROM kept") == [(42,)]


def test_the_server_ends_with_a_parent_that_was_killed_and_the_next_one_starts(folder: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom workers.embedded import EmbeddedPostgres\n"
        "print(EmbeddedPostgres(Path(sys.argv[1])).start(), flush=True)\ntime.sleep(600)\n"
    )
    data_dir = folder / "var" / "postgres"
    parent = subprocess.Popen([sys.executable, "-c", program, str(data_dir)], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        url = parent.stdout.readline().decode().strip()
        assert url_of_running(data_dir) == url
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        parent.kill()
        parent.wait()
    with server(folder) as successor:  # at once: the old server may still be writing its last checkpoint
        assert query(successor.url, "SELECT answer FROM kept") == [(42,)]


def test_a_second_daybook_on_the_same_data_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "HANDOVER_SECONDS", 0.1)
    with server(folder) as first:
        with pytest.raises(EmbeddedPostgresError, match="another PostgreSQL is running on"):
            server(folder).start()
        assert query(first.url, "SELECT 1") == [(1,)], "the first one still works"
        assert url_of_running(first.data_dir) == first.url


def test_any_tool_can_connect_over_tcp_with_the_password_only(folder: Path) -> None:
    port = free_port()  # none that a client could be assigned before the server has it
    with server(folder, port=port) as postgres:
        assert query(postgres.tcp_url, "SELECT current_database()") == [("daybook",)]
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://postgres:guess@127.0.0.1:{port}/daybook")


def test_without_a_port_it_listens_on_its_socket_only(folder: Path) -> None:
    with server(folder) as postgres:
        assert query(postgres.url, "SELECT current_setting('listen_addresses')") == [("",)]
        with pytest.raises(EmbeddedPostgresError, match="socket only"):
            _ = postgres.tcp_url


def test_a_path_too_long_for_a_socket_uses_another_folder(folder: Path) -> None:
    deep = folder / ("d" * 100)
    deep.mkdir(mode=0o711)
    with server(deep) as postgres:
        assert query(postgres.url, "SELECT 1") == [(1,)]
        socket_dir = Path(query(postgres.url, "SELECT current_setting('unix_socket_directories')")[0][0])  # type: ignore[arg-type]
        assert socket_dir.exists()
        assert url_of_running(postgres.data_dir) == postgres.url
    assert not socket_dir.exists()


def test_an_interrupted_first_start_leaves_no_partial_data(folder: Path) -> None:
    half = folder / "var" / "postgres.unfinished"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with server(folder) as postgres:
        assert query(postgres.url, "SELECT 1") == [(1,)]
    assert not half.exists()


def test_stopping_twice_or_before_the_start_is_harmless(folder: Path) -> None:
    postgres = server(folder)
    postgres.stop()
    postgres.start()
    assert postgres.start() == postgres.url, "starting a running server gives its URL"
    postgres.stop()
    postgres.stop()
    assert postgres.pid is None


class TestExplanations:
    def test_data_of_another_version(self, folder: Path) -> None:
        with server(folder, version=15):
            pass
        with pytest.raises(EmbeddedPostgresError, match=r"was written by PostgreSQL 15, but this is 18: dump it"):
            server(folder).start()

    def test_a_folder_with_other_content(self, folder: Path) -> None:
        (folder / "var" / "postgres").mkdir(parents=True)
        (folder / "var" / "postgres" / "notes.txt").write_text("mine")
        with pytest.raises(EmbeddedPostgresError, match="holds files but no PostgreSQL data"):
            server(folder).start()

    def test_a_wrong_setting(self, folder: Path) -> None:
        with pytest.raises(EmbeddedPostgresError, match=r'did not start on .*: .*"nonsense"'):
            EmbeddedPostgres(folder / "postgres", settings={"nonsense": "1"}).start()

    def test_a_port_in_use(self, folder: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(EmbeddedPostgresError, match="did not start on"):
                server(folder, port=taken.getsockname()[1]).start()

    def test_a_folder_the_system_user_cannot_reach(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only root needs the system user. For other users the check is tested with another user."""
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        stranger = pwd.struct_passwd(("stranger", "x", 64999, 64999, "", "/", "/bin/false"))
        monkeypatch.setattr(embedded, "_server_user", lambda: stranger)
        with pytest.raises(EmbeddedPostgresError, match=r"stranger .* cannot reach .*closed has mode 0700: move the"):
            server(closed).start()
