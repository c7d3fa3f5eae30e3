"""Process managers on a test database: an executor, a projector, a clock that tests move, and workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any

from psycopg import Connection

from bench.harness.tables import begin_read_tables
from domain.process_manager import ProcessManager
from eventstore.executor.executor import Executor
from eventstore.postgres.connect import connect
from projections.engine.follow import follow
from projections.engine.projection import Projection
from projections.engine.verify import TablesReport, verify_tables
from projections.engine.waiting import Checkpoints
from projections.processes.processes import PROCESSES, ProcessRow, process, processes_of
from projections.processes.processes import processes as read_processes
from projections.registry import PROJECTIONS
from tests.support.ledger import NOW, Ledger, codec_of, ledger_on, opening
from tests.support.postgres import Database
from tests.support.relay import OWNER, QUERIES, RELAY
from tests.support.waiting import WAIT_SECONDS
from workers.processes.running import QUERIES as RUNNING
from workers.processes.worker import Send, Worker, sender


@dataclass
class Clock:
    """A clock that tests move."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, by: timedelta) -> None:
        """Move it."""
        self.now += by


@dataclass
class Processes:
    """A ledger with a projector, and workers of process managers on it."""

    ledger: Ledger
    projections: tuple[Projection, ...]
    checkpoints: Checkpoints
    clock: Clock
    managers: tuple[ProcessManager, ...]
    _open: ExitStack
    _reads: Connection[Any] = field(init=False)

    def __post_init__(self) -> None:
        self._reads = self.reading()

    def reading(self) -> Connection[Any]:
        """A connection that reads. It is closed at the end."""
        url = self.ledger.database.query_url
        return self._open.enter_context(connect(url, application_name="processes", read_only=True))

    def worker(
        self, send: Send | None = None, *, executor: Executor | None = None, managers: Sequence[ProcessManager] = ()
    ) -> Worker:
        """A worker."""
        return Worker(
            send or sender(executor or self.ledger.executor),
            "main",
            self.reading(),
            self.checkpoints,
            managers or self.managers,
            self.clock,
            {**RUNNING, **QUERIES},
        )

    def relay(self) -> str:
        """Open an account whose process begins, and return it once the process is in the table."""
        command = opening(owner=OWNER)
        answer = self.ledger.accepted(command)
        self.wait_for(answer.last_position or 0)
        return command.account

    def wait_for(self, position: int) -> None:
        """Wait until every projection has folded a position."""
        self.checkpoints.wait_here([projection.name for projection in self.projections], position, WAIT_SECONDS)

    def wait_until_folded(self) -> None:
        """Wait until every projection has folded the log."""
        row = self._reads.execute("SELECT position FROM log.logs WHERE name = 'main'").fetchone()
        assert row is not None
        self.wait_for(row[0])

    def of(self, account: str) -> ProcessRow:
        """The process of an account."""
        self.wait_until_folded()
        [found] = self._reads.execute("SELECT process FROM read.processes WHERE stream = %s", (account,)).fetchall()
        row = process(self._reads, found[0])
        assert row is not None
        return row

    def all(self) -> tuple[ProcessRow, ...]:
        """All processes."""
        self.wait_until_folded()
        return read_processes(self._reads).items

    def verify(self) -> TablesReport:
        """Compare the read tables with a fresh fold."""
        self.wait_until_folded()
        with connect(self.ledger.database.audit_url, application_name="verify") as auditor:
            return verify_tables(auditor, "main", self.ledger.codec, self.projections, others=PROJECTIONS)


def settle(worker: Worker) -> int:
    """Sweep until nothing is left to do. Returns the number of sweeps that did something.

    Each sweep sees everything before it. A worker waits for the projector for some seconds only, and then does again
    what the tables do not show yet. Nothing of that is new, so a test would take the work for done.
    """
    sweeps = 0
    _wait_for_the_fold(worker)
    while worker.sweep():
        _wait_for_the_fold(worker)
        sweeps += 1
        assert sweeps < 100, "the worker goes round and round"
    return sweeps


def _wait_for_the_fold(worker: Worker) -> None:
    """Wait until what the worker reads has the head of its log."""
    row = worker._reads.execute("SELECT position FROM log.logs WHERE name = %s", (worker._log,)).fetchone()
    assert row is not None
    asked = [name for query in worker._queries.values() for name in query.projections]
    worker._checkpoints.wait_here({PROCESSES.name, *asked}, row[0], WAIT_SECONDS)


@contextmanager
def processes_on(
    database: Database,
    managers: tuple[ProcessManager, ...] = (RELAY,),
    *,
    connect_to_fold: Callable[[], Connection[Any]] | None = None,
) -> Iterator[Processes]:
    """A ledger, a projector of all read models with the processes of these managers, and a clock."""
    projections = tuple(processes_of(managers) if one is PROCESSES else one for one in PROJECTIONS)
    with ledger_on(database) as ledger, ExitStack() as opened:
        begin_read_tables(database, "main", projections)
        checkpoints = opened.enter_context(
            closing(Checkpoints(lambda: connect(database.query_url, application_name="checkpoints"), "main"))
        )
        stop = Event()
        projector = Thread(
            target=follow,
            args=(
                connect_to_fold or (lambda: connect(database.projector_url, application_name="projector")),
                codec_of,
                "main",
                projections,
                stop,
            ),
        )
        projector.start()
        try:
            yield Processes(ledger, projections, checkpoints, Clock(), managers, opened)
        finally:
            stop.set()
            projector.join()
