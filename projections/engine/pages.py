"""Reading a page for several projections at once: one read, one decode of what somebody wants, and their folds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from eventstore.log.codec import Codec, CodecError
from eventstore.postgres.arrays import text_array
from projections.engine.checkpoint import ProjectionError
from projections.engine.projection import Projection, RecordedEvent

# As eventstore.log.read does it, but with only the columns a fold needs: every one costs as much as an index probe.
_UPTO = """
SELECT unit_end FROM log.events
 WHERE log = %s AND position > %s AND position <= %s ORDER BY position DESC LIMIT 1
"""
_PAGE = """
SELECT position, recorded_at::text, type, payload, stream, version FROM log.events
 WHERE log = %s AND position > %s AND position <= %s AND type = ANY (%s) ORDER BY position
"""


FIRST_PAGE = 1_000
"""Positions of a reader's first page, when it does not know yet how large events are."""

PAGE_BYTES = 32 * 2**20
"""Payload a page should not exceed, by what the one before had: so pages of large events have fewer of them."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A projection's part of a page."""

    events: Sequence[RecordedEvent]
    result: Any  # of its fold; None without facts
    error: Exception | None  # what the fold raised
    broken: ProjectionError | None  # the first event it wants that cannot be decoded


@dataclass(frozen=True, slots=True)
class FoldedPage:
    """The facts after `after` up to and including `upto`, the end of a unit, folded by each projection."""

    after: int
    upto: int
    parts: dict[str, Folded]


class PageReader:
    """Reads, decodes and folds pages of one log."""

    def __init__(self, log: int, codec: Codec) -> None:
        self._log = log
        self._codec = codec
        self._affordable = FIRST_PAGE

    def read(
        self, connection: Connection[Any], after: int, limit: int, projections: Iterable[Projection]
    ) -> FoldedPage | None:
        """About `limit` positions or less, to the end of a unit; None at the end of the log. It advances without facts
        too."""
        last = after + min(limit, self._affordable)
        found = connection.execute(_UPTO, (self._log, after, last), binary=True).fetchone()
        if found is None:
            return None
        upto: int = found[0]
        wanted = {projection.events: self._codec.named(*projection.events) for projection in projections}
        types = sorted({name for names in wanted.values() for name in names})
        rows = connection.execute(_PAGE, (self._log, after, upto, text_array(types)), binary=True).fetchall()
        size = sum([len(row[3]) for row in rows])
        self._affordable = max(1, PAGE_BYTES * (upto - after) // max(size, 1))
        events, undecodable = self._decode(rows)
        present = {type(recorded.event) for recorded in events}
        parts: dict[str, Folded] = {}
        lists: dict[tuple[type[Any], ...], Sequence[RecordedEvent]] = {}  # who wants the same shares one list
        for projection in projections:
            types_wanted = projection.events
            if types_wanted not in lists:
                everything = present.issubset(types_wanted)
                lists[types_wanted] = (
                    events if everything else [recorded for recorded in events if type(recorded.event) in types_wanted]
                )
            broken = next((error for error in undecodable if error.type in wanted[types_wanted]), None)
            parts[projection.name] = fold_part(projection, lists[types_wanted], broken)
        return FoldedPage(after, upto, parts)

    def _decode(self, rows: Sequence[tuple[Any, ...]]) -> tuple[list[RecordedEvent], list[ProjectionError]]:
        decoded = self._codec.decode_many([row[2:] for row in rows])
        events, undecodable = [], []
        for (position, recorded_at, type, _, stream, _), event in zip(rows, decoded, strict=True):
            if isinstance(event, CodecError):
                undecodable.append(ProjectionError(position, stream, type, str(event)))
            else:
                events.append(RecordedEvent(position, recorded_at, event))
        return events, undecodable


def fold_part(projection: Projection, events: Sequence[RecordedEvent], broken: ProjectionError | None = None) -> Folded:
    """A projection's part of a page; what its fold raises is kept, to be raised when it would be written."""
    if not events or broken is not None:
        return Folded(events, None, None, broken)
    try:
        return Folded(events, projection.fold(events), None, None)
    except Exception as error:
        return Folded(events, None, error, None)


class ReadAhead:
    """Reads the next page in a thread and on a connection of its own, while the present one is written."""

    def __init__(self, pages: PageReader, connection: Connection[Any]) -> None:
        self._pages = pages
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._asked: tuple[int, list[str]] | None = None
        self._coming: Future[FoldedPage | None] | None = None

    def start(self, after: int, limit: int, projections: Sequence[Projection]) -> None:
        """Begin to read this page. What was asked for before must have been taken."""
        self._asked = after, [projection.name for projection in projections]
        self._coming = self._thread.submit(self._pages.read, self._connection, after, limit, projections)

    def take(self, after: int, projections: Sequence[Projection]) -> FoldedPage | None:
        """The page that was asked for, if it is this one. Raises what reading it raised."""
        asked, coming = self._asked, self._coming
        self._asked = self._coming = None
        if coming is None:
            return None
        page = coming.result()
        return page if asked == (after, [projection.name for projection in projections]) else None
