"""What is remembered of streams, and when it is to be read again."""

from __future__ import annotations

import pytest

from eventstore.executor.stream_states import RecentStreams, StreamState


def cached(known: StreamState) -> RecentStreams:
    cache = RecentStreams(2)
    cache.put("acct_1", known)
    return cache


@pytest.mark.parametrize(("moved_to", "stale"), [(4, False), (5, False), (6, True)])
def test_what_others_moved_is_stale_where_they_went_beyond_it(moved_to: int, stale: bool) -> None:
    known = StreamState("state", 5, 5)
    cached(known).mark_moved("acct_1", moved_to)
    assert known.stale is stale


def test_what_is_not_followed_event_by_event_rests_on_entries_unseen() -> None:
    known = StreamState("state", 5, 8)
    cached(known).mark_moved("acct_1", 9)
    assert not known.stale


def test_what_is_not_remembered_cannot_be_stale() -> None:
    cache = cached(StreamState("state", 5, 5))
    cache.mark_moved("acct_2", 9)
    assert cache.get("acct_2") is None


def test_the_least_recently_used_is_forgotten() -> None:
    cache = cached(StreamState("state", 5, 5))
    cache.put("acct_2", StreamState("state", 1, 1))
    cache.get("acct_1")
    cache.put("acct_3", StreamState("state", 1, 1))
    assert [cache.get(stream) is None for stream in ("acct_1", "acct_2", "acct_3")] == [False, True, False]
