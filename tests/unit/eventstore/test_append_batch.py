"""An append batch: its arrays are made once, and again after a change."""

from __future__ import annotations

import pytest

from eventstore.log.append import MOST_EVENTS_PER_UNIT, AppendBatch, NewEvents, UnitTooLargeError
from tests.support.appending import DecidedCommand, NewEvent, Read, batch_of


def command(key: str, *reads: Read, on: str) -> DecidedCommand:
    return DecidedCommand("ada", key, reads, [NewEvent(on, "moved", b"{}")], b"{}", None)


def test_the_arrays_are_made_once_and_again_after_a_change() -> None:
    batch = batch_of([command("1", Read("acct_1", None), on="acct_1"), command("2", Read("acct_1", 1), on="acct_1")])
    first = batch.parameters()
    assert batch.parameters() is first
    batch.look_up_all()
    second = batch.parameters()
    assert [one for one, other in zip(first, second, strict=True) if one != other] == [first[12]], "new arrays"


def test_a_stream_occurs_once_with_its_first_base() -> None:
    batch = batch_of(
        [
            command("1", Read("b", 7), Read("a", None), on="a"),
            command("2", Read("a", 0), Read("c", 3), on="c"),
        ]
    )
    assert batch.index == {"b": 1, "a": 2, "c": 3}
    assert batch.bases == [7, 0, 3]
    assert batch.counts == [1, 1]


def test_an_exact_base_has_precedence_over_a_later_commuting_one() -> None:
    before = batch_of([command("1", Read("cash", 9, True), on="a"), command("2", Read("cash", 5), on="b")])
    after = batch_of([command("1", Read("cash", 5), on="a"), command("2", Read("cash", 9, True), on="b")])
    assert before.bases == after.bases == [5]


def test_a_unit_is_bounded() -> None:
    events = NewEvents([], [], [], [])
    with pytest.raises(UnitTooLargeError, match="10001 events"):
        AppendBatch(
            senders=[("ada", "1")],
            records=[None],
            metadata=[b"{}"],
            reads=[[]],
            counts=[MOST_EVENTS_PER_UNIT + 1],
            events=events,
        )
