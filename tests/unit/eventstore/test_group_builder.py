"""The states that groups are decided on, between one group and the next, without a real log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from msgspec import Struct

from domain.kernel import Accepted, Event, NeedsStreams
from eventstore.executor import state_cache as states
from eventstore.executor.decided_commands import Group, Submission, Task
from eventstore.executor.group_builder import GroupBuilder
from eventstore.executor.reply_sinks import NewerEventError
from eventstore.executor.state_cache import StateCache
from eventstore.log.answers import Codes
from eventstore.log.append import GroupAppended
from eventstore.log.codec import CodecError, UnknownTypeError

CASH = "cash"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Pay(Struct):
    streams: tuple[str, ...] = (CASH,)
    storable: bool = True
    storable_behind: bool = True  # if the stream exists already
    on: str | None = None  # a new stream that the command makes


class Paid(Struct):
    version: int


class Unstorable(Event, frozen=True):
    pass


class PlainCodec:
    def encode_all(
        self, events: Iterable[Any], commuting: Sequence[bool] | None = None, *, dry_run: bool = False
    ) -> tuple[list[str], list[bytes]]:
        events = list(events)
        if any(isinstance(event, Unstorable) for event in events):
            raise CodecError("it cannot be stored")
        return ["paid"] * len(events), [b"{}"] * len(events)

    def forget_keys(self) -> None:
        pass

    def decode_many(self, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Any]:
        return [UnknownTypeError(type, stream, version) for type, _, stream, version in stored]


def decide(command: Pay, states: Mapping[str, Paid | None], context: object) -> Accepted:
    (stream,) = command.streams
    state = states[stream]
    kind = Event if command.storable and (state is None or command.storable_behind) else Unstorable
    event = kind(stream, (state.version if state else 0) + 1) if command.on is None else kind(command.on, 1)
    return Accepted((event,), {}, frozenset((CASH,)))


def evolve(state: Paid | None, event: Event) -> Paid:
    return Paid(event.originator_version)


def refuse(actor: str, key: str, command: str, rule: str, figures: Mapping[str, Any]) -> Event:
    return Event(f"refusal_{key}", 1)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> StateCache:
    monkeypatch.setattr(states, "read_streams", lambda connection, log_number, behind: [])
    return StateCache(PlainCodec(), evolve, (), 100)


@pytest.fixture
def builder(cache: StateCache) -> GroupBuilder:
    return GroupBuilder(PlainCodec(), decide, evolve, refuse, cache)


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


def make(builder: GroupBuilder, key: str, ahead: Group | None = None) -> Group:
    return builder.make([task(key, Pay())], cast(Any, None), 1, ahead=ahead)


def reads_of(group: Group) -> list[tuple[str, int | None, bool]]:
    return group.commands[0].reads


def appended(group: Group, **moved: int) -> GroupAppended:
    assert group.batch is not None
    return GroupAppended(epoch=1, recorded_at=NOW, before=0, counts=group.batch.counts, verdicts=None, actual=moved)


def test_each_group_is_decided_on_the_events_of_the_group_ahead(builder: GroupBuilder, cache: StateCache) -> None:
    first = make(builder, "1")
    second = make(builder, "2", ahead=first)
    assert [reads_of(first), reads_of(second)] == [[(CASH, 0, True)], [(CASH, 1, True)]]
    cache.learn(first, appended(first))
    cache.learn(second, appended(second))
    assert reads_of(make(builder, "3")) == [(CASH, 2, True)]


def test_entries_of_other_processes_are_counted_during_an_append(builder: GroupBuilder, cache: StateCache) -> None:
    first = make(builder, "1")
    second = make(builder, "2", ahead=first)
    found = appended(first, cash=7)  # entries of other processes, before its own
    cache.learn(first, found)
    cache.catch_up(second, found)
    third = make(builder, "3", ahead=second)
    assert reads_of(third) == [(CASH, 9, True)], "seven entries of others, one of the first group, one of the second"
    cache.learn(second, appended(second))
    cache.learn(third, appended(third))
    assert reads_of(make(builder, "4")) == [(CASH, 10, True)]


def test_many_commands_that_cannot_be_stored_cost_one_more_round(
    builder: GroupBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[Pay] = []

    def watched(command: Pay, states: Mapping[str, Paid | None], context: object) -> Accepted:
        decided.append(command)
        return decide(command, states, context)

    monkeypatch.setattr(builder, "_decide", watched)
    tasks = [task(str(n), Pay((f"s{n}",), storable=n % 2 == 0)) for n in range(100)]
    group = builder.make(tasks, cast(Any, None), 1)
    assert [one for one, _ in group.rejected] == [one for one in tasks if not one.submission.command.storable]
    assert [decided.task for decided in group.commands] == [one for one in tasks if one.submission.command.storable]
    assert group.batch is not None
    assert len(decided) == 150, "all commands, then the remaining ones"


def test_commands_decided_on_one_that_cannot_be_stored_are_decided_again(builder: GroupBuilder) -> None:
    bad, alone = (task(stream, Pay((stream,), storable=False)) for stream in ("s", "t"))
    behind = task("behind", Pay(("s",), storable_behind=False))  # it cannot be stored after the bad one
    further = task("further", Pay(("s",)))
    group = builder.make([bad, behind, further, alone], cast(Any, None), 1)
    assert [one for one, _ in group.rejected] == [bad, alone]
    assert [decided.events[0].originator_version for decided in group.commands] == [1, 2], "as without the bad command"


def test_a_group_that_cannot_be_stored_raises_if_each_command_alone_can(
    builder: GroupBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone_only(events: Iterable[Any], commuting: Sequence[bool]) -> tuple[list[str], list[bytes]]:
        events = list(events)
        if len(events) > 1:
            raise CodecError("too many")
        return ["paid"], [b"{}"]

    monkeypatch.setattr(builder._codec, "encode_all", alone_only)
    with pytest.raises(CodecError, match="too many"):
        builder.make([task("1", Pay()), task("2", Pay())], cast(Any, None), 1)


def test_a_stream_made_in_the_group_is_not_made_again(builder: GroupBuilder) -> None:
    first, second = (task(key, Pay(("s",), on="new")) for key in ("first", "second"))
    group = builder.make([first, second], cast(Any, None), 1)
    assert [decided.task for decided in group.commands] == [first]
    assert group.again == [second], "it must be decided again after the first one"
    assert group.outdated == {"new"}


NEWER = "newer"


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """A log where a newer program wrote an event to one stream. The list has what is read from it."""
    asked: list[dict[str, int]] = []

    def read_streams(_: object, __: int, behind: dict[str, int]) -> list[tuple[str, int, str, bytes]]:
        asked.append(dict(behind))
        return [(NEWER, 1, "paid.v2", b"{}")] if NEWER in behind else []

    monkeypatch.setattr(states, "read_streams", read_streams)
    return asked


def refusals(group: Group) -> dict[str, tuple[str, str]]:
    """The commands that a group leaves to a newer program, by their keys, with stream and type."""
    found = {task.submission.key: error for task, error in group.rejected}
    return {key: (error.stream, error.type) for key, error in found.items() if isinstance(error, NewerEventError)}


def test_a_command_on_a_stream_with_an_unknown_type_is_left_out_and_the_others_are_decided(
    builder: GroupBuilder, stored: list[dict[str, int]]
) -> None:
    tasks = [task("1", Pay()), task("2", Pay((NEWER,))), task("3", Pay())]
    group = builder.make(tasks, cast(Any, None), 1)
    assert refusals(group) == {"2": (NEWER, "paid.v2")}
    assert [decided.task for decided in group.commands] == [tasks[0], tasks[2]]
    assert not group.again
    assert stored == [{CASH: 0, NEWER: 0}], "it is read once"
    assert refusals(builder.make([tasks[1]], cast(Any, None), 1)) == {"2": (NEWER, "paid.v2")}
    assert len(stored) == 2, "and again for each group, because a newer program may have been started"


def test_a_decision_that_asks_for_a_stream_with_an_unknown_type_is_left_out(
    builder: GroupBuilder, stored: list[dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asking(command: Pay, states: Mapping[str, Paid | None], context: object) -> Accepted | NeedsStreams:
        return decide(command, states, context) if NEWER in states else NeedsStreams((NEWER,))

    monkeypatch.setattr(builder, "_decide", asking)
    group = builder.make([task("1", Pay()), task("2", Pay())], cast(Any, None), 1)
    assert refusals(group) == {"1": (NEWER, "paid.v2"), "2": (NEWER, "paid.v2")}
    assert group.batch is None


def test_a_decision_finds_what_its_group_has_already_and_is_made_once(
    builder: GroupBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first command asks for the stream, and the second one finds what the first one made of it."""
    seen: list[tuple[str, Paid | None]] = []

    def asking(command: Pay, states: Mapping[str, Paid | None], context: object) -> Accepted | NeedsStreams:
        if "book" not in states:
            seen.append(("asked", None))
            return NeedsStreams(("book",))
        seen.append(("decided", states["book"]))
        made = states["book"].version if states["book"] else 0
        return Accepted((Event("book", made + 1),), {}, frozenset())

    monkeypatch.setattr(builder, "_decide", asking)
    group = builder.make([task("1", Pay()), task("2", Pay())], cast(Any, None), 1)
    assert seen == [("asked", None), ("decided", None), ("decided", Paid(1))]
    assert [decided.reads for decided in group.commands] == [
        [(CASH, 0, False), ("book", 0, False)],
        [(CASH, 0, False), ("book", 0, False)],
    ]
