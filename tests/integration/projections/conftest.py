"""Fixtures with logs to fold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from tests.integration.projections.filling import Filler, projector
from tests.support.postgres import Database


@pytest.fixture
def filler(database: Database) -> Iterator[Filler]:
    """An empty log on each supported server, which tests fill."""
    filler = Filler(database)
    yield filler
    filler.close()


@pytest.fixture
def connection(database: Database, filler: Filler) -> Iterator[Connection[Any]]:
    """A connection of the projector, with prepared tables."""
    with projector(database) as connection:
        filler.begin()
        yield connection
