"""Ten million events are verified in bounded memory."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

import pytest

from bench.harness.bundles import EVENTS_OF_TRANSFER, write_bundle
from bench.scenarios.strangers import verify

MOST_MEGABYTES: Final = 200
"""The events have 6,000."""


@pytest.mark.soak
def test_ten_million_events(tmp_path: Path) -> None:
    """The bundle has 9 GB, and what is sorted on disk half a GB."""
    path = tmp_path / "log.jsonl"
    written = write_bundle(path, 10_000_000 // EVENTS_OF_TRANSFER + 1, Random(1))
    assert verify(path, written).megabytes < MOST_MEGABYTES
    path.unlink()


def test_memory_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    run = verify(path, write_bundle(path, 100, Random(1)))
    assert 10 < run.megabytes < MOST_MEGABYTES
    assert run.seconds > 0
