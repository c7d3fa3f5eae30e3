"""Reading a page for several projections at once: one read, one decode of the types that somebody wants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from eventstore.codec import Codec, CodecError
from eventstore.read import Recorded, read_log
from eventstore.sealing import SealingError
from projections.checkpoint import Stop
from projections.projection import Fact, Projection


@dataclass(frozen=True, slots=True)
class FactsPage:
    """Facts after `after` up to and including `upto`, the end of a unit, by the set of classes wanted."""

    after: int
    upto: int
    facts: dict[tuple[type[Any], ...], list[Fact]]
    broken: dict[tuple[type[Any], ...], Stop]  # the first event of these classes that cannot be decoded

    def of(self, projection: Projection) -> list[Fact]:
        """What this projection folds."""
        return self.facts[projection.events]


class PageReader:
    """Reads and decodes pages of one log."""

    def __init__(self, log: int, codec: Codec) -> None:
        self._log = log
        self._codec = codec

    def read(
        self, connection: Connection[Any], after: int, limit: int, projections: Iterable[Projection]
    ) -> FactsPage | None:
        """The next page for these projections; None at the end of the log. It may have no facts and still advances."""
        wanted = {projection.events: self._codec.named(*projection.events) for projection in projections}
        types = tuple(sorted({name for names in wanted.values() for name in names}))
        page = read_log(connection, self._log, after, limit, types=types)
        if page.at_end:
            return None
        facts, undecodable = self._decode(page.events)
        broken = {}
        for events, names in wanted.items():
            stop = next((stop for stop in undecodable if stop.type in names), None)
            if stop is not None:
                broken[events] = stop
        return FactsPage(after, page.upto, _sort_out(facts, wanted), broken)

    def _decode(self, events: Sequence[Recorded]) -> tuple[list[Fact], list[Stop]]:
        decode = self._codec.decode
        facts, undecodable = [], []
        for position, _, stream, version, type, recorded_at, payload, _ in events:
            try:
                facts.append(Fact(position, recorded_at, decode(type, payload, stream, version)))
            except (CodecError, SealingError) as error:
                undecodable.append(Stop(position, stream, type, str(error)))
        return facts, undecodable


def _sort_out(facts: list[Fact], wanted: Iterable[tuple[type[Any], ...]]) -> dict[tuple[type[Any], ...], list[Fact]]:
    """Each its own facts; those who want the same share one list."""
    present = {type(fact.event) for fact in facts}
    return {
        events: facts if present.issubset(events) else [fact for fact in facts if type(fact.event) in events]
        for events in wanted
    }
