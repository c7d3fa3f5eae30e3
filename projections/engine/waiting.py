"""Read your writes: waits, for a bounded time, until projections have folded a position.

Waiting requests hold no thread. One thread polls the database for all of them, and only while a request waits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Any

import psycopg
from psycopg import Connection

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.005
RETRY_SECONDS = 0.1
"""The pause after a failed poll."""
FIRST_LOOK_SECONDS = 0.25
"""The least time for the first poll, even if a wait is shorter: else visible rows would be refused."""
LINGER_SECONDS = 1.0
"""How long the thread stays after the last wait, and its positions are used. Positions can fall: after a restore of the
log, or after a crash of the server, which may lose the last commits of the projectors."""

_POSITIONS = """
SELECT c.projection, c.position
  FROM read.checkpoints c JOIN log.logs l ON l.log = c.log AND l.epoch = c.epoch WHERE l.name = %s
"""


class BehindError(TimeoutError):
    """A projection did not reach the position in time."""

    def __init__(self, projection: str, position: int, reached: int, seconds: float) -> None:
        self.projection = projection
        self.position = position
        self.reached = reached
        self.seconds = seconds
        super().__init__(
            f"{projection} has folded the log up to position {reached}, not yet {position}, after {seconds:g} seconds"
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Waiter:
    projections: tuple[str, ...]
    position: int
    tell: Callable[[], object]


class Checkpoints:
    """The last polled positions of a log's projections. Thread-safe; `close` it in the end.

    `connect` makes the connection that is polled with; it may read `read.checkpoints` and `log.logs`.
    """

    def __init__(self, connect: Callable[[], Connection[Any]], log: str, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._connect = connect
        self._log = log
        self._poll_seconds = poll_seconds
        self._lock = Lock()
        self._seen: dict[str, int] = {}
        self._waiters: set[_Waiter] = set()
        self._work = Event()
        self._closed = False
        self._thread: Thread | None = None

    def reached(self, projections: Iterable[str]) -> int:
        """The lowest position of these projections at the last poll; 0 if there was none lately."""
        with self._lock:
            return min((self._seen.get(name, 0) for name in projections), default=0)

    async def wait(self, projections: Iterable[str], position: int, timeout: float) -> None:
        """Return once all of them have folded `position`. Raises `BehindError` after `timeout` seconds."""
        names = tuple(projections)
        if self.reached(names) >= position:
            return
        loop = asyncio.get_running_loop()
        answered = asyncio.Event()
        waiter = _Waiter(names, position, lambda: loop.call_soon_threadsafe(answered.set))
        self._add(waiter)
        try:
            await asyncio.wait_for(answered.wait(), max(timeout, FIRST_LOOK_SECONDS))
        except TimeoutError:
            raise self._behind(waiter, timeout) from None
        finally:
            self._remove(waiter)

    def wait_here(self, projections: Iterable[str], position: int, timeout: float) -> None:
        """The same for a thread that may wait, such as that of a worker."""
        names = tuple(projections)
        if self.reached(names) >= position:
            return
        answered = Event()
        waiter = _Waiter(names, position, answered.set)
        self._add(waiter)
        try:
            if not answered.wait(max(timeout, FIRST_LOOK_SECONDS)):
                raise self._behind(waiter, timeout)
        finally:
            self._remove(waiter)

    def close(self) -> None:
        """Stop polling. Requests that still wait time out."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._work.set()
        if thread is not None:
            thread.join()

    def _behind(self, waiter: _Waiter, timeout: float) -> BehindError:
        with self._lock:
            slowest = min(waiter.projections, key=lambda name: self._seen.get(name, 0))
            return BehindError(slowest, waiter.position, self._seen.get(slowest, 0), timeout)

    def _add(self, waiter: _Waiter) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("nobody asks for positions any more: this was closed")
            self._waiters.add(waiter)
            self._work.set()
            if self._thread is None:
                self._thread = Thread(target=self._run, name="checkpoints", daemon=True)
                self._thread.start()

    def _remove(self, waiter: _Waiter) -> None:
        with self._lock:
            self._waiters.discard(waiter)

    def _run(self) -> None:
        connection: Connection[Any] | None = None
        while self._goes_on():
            try:
                if connection is None:
                    connection = self._connect()
                self._see(dict(connection.execute(_POSITIONS, (self._log,)).fetchall()))
                time.sleep(self._poll_seconds)
            except psycopg.Error as error:
                logger.warning("positions cannot be read, trying again: %s", error)
                _close(connection)
                connection = None
                self._see({})
                time.sleep(RETRY_SECONDS)
        _close(connection)

    def _goes_on(self) -> bool:
        """Whether to poll again. Waits a while for the next request."""
        called = True
        while called:
            with self._lock:
                if self._closed:
                    self._thread = None
                    return False
                if self._waiters:
                    return True
                self._work.clear()
            called = self._work.wait(LINGER_SECONDS)
        with self._lock:
            if self._waiters and not self._closed:
                return True
            self._thread = None
            self._seen = {}
            return False

    def _see(self, positions: dict[str, int]) -> None:
        with self._lock:
            self._seen = positions
            there = [
                waiter
                for waiter in self._waiters
                if all(positions.get(name, 0) >= waiter.position for name in waiter.projections)
            ]
            self._waiters.difference_update(there)
        for waiter in there:
            waiter.tell()


def _close(connection: Connection[Any] | None) -> None:
    if connection is not None:
        connection.close()
