"""A page is split by event type once, for any number of projections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, cast

import pytest
from psycopg import Connection

from domain.accounts.account.events import AccountOpened
from domain.accounts.posting import TransactionPosted
from domain.orders.order import OrderPlaced
from eventstore.log.codec import Codec, UnknownTypeError
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

    def __init__(self, kinds: Sequence[str], streams: Sequence[str] = ()) -> None:
        self._rows = [
            (position, "t", kind, b"", stream, 1)
            for position, (kind, stream) in enumerate(zip_longest(kinds, streams, fillvalue="s"), 1)
        ]
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
        known = {"One": One, "Two": Two}
        return [
            known[kind]() if kind in known else UnknownTypeError(kind, stream, version)
            for kind, _, stream, version in rows
        ]


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


def test_an_unknown_type_stops_the_projections_that_fold_its_stream_and_no_other() -> None:
    class Codecs(_Codec):
        names = frozenset(("One", "Two", "AccountOpened", "TransactionPosted", "OrderPlaced"))

    both = projection("both", AccountOpened, TransactionPosted)
    orders, transactions = projection("orders", OrderPlaced), projection("transactions", TransactionPosted)
    server = _Server(
        ["One", "Three", "Four", "Five", "Six"], ["txn_1", "vch_1", "acct_1", "txn_2", "acct_2"]
    )  # fmt: skip
    reader = PageReader(1, cast(Codec, Codecs()))
    page = reader.read(cast("Connection[Any]", server), 0, EVENTS, [both, orders, transactions])
    assert page is not None
    stopped = {name: part.broken for name, part in page.parts.items()}
    assert stopped["orders"] is None
    first, second = stopped["both"], stopped["transactions"]
    assert first is not None
    assert second is not None
    assert str(first) == (
        "at position 3, Four on acct_1: this version of Daybook does not know the type; start a projector of the newer "
        "version that wrote it"
    )
    assert (second.position, second.type, second.stream) == (4, "Five", "txn_2")


def test_the_prefixes_of_a_projection_are_those_of_the_aggregates_of_its_events() -> None:
    found = {one.name: one.prefixes for one in PROJECTIONS}
    assert all(found.values())
    assert (found["accounts"], found["entries"]) == (("acct_", "subject:", "txn_"), ("txn_",))
    assert found["orders"] == ("ord_", "subject:"), "its rows have text of people"
