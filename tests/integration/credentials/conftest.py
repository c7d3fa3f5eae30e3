"""A database for each module, whose credentials are emptied before each test, and a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from tests.support.credentials import MovedClock, pool_on
from tests.support.postgres import Database, Server

_EMPTY = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'credentials' LOOP
        EXECUTE format('TRUNCATE credentials.%I CASCADE', name);
    END LOOP;
END
$$
"""


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture(scope="module")
def migrated(server: Server) -> Iterator[Database]:
    with server.database() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def connections(migrated: Database) -> Iterator[ConnectionPool[Connection[Any]]]:
    with pool_on(migrated) as opened:
        yield opened


@pytest.fixture
def database(migrated: Database) -> Database:
    with psycopg.connect(migrated.url, autocommit=True) as superuser:
        superuser.execute(_EMPTY)
    return migrated


@pytest.fixture
def pool(database: Database, connections: ConnectionPool[Connection[Any]]) -> ConnectionPool[Connection[Any]]:
    return connections
