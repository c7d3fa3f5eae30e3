"""Snapshots: states kept beside the log, so that a long stream loads as fast as a short one.

Snapshots are a cache. The append checks the version of a state that came from a snapshot like any other, and an empty
table costs only time. A thread with its own connection writes them, so commands never wait. States that come faster
than it can write are dropped.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Full, Queue
from threading import Thread
from typing import Any, Protocol, Self

import msgspec
import orjson
from psycopg import Connection

from eventstore.executor.stream_states import Fold, StreamState
from eventstore.log.read import STREAM_PAGE, read_streams
from eventstore.postgres.arrays import bytea_array, int8_array, text_array
from eventstore.tracebacks import traceback_of

FIRST_SNAPSHOT = 8
"""Events of a stream at its first snapshot. The next ones follow whenever the number has doubled. The events of an
account lie on as many pages, all over the log, and a load reads each of them. A snapshot is one page."""
SNAPSHOT_EVERY = 200
"""Events between two snapshots of a longer stream: the most that a load reads, if no snapshot was dropped."""
SNAPSHOT_EVERY_APART = 1_000
"""The same for a stream whose events this process does not know: its snapshot costs a read of the new events."""
MOST_WAITING = 1_000
"""States that may wait to be written. More are dropped."""
MOST_TOGETHER = 256
"""Most states written in one statement."""
MOST_STATE_BYTES = 65_536
"""A larger state is not kept; `log.keep_snapshots_by_shape` has the same bound."""

_STREAMS = """
WITH wanted AS MATERIALIZED (
    SELECT w.stream, w.version, p.version AS kept, p.state
      FROM unnest(%(streams)s::text[], %(versions)s::bigint[], %(shapes)s::bytea[]) AS w(stream, version, shape)
      LEFT JOIN LATERAL (
        SELECT s.version, s.state FROM log.snapshots s
         WHERE s.log = %(log)s AND s.stream = w.stream AND s.shape = w.shape AND s.version > w.version LIMIT 1
      ) p ON true
)
SELECT stream, kept, NULL, state FROM wanted WHERE kept IS NOT NULL
UNION ALL
SELECT e.stream, e.version, e.type, e.payload
  FROM wanted w
  JOIN LATERAL (
    SELECT stream, version, type, payload FROM log.events
     WHERE log = %(log)s AND stream = w.stream AND version > coalesce(w.kept, w.version)
     ORDER BY version LIMIT %(page)s
  ) e ON true
"""

_KEEP = "SELECT log.keep_snapshots_by_shape(%s, %s, %s, %s, %s)"


_TO_BE_FOLDED = object()

_logger = logging.getLogger(__name__)


def is_due(before: int, version: int, every: int = SNAPSHOT_EVERY) -> bool:
    """Whether a snapshot is due for a stream that went from one version to another."""
    if before >= every:
        return version // every > before // every
    return version >= every or (version // FIRST_SNAPSHOT).bit_length() > (before // FIRST_SNAPSHOT).bit_length()


class SnapshotError(ValueError):
    """The bytes are not a state of the stream."""


class StateCodec(Protocol):
    """Encodes states. A snapshot with another shape than its stream has here is ignored: another version made it."""

    def shape(self, stream: str) -> bytes | None: ...
    def covers(self, stream: str) -> bool: ...
    def encode(self, state: Any) -> bytes: ...
    def decode(self, stream: str, state: bytes) -> Any: ...


class JsonStates:
    """A `StateCodec` of msgspec structs."""

    def __init__(self, kinds: Mapping[str, tuple[type[msgspec.Struct], int]]) -> None:
        """`kinds` maps the prefix of streams to the class of the state and the version of its fold.

        Raise the version when `evolve` makes another state of the same events.
        """
        self._decoders = {prefix: msgspec.json.Decoder(kind) for prefix, (kind, _) in kinds.items()}
        self._prefixes = tuple(kinds)
        self.shapes: Mapping[str, bytes] = {prefix: _digest(kind, fold) for prefix, (kind, fold) in kinds.items()}
        """The shape of each kind by its prefix: the digest of the fields of its class and the version of its fold."""

    def shape(self, stream: str) -> bytes | None:
        """The shape of the snapshots of this stream; None if it has none."""
        for prefix, shape in self.shapes.items():
            if stream.startswith(prefix):
                return shape
        return None

    def covers(self, stream: str) -> bool:
        """Whether this stream has snapshots."""
        return stream.startswith(self._prefixes)

    def encode(self, state: Any) -> bytes:
        """The state as JSON."""
        return msgspec.json.encode(state)

    def decode(self, stream: str, state: bytes) -> Any:
        """The state. Raises `SnapshotError`."""
        for prefix, decoder in self._decoders.items():
            if stream.startswith(prefix):
                try:
                    return decoder.decode(state)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise SnapshotError(f"the snapshot of {stream} cannot be read: {error}") from error
        raise SnapshotError(f"no snapshots of {stream} are kept")


def _digest(kind: type[msgspec.Struct], fold: int) -> bytes:
    return hashlib.sha256(orjson.dumps([fold, msgspec.json.schema(kind)], option=orjson.OPT_SORT_KEYS)).digest()


@dataclass(slots=True)
class SnapshotStatistics:
    """How many states were written, dropped or failed."""

    kept: int = 0
    dropped: int = 0  # too many waited
    failed: int = 0  # the database refused them, or they are too large


class Snapshots:
    """Reads streams from their snapshots, and writes new ones. Start and stop it, or use it as a context manager."""

    def __init__(
        self,
        connect: Callable[[], Connection[Any]],
        log_number: int,
        codec: StateCodec,
        *,
        fold: Fold | None = None,
        every: int = SNAPSHOT_EVERY,
        every_apart: int = SNAPSHOT_EVERY_APART,
    ) -> None:
        """`fold` makes states of streams whose events this process does not know. Without it they have no snapshots."""
        self._connect = connect
        self._log_number = log_number
        self._codec = codec
        self._fold = fold
        self._every = every
        self._every_apart = every_apart
        self._queue: Queue[tuple[str, Any] | None] = Queue(MOST_WAITING)
        self._thread: Thread | None = None
        self.statistics = SnapshotStatistics()

    # ------------------------------------------------------------------ on the executor's thread

    def read(
        self, connection: Connection[Any], after: dict[str, int]
    ) -> tuple[dict[str, Any], list[tuple[str, int, str, bytes]]]:
        """Snapshots newer than the versions given, and the events after them, in one query.

        The events are in order within a stream, `STREAM_PAGE` of each at the most. Raises `psycopg.Error`.
        """
        streams, versions = text_array(list(after)), int8_array(list(after.values()))
        parameters = {
            "streams": streams,
            "versions": versions,
            "log": self._log_number,
            "shapes": bytea_array([self._codec.shape(stream) for stream in after]),
            "page": STREAM_PAGE,
        }
        states: dict[str, Any] = {}
        events: list[tuple[str, int, str, bytes]] = []
        unreadable: dict[str, int] = {}
        for row in connection.execute(_STREAMS, parameters, binary=True):
            stream, version, type, content = row
            if type is not None:
                events.append(row)
                continue
            try:
                state = self._codec.decode(stream, content)
                if state.version != version:
                    raise SnapshotError(f"the snapshot of {stream} is at {state.version}, not at {version}")
                states[stream] = state
            except SnapshotError:
                unreadable[stream] = after[stream]
        if unreadable:  # read these as if they had no snapshot
            events = [event for event in events if event[0] not in unreadable]
            events += read_streams(connection, self._log_number, unreadable)
        return states, events

    def offer(self, stream: str, state: Any, before: int) -> None:
        """Offer a state that is in the log. It is written if a snapshot has come due since version `before`."""
        if is_due(before, state.version, self._every) and self._codec.covers(stream):
            try:
                self._queue.put_nowait((stream, state))
            except Full:
                self.statistics.dropped += 1

    def counted(self, stream: str, version: int, before: int) -> None:
        """Note the version of a stream whose events this process does not know. It is read and written if it is due."""
        every = self._every_apart
        if self._fold is not None and version // every > before // every and self._codec.covers(stream):
            try:
                self._queue.put_nowait((stream, _TO_BE_FOLDED))
            except Full:
                self.statistics.dropped += 1

    # ------------------------------------------------------------------ writing

    def start(self) -> Self:
        """Begin to write."""
        self._thread = Thread(target=self._run, name="snapshots", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Write the states that wait, then end."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def settle(self) -> None:
        """Wait until every state offered so far is written or dropped."""
        self._queue.join()

    def _run(self) -> None:
        connection: Connection[Any] | None = None
        last = False
        while not last:
            newest: dict[str, Any] = {}
            taken, item = 1, self._queue.get()
            while item is not None:
                newest[item[0]] = item[1]
                if len(newest) == MOST_TOGETHER or self._queue.empty():
                    break
                taken, item = taken + 1, self._queue.get()
            last = item is None
            try:
                if newest:
                    if connection is None or connection.closed:
                        connection = self._connect()
                        connection.execute("SET synchronous_commit = off")  # a lost snapshot costs only time
                    self._fill_in(connection, newest)
                    self._write(connection, newest)
            except Exception as error:  # commands do not wait for snapshots
                _logger.warning("%s snapshots were not kept: %s", len(newest), traceback_of(error))
                self.statistics.failed += len(newest)
                if connection is not None:
                    connection.close()
            for _ in range(taken):
                self._queue.task_done()
        if connection is not None:
            connection.close()

    def _fill_in(self, connection: Connection[Any], newest: dict[str, Any]) -> None:
        """Fold the states of streams whose events this process does not know."""
        known = {stream: StreamState(None, 0, 0) for stream, state in newest.items() if state is _TO_BE_FOLDED}
        if self._fold is None or not known:
            return
        kept, events = self.read(connection, dict.fromkeys(known, 0))
        for stream, state in kept.items():
            known[stream].state, known[stream].version = state, state.version
        newer = self._fold.on(known, events, connection, self._log_number)
        for stream, of_it in known.items():
            if stream in newer:
                del newest[stream]  # a newer version of the program keeps its snapshots
            else:
                newest[stream] = of_it.state

    def _write(self, connection: Connection[Any], newest: dict[str, Any]) -> None:
        streams, versions, shapes, states = [], [], [], []
        for stream, state in newest.items():
            encoded = self._codec.encode(state)
            if len(encoded) > MOST_STATE_BYTES:
                self.statistics.failed += 1
                continue
            streams.append(stream)
            versions.append(state.version)
            shapes.append(self._codec.shape(stream))
            states.append(encoded)
        if streams:
            parameters = (
                self._log_number,
                text_array(streams),
                int8_array(versions),
                bytea_array(shapes),
                bytea_array(states),
            )
            connection.execute(_KEEP, parameters)
            self.statistics.kept += len(streams)
