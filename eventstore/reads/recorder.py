"""Records reads without slowing them: a bounded queue, and one thread that adds rows in batches.

A read is answered whether or not it can be recorded (ADR 0043). Each gets the next number of this process, so a number
without a row is a read that was lost. What the process knows to be lost, it counts, and says in a row of its own.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from threading import Condition, Thread
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection

from eventstore.postgres.arrays import int2_array, int8_array, text_array
from eventstore.postgres.connect import sentence_of
from eventstore.reads.read import MOST_ABOUT, Read

MOST_WAITING: Final = 10_000
"""Most reads that wait to be written: about 5 MB. It bridges 10 seconds of 1,000 reads a second."""
BATCH: Final = 1_000
"""Most reads of one transaction."""
GATHER_SECONDS: Final = 0.2
"""For so long the thread gathers before it writes, so a process commits five times a second at most. A process that is
killed loses what it gathered."""
RETRY_SECONDS: Final = 1.0
"""Between attempts while the database does not take them."""
STATEMENT_SECONDS: Final = 5.0
"""The most that the database works on one statement. A stop waits for one attempt more."""

logger = logging.getLogger(__name__)

_INSERT = """
INSERT INTO access.reads (log, recorder, number, place, at, principal, person, route, about, items)
SELECT %(log)s, %(recorder)s, r.*
  FROM unnest(%(number)s::bigint[], %(place)s::smallint[], %(at)s::timestamptz[], %(principal)s::text[],
              %(person)s::text[], %(route)s::text[], %(about)s::text[], %(items)s::integer[]) AS r
    ON CONFLICT DO NOTHING
"""
_MARK = """
INSERT INTO access.recorders (log, recorder, kind, number, lost, since, at) VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""
_LEAVE_NAME = "SELECT pg_advisory_unlock_all()"
_HOLD_NAME = "SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))"


class Numbered(NamedTuple):
    """A read with its number."""

    number: int
    read: Read


class Mark(NamedTuple):
    """A row about this process: that it began or ended, or how many reads it lost. `number` is the last one given."""

    kind: str
    number: int
    lost: int
    since: datetime
    at: datetime


class Statistics(NamedTuple):
    """How many reads were written and lost since the start, and how many wait."""

    written: int
    lost: int
    waiting: int


class Recorder:
    """Takes reads from any thread and writes them on a thread of its own. A context manager: it runs inside.

    `connect` makes a connection that may add rows and nothing else.
    """

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        log_number: int,
        name: str,
        clock: Callable[[], datetime],
        *,
        most_waiting: int = MOST_WAITING,
        gather_seconds: float = GATHER_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """`name` is new at each start."""
        self.name = name
        self._connect = connect
        self._log_number = log_number
        self._clock = clock
        self._most_waiting = most_waiting
        self._gather_seconds = gather_seconds
        self._retry_seconds = retry_seconds
        self._changed = Condition()  # guards what follows
        self._waiting: deque[Numbered] = deque()
        self._marks: deque[Mark] = deque()
        self._dropped: Mark | None = None  # lost reads that no mark says yet
        self._given = 0
        self._written = 0
        self._lost = 0
        self._stopping = False
        self._connection: Connection[Any] | None = None
        self._refused = ""
        self._thread = Thread(target=self._run, name="reads", daemon=True)

    def __enter__(self) -> Recorder:
        """Say that this process begins, before it answers anything; later if the database does not take it now."""
        now = self._clock()
        began = Mark("began", 0, 0, now, now)
        try:
            self._insert((), (began,))
        except psycopg.Error as error:
            self._report(error)
            self._disconnect()
            self._marks.append(began)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what waits, in one attempt more, and say that this process has ended."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def note(self, read: Read) -> None:
        """Record a read. It never waits for the database: beyond the bound the read is counted as lost."""
        with self._changed:
            self._given += 1
            if self._stopping or len(self._waiting) >= self._most_waiting:
                self._drop(read.at, read.at, 1)
                return
            self._waiting.append(Numbered(self._given, read))
            if len(self._waiting) in (1, BATCH):  # the thread sleeps between, and takes no time from requests
                self._changed.notify_all()

    def statistics(self) -> Statistics:
        """What became of the reads so far."""
        with self._changed:
            return Statistics(self._written, self._lost, len(self._waiting))

    def _drop(self, since: datetime, at: datetime, lost: int) -> None:
        before = self._dropped
        self._lost += lost
        self._dropped = Mark(
            "lost",
            self._given,
            lost + (0 if before is None else before.lost),
            since if before is None else min(before.since, since),
            at if before is None else max(before.at, at),
        )

    def _run(self) -> None:
        done = False
        while not done:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._waiting or self._marks or self._dropped)
                self._changed.wait_for(lambda: self._stopping or len(self._waiting) >= BATCH, self._gather_seconds)
                done = self._stopping
            while self._pending() and self._write_some():
                pass
            if self._pending() and not done:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, self._retry_seconds)
        self._end()

    def _pending(self) -> bool:
        with self._changed:
            return bool(self._waiting or self._marks or self._dropped)

    def _write_some(self) -> bool:
        """Write a batch and the marks. Returns whether the database took them, or will never take them."""
        with self._changed:
            batch = list(islice(self._waiting, BATCH))
            if self._dropped is not None:
                self._marks.append(self._dropped)
                self._dropped = None
            marks = list(self._marks)
        try:
            self._insert(batch, marks)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            self._report(error)
            if not batch:
                raise  # a mark has nothing of a client in it: this is a fault of the program
            with self._changed:  # a row that is refused once is refused for ever, and would hold up all others
                self._drop(batch[0].read.at, batch[-1].read.at, len(batch))
        except psycopg.Error as error:
            self._report(error)
            self._disconnect()
            return False
        else:
            self._refused = ""
            with self._changed:
                self._written += len(batch)
                for _ in marks:
                    self._marks.popleft()
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
        return True

    def _insert(self, batch: Sequence[Numbered], marks: Sequence[Mark]) -> None:
        """Add the rows in one transaction. Rows that are there already stay: the answer to an attempt may get lost."""
        if self._connection is None:
            self._connection = self._connect()
            self._connection.execute(_HOLD_NAME, (self.name,))
        with self._connection.transaction(), self._connection.cursor() as cursor:
            if batch:
                cursor.execute(_INSERT, self._columns(batch))
            if marks:
                cursor.executemany(_MARK, [(self._log_number, self.name, *mark) for mark in marks])

    def _columns(self, batch: Sequence[Numbered]) -> dict[str, Any]:
        rows = [
            (number, place, read, about)
            for number, read in batch
            for place, about in enumerate(read.about[:MOST_ABOUT] or (None,), 1)
        ]
        return {
            "log": self._log_number,
            "recorder": self.name,
            "number": int8_array([number for number, _, _, _ in rows]),
            "place": int2_array([place for _, place, _, _ in rows]),
            "at": [read.at for _, _, read, _ in rows],
            "principal": text_array([read.principal for _, _, read, _ in rows]),
            "person": text_array([read.person for _, _, read, _ in rows]),
            "route": text_array([read.route for _, _, read, _ in rows]),
            "about": text_array([about for _, _, _, about in rows]),
            "items": [read.items for _, _, read, _ in rows],
        }

    def _end(self) -> None:
        """Say that this process has ended, if the database took all the rest. What it did not take is lost."""
        with self._changed:
            left, given = len(self._waiting), self._given
            self._lost += left
            self._waiting.clear()
        now = self._clock()
        try:
            if not left:
                self._insert((), (Mark("ended", given, 0, now, now),))
                assert self._connection is not None
                self._connection.execute(_LEAVE_NAME)  # the server may notice a closed connection later
        except psycopg.Error as error:
            self._report(error)
        if left:
            logger.error(
                "%d reads of personal data could not be recorded before the end; the access log has them", left
            )
        self._disconnect()

    def _report(self, error: psycopg.Error) -> None:
        """Log why reads are not recorded, once for each reason."""
        reason = sentence_of(error)
        if reason != self._refused:
            logger.error("reads of personal data are not recorded now: %s", reason)
        self._refused = reason

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
