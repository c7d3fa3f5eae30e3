"""Logs to fold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from projections.rooms import ROOMS
from projections.tables import prepare
from tests.integration.projections.filling import LOG, Filler, projector
from tests.support.postgres import Database


@pytest.fixture
def filler(database: Database) -> Iterator[Filler]:
    """An empty log on each supported server, to be filled."""
    filler = Filler(database.url)
    yield filler
    filler.close()


@pytest.fixture
def connection(database: Database, filler: Filler) -> Iterator[Connection[Any]]:
    """As the projector, all tables prepared."""
    with projector(database) as connection:
        prepare(connection, LOG, ROOMS)
        yield connection
