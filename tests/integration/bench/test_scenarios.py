"""The scenarios run from end to end, with next to nothing in them; each checks its own result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.harness.server import Server, running_server
from bench.harness.settings import Settings
from bench.scenarios import sizes, stock_projection

TINY = Settings(
    seed=1, repetitions=1, seconds=0.1, warm_up=0.0, transfers=200, accounts=10, czech_bank=Path(), quick=True
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


def test_sizes(server: Server) -> None:
    result = sizes.run(TINY, server)
    assert len({measurement.parameters["events"] for measurement in result.measurements}) == 3
    assert {sizes.COLD, sizes.WARM, sizes.ALONE, sizes.FOLD, sizes.START, sizes.MEMORY} <= {
        measurement.subject for measurement in result.measurements
    }
    assert all(comparison.bounds for comparison in result.comparisons)


def test_stock_projection(server: Server) -> None:
    result = stock_projection.run(TINY, server)
    assert [len(measurement.rates) for measurement in result.measurements] == [1, 1, 1, 1]
    (ratio,) = result.comparisons
    assert ratio.value > 1
