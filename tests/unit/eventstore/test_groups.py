"""What is believed of a stream between one group and the next, with a log that is only told of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from msgspec import Struct

from domain.kernel import Accepted, Event
from eventstore import groups
from eventstore.append import GroupAppended
from eventstore.groups import Group, Groups, Submission

CASH = "cash"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Pay(Struct):
    streams: tuple[str, ...] = (CASH,)


class Task(Struct):
    submission: Submission


class Paid(Struct):
    version: int


class PlainCodec:
    def subjects(self, events: Iterable[Any]) -> set[str]:
        return set()

    def encode(self, event: Any) -> tuple[str, bytes]:
        return "paid", b"{}"

    def decode_many(self, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Any]:
        return []


def decide(command: Pay, states: Mapping[str, Paid | None], context: object) -> Accepted:
    state = states[CASH]
    return Accepted((Event(CASH, (state.version if state else 0) + 1),), {}, frozenset((CASH,)))


def evolve(state: Paid | None, event: Event) -> Paid:
    return Paid(event.originator_version)


@pytest.fixture
def makes(monkeypatch: pytest.MonkeyPatch) -> Groups:
    monkeypatch.setattr(groups, "read_streams", lambda connection, log, behind: [])
    return Groups(PlainCodec(), lambda subjects: None, decide, evolve, (), 100)


def make(makes: Groups, key: str, ahead: Group | None = None) -> Group:
    task = Task(Submission(Pay(), "tester", key, b"hash", b"{}", None))
    return makes.make([task], cast(Any, None), 1, ahead=ahead)


def rests_on(group: Group) -> list[tuple[str, int | None, bool]]:
    return group.plans[0].reads


def appended(group: Group, **moved: int) -> GroupAppended:
    assert group.layout is not None
    return GroupAppended(1, NOW, 0, group.layout.counts, None, moved)


def test_each_group_rests_on_what_the_one_ahead_will_have_written(makes: Groups) -> None:
    first = make(makes, "1")
    second = make(makes, "2", ahead=first)
    assert [rests_on(first), rests_on(second)] == [[(CASH, 0, True)], [(CASH, 1, True)]]
    makes.learn(first, appended(first))
    makes.learn(second, appended(second))
    assert rests_on(make(makes, "3")) == [(CASH, 2, True)]


def test_others_entries_are_counted_through_a_group_that_is_under_way(makes: Groups) -> None:
    first = make(makes, "1")
    second = make(makes, "2", ahead=first)
    found = appended(first, cash=7)  # of others, before its own
    makes.learn(first, found)
    makes.catch_up(second, found)
    third = make(makes, "3", ahead=second)
    assert rests_on(third) == [(CASH, 9, True)], "seven, that of the first, that of the second"
    makes.learn(second, appended(second))
    makes.learn(third, appended(third))
    assert rests_on(make(makes, "4")) == [(CASH, 10, True)]
