"""Folded states, and a bounded cache of them. It is only ever a guess: the append tells whether it was right."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from msgspec import Struct
from psycopg import Connection

from eventstore.log.read import STREAM_PAGE, read_streams

Evolve: TypeAlias = Callable[[Any, Any], Any]


class EventDecoder(Protocol):
    """What folding needs of `eventstore.log.codec.Codec`."""

    def decode_many(self, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Any]: ...


class StreamState(Struct, gc=False):
    """What is believed of a stream.

    `state` is the fold of its events up to `version`, which is always true. `entries_to` is the version up to which
    nothing but entries is known to have followed, and on which a commuting read may rest; it is beyond `version` on an
    account that several processes post to. `stale`: the stream has moved on and must be read before it is used again.
    """

    state: Any
    version: int
    entries_to: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """How events become states."""

    codec: EventDecoder
    evolve: Evolve

    def on(
        self,
        known: Mapping[str, StreamState],
        events: list[tuple[str, int, str, bytes]],
        connection: Connection[Any],
        log: int,
    ) -> None:
        """Fold what was read of these streams, a `STREAM_PAGE` of each at the most, and what there is behind it.

        Raises `psycopg.Error`, and what is wrong with an event.
        """
        while events:
            read: dict[str, int] = {}
            # All together: their people's keys are looked up at once.
            decoded = self.codec.decode_many([(row[2], row[3], row[0], row[1]) for row in events])
            for (stream, version, _, _), event in zip(events, decoded, strict=True):
                if isinstance(event, Exception):
                    raise event
                of_it = known[stream]
                of_it.state = self.evolve(of_it.state, event)
                of_it.version = version
                read[stream] = read.get(stream, 0) + 1
            longer = {stream: known[stream].version for stream, count in read.items() if count >= STREAM_PAGE}
            events = read_streams(connection, log, longer) if longer else []


class RecentStreams:
    """The most recently used streams, `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[str, StreamState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, stream: str) -> StreamState | None:
        """What is believed of the stream; None if nothing is."""
        known = self._known.get(stream)
        if known is not None:
            self._known.move_to_end(stream)
        return known

    def put(self, stream: str, known: StreamState) -> None:
        """Remember, and forget what was not used for longest."""
        self._known[stream] = known
        self._known.move_to_end(stream)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def mark_stale(self, stream: str) -> None:
        """The stream is known to have moved, or may have: read on from `version` before it is used again."""
        known = self._known.get(stream)
        if known is not None:
            known.stale = True

    def mark_moved(self, stream: str, version: int) -> None:
        """Others have taken the stream to this version: what is followed event by event is to be read on from its own.

        What is not (an account that several processes post to) rests on entries that nobody need have seen.
        """
        known = self._known.get(stream)
        if known is not None and known.entries_to == known.version < version:
            known.stale = True

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
