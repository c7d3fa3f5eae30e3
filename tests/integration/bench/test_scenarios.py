"""Every scenario runs from its beginning to its check. For minutes: `make soak`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.__main__ import FIXTURE
from bench.harness.server import Server, running_server
from bench.harness.settings import Settings
from bench.scenarios import SCENARIOS

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def bench_server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_measures_and_checks(name: str, bench_server: Server) -> None:
    settings = Settings(1, 1, 0.5, 0.1, transfers=1_000, accounts=100, czech_bank=FIXTURE, quick=True)
    result = SCENARIOS[name](settings, bench_server)
    assert result.name == name
    assert result.measurements
    assert result.checked
    assert all(measurement.rates for measurement in result.measurements)
