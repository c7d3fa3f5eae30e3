"""Every scenario runs from its beginning to its check, with a minimal load. `make soak` runs all, in minutes.

The two scenarios that cover most of the code of Daybook run each time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.__main__ import FIXTURE
from bench.harness.server import Server, running_server
from bench.harness.settings import Settings
from bench.scenarios import SCENARIOS

EACH_TIME = ("sizes", "projection")
TINY = Settings(
    seed=1, repetitions=1, seconds=0.1, warm_up=0.0, transfers=200, accounts=10, czech_bank=FIXTURE, quick=True
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.mark.parametrize(
    "name", [name if name in EACH_TIME else pytest.param(name, marks=pytest.mark.soak) for name in SCENARIOS]
)
def test_a_scenario_measures_and_checks(name: str, server: Server) -> None:
    result = SCENARIOS[name](TINY, server)
    assert result.name == name
    assert result.measurements
    assert result.checked
    assert all(measurement.rates for measurement in result.measurements)
