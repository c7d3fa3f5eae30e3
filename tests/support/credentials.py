"""Credentials in tests: cheap hashes, a clock that is moved by hand, a pool of the role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.argon2_hashing import Parameters
from eventstore.postgres.connect import pool_of
from tests.support.postgres import Database

SMALL: Final = Parameters(passes=1, memory_kib=64, parallelism=1)
"""A hash of some microseconds."""
NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


class MovedClock:
    """A clock that stands still until it is moved, forward or back."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        """Move it by `days=`, `hours=`, `seconds=` and so on."""
        self.now += timedelta(**by)


@contextmanager
def pool_on(database: Database, most: int = 4) -> Iterator[ConnectionPool[Connection[Any]]]:
    """A pool of connections that act as the role of credentials."""
    with pool_of(
        database.credentials_url, application_name="credentials", most=most, wait_seconds=30, statement_seconds=30
    ) as pool:
        yield pool
