"""What the stores of credentials have in common: connections, the log's number, the clock, errors without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.clock import Clock, system_clock

_ID = re.compile(r"[!-~]{1,100}", re.ASCII)


class CredentialsError(RuntimeError):
    """Credentials cannot be read or written. The message has nothing secret."""


class Written(Enum):
    """What became of a write that follows an event."""

    WRITTEN = "written"
    ALREADY = "already"  # this event has its row: a retry changes nothing
    SUPERSEDED = "superseded"  # the row is of a later event


class Store:
    """The base of the stores. The pool gives autocommit connections of the role `daybook_credentials`."""

    def __init__(self, pool: ConnectionPool[Connection[Any]], log_number: int, clock: Clock = system_clock) -> None:
        self._pool = pool
        self._log = log_number
        self._clock = clock

    def _now(self) -> datetime:
        now = self._clock()
        assert now.utcoffset() == timedelta(0), "times of credentials are aware and in UTC"
        return now

    @contextmanager
    def _connected(self) -> Iterator[Connection[Any]]:
        """A connection. An error about a row is raised without its values, which PostgreSQL puts into the message."""
        try:
            with self._pool.connection() as connection:
                yield connection
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            what = error.diag.constraint_name or error.diag.sqlstate
            error.args = ("the values are left out",)  # it stays the context of the one that is raised
            raise CredentialsError(f"a row of credentials was refused by {what}") from None


def checked_id(text: str) -> str:
    """An id of a person, a session or a key. Raises `CredentialsError` for a text that PostgreSQL would refuse."""
    if _ID.fullmatch(text) is None:
        raise CredentialsError(f"an id has 1 to 100 visible ASCII characters, and this one has {len(text)} characters")
    return text
