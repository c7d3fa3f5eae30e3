"""One application's log, and the connections to it: what every recorder is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import psycopg
from eventsourcing.persistence import ProgrammingError
from psycopg import Connection

from eventstore.library.pool import Pool
from eventstore.log.read import Head, UnknownLogError, read_head

T = TypeVar("T")


class LogStore:
    """A log by its name. Thread-safe."""

    def __init__(self, pool: Pool, name: str, *, poll_seconds: float) -> None:
        self.pool = pool
        self.name = name
        self.poll_seconds = poll_seconds

    def create(self) -> None:
        """Have the log exist: a row, if it is not there yet."""
        try:
            self.head()
        except ProgrammingError:
            self.pool.run(lambda connection: _create(connection, self.name))

    def head(self) -> Head:
        """The end of the log. Raises `ProgrammingError` where there is no such log."""
        return self.pool.run(lambda connection: _head(connection, self.name))

    @cached_property
    def number(self) -> int:
        """What the tables know the log by. Raises `ProgrammingError` where there is no such log."""
        return self.head().log_number

    def run(self, work: Callable[[Connection[Any], int], T]) -> T:
        """What `work` makes of a connection and the log's number; see `Pool.run`."""
        number = self.number
        return self.pool.run(lambda connection: work(connection, number))


def _create(connection: Connection[Any], name: str) -> None:
    try:
        connection.execute("SELECT log.create_log(%s)", (name,))
    except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction) as error:
        raise ProgrammingError("the database has no Daybook schema yet: migrate it with `daybook migrate`") from error


def _head(connection: Connection[Any], name: str) -> Head:
    try:
        return read_head(connection, name)
    except (UnknownLogError, psycopg.errors.UndefinedTable) as error:
        raise ProgrammingError(str(error)) from error
