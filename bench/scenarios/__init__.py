"""The scenarios, one in each file."""

from __future__ import annotations

from collections.abc import Callable

from bench.harness.result import ScenarioResult
from bench.harness.server import Server
from bench.harness.settings import Settings
from bench.scenarios import (
    bulk,
    catch_up,
    heads,
    http,
    imports,
    kafka,
    lag,
    limits,
    mixed,
    processes,
    publishing,
    sealing,
    sizes,
    statements,
    stock_projection,
    store,
    strangers,
    transfers,
    verifying,
    zipf,
)

Scenario = Callable[[Settings, Server], ScenarioResult]

SCENARIOS: dict[str, Scenario] = {
    "store": store.run,
    "transfers": transfers.run,
    "zipf": zipf.run,
    "limits": limits.run,
    "http": http.run,
    "processes": processes.run,
    "mixed": mixed.run,
    "lag": lag.run,
    "bulk": bulk.run,
    "import": imports.run,
    "catch-up": catch_up.run,
    "projection": stock_projection.run,
    "sizes": sizes.run,
    "statements": statements.run,
    "verify": verifying.run,
    "heads": heads.run,
    "stranger": strangers.run,
    "kafka": kafka.run,
    "publishing": publishing.run,
    "sealing": sealing.run,
}

SHORT = ("store", "transfers", "zipf", "http", "lag", "catch-up")
"""The scenarios that show in a few minutes whether anything became slower."""
