"""Folded states of streams, and a bounded cache of them. They may be out of date: the append checks their versions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from msgspec import Struct
from psycopg import Connection

from eventstore.log.codec import UnknownTypeError
from eventstore.log.read import STREAM_PAGE, read_streams

Evolve: TypeAlias = Callable[[Any, Any], Any]


class EventDecoder(Protocol):
    """The part of `eventstore.log.codec.Codec` that folding needs."""

    def decode_many(self, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Any]: ...


class StreamState(Struct, gc=False):
    """The state of a stream, as far as it is known here.

    `state` is the fold of its events up to `version`. `entries_to` is the version up to which only commuting entries
    have followed; a commuting read may expect it. It is later than `version` on an account that several processes post
    to. A `stale` stream has new events, which must be read before it is used again.
    """

    state: Any
    version: int
    entries_to: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """Folds events into states."""

    codec: EventDecoder
    evolve: Evolve

    def on(
        self,
        known: Mapping[str, StreamState],
        events: list[tuple[str, int, str, bytes]],
        connection: Connection[Any],
        log_number: int,
    ) -> dict[str, str]:
        """Fold the events that were read of these streams, and read the rest of streams longer than `STREAM_PAGE`.

        A stream with an event of an unknown type is folded up to there, and returned with that type. Raises
        `psycopg.Error`, and the error of an event of a known type that cannot be decoded.
        """
        newer: dict[str, str] = {}
        while events:
            read: dict[str, int] = {}
            # All together, so that the keys of their subjects are read with one query.
            decoded = self.codec.decode_many([(row[2], row[3], row[0], row[1]) for row in events])
            for (stream, version, _, _), event in zip(events, decoded, strict=True):
                if newer and stream in newer:
                    continue
                if isinstance(event, Exception):
                    if not isinstance(event, UnknownTypeError):
                        raise event
                    newer[stream] = event.type
                    continue
                of_it = known[stream]
                of_it.state = self.evolve(of_it.state, event)
                of_it.version = version
                read[stream] = read.get(stream, 0) + 1
            longer = {
                stream: known[stream].version
                for stream, count in read.items()
                if count >= STREAM_PAGE and stream not in newer
            }
            events = read_streams(connection, log_number, longer) if longer else []
        return newer


class RecentStreams:
    """A cache of the most recently used streams, `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[str, StreamState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, stream: str) -> StreamState | None:
        """The state of a stream; None if it is not cached."""
        known = self._known.get(stream)
        if known is not None:
            self._known.move_to_end(stream)
        return known

    def put(self, stream: str, known: StreamState) -> None:
        """Cache a state, and drop the least recently used one if the cache is full."""
        self._known[stream] = known
        self._known.move_to_end(stream)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def mark_stale(self, stream: str) -> None:
        """Mark a stream as stale: it is read from `version` before it is used again."""
        known = self._known.get(stream)
        if known is not None:
            known.stale = True

    def mark_moved(self, stream: str, version: int) -> None:
        """Mark a stream as stale that other processes took to this version, if its every event is tracked here.

        Commuting streams (accounts that several processes post to) need no second read.
        """
        known = self._known.get(stream)
        if known is not None and known.entries_to == known.version < version:
            known.stale = True

    def drop(self, prefixes: tuple[str, ...]) -> None:
        """Drop the streams whose names begin with one of these."""
        for stream in [stream for stream in self._known if stream.startswith(prefixes)]:
            del self._known[stream]

    def clear(self) -> None:
        """Drop everything."""
        self._known.clear()
