"""The environment of an application of the library: a fresh log in a database that all its tests share."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.support.postgres import Database, Server

# The migration of an application: the tables of a view belong neither to the library nor to Daybook.
COUNTERS = """
CREATE TABLE public.event_counters (
    log integer NOT NULL, name text NOT NULL, count bigint NOT NULL, PRIMARY KEY (log, name)
);
GRANT SELECT, INSERT, UPDATE ON public.event_counters TO daybook_api;
"""


@pytest.fixture(scope="session")
def shared_database(server: Server) -> Iterator[Database]:
    """One migrated database for all of these tests, on each supported server in turn."""
    with server.database() as database:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(COUNTERS.encode())
        yield database


@pytest.fixture
def environment(shared_database: Database, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A fresh namespace, so that every application of the test has a fresh log. It is also set in `os.environ`."""
    variables = {
        "PERSISTENCE_MODULE": "eventstore",
        "DATABASE_URL": shared_database.url,
        "EVENTSTORE_NAMESPACE": uuid4().hex,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables
