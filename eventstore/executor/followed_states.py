"""States of streams as they are in the log, never older than a bound. For what must be known before a command.

States are folded when they are first asked for, and kept. A thread looks a few times a second which of the followed
streams got events, and drops them. `get` answers only what is kept and known to be fresh; whoever needs more calls
`load`, which reads the log. If the log cannot be read, nothing is fresh, and nothing is answered.

| a request | the thread | the log |
|---|---|---|
| `load`: holds the lock, reads the session at version 1, keeps it | waits for the lock | version 1 |
| | | version 2: the session has ended |
| `get`: version 1, at most `FRESH_SECONDS` after the thread looked | | |
| | looks: the session has moved, so it is dropped | |
| `get`: not known; `load` reads version 2 | | |

Because one lock covers both reads, a state that was read before an event is never kept after the thread has passed it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Final, Self

import psycopg
from psycopg import Connection

from eventstore.executor.stream_states import Fold, StreamState
from eventstore.log.read import UnknownLogError, read_head, read_streams
from eventstore.postgres.arrays import text_array

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.2
FRESH_SECONDS: Final = 1.0
"""What was known longer ago than this is not answered."""
MOST_KEPT: Final = 50_000
MOST_BEHIND: Final = 1_000_000
"""If more positions than this were appended between two looks, everything is dropped instead of looked at."""

_MOVED = """
SELECT DISTINCT stream FROM log.events
 WHERE log = %s AND position > %s AND position <= %s AND stream ^@ ANY (%s::text[])
"""


class StaleError(RuntimeError):
    """The log could not be read lately, so nothing is known about what happened meanwhile."""


class FollowedStates:
    """Keeps the states of streams whose names begin with one of `prefixes`. Thread-safe."""

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        log: str,
        fold: Fold,
        prefixes: Sequence[str],
        *,
        clock: Callable[[], float] = monotonic,
        most_kept: int = MOST_KEPT,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        """`connect` gives an autocommit connection that may read the log.

        `fresh_seconds` is longer where a machine may stand still for that long: in tests.
        """
        self._connect = connect
        self._log = log
        self._fold = fold
        self._prefixes = tuple(prefixes)
        self._clock = clock
        self._most_kept = most_kept
        self._fresh_seconds = fresh_seconds
        self._connection: Connection[Any] | None = None
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._lock = Lock()
        self._epoch = self._position = -1
        self._known_at = -float("inf")  # by the clock: everything up to then is in what is kept
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self) -> Self:
        """Begin to follow. Raises `psycopg.OperationalError` and `UnknownLogError`."""
        self.look()
        self._thread = Thread(target=self._run, name=f"followed-states-{self._log}", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._disconnect()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def epoch(self) -> int:
        """The epoch of the log, as of the last look."""
        return self._epoch

    def get(self, stream: str) -> tuple[bool, Any]:
        """Whether the state of the stream is kept, and the state; None for a stream that does not exist.

        Raises `StaleError` if the log was not read for `fresh_seconds`.
        """
        self._check_fresh()
        try:
            return True, self._kept[stream]
        except KeyError:
            return False, None

    def load(self, streams: Iterable[str]) -> Mapping[str, Any]:
        """Read the states of these streams now, and keep those that are followed. Blocks.

        Raises `psycopg.OperationalError`, and the error of an event that cannot be folded.
        """
        wanted = list(dict.fromkeys(streams))
        with self._lock:
            try:
                read = self._read(self._connected(), wanted)
            except psycopg.OperationalError:
                self._disconnect()
                raise
            for stream, state in read.items():
                if stream.startswith(self._prefixes):
                    self._kept[stream] = state
            while len(self._kept) > self._most_kept:
                self._kept.popitem(last=False)
        return read

    def look(self) -> None:
        """Drop what has moved since the last look. Raises `psycopg.OperationalError` and `UnknownLogError`."""
        with self._lock:
            before = self._clock()
            try:
                self._drop_moved(self._connected())
            except psycopg.OperationalError:
                self._disconnect()
                raise
            self._known_at = before

    def _check_fresh(self) -> None:
        silent = self._clock() - self._known_at
        if silent > self._fresh_seconds:
            raise StaleError(f"the log was not read for {silent:.1f} s, and may say something else by now")

    def _read(self, connection: Connection[Any], streams: Sequence[str]) -> dict[str, Any]:
        number = read_head(connection, self._log).log_number
        known = {stream: StreamState(None, 0, 0) for stream in streams}
        events = read_streams(connection, number, dict.fromkeys(streams, 0))
        newer = self._fold.on(known, events, connection, number)
        if newer:
            stream, type = next(iter(newer.items()))
            raise StaleError(f"{stream} has an event {type}, which only a newer version of Daybook knows")
        return {stream: state.state for stream, state in known.items()}

    def _drop_moved(self, connection: Connection[Any]) -> None:
        head = read_head(connection, self._log)
        if head.epoch != self._epoch or not 0 <= head.position - self._position <= MOST_BEHIND:
            self._kept.clear()
        elif head.position > self._position:
            values = (head.log_number, self._position, head.position, text_array(self._prefixes))
            for (stream,) in connection.execute(_MOVED, values):
                self._kept.pop(stream, None)
        self._epoch, self._position = head.epoch, head.position

    def _connected(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self) -> None:
        failing = False
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.look()
            except (psycopg.Error, UnknownLogError) as error:
                if not failing:
                    logger.warning("people cannot be looked up, so none is let in: %s", type(error).__name__)
                failing = True
                continue
            if failing:
                logger.info("people can be looked up again")
            failing = False
