"""Folds every stream, and holds what each unit appended to it to the rules of its aggregate.

Personal values stay sealed: no rule that a check knows looks at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from psycopg import Connection

from domain.aggregate import Aggregate, Broken
from domain.registry import AGGREGATES, aggregate_of
from eventstore.log.append import MOST_EVENTS_PER_UNIT
from eventstore.log.codec import Codec
from eventstore.postgres.arrays import int8_array, text_array
from workers.verify.log import UNREADABLE
from workers.verify.part import FIRST_WINDOW, Part, decided, inapplicable, next_window
from workers.verify.policies import Policies
from workers.verify.report import Tally

STREAMS_KEEP_RULES: Final = "events keep the rules of their aggregate"
AFTER: Final = "on a stream after an event that is missing, cannot be read or does not fold"
WITHOUT_CHECK: Final = "of aggregates without a check"
MOST_WAITING: Final = 500
"""Most events at once that wait to be looked up in their unit."""

_STREAMS = """
SELECT stream, version, position, unit_end, type, metadata, payload FROM log.events
 WHERE log = %(log)s AND encoding = 0 AND stream >= %(first)s AND (%(before)s::text IS NULL OR stream < %(before)s)
 ORDER BY stream, version
"""
# LATERAL with a LIMIT: one probe of the index for each, whatever joins the planner may use.
_BESIDE = """
SELECT s.n, e.type, e.payload, s.stream
  FROM unnest(%(streams)s::text[], %(unit_ends)s::bigint[]) WITH ORDINALITY s(stream, unit_end, n)
  JOIN LATERAL (
    SELECT type, payload FROM log.events
     WHERE log = %(log)s AND stream = s.stream AND unit_end = s.unit_end AND encoding = 0 LIMIT %(most)s
  ) e ON true
"""
_TYPES: Final[Mapping[str, frozenset[str]]] = {
    aggregate.name: frozenset(entry.name for entry in aggregate.events) for aggregate in AGGREGATES
}
_OWNERS: Final[Mapping[str, str]] = {entry.name: one.name for one in AGGREGATES for entry in one.events}


class _Stored(NamedTuple):
    """A stored event of a stream. `event` is the error if it cannot be decoded."""

    stream: str
    version: int
    position: int
    unit_end: int
    type: str
    metadata: bytes
    event: Any


class _Waiting(NamedTuple):
    """An event that breaks a rule unless its unit has another event too."""

    position: int
    unit_end: int
    beside: str  # the stream of the other event
    broken: Broken


_stream, _unit_end = attrgetter("stream"), attrgetter("unit_end")


def check_streams(connection: Connection[Any], part: Part, codec: Codec) -> Tally:
    """Check the streams of a part, in the order of their names."""
    return _Streams(connection, part, codec).check()


class _Streams:
    def __init__(self, connection: Connection[Any], part: Part, codec: Codec) -> None:
        self._connection, self._part, self._codec = connection, part, codec
        self._tally = Tally(STREAMS_KEEP_RULES)
        self._waiting: list[_Waiting] = []
        self._policies = Policies(connection, part.log_number, codec)

    def check(self) -> Tally:
        for stream, stored in groupby(self._stored(), _stream):
            self._check_stream(stream, aggregate_of(stream), stored)
            if len(self._waiting) >= MOST_WAITING:
                self._look_up()
        self._look_up()
        return self._tally

    def _stored(self) -> Iterator[_Stored]:
        part, limit = self._part, FIRST_WINDOW
        bounds = {"log": part.log_number, "first": part.first_stream, "before": part.before_stream}
        with self._connection.cursor("streams", binary=True) as cursor:
            cursor.execute(_STREAMS, bounds)
            while rows := cursor.fetchmany(limit):
                limit = next_window(limit, rows, payload=-1)
                events = self._codec.decode_many([(row[4], row[6], row[0], row[1]) for row in rows])
                for row, event in zip(rows, events, strict=True):
                    yield _Stored._make((*row[:6], event))

    def _check_stream(self, stream: str, aggregate: Aggregate | None, stored: Iterable[_Stored]) -> None:
        tally, state, folds = self._tally, None, True
        for _, of_unit in groupby(stored, _unit_end):
            unit = list(of_unit)
            if aggregate is None:
                tally.covered += len(unit)
                tally.find(unit[0].position, f"no aggregate has streams with names like {stream}")
            elif not folds:
                tally.not_covered[AFTER] += len(unit)
            else:
                before, state = state, self._folded(aggregate, state, unit)
                folds = state is not None
                if folds:
                    self._check_unit(aggregate, before, unit)

    def _folded(self, aggregate: Aggregate, state: Any, unit: list[_Stored]) -> Any:
        """The state after a unit. None if an event is missing, cannot be read or does not fold."""
        tally = self._tally
        for one in unit:
            if one.type not in _TYPES[aggregate.name]:
                tally.find(one.position, _foreign(aggregate, one))
                tally.covered += 1
            elif isinstance(one.event, Exception):
                tally.not_covered[UNREADABLE] += 1
            elif one.version != (state.version if state is not None else 0) + 1:
                tally.not_covered[AFTER] += 1
            else:
                try:
                    state = aggregate.evolve(state, one.event)
                except ValueError as error:
                    tally.find(one.position, str(error))
                    tally.covered += 1
                else:
                    continue
            tally.not_covered[AFTER] += len(unit) - 1
            return None
        return state

    def _check_unit(self, aggregate: Aggregate, before: Any, unit: list[_Stored]) -> None:
        tally = self._tally
        if aggregate.check is None:
            tally.not_covered[f"{WITHOUT_CHECK}: {aggregate.name}"] += len(unit)
            return
        tally.covered += len(unit)
        policies = self._policies.before(unit[0].position)
        of_unit = decided(unit[0].metadata, self._part.log_name, policies)
        if isinstance(of_unit, str):
            tally.find(unit[0].position, of_unit)
            return
        try:
            found = list(aggregate.check(before, [one.event for one in unit], of_unit))
        except Exception as error:
            tally.find(unit[0].position, inapplicable(error))
            return
        for broken in found:
            self._broken(broken, next(one for one in unit if one.event is broken.event))

    def _broken(self, broken: Broken, stored: _Stored) -> None:
        if broken.unless is None:
            self._tally.find(stored.position, broken.what)
        else:
            self._waiting.append(_Waiting(stored.position, stored.unit_end, broken.unless.originator_id, broken))

    def _look_up(self) -> None:
        """Find those of the waiting events whose unit does not have the other event."""
        waiting, self._waiting = self._waiting, []
        parameters = {
            "log": self._part.log_number,
            "streams": text_array([one.beside for one in waiting]),
            "unit_ends": int8_array([one.unit_end for one in waiting]),
            "most": MOST_EVENTS_PER_UNIT,
        }
        rows = self._connection.execute(_BESIDE, parameters, binary=True).fetchall() if waiting else []
        events = self._codec.decode_many([(type, payload, stream, 0) for _, type, payload, stream in rows])
        pairs = zip((row[0] for row in rows), events, strict=True)
        kept = {number for number, event in pairs if waiting[number - 1].broken.is_right_beside(event)}
        for number, one in enumerate(waiting, 1):
            if number not in kept:
                self._tally.find(one.position, one.broken.what)


def _foreign(aggregate: Aggregate, stored: _Stored) -> str:
    """The sentence for an event whose type its stream cannot have."""
    owner = _OWNERS.get(stored.type)
    if owner is None:
        return f"no event of type {stored.type} is known to this version; {stored.stream} has it at {stored.version}"
    return f"{stored.type} belongs to the aggregate {owner}, and {stored.stream} is of the aggregate {aggregate.name}"
