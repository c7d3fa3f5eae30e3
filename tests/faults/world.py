"""A Daybook of real processes on a durable PostgreSQL, which tests kill, stop, disconnect and restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from api.gateway.principals import digest
from bench.harness.tables import begin_read_tables
from domain.accounts.posting import internal_account
from eventstore.postgres.connect import connect
from projections.engine.lag import lag
from projections.engine.runner import Runner
from projections.engine.verify import PATIENCE_SECONDS
from projections.registry import PROJECTIONS
from tests.faults.histories import History
from tests.integration.workers.running import environment, settings_of
from tests.support.forking import Forked, can_fork
from tests.support.ledger import codec_of
from tests.support.pausing import pause
from tests.support.postgres import Database, Server, running_server
from tests.support.waiting import wait_until
from workers.composition import write_side
from workers.internal_accounts import open_internal_accounts
from workers.ports import free_port
from workers.verify import verify
from workers.verify.report import VerifyReport

ROLES = ("command", "report", "audit", "operator")
CASH, FEES = (internal_account("main", name, "EUR") for name in ("cash", "fees"))


@dataclass
class Process:
    """A running `daybook` command."""

    arguments: tuple[str, ...]
    env: dict[str, str]
    log: Path
    running: subprocess.Popen[bytes] | Forked | None = None
    module: str = "workers.cli"

    def start(self) -> None:
        """Start it in a new session, so that it and its children can be killed together.

        It is a fork of a process that has imported the program, if that makes no difference. An API with several
        processes makes them itself.
        """
        usual = environment()
        alone = self.env.get("DAYBOOK_WORKERS", "1") == "1"
        if alone and self.module == "workers.cli" and can_fork(self.env, usual):
            self.running = Forked(self.arguments, self.env, usual, self.log)
            return
        with self.log.open("ab") as messages:
            self.running = subprocess.Popen(
                [sys.executable, "-m", self.module, *self.arguments],
                env=self.env,
                stdout=messages,
                stderr=messages,
                start_new_session=True,
            )

    def kill(self) -> None:
        """kill -9 of the process and its children; wait until it has ended."""
        if self.running is not None:
            with suppress(ProcessLookupError):
                try:
                    os.killpg(self.running.pid, signal.SIGKILL)
                except ProcessLookupError:  # a fork that does not have its session yet
                    os.kill(self.running.pid, signal.SIGKILL)
            self.running.wait()
            self.running = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children."""
        assert self.running is not None
        os.killpg(self.running.pid, number)

    def pause(self) -> None:
        """Stop the process, and return when it has stopped. SIGCONT continues it."""
        assert self.running is not None
        pause(self.running.pid)

    def messages(self) -> str:
        """The output of the process."""
        return self.log.read_text()


@dataclass
class Api(Process):
    """An API process and its port."""

    port: int = 0
    history: History = field(default_factory=History)
    """The calls that tests made themselves, on all APIs of a world."""

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        super().start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until the API executes commands."""
        wait_until(self._ready, f"an API that is ready ({self.log})")

    def _ready(self) -> bool:
        assert self.running is not None
        assert self.running.poll() is None, self.messages()
        try:
            return httpx.get(f"{self.url}/v1/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@dataclass
class World:
    """A database and its processes."""

    server: Server
    database: Database
    folder: Path
    tokens: Path
    _open: ExitStack
    processes: list[Process] = field(default_factory=list)
    history: History = field(default_factory=History)

    def api(self, *, through: str | None = None, workers: int = 1, start: bool = True, **settings: str) -> Api:
        """Add an API with `workers` processes. `through`: the URL of a proxy to the database."""
        port = free_port()
        env = self._environment(through) | {
            "DAYBOOK_PORT": str(port),
            "DAYBOOK_WORKERS": str(workers),
            "DAYBOOK_TOKENS_FILE": str(self.tokens),
            **settings,
        }
        made = Api(("serve",), env, self.folder / f"api-{port}.log", port=port, history=self.history)
        self.processes.append(made)
        if start:
            made.start()
        return made

    def apis(self, count: int) -> list[Api]:
        """Add several APIs, and wait until all are ready."""
        made = [self.api(start=False) for _ in range(count)]
        for api in made:
            Process.start(api)
        for api in made:
            api.wait_until_ready()
        return made

    def projector(self, *, through: str | None = None, **settings: str) -> Process:
        """Add a projector."""
        log = self.folder / f"projector-{len(self.processes)}.log"
        made = Process(("work",), self._environment(through) | settings, log)
        self.processes.append(made)
        made.start()
        return made

    def process_managers(self, *, through: str | None = None) -> Process:
        """Add a worker of process managers."""
        log = self.folder / f"processes-{len(self.processes)}.log"
        made = Process(("work", "--processes"), self._environment(through), log)
        self.processes.append(made)
        made.start()
        return made

    def batch_worker(self) -> Process:
        """Add a worker of long batches."""
        env = self._environment(None) | {"DAYBOOK_TOKENS_FILE": str(self.tokens)}
        made = Process(("batches",), env, self.folder / f"batches-{len(self.processes)}.log")
        self.processes.append(made)
        made.start()
        return made

    def _environment(self, through: str | None) -> dict[str, str]:
        env = environment(self.database)
        return env if through is None else env | {"DATABASE_URL": through}

    def client(self, api: Api, role: str = "command") -> httpx.Client:
        """A client with a token of this role. It is closed at the end."""
        headers = {"Authorization": f"Bearer secret-of-{role}"}
        return self._open.enter_context(httpx.Client(base_url=api.url, headers=headers, timeout=30))

    def superuser(self) -> psycopg.Connection[Any]:
        """An autocommit connection of the superuser. It is closed at the end."""
        return self._open.enter_context(psycopg.connect(self.database.url, autocommit=True))

    def head(self) -> int:
        """The last position of the log."""
        with psycopg.connect(self.database.url) as connection:
            row = connection.execute("SELECT position FROM log.logs WHERE name = 'main'").fetchone()
        return 0 if row is None else int(row[0])

    def fold(self) -> None:
        """Fold every projection to the head. A running projector does it; without one it is done here."""
        if any(process.running and process.arguments == ("work",) for process in self.processes):
            self.wait_until_folded()
        else:
            with connect(self.database.projector_url, application_name="fold") as connection:
                Runner(connection, "main", codec_of(connection, 1), PROJECTIONS).run_to_head()

    def wait_until_folded(self) -> None:
        """Wait until every projection is at the head."""
        try:
            wait_until(lambda: self.lowest() >= self.head(), "projections at the head")
        except AssertionError as error:
            message = [process.messages() for process in self.processes if process.arguments == ("work",)]
            raise AssertionError(f"{error}: at {self.lowest()} of {self.head()}; {message}") from None

    def lowest(self) -> int:
        """The lowest position of a projection."""
        with connect(self.database.projector_url, application_name="waiting") as connection:
            return min(one.position for one in lag(connection, "main", PROJECTIONS).projections)

    def verified(self, *, patience_seconds: float = PATIENCE_SECONDS) -> VerifyReport:
        """The report of `daybook verify`. It waits `patience_seconds` for projections that are behind."""
        with (
            connect(self.database.audit_url, application_name="verify") as connection,
            connect(self.database.audit_url, application_name="verify-keys") as keys,
        ):
            return verify(connection, "main", codec_of(keys, 1), patience_seconds=patience_seconds)

    def grow(self, by: int) -> None:
        """Wait until clients have appended `by` events, so that the next fault interrupts running work."""
        goal = self.head() + by
        wait_until(lambda: self.head() >= goal, f"position {goal}")

    def kill_postgres(self) -> None:
        """kill -9 of the postmaster; wait until its backends have ended."""
        pid = self.server.postgres.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.server.postgres.pid is None, "the end of the server")
        wait_until(lambda: _holders_of(self.folder.parent) == 0, "the end of its backends")

    def start_postgres(self) -> None:
        """Start the server again. It recovers from its write-ahead log."""
        self.server.postgres.start()


def _holders_of(folder: Path) -> int:
    """The number of processes of PostgreSQL that have their working directory in the folder."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                count += (entry / "cwd").readlink().is_relative_to(folder) and b"postgres" in (
                    entry / "cmdline"
                ).read_bytes()
            except OSError:
                continue
    return count


@contextmanager
def world_on(server: Server) -> Iterator[World]:
    """A world with open internal accounts and prepared read tables, without processes."""
    with server.database() as database, ExitStack() as opened:
        folder = server.postgres.data_dir.parent / f"world-{database.name}"
        folder.mkdir()
        tokens = folder / "tokens.json"
        tokens.touch(mode=0o600)  # the API refuses a file that others may read
        tokens.write_text(
            json.dumps(
                [
                    {"sha256": digest(f"secret-of-{role}").hex(), "principal": f"the-{role}", "role": role}
                    for role in ROLES
                ]
            )
        )
        settings = settings_of(database)
        with connect(database.api_url, application_name="world") as connection:
            connection.execute("SELECT log.create_log('main')")
        with write_side(settings, "world") as side:
            open_internal_accounts(settings, side, ("EUR",))
        begin_read_tables(database)
        world = World(server, database, folder, tokens, opened)
        try:
            yield world
        finally:
            for process in world.processes:
                process.kill()


@contextmanager
def durable_server() -> Iterator[Server]:
    """A server that keeps every acknowledged commit after a crash."""
    with running_server(18, durable=True) as server:
        yield server
