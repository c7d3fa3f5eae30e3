"""A page is split by event type once, for any number of projections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from psycopg import Connection

from eventstore.log.codec import Codec
from projections.engine import pages
from projections.engine.pages import PageReader, SplitPage
from projections.engine.projection import Projection, RecordedEvent
from projections.registry import PROJECTIONS

EVENTS = 100


class One:
    """An event of a type that occurs."""


class Two:
    """An event of another type that occurs."""


class Never:
    """An event of a type that does not occur."""


class Counted(RecordedEvent):
    """A recorded event that counts the reads of its event."""

    looks = 0

    @property
    def event(self) -> Any:
        Counted.looks += 1
        return self[2]


class _Server:
    """Answers the two queries of a page: its end and its events."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self._rows = [(position, "t", kind, b"", "s", 1) for position, kind in enumerate(kinds, 1)]
        self._answers: list[Any] = []

    def execute(self, query: str, parameters: object, *, binary: bool) -> _Server:
        self._answers = self._rows if "payload" in query else [(len(self._rows),)]
        return self

    def fetchone(self) -> Any:
        return self._answers[0]

    def fetchall(self) -> Any:
        return self._answers


class _Codec:
    names = frozenset(("One", "Two"))

    def named(self, *types: type[Any]) -> tuple[str, ...]:
        return tuple(one.__name__ for one in types)

    def decode_many(self, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        return [{"One": One, "Two": Two}[kind]() for kind, *_ in rows]


def projection(name: str, *events: type[Any]) -> Projection:
    """A projection whose fold stores the positions of its events."""
    return replace(PROJECTIONS[0], name=name, events=events, fold=lambda page: [recorded[0] for recorded in page])


def read(projections: Sequence[Projection]) -> dict[str, list[int]]:
    """The positions that each projection gets from a page."""
    reader = PageReader(1, cast(Codec, _Codec()))
    server = _Server(["One", "Two", "One", "One"] * (EVENTS // 4))
    page = reader.read(cast("Connection[Any]", server), 0, EVENTS, projections)
    assert page is not None
    return {name: part.result or [] for name, part in page.parts.items()}


def test_a_projection_reads_only_events_of_its_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "RecordedEvent", Counted)
    wanting = [projection("one", One), projection("two", Two), projection("all", One, Two, Never)]
    others = [projection(f"other_{number}", type(f"Never{number}", (), {}), Never) for number in range(40)]
    Counted.looks = 0
    found = read([*wanting, *others])
    assert Counted.looks == EVENTS, "each event is read once, to split the page"
    assert found["one"] == [position for position in range(1, EVENTS + 1) if position % 4 != 2]
    assert found["two"] == list(range(2, EVENTS + 1, 4))
    assert found["all"] == list(range(1, EVENTS + 1))
    assert all(found[other.name] == [] for other in others)


def test_types_that_alternate_are_merged_in_the_order_of_the_log() -> None:
    class Three:
        pass

    events = [RecordedEvent(position, "t", kind()) for position, kind in enumerate([One, Three, Two, One, Two, One], 1)]
    split = SplitPage(events)
    assert [recorded.position for recorded in split.of_types((Two, One))] == [1, 3, 4, 5, 6]
    assert split.of_types((Two, One)) is split.of_types((Two, One)), "projections of the same types share one list"
    assert split.of_types((Never,)) == []
