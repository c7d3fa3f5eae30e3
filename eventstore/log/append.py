"""The append: a group of decided commands, one call of ``log.append``, one flush.

The SQL in migrations/ argues why it is sound. This module turns a group into the arrays that the function takes, and
reads its answer. A group can be sent and its answer received later, so that the next one is decided meanwhile.
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from itertools import chain, count, repeat
from struct import Struct
from time import monotonic_ns
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import Connection, pq

from eventstore.postgres.arrays import (
    BinaryArray,
    bool_array,
    bytea_array,
    int2_array,
    int4_array,
    int8_array,
    text_array,
)
from eventstore.postgres.connect import read_only_error

T = TypeVar("T")

JSON, OPAQUE = 0, 1
"""Encodings of payload and metadata."""

MOST_EVENTS_PER_UNIT = 10_000


ANSWER_SECONDS = 90
"""After so many seconds a silent connection is given up. It is more than a statement may take (`postgres.connect`)."""


class Verdict(IntEnum):
    """What the append did with a command."""

    IN = 0
    CONFLICT = 1  # a stream that it read has changed
    DUPLICATE = 2  # its key is recorded already


class UnitTooLargeError(ValueError):
    """A command has more events than one unit may have."""


def check_units(counts: Iterable[int]) -> None:
    """Check the number of events of each command. Raises `UnitTooLargeError`."""
    most = max(counts, default=0)
    if most > MOST_EVENTS_PER_UNIT:
        raise UnitTooLargeError(f"{most} events; a unit has at most {MOST_EVENTS_PER_UNIT}")


Read: TypeAlias = tuple[str, int | None, bool]
"""A stream that a command read: its name, its version, and whether the read commutes. Entries appended since do not
matter to a commuting read. The version is None for a new stream that was not looked up. Every stream that a command
writes to is among its reads."""
Record: TypeAlias = tuple[int, int, str | None, bytes, bytes, str | None]
"""The row of `log.commands` of a command: outcome, code, rule, result, request hash, origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAppended:
    """The answer to a group. `actual` has the streams of the group that had changed, with their versions before."""

    epoch: int
    recorded_at: datetime
    before: int  # the head before
    counts: Sequence[int]  # events of each command
    verdicts: Sequence[int] | None  # None: every command went in
    actual: dict[str, int] = field(default_factory=dict)
    sent_ns: int = 0  # of the monotonic clock: when it was sent, and when the answer was received
    received_ns: int = 0

    @property
    def after(self) -> int:
        """The head after."""
        if self.verdicts is None:
            return self.before + sum(self.counts)
        went_in = zip(self.counts, self.verdicts, strict=True)
        return self.before + sum([count for count, verdict in went_in if verdict == Verdict.IN])


@dataclass(frozen=True, slots=True)
class NewEvents:
    """The events of a group as columns, in the order of its commands."""

    streams: Sequence[str]
    types: Sequence[str]
    payloads: Sequence[bytes]
    commute: Sequence[bool]  # whether it goes to a stream that its command read as commuting


class AppendBatch:
    """A group as columns. Indexes into arrays start at 1, as in SQL."""

    def __init__(
        self,
        *,
        senders: Sequence[tuple[str, str]],
        records: Sequence[Record | None],
        metadata: Sequence[bytes],
        reads: Sequence[Sequence[Read]],
        counts: Sequence[int],
        events: NewEvents,
    ) -> None:
        """Per command: actor and key, the record of its answer if there is one, metadata, reads, number of events.

        All reads of a stream must expect the same version. A commuting read may expect a later one; then the exact one
        is used. Raises `UnitTooLargeError`.
        """
        check_units(counts)
        self.counts = counts
        self._senders, self._records, self._metadata, self._events = senders, records, metadata, events
        self._read_counts = list(map(len, reads))
        all_reads = list(chain.from_iterable(reads))
        self._read_streams, versions, self._read_commuting = _columns(all_reads, 3)
        self.index: dict[str, int] = dict(zip(dict.fromkeys(self._read_streams), count(1), strict=False))
        base_of = dict(
            zip(reversed(self._read_streams), reversed(versions), strict=True)
        )  # the first read of each stream
        if True in self._read_commuting:
            base_of |= {stream: version for stream, version, commuting in all_reads if not commuting}
        bases = [base_of[stream] for stream in self.index]
        self.bases = [base or 0 for base in bases]
        self._new = [base is None for base in bases]
        self._parameters: list[BinaryArray] | None = None

    def look_up_all(self) -> None:
        """Let the append look up streams that were taken for new: one of them exists."""
        self._parameters = None
        self._new = [False] * len(self._new)

    def parameters(self) -> list[BinaryArray]:
        """The arguments of ``log.append`` in the order of `ARRAYS`; made once."""
        if self._parameters is None:
            self._parameters = self._arrays()
        return self._parameters

    def _arrays(self) -> list[BinaryArray]:
        actor, key = _columns(self._senders, 2)
        outcome, code, rule, result, request_hash, origin = _columns([one or _NOTHING for one in self._records], 6)
        place = self.index.__getitem__
        events = self._events
        arrays = {
            "c_actor": text_array(actor),
            "c_key": text_array(key),
            "c_hash": bytea_array(request_hash),
            "c_outcome": int2_array(outcome),
            "c_status": int2_array(code),
            "c_rule": text_array(rule),
            "c_result": bytea_array(result),
            "c_origin": text_array(origin),
            "c_record": bool_array([record is not None for record in self._records]),
            "c_events": int4_array(self.counts),
            "s_stream": text_array(list(self.index)),
            "s_base": int8_array(self.bases),
            "s_new": bool_array(self._new),
            "r_command": int4_array(_each(range(1, len(self._read_counts) + 1), self._read_counts)),
            "r_stream": int4_array(list(map(place, self._read_streams))),
            "r_commuting": bool_array(self._read_commuting),
            "e_command": int4_array(_each(range(1, len(self.counts) + 1), self.counts)),
            "e_stream": int4_array(list(map(place, events.streams))),
            "e_commutes": bool_array(events.commute),
            "e_type": text_array(events.types),
            "e_payload": bytea_array(events.payloads),
            "e_metadata": bytea_array(_each(self._metadata, self.counts)),
        }
        return [arrays[name] for name in ARRAYS]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Iterable[tuple[Any, ...]]:
    return zip(*rows, strict=True) if rows else ((),) * width


def _each(values: Iterable[T], times: Iterable[int]) -> list[T]:
    """Each value, repeated as many times as its number says."""
    return list(chain.from_iterable(map(repeat, values, times)))


_NOTHING: Record = (0, 0, None, b"", b"", None)
_INT4, _INT8 = Struct(">i"), Struct(">q")
_FIXED = ("p_log", "p_encoding", "p_commuting")
ARRAYS = (
    *("c_actor", "c_key", "c_hash", "c_outcome", "c_status", "c_rule", "c_result", "c_origin", "c_record", "c_events"),
    *("s_stream", "s_base", "s_new"),
    *("r_command", "r_stream", "r_commuting"),
    *("e_command", "e_stream", "e_commutes", "e_type", "e_payload", "e_metadata"),
)
"""The parameters of ``log.append`` that differ from group to group: commands, streams, reads, events."""
_ARGUMENTS = ", ".join(f"{name} => ${number}" for number, name in enumerate((*_FIXED, *ARRAYS), 1)).encode()
_APPEND = b"SELECT head, epoch, recorded_at, verdicts, actual FROM log.append(%s)" % _ARGUMENTS
_BINARY = [1] * len((*_FIXED, *ARRAYS))
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts microseconds from here
_statements = count(1)


class Appender:
    """Appends over one connection, one group at a time. Nothing else may use the connection meanwhile.

    It calls libpq directly, because `execute` of psycopg waits for the answer.
    """

    def __init__(
        self, connection: Connection[Any], log_number: int, commuting_types: Sequence[str], encoding: int = JSON
    ) -> None:
        connection.prepare_threshold = None  # else psycopg drops all prepared statements at a rollback
        self._pgconn = connection.pgconn
        self._encoding = connection.info.encoding
        self._name = f"append_{next(_statements)}".encode()
        self._fixed = [_INT4.pack(log_number), encoding.to_bytes(2, "big"), text_array(commuting_types)]
        self._sent: AppendBatch | None = None
        self._sent_ns = 0
        _checked(self._pgconn.prepare(self._name, _APPEND), pq.ExecStatus.COMMAND_OK, self._encoding)

    def send(self, batch: AppendBatch) -> None:
        """Send a group. Raises `psycopg.OperationalError`."""
        parameters = [*self._fixed, *batch.parameters()]
        pgconn = self._pgconn
        self._sent_ns = monotonic_ns()
        pgconn.send_query_prepared(self._name, parameters, _BINARY, result_format=1)
        self._sent = batch
        while pgconn.flush():  # psycopg has made the connection non-blocking
            self._wait(select.POLLIN | select.POLLOUT)

    @property
    def under_way(self) -> bool:
        """Whether a group was sent and its answer was not received."""
        return self._sent is not None

    def receive(self) -> GroupAppended:
        """Wait for the answer. A conflict or a duplicate affects only the commands of the group that depend on it.

        Raises `psycopg.Error`. If the connection is lost, it is unknown whether the group went in.
        """
        assert self._sent is not None
        batch, self._sent = self._sent, None
        pgconn = self._pgconn
        while pgconn.is_busy():
            self._wait(select.POLLIN)
        results = []
        while (result := pgconn.get_result()) is not None:
            results.append(result)
        received_ns = monotonic_ns()
        if not results:
            raise psycopg.OperationalError("the server closed the connection without an answer")
        try:
            for result in results:  # the row comes before the commit: after a later error nothing went in
                _checked(result, pq.ExecStatus.TUPLES_OK, self._encoding)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            pgconn.finish()
            raise read_only_error(error) from None
        row = results[0]
        before, epoch, at, verdicts, actual = [row.get_value(0, column) for column in range(5)]
        assert before is not None
        assert epoch is not None
        assert at is not None
        moved: dict[str, int] = {}
        if actual is not None:
            versions = _read_array(actual, "q", 8)
            moved = {
                stream: version
                for stream, base, version in zip(batch.index, batch.bases, versions, strict=True)
                if version != base
            }
        return GroupAppended(
            epoch=_INT4.unpack(epoch)[0],
            recorded_at=_EPOCH + timedelta(microseconds=_INT8.unpack(at)[0]),
            before=_INT8.unpack(before)[0],
            counts=batch.counts,
            verdicts=None if verdicts is None else _read_array(verdicts, "h", 2),
            actual=moved,
            sent_ns=self._sent_ns,
            received_ns=received_ns,
        )

    def _wait(self, events: int) -> None:
        waiting = select.poll()
        waiting.register(self._pgconn.socket, events)
        found = waiting.poll(ANSWER_SECONDS * 1000)
        if not found:
            self._pgconn.finish()
            raise psycopg.OperationalError(
                f"the server did not answer for {ANSWER_SECONDS} s: the connection is given up"
            )
        if any(what & ~select.POLLOUT for _, what in found):
            self._pgconn.consume_input()


def _checked(result: Any, expected: pq.ExecStatus, encoding: str) -> Any:
    if result.status != expected:
        raise psycopg.errors.error_from_result(result, encoding)
    return result


def _read_array(data: bytes, code: str, size: int) -> tuple[int, ...]:
    """The elements of a binary array of integers without NULLs (see `eventstore.postgres.arrays` for the format)."""
    if _INT4.unpack_from(data)[0] == 0:
        return ()
    length = _INT4.unpack_from(data, 12)[0]
    return Struct(f">{('4x' + code) * length}").unpack_from(data, 20)
