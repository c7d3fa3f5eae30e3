"""The cached states of streams, and when they are stale."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest

from eventstore.executor import stream_states
from eventstore.executor.stream_states import Fold, RecentStreams, StreamState
from eventstore.log.codec import CodecError, UnknownTypeError


def cached(known: StreamState) -> RecentStreams:
    cache = RecentStreams(2)
    cache.put("acct_1", known)
    return cache


@pytest.mark.parametrize(("moved_to", "stale"), [(4, False), (5, False), (6, True)])
def test_a_state_is_stale_if_others_appended_beyond_its_version(moved_to: int, stale: bool) -> None:
    known = StreamState("state", 5, 5)
    cached(known).mark_moved("acct_1", moved_to)
    assert known.stale is stale


def test_a_state_with_uncounted_entries_is_not_marked_as_stale() -> None:
    known = StreamState("state", 5, 8)
    cached(known).mark_moved("acct_1", 9)
    assert not known.stale


def test_an_uncached_stream_is_not_marked() -> None:
    cache = cached(StreamState("state", 5, 5))
    cache.mark_moved("acct_2", 9)
    assert cache.get("acct_2") is None


def test_the_least_recently_used_state_is_dropped() -> None:
    cache = cached(StreamState("state", 5, 5))
    cache.put("acct_2", StreamState("state", 1, 1))
    cache.get("acct_1")
    cache.put("acct_3", StreamState("state", 1, 1))
    assert [cache.get(stream) is None for stream in ("acct_1", "acct_2", "acct_3")] == [False, True, False]


class Words:
    """Decodes the events `said`. It does not know `sung`, and `mumbled` is damaged."""

    def decode_many(self, stored: Iterable[tuple[str, bytes, str, int]]) -> list[Any]:
        def decode(type: str, payload: bytes, stream: str, version: int) -> Any:
            if type == "sung":
                return UnknownTypeError(type, stream, version)
            return CodecError("it is damaged") if type == "mumbled" else payload.decode()

        return [decode(*one) for one in stored]


FOLD = Fold(Words(), lambda state, event: (state or "") + event)


def fold(*events: tuple[str, int, str, bytes]) -> tuple[dict[str, StreamState], dict[str, str]]:
    known = {stream: StreamState(None, 0, 0) for stream, *_ in events}
    return known, FOLD.on(known, list(events), cast(Any, None), 1)


def test_a_stream_is_folded_up_to_an_event_of_an_unknown_type_and_others_whole() -> None:
    known, newer = fold(
        ("a", 1, "said", b"x"), ("a", 2, "sung", b"?"), ("a", 3, "said", b"y"), ("b", 1, "said", b"z")
    )  # fmt: skip
    assert newer == {"a": "sung"}
    assert {stream: (one.state, one.version) for stream, one in known.items()} == {"a": ("x", 1), "b": ("z", 1)}


def test_a_damaged_event_of_a_known_type_is_an_error() -> None:
    with pytest.raises(CodecError, match="damaged"):
        fold(("a", 1, "said", b"x"), ("a", 2, "mumbled", b"?"))


def test_a_long_stream_is_not_read_on_after_an_event_of_an_unknown_type(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, int]] = []

    def read_streams(_: object, __: int, after: dict[str, int]) -> list[Any]:
        asked.append(after)
        return []

    monkeypatch.setattr(stream_states, "read_streams", read_streams)
    monkeypatch.setattr(stream_states, "STREAM_PAGE", 2)
    fold(("a", 1, "said", b"x"), ("a", 2, "said", b"y"), ("a", 3, "sung", b"?"), ("b", 1, "said", b"x"))
    assert asked == []
    fold(("a", 1, "said", b"x"), ("a", 2, "said", b"y"))
    assert asked == [{"a": 2}]
