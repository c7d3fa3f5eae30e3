"""Checks the parts of a log in processes of their own, all in one snapshot of the database.

A process that fails or is killed fails the verification: what it had to check is not proven. No process outlives this
one, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, cast

from psycopg import Connection, IsolationLevel, sql

from eventstore.postgres.connect import connect
from workers.databases import LONG_STATEMENT_SECONDS
from workers.verify.part import Part
from workers.verify.parts import Examined, examine

EVENTS_OF_A_PROCESS: Final = 50_000
"""A process of its own takes about a second to start. It is worth that for so many events."""

MOST_PROCESSES: Final = 64
"""Each has a connection to the database."""
USUAL_PROCESSES: Final = 8
"""Most processes if nobody says how many. The login `audit` has ten connections, and the command itself takes two."""


class ProcessFailedError(RuntimeError):
    """A process ended before it had checked its part."""


@dataclass(frozen=True, slots=True)
class Processes:
    """How many processes may check parts of the log, and where they connect to. They need no key."""

    number: int
    url: str

    def number_for(self, events: int) -> int:
        """The number of parts for a log of so many events."""
        return max(1, min(self.number, events // EVENTS_OF_A_PROCESS))


def usual_number() -> int:
    """One process for each CPU that this process may use, within bounds."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus, USUAL_PROCESSES)


@contextmanager
def examined(connection: Connection[Any], url: str, parts: Sequence[Part]) -> Iterator[Callable[[], list[Examined]]]:
    """Check the parts in processes of their own, in the snapshot of the connection's transaction.

    Returns a function that waits for them all. It raises `ProcessFailedError`. At the end of the context the processes
    that still run are killed.
    """
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    assert row is not None, "a function returns a row"
    spawn = multiprocessing.get_context("spawn")  # a fork would share the connection and the threads of this process
    running: dict[Pipe, int] = {}
    processes: list[BaseProcess] = []
    try:
        for number, part in enumerate(parts):
            ours, theirs = spawn.Pipe(duplex=False)
            process = spawn.Process(target=_serve, args=(theirs, url, row[0], part), daemon=True)
            process.start()
            theirs.close()  # so that the end of the process ends the pipe
            processes.append(process)
            running[ours] = number
        yield lambda: _received(running, processes)
    finally:
        for child in processes:
            child.kill()
        for child in processes:
            child.join()
        for pipe in running:
            pipe.close()


def _received(pipes: Mapping[Pipe, int], processes: Sequence[BaseProcess]) -> list[Examined]:
    """What each process found, in the order of their parts."""
    results: dict[int, Examined] = {}
    waiting = list(pipes)
    while waiting:
        for ready in wait(waiting):
            pipe = cast(Pipe, ready)
            waiting.remove(pipe)
            number = pipes[pipe]
            try:
                result = pipe.recv()
            except (EOFError, OSError):
                processes[number].join()
                raise ProcessFailedError(
                    f"process {number + 1} of {len(pipes)} ended with exit code {processes[number].exitcode} before it "
                    "had checked its part of the log, so nothing is proven; run daybook verify again"
                ) from None
            if not isinstance(result, Examined):
                raise ProcessFailedError(
                    f"process {number + 1} of {len(pipes)} could not check its part of the log, so nothing is proven: "
                    f"{result}"
                )
            results[number] = result
    return [results[number] for number in range(len(pipes))]


def _serve(pipe: Pipe, url: str, snapshot: str, part: Part) -> None:
    """Check a part in this process, and send what was found or the reason why it could not be done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    result: Examined | str
    try:
        with connect(url, application_name="daybook-verify", statement_seconds=LONG_STATEMENT_SECONDS) as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            with connection.transaction(force_rollback=True):
                connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
                connection.execute("SET LOCAL row_security = on")
                result = examine(connection, part)
    except Exception as error:
        result = f"{type(error).__name__} {error}".strip()
    with suppress(BrokenPipeError):  # the parent has ended
        pipe.send(result)


def _end_with_parent() -> None:
    """Wait for the end of the parent, however it ends, and end this process."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
