"""The cached states of streams, and when they are stale."""

from __future__ import annotations

import pytest

from eventstore.executor.stream_states import RecentStreams, StreamState


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
