"""Steps: an event of the log, the state of its stream after it, and what it changed in the state."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from psycopg import Connection

from domain import registry
from domain.json_form import json_form
from domain.kernel import State
from eventstore.log.codec import Codec, CodecError
from eventstore.log.event_view import event_view
from eventstore.log.read import Recorded, read_stream

MOST_STATES = 10_000
"""Most states that a walk keeps. A stream that comes again later is folded again."""
PAGE = 1_000
"""Events of one stream that are read at once."""


class TooLongError(ValueError):
    """The states cannot be folded within the bound that the caller has set."""


class Change(NamedTuple):
    """A value of a state that an event changed. None stands for a value that is not there."""

    path: str  # such as `balance` or `holds[2].amount`
    before: Any
    after: Any


class Step(NamedTuple):
    """An event with the state of its stream after it. Both are JSON values; amounts are minor units, as in the log."""

    recorded: Recorded
    event: Any
    state: Any
    changes: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        """The step as the route and the command line print it."""
        changes = [change._asdict() for change in self.changes]
        return event_view(self.recorded, self.event) | {"state": self.state, "changes": changes}


def plain(value: Any) -> Any:
    """An event or a state as JSON values. Amounts are minor units, as in the log."""
    return orjson.loads(orjson.dumps(value, default=json_form))


def decoded(codec: Codec, events: Sequence[Recorded]) -> list[Any]:
    """The events of these rows. Raises the `CodecError` of the first one that cannot be decoded."""
    made = codec.decode_many([(one.type, one.payload, one.stream, one.version) for one in events])
    for event in made:
        if isinstance(event, CodecError):
            raise event
    return made


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """What differs between two states in the form of `plain`, by path.

    Lists are compared without their common beginning and end. If as many elements are left on both sides, they are
    compared one by one; else each is removed or added.
    """
    if isinstance(after, dict) and (before is None or isinstance(before, dict)):
        for name in dict.fromkeys((*(before or {}), *after)):
            yield from changes((before or {}).get(name), after.get(name), f"{path}.{name}" if path else name)
    elif isinstance(after, list) and isinstance(before, list):
        yield from _changed_elements(before, after, path)
    elif before != after:
        yield Change(path, before, after)


def _changed_elements(before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    shorter = min(len(before), len(after))
    start = next((at for at in range(shorter) if before[at] != after[at]), shorter)
    tail = next((at for at in range(shorter - start) if before[-1 - at] != after[-1 - at]), shorter - start)
    old, new = before[start : len(before) - tail], after[start : len(after) - tail]
    if len(old) == len(new):
        for at, (one, other) in enumerate(zip(old, new, strict=True), start):
            yield from changes(one, other, f"{path}[{at}]")
        return
    yield from (Change(f"{path}[{at}]", one, None) for at, one in enumerate(old, start))
    yield from (Change(f"{path}[{at}]", None, one) for at, one in enumerate(new, start))


@dataclass(slots=True)
class _Folded:
    """A stream at a version. `shown` is its state as JSON values."""

    version: int
    state: State | None
    shown: Any


@dataclass(slots=True)
class States:
    """States of the streams that a walk sees, at most `MOST_STATES`: the least recently used one is dropped.

    `budget` is how many events may be folded besides those that are shown; None for no bound.
    """

    connection: Connection[Any]
    log_number: int
    codec: Codec
    budget: int | None = None
    _known: OrderedDict[str, _Folded] = field(default_factory=OrderedDict)

    def step(self, recorded: Recorded, event: Any) -> Step:
        """The state after an event, and what it changed. Raises `TooLongError`, `CodecError`."""
        known = self._at(recorded.stream, recorded.version - 1)
        state = registry.evolve(known.state, event)
        shown = plain(state)
        changed = tuple(changes(known.shown, shown))
        self._keep(recorded.stream, _Folded(recorded.version, state, shown))
        return Step(recorded, event, shown, changed)

    def at(self, stream: str, version: int) -> State | None:
        """The state of a stream at a version, None at version 0. Raises `TooLongError`, `CodecError`."""
        return self._at(stream, version).state

    def _at(self, stream: str, version: int) -> _Folded:
        known = self._known.get(stream)
        if known is None or known.version > version:
            known = _Folded(0, None, None)
        if known.version < version:
            known = self._folded(stream, known, version)
            self._keep(stream, known)
        return known

    def _folded(self, stream: str, known: _Folded, version: int) -> _Folded:
        state, reached = known.state, known.version
        while reached < version:
            events = read_stream(
                self.connection, self.log_number, stream, after=reached, limit=min(PAGE, version - reached)
            )
            if not events:
                raise RuntimeError(
                    f"version {reached + 1} of {stream} cannot be read: the log is damaged; daybook verify says where"
                )
            self._spend(len(events), stream, version)
            for event in decoded(self.codec, events):
                state = registry.evolve(state, event)
            reached = events[-1].version
        return _Folded(reached, state, plain(state))

    def _spend(self, events: int, stream: str, version: int) -> None:
        if self.budget is None:
            return
        self.budget -= events
        if self.budget < 0:
            raise TooLongError(
                f"The states of this page need more events than one request folds: {stream} is at version {version}. "
                "Ask for fewer streams, or use daybook replay."
            )

    def _keep(self, stream: str, folded: _Folded) -> None:
        self._known[stream] = folded
        self._known.move_to_end(stream)
        if len(self._known) > MOST_STATES:
            self._known.popitem(last=False)


def members_of(value: Any) -> Mapping[str, Any]:
    """The fields of an event without its stream and version, as JSON values."""
    shown: dict[str, Any] = plain(value)
    return {name: one for name, one in shown.items() if name not in ("originator_id", "originator_version")}
