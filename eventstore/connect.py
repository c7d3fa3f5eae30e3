"""Connections to the database: always autocommit, always UTC, always with a bound on how long they may hang."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import Connection

CONNECT_SECONDS = 10
KEEPALIVE_SECONDS, KEEPALIVE_PROBES = 5, 3
"""A peer that vanished is noticed after some 20 seconds instead of two hours."""


def connect(url: str, *, application_name: str, statement_seconds: float = 60) -> Connection[Any]:
    """An autocommit connection whose statements end after `statement_seconds`.

    Raises `psycopg.OperationalError` where the server cannot be reached.
    """
    connection = psycopg.connect(
        url,
        autocommit=True,
        application_name=application_name,
        connect_timeout=CONNECT_SECONDS,
        keepalives=1,
        keepalives_idle=KEEPALIVE_SECONDS,
        keepalives_interval=KEEPALIVE_SECONDS,
        keepalives_count=KEEPALIVE_PROBES,
    )
    connection.execute(
        "SELECT set_config('statement_timeout', %s, false), set_config('TimeZone', 'UTC', false),"
        " set_config('idle_in_transaction_session_timeout', %s, false)",
        (f"{int(statement_seconds * 1000)}ms", f"{int(statement_seconds * 1000)}ms"),
    )
    return connection
