"""One durable server for each process that runs tests, and a separate world for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.world import World, durable_server, world_on
from tests.support.postgres import Server


@pytest.fixture(scope="session")
def durable() -> Iterator[Server]:
    """A server with fsync on."""
    with durable_server() as server:
        yield server


@pytest.fixture
def world(durable: Server) -> Iterator[World]:
    """A fresh ledger with internal accounts, and no process yet."""
    with world_on(durable) as made:
        yield made
