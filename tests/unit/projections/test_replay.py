"""The parts of a replay that need no database: what differs between two states, and amounts of events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.kernel import Event
from domain.process_manager import RecordedIntent
from domain.processes.process import ProcessAnswered, ProcessReacted, ProcessRetried
from eventstore.log.read import Recorded
from projections.replay.causes import link
from projections.replay.selection import Amounts
from projections.replay.steps import Change, changes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


def test_a_first_state_is_all_new() -> None:
    assert list(changes(None, {"version": 1, "profile": {"currency": "EUR"}, "holds": None})) == [
        Change("version", None, 1),
        Change("profile.currency", None, "EUR"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [("a.c", 2, 3)]),
        ({"a": [1, 2, 3]}, {"a": [1, 3]}, [("a[1]", 2, None)]),
        ({"a": [1, 3]}, {"a": [1, 2, 3]}, [("a[1]", None, 2)]),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": 5}]}, [("a[1].b", 2, 5)]),
        ({"a": [1, 1]}, {"a": [1]}, [("a[1]", 1, None)]),
        ({"a": [1, 2, 9]}, {"a": [3, 9]}, [("a[0]", 1, None), ("a[1]", 2, None), ("a[0]", None, 3)]),
        ({"a": [1]}, {"a": "x"}, [("a", [1], "x")]),
        ({"a": {"b": 1}}, {"a": None}, [("a", {"b": 1}, None)]),
    ],
)
def test_changes(before: Any, after: Any, changed: list[tuple[str, Any, Any]]) -> None:
    assert [tuple(one) for one in changes(before, after)] == changed


@given(JSON)
def test_equal_states_have_no_changes(state: Any) -> None:
    assert list(changes(state, state)) == []


def without_nulls(value: Any) -> Any:
    """The value without members that are null, which are as those that are not there. An empty object is null."""
    if isinstance(value, dict):
        kept = {name: without_nulls(one) for name, one in value.items()}
        return {name: one for name, one in kept.items() if one is not None} or None
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


@given(st.dictionaries(st.sampled_from("abc"), JSON), st.dictionaries(st.sampled_from("abc"), JSON))
@example({"a": [{"b": 1}, None]}, {"a": [{"b": 1}, {}]})
def test_different_states_have_changes(before: Any, after: Any) -> None:
    if without_nulls(before) != without_nulls(after):
        assert list(changes(before, after))


@pytest.mark.parametrize(
    ("least", "most", "there"),
    [(100, 100, True), (101, None, False), (None, 99, False), (0, 100, True), (None, None, True)],
)
def test_amounts_of_an_event(least: int | None, most: int | None, there: bool) -> None:
    asked = Amounts("EUR", least, most)
    assert asked.has({"amount": 100, "currency": "EUR"}) is there
    assert asked.has({"entries": [{"amount": 100, "currency": "EUR"}, {"amount": 500, "currency": "USD"}]}) is there
    assert not asked.has({"amount": 100, "currency": "USD"})
    assert not asked.has({"entry": 100, "currency": "EUR"}), "a number that is no amount"
    assert not asked.has({"amount": 100}), "an amount of no currency"


AT = datetime(2026, 1, 31, tzinfo=UTC)
PROCESS, OTHER = "proc_1", "proc_2"


def reacted(trigger: str) -> ProcessReacted:
    intents = (RecordedIntent("command", "Transfer", "{}"),)
    return ProcessReacted(PROCESS, 4, "recurring", "recur_1", trigger, None, 0, intents, None)


def answered(reaction: int, number: int) -> ProcessAnswered:
    return ProcessAnswered(PROCESS, 5, reaction, number, "accepted", None, (), AT)


@pytest.mark.parametrize(
    ("event", "stream", "reply", "because"),
    [
        (Event("recur_1", 1), "recur_1", reacted("event:7"), "recurring, event:7"),
        (Event("recur_1", 1), "recur_1", reacted("event:8"), None),
        (Event("recur_1", 1), "recur_1", reacted("due:7"), "recurring, due:7"),
        (Event("recur_1", 1), "recur_1", answered(4, 1), None),
        (answered(4, 2), PROCESS, reacted("answer:4:2"), "recurring, answer:4:2"),
        (answered(4, 2), PROCESS, reacted("answer:4:1"), None),
        (answered(4, 2), OTHER, reacted("answer:4:2"), None),
        (ProcessRetried(PROCESS, 3, "op", "r"), PROCESS, reacted("retry:3"), "recurring, retry:3"),
        (ProcessRetried(PROCESS, 3, "op", "r"), PROCESS, reacted("retry:7"), None),
        (reacted("event:1"), PROCESS, answered(3, 1), "recurring, intent 1 of reaction 3"),
        (reacted("event:1"), PROCESS, answered(4, 1), None),
        (reacted("event:1"), OTHER, answered(3, 1), None),
    ],
)
def test_how_an_event_of_a_process_follows(event: Any, stream: str, reply: Any, because: str | None) -> None:
    """The event is at position 7, and version 3 of its stream."""
    row = Recorded(7, 7, stream, 3, "a.b.v1", AT, b"{}", b"{}")
    assert link(row, event, PROCESS, reply) == because
