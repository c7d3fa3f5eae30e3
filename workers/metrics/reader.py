"""Reads figures from the database for scrapes: at most once a second, and no scrape waits for them for long."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Final, Generic, TypeVar

import psycopg
from psycopg import Connection

from eventstore.log.read import UnknownLogError
from projections.engine.explain import explain

T = TypeVar("T")

FRESH_SECONDS: Final = 1.0
"""For so long what was read is used again, however many scrapes come."""
PATIENCE_SECONDS: Final = 2.0
"""A scrape waits for so long, then it is answered without them. Prometheus itself waits for 10 seconds."""
STATEMENT_SECONDS: Final = 2.0
"""The most that the database works on one statement."""

logger = logging.getLogger(__name__)


class Reader(Generic[T]):
    """What `ask` returned at most a second ago. Thread-safe. It has one connection, which it opens when it is asked.

    A thread of its own reads, so that a database that does not answer holds no scrape. At most one thread runs.
    """

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        ask: Callable[[Connection[Any]], T],
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._connect = connect
        self._ask = ask
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._lock = Lock()
        self._connection: Connection[Any] | None = None
        self._read: Event | None = None  # set once the newest reading has ended
        self._found: T | None = None
        self._found_at = 0.0
        self._closed = False

    def read(self) -> T | None:
        """What the database says, or None if it does not say it within the time that a scrape may wait."""
        with self._lock:
            if self._closed:
                return None
            old = self._read is None or (self._read.is_set() and self._clock() - self._found_at >= FRESH_SECONDS)
            if old:
                self._read = Event()
                Thread(target=self._refresh, args=(self._read,), name="metrics-reader", daemon=True).start()
            read = self._read
        assert read is not None
        return self._found if read.wait(self._patience_seconds) else None

    def close(self) -> None:
        """Read no more. A reading that is under way ends by itself."""
        with self._lock:
            self._closed = True
            read = self._read
        if read is None or read.is_set():
            self._disconnect()

    def _refresh(self, read: Event) -> None:
        found: T | None = None
        try:
            self._connection = self._connection or self._connect()
            found = self._ask(self._connection)
        except (psycopg.Error, UnknownLogError) as error:
            logger.debug("the figures cannot be read: %s", explain(error))
            self._disconnect()
        finally:
            with self._lock:
                self._found, self._found_at = found, self._clock()
                read.set()
                closed = self._closed
            if closed:
                self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
