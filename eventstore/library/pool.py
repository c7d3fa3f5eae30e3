"""The connections of one application, shared by its threads.

Smaller than psycopg's pool on purpose: `eventstore.postgres.connect` makes the connections, and no threads run behind
them. An error while connecting, such as a wrong password, is raised at once, not after the time-out for a connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Semaphore
from typing import Any, TypeVar

import psycopg
from eventsourcing.persistence import ConnectionUnavailableError, OperationalError
from psycopg import Connection
from psycopg.pq import TransactionStatus

from eventstore.library.errors import ConnectionLostError, translated
from eventstore.postgres.connect import connect

T = TypeVar("T")

WAIT_SECONDS = 30.0
"""How long a thread waits for one of the application's connections."""
RETRY_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each further attempt after a connection broke: enough for a server to restart."""


class Pool:
    """At most `size` connections, made when needed, kept until `close` or until the pool is dropped."""

    def __init__(self, conninfo: str, *, size: int, application_name: str) -> None:
        self._lock = Lock()
        self._idle: list[Connection[Any]] = []
        self._closed = False
        self._has_connected = False
        self._conninfo = conninfo
        self._application_name = application_name
        self._size = size
        self._slots = Semaphore(size)

    def run(self, work: Callable[[Connection[Any]], T]) -> T:
        """What `work` makes of a connection; where that breaks, it is called again with another, six times at most.

        So work must be such that doing it twice is doing it once. Raises the library's errors.
        """
        for pause in RETRY_PAUSES:
            try:
                with self.connection() as connection:
                    return work(connection)
            except ConnectionLostError:
                time.sleep(pause)
        with self.connection() as connection:
            return work(connection)

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """A connection for the block alone, in autocommit.

        Errors of psycopg leave the block as the library's: `ConnectionLostError` where the connection broke,
        `ConnectionUnavailableError` where all were in use for too long.
        """
        if not self._slots.acquire(timeout=WAIT_SECONDS):
            raise ConnectionUnavailableError(f"all {self._size} connections were in use for {WAIT_SECONDS:.0f} s")
        try:
            connection = self._take()
            try:
                yield connection
            except psycopg.Error as error:
                raise (ConnectionLostError(str(error)) if connection.closed else translated(error)) from error
            finally:
                self._put_back(connection)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close every connection, those in use when they come back; none is given out any more."""
        with self._lock:
            self._closed = True
        self._drop_idle()

    def __del__(self) -> None:
        if hasattr(self, "_slots"):
            self.close()  # applications need not be closed, only forgotten

    def _take(self) -> Connection[Any]:
        with self._lock:
            if self._closed:
                raise OperationalError("the application's connections are closed")
            if self._idle:
                return self._idle.pop()
        try:
            # Views of an application write to tables of its own, where it expects them to be.
            connection = connect(self._conninfo, application_name=self._application_name, search_path=None)
        except psycopg.OperationalError as error:
            # Never having had a connection means that a setting is wrong: waiting would not mend it.
            raise (ConnectionLostError(str(error)) if self._has_connected else translated(error)) from error
        self._has_connected = True
        return connection

    def _put_back(self, connection: Connection[Any]) -> None:
        if connection.closed:
            self._drop_idle()  # most often the server restarted, and these are as dead
            return
        with self._lock:
            if not self._closed and connection.info.transaction_status is TransactionStatus.IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
