"""What is believed of a stream between one group and the next, with a log that is only told of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from msgspec import Struct

from domain.kernel import Accepted, Event
from eventstore.executor import state_cache as states
from eventstore.executor.decided_commands import Group, Submission, Task
from eventstore.executor.group_builder import GroupBuilder
from eventstore.executor.state_cache import StateCache
from eventstore.log.answers import Codes
from eventstore.log.append import GroupAppended
from eventstore.log.codec import CodecError

CASH = "cash"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Pay(Struct):
    streams: tuple[str, ...] = (CASH,)
    storable: bool = True
    storable_behind: bool = True  # where the stream is there already
    on: str | None = None  # a stream of its own making


class Paid(Struct):
    version: int


class Unstorable(Event, frozen=True):
    pass


class PlainCodec:
    def encode_all(
        self, events: Iterable[Any], commuting: Sequence[bool] | None = None
    ) -> tuple[list[str], list[bytes]]:
        events = list(events)
        if any(isinstance(event, Unstorable) for event in events):
            raise CodecError("it cannot be stored")
        return ["paid"] * len(events), [b"{}"] * len(events)

    def forget_keys(self) -> None:
        pass

    def decode_many(self, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Any]:
        return []


def decide(command: Pay, states: Mapping[str, Paid | None], context: object) -> Accepted:
    (stream,) = command.streams
    state = states[stream]
    kind = Event if command.storable and (state is None or command.storable_behind) else Unstorable
    event = kind(stream, (state.version if state else 0) + 1) if command.on is None else kind(command.on, 1)
    return Accepted((event,), {}, frozenset((CASH,)))


def evolve(state: Paid | None, event: Event) -> Paid:
    return Paid(event.originator_version)


@pytest.fixture
def believes(monkeypatch: pytest.MonkeyPatch) -> StateCache:
    monkeypatch.setattr(states, "read_streams", lambda connection, log, behind: [])
    return StateCache(PlainCodec(), evolve, (), 100)


@pytest.fixture
def makes(believes: StateCache) -> GroupBuilder:
    return GroupBuilder(PlainCodec(), decide, evolve, believes)


def task(key: str, command: Pay) -> Task:
    submission = Submission(
        command=command,
        actor="tester",
        key=key,
        request_hash=b"hash",
        metadata=b"{}",
        context=None,
        codes=Codes(accepted=201, refused=422, expectation_failed=409),
    )
    return Task(submission, cast(Any, None), None)


def make(makes: GroupBuilder, key: str, ahead: Group | None = None) -> Group:
    return makes.make([task(key, Pay())], cast(Any, None), 1, ahead=ahead)


def rests_on(group: Group) -> list[tuple[str, int | None, bool]]:
    return group.commands[0].reads


def appended(group: Group, **moved: int) -> GroupAppended:
    assert group.batch is not None
    return GroupAppended(epoch=1, recorded_at=NOW, before=0, counts=group.batch.counts, verdicts=None, actual=moved)


def test_each_group_rests_on_what_the_one_ahead_will_have_written(makes: GroupBuilder, believes: StateCache) -> None:
    first = make(makes, "1")
    second = make(makes, "2", ahead=first)
    assert [rests_on(first), rests_on(second)] == [[(CASH, 0, True)], [(CASH, 1, True)]]
    believes.learn(first, appended(first))
    believes.learn(second, appended(second))
    assert rests_on(make(makes, "3")) == [(CASH, 2, True)]


def test_others_entries_are_counted_through_a_group_that_is_under_way(
    makes: GroupBuilder, believes: StateCache
) -> None:
    first = make(makes, "1")
    second = make(makes, "2", ahead=first)
    found = appended(first, cash=7)  # of others, before its own
    believes.learn(first, found)
    believes.catch_up(second, found)
    third = make(makes, "3", ahead=second)
    assert rests_on(third) == [(CASH, 9, True)], "seven, that of the first, that of the second"
    believes.learn(second, appended(second))
    believes.learn(third, appended(third))
    assert rests_on(make(makes, "4")) == [(CASH, 10, True)]


def test_many_that_cannot_be_stored_cost_one_more_round(makes: GroupBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    decided: list[Pay] = []

    def watched(command: Pay, states: Mapping[str, Paid | None], context: object) -> Accepted:
        decided.append(command)
        return decide(command, states, context)

    monkeypatch.setattr(makes, "_decide", watched)
    tasks = [task(str(n), Pay((f"s{n}",), storable=n % 2 == 0)) for n in range(100)]
    group = makes.make(tasks, cast(Any, None), 1)
    assert [one for one, _ in group.rejected] == [one for one in tasks if not one.submission.command.storable]
    assert [decided.task for decided in group.commands] == [one for one in tasks if one.submission.command.storable]
    assert group.batch is not None
    assert len(decided) == 150, "all of them, then what is left"


def test_what_rests_on_one_that_cannot_be_stored_is_decided_again_before_it_is_judged(makes: GroupBuilder) -> None:
    bad, alone = (task(stream, Pay((stream,), storable=False)) for stream in ("s", "t"))
    behind = task("behind", Pay(("s",), storable_behind=False))  # it would not be the first, were the bad one in
    further = task("further", Pay(("s",)))
    group = makes.make([bad, behind, further, alone], cast(Any, None), 1)
    assert [one for one, _ in group.rejected] == [bad, alone]
    assert [decided.events[0].originator_version for decided in group.commands] == [1, 2], (
        "as if it had never been asked for"
    )


def test_a_group_that_cannot_be_stored_though_each_of_it_can_is_not_lost(
    makes: GroupBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def together_never(events: Iterable[Any], commuting: Sequence[bool]) -> tuple[list[str], list[bytes]]:
        events = list(events)
        if len(events) > 1:
            raise CodecError("too many")
        return ["paid"], [b"{}"]

    monkeypatch.setattr(makes._codec, "encode_all", together_never)
    with pytest.raises(CodecError, match="too many"):
        makes.make([task("1", Pay()), task("2", Pay())], cast(Any, None), 1)


def test_a_stream_made_in_the_group_is_not_made_again(makes: GroupBuilder) -> None:
    first, second = (task(key, Pay(("s",), on="new")) for key in ("first", "second"))
    group = makes.make([first, second], cast(Any, None), 1)
    assert [decided.task for decided in group.commands] == [first]
    assert group.again == [second], "it is to be decided again, when the first is in"
    assert group.outdated == {"new"}
