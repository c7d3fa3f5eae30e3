"""The books that the tests tamper with: written once for each server, and copied for each case."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.postgres import Database, Server
from tests.tampering.books import verified, write_books
from workers.verify.report import VerifyReport


@dataclass(frozen=True)
class Books:
    """A database without connections, and the report of its unchanged state."""

    server: Server
    database: Database
    sound: VerifyReport


@pytest.fixture(scope="session")
def books18(postgres18: Server) -> Iterator[Books]:
    """The books on PostgreSQL 18."""
    with postgres18.database() as database:
        write_books(database)
        yield Books(postgres18, database, verified(database))


@pytest.fixture(scope="session")
def books15(postgres15: Server) -> Iterator[Books]:
    """The books on PostgreSQL 15."""
    with postgres15.database() as database:
        write_books(database)
        yield Books(postgres15, database, verified(database))
