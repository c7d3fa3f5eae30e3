"""A database of its own for each test of proofs, a ledger on it, and its owner. Some modules have a larger database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from eventstore.postgres.connect import connect
from tests.support.ledger import Ledger, ledger_on
from tests.support.postgres import Database, Server


@pytest.fixture
def database(postgres18: Server) -> Iterator[Database]:
    with postgres18.database() as made:
        yield made


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with ledger_on(database) as made:
        yield made


@pytest.fixture
def owner(database: Database) -> Iterator[Connection[Any]]:
    with connect(database.url, application_name="test") as connection:
        yield connection
