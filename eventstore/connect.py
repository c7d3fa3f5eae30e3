"""Connections to the database: always autocommit, always UTC, always with a bound on how long they may hang."""

from __future__ import annotations

from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.abc import PQGen
from psycopg_pool import ConnectionPool

CONNECT_SECONDS = 10
KEEPALIVE_SECONDS, KEEPALIVE_PROBES = 5, 3
VANISHED_SECONDS = 20
"""After which a peer that vanished is noticed, whether it owes us an answer or the receipt of what we sent."""
SILENCE_SECONDS = 30
"""How much longer than a statement may take its answer is awaited: who receives what we send need not ever answer."""

R = TypeVar("R")


class ReadOnlyError(psycopg.OperationalError):
    """The session cannot write: a standby after a failover, or an operator or a full disk made the database read-only.

    The session is closed: it would stay read-only after the database no longer is.
    """


class _Bounded(Connection[Any]):
    """Gives itself up where the server owes an answer for too long; then it is unknown what became of the statement.

    It also gives itself up where it turns out to be read-only.
    """

    answer_seconds: float | None = None

    def wait(self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        """As psycopg's. Raises `psycopg.OperationalError`, closed, after `answer_seconds` of silence."""
        if timeout is not None:  # of one who knows what to do then
            return super().wait(gen, interval, timeout)
        began = monotonic()
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.errors.ReadOnlySqlTransaction as error:
            self.close()
            raise read_only(error) from None
        except psycopg.OperationalError:
            if self.answer_seconds is None or monotonic() - began < self.answer_seconds:
                raise
        self.close()
        raise psycopg.OperationalError(f"the server did not answer for {self.answer_seconds:g} s: it is given up")


def read_only(error: psycopg.Error) -> ReadOnlyError:
    """What is raised instead of the server's own error."""
    return ReadOnlyError(f"the database is read-only: {error.diag.message_primary}")


def connect(url: str, *, application_name: str, statement_seconds: float = 60) -> Connection[Any]:
    """An autocommit connection whose statements end after `statement_seconds`.

    Raises `psycopg.OperationalError` where the server cannot be reached.
    """
    connection = _Bounded.connect(url, application_name=application_name, **_PARAMETERS)
    _bound(connection, statement_seconds)
    return connection


def pool_of(
    url: str, *, application_name: str, most: int, wait_seconds: float, statement_seconds: float
) -> ConnectionPool[Connection[Any]]:
    """So many connections like those of `connect`, at most; not opened yet. One is waited for `wait_seconds`."""
    return ConnectionPool(
        url,
        connection_class=_Bounded,
        kwargs={"application_name": application_name, **_PARAMETERS},
        configure=lambda connection: _bound(connection, statement_seconds),
        min_size=1,
        max_size=most,
        timeout=wait_seconds,
        open=False,
    )


_PARAMETERS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": KEEPALIVE_SECONDS,
    "keepalives_interval": KEEPALIVE_SECONDS,
    "keepalives_count": KEEPALIVE_PROBES,
    "tcp_user_timeout": VANISHED_SECONDS * 1000,
}


def _bound(connection: Connection[Any], statement_seconds: float) -> None:
    assert isinstance(connection, _Bounded)
    connection.answer_seconds = statement_seconds + SILENCE_SECONDS
    connection.execute(
        "SELECT set_config('statement_timeout', %s, false), set_config('TimeZone', 'UTC', false),"
        " set_config('idle_in_transaction_session_timeout', %s, false)",
        (f"{int(statement_seconds * 1000)}ms", f"{int(statement_seconds * 1000)}ms"),
    )
