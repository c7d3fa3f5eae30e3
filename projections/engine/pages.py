"""Reads a page for several projections: one read, one decode, one split by event type, then the folds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from psycopg import Connection

from domain.subjects import SubjectErased
from eventstore.log.codec import Codec, CodecError, UnknownTypeError
from eventstore.postgres.arrays import text_array
from projections.engine.checkpoint import ProjectionError
from projections.engine.erasure import erase
from projections.engine.projection import FoldCache, Projection, RecordedEvent

# As in eventstore.log.read, with only the columns that a fold needs: each costs as much as an index probe.
# The names are the known ones that nobody wants, so the same scan finds unknown types. Encoding 1 is the library's.
_UPTO = """
SELECT unit_end FROM log.events
 WHERE log = %s AND position > %s AND position <= %s ORDER BY position DESC LIMIT 1
"""
_PAGE = """
SELECT position, recorded_at::text, type, payload, stream, version FROM log.events
 WHERE log = %s AND position > %s AND position <= %s AND type <> ALL (%s) AND encoding <> 1 ORDER BY position
"""

_NEWER = "this version of Daybook does not know the type; start a projector of the newer version that wrote it"

FIRST_PAGE = 1_000
"""Positions of a reader's first page, when the size of events is not known yet."""

PAGE_BYTES = 32 * 2**20
"""Bytes of payload that a page should not exceed, estimated by the page before. So large events make short pages."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A projection's part of a page."""

    events: Sequence[RecordedEvent]
    result: Any  # of its fold; None without events for it
    erasures: Sequence[RecordedEvent]  # those of `events` that the fold does not get
    error: Exception | None  # what the fold raised
    broken: ProjectionError | None  # the first event on its streams that it wants, or might want, and cannot be decoded


@dataclass(frozen=True, slots=True)
class FoldedPage:
    """The events after `after` up to and including `upto`, the end of a unit, folded by each projection."""

    after: int
    upto: int
    parts: dict[str, Folded]


@dataclass(frozen=True, slots=True)
class PageDone:
    """What a runner did with a page. `events` has the number of events by projection, for those that took the page."""

    after: int
    upto: int
    events: Mapping[str, int]
    begun_ns: int  # of the monotonic clock
    ended_ns: int


OnPage = Callable[[PageDone], None]
"""Gets each page after its transaction."""


class SplitPage:
    """The events of a page, split by type once. A projection costs as many steps as it wants events of the page."""

    def __init__(self, events: Sequence[RecordedEvent]) -> None:
        self._events = events
        self._by_type: defaultdict[type[Any], list[RecordedEvent]] = defaultdict(list)
        for recorded in events:
            self._by_type[type(recorded.event)].append(recorded)
        self._merged: dict[tuple[type[Any], ...], Sequence[RecordedEvent]] = {}

    def of_types(self, types: tuple[type[Any], ...]) -> Sequence[RecordedEvent]:
        """The events of these types, in log order. Projections that want the same types share one list."""
        merged = self._merged.get(types)
        if merged is None:
            merged = self._merged[types] = self._merge([self._by_type[kind] for kind in types if kind in self._by_type])
        return merged

    def has(self, kind: type[Any]) -> bool:
        """Whether the page has an event of this type."""
        return kind in self._by_type

    def _merge(self, lists: Sequence[list[RecordedEvent]]) -> Sequence[RecordedEvent]:
        if len(lists) == len(self._by_type):
            return self._events
        if len(lists) == 1:
            return lists[0]
        # Each list is in order already, so the sort only merges them.
        return sorted([recorded for one in lists for recorded in one], key=_POSITION)


_POSITION = itemgetter(0)


class PageReader:
    """Reads, decodes and folds pages of one log."""

    def __init__(self, log_number: int, codec: Codec) -> None:
        self._log_number = log_number
        self._codec = codec
        self._affordable = FIRST_PAGE
        self._names: dict[tuple[type[Any], ...], frozenset[str]] = {}  # stored names by the types of a projection

    def read(
        self, connection: Connection[Any], after: int, limit: int, projections: Iterable[Projection]
    ) -> FoldedPage | None:
        """Read about `limit` positions or fewer, to the end of a unit; None at the end of the log. A page may have no
        events for these projections.
        """
        last = after + min(limit, self._affordable)
        found = connection.execute(_UPTO, (self._log_number, after, last), binary=True).fetchone()
        if found is None:
            return None
        upto: int = found[0]
        projections = list(projections)
        wanted = frozenset[str]().union(*{self._stored_names(projection.read_events) for projection in projections})
        others = text_array(sorted(self._codec.names - wanted))
        rows = connection.execute(_PAGE, (self._log_number, after, upto, others), binary=True).fetchall()
        size = sum([len(row[3]) for row in rows])
        self._affordable = max(1, PAGE_BYTES * (upto - after) // max(size, 1))
        events, undecodable = self._decode(rows)
        split = SplitPage(events)
        erasing = split.has(SubjectErased)
        parts: dict[str, Folded] = {}
        for projection in projections:
            broken = next((error for error in undecodable if self._stops(projection, error)), None)
            of_types = split.of_types(projection.read_events)
            parts[projection.name] = fold_part(projection, of_types, broken, erasing=erasing)
        return FoldedPage(after, upto, parts)

    def _stops(self, projection: Projection, error: ProjectionError) -> bool:
        """Whether the projection cannot go past an event that cannot be decoded.

        It goes past one of a known type that it does not want. Of an unknown type only the stream says who might.
        """
        if error.type in self._codec.names:
            return error.type in self._stored_names(projection.read_events)
        return error.stream.startswith(projection.prefixes)

    def _stored_names(self, types: tuple[type[Any], ...]) -> frozenset[str]:
        """The names under which events of these types are stored, of all their versions."""
        names = self._names.get(types)
        if names is None:
            names = self._names[types] = frozenset(self._codec.named(*types))
        return names

    def _decode(self, rows: Sequence[tuple[Any, ...]]) -> tuple[list[RecordedEvent], list[ProjectionError]]:
        decoded = self._codec.decode_many([row[2:] for row in rows])
        events, undecodable = [], []
        for (position, recorded_at, type, _, stream, _), event in zip(rows, decoded, strict=True):
            if isinstance(event, CodecError):
                why = _NEWER if isinstance(event, UnknownTypeError) else str(event)
                undecodable.append(ProjectionError(position, stream, type, why))
            else:
                events.append(RecordedEvent(position, recorded_at, event))
        return events, undecodable


def fold_part(
    projection: Projection,
    events: Sequence[RecordedEvent],
    broken: ProjectionError | None = None,
    *,
    erasing: bool = True,
) -> Folded:
    """A projection's part of a page. An error of its fold is kept, and raised when the part would be written.

    Without `erasing` nobody was erased by these events, and they are not searched.
    """
    if not events or broken is not None:
        return Folded(events, None, (), None, broken)
    erasures = [recorded for recorded in events if type(recorded.event) is SubjectErased] if erasing else []
    own = [recorded for recorded in events if type(recorded.event) is not SubjectErased] if erasures else events
    try:
        return Folded(events, projection.fold(own) if own else None, erasures, None, None)
    except Exception as error:
        return Folded(events, None, erasures, error, None)


def write_part(connection: Connection[Any], projection: Projection, part: Folded, cache: FoldCache) -> None:
    """Write a projection's part of a page, then erase the text of the people who were erased by it.

    Raises what `fold` and `write` raise.
    """
    if part.error is not None:
        raise part.error
    if len(part.events) > len(part.erasures):
        projection.write(connection, part.result, cache)
    if part.erasures:
        erase(connection, projection.personal, part.erasures)


class ReadAhead:
    """Reads the next page in its own thread and over its own connection, while the present page is written."""

    def __init__(self, pages: PageReader, connection: Connection[Any]) -> None:
        self._pages = pages
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._asked: tuple[int, list[str]] | None = None
        self._coming: Future[FoldedPage | None] | None = None

    def start(self, after: int, limit: int, projections: Sequence[Projection]) -> None:
        """Begin to read this page. The page before must have been taken."""
        self._asked = after, [projection.name for projection in projections]
        self._coming = self._thread.submit(self._pages.read, self._connection, after, limit, projections)

    def close(self) -> None:
        """End the thread once it has read its page. The connection is free then."""
        self._thread.shutdown()

    def take(self, after: int, projections: Sequence[Projection]) -> FoldedPage | None:
        """The page that was read, if it is this one. Raises the error of reading it."""
        asked, coming = self._asked, self._coming
        self._asked = self._coming = None
        if coming is None:
            return None
        page = coming.result()
        return page if asked == (after, [projection.name for projection in projections]) else None
