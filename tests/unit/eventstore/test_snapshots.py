"""The versions at which a stream gets a snapshot."""

from __future__ import annotations

from eventstore.executor.snapshots import FIRST_SNAPSHOT, SNAPSHOT_EVERY, is_due


def test_snapshots_are_due_at_each_doubling_and_then_at_the_interval() -> None:
    due = [version for version in range(1, 1_001) if is_due(version - 1, version)]
    assert due == [8, 16, 32, 64, 128, 200, 400, 600, 800, 1_000]
    assert due[0] == FIRST_SNAPSHOT
    assert due[5] == SNAPSHOT_EVERY


def test_a_stream_that_passes_several_versions_at_once_gets_one_snapshot() -> None:
    assert is_due(0, 14)
    assert is_due(9, 500)
    assert not is_due(16, 31)
    assert not is_due(401, 599)
    assert not is_due(7, 7)


def test_the_shortest_interval_gives_a_snapshot_at_each_version() -> None:
    assert all(is_due(version - 1, version, 1) for version in range(1, 100))
