"""The time of a log's head must not be far ahead of the database's clock.

Times of a log never fall, so every append takes at least the time of the head. One append under a clock that is wrong,
or one change of `log.logs`, would date all later events. A constraint of `log.logs` refuses such an append (migration
0008); an executor says why when it starts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg import Connection

from eventstore.log.read import Head

MOST_AHEAD: Final = timedelta(days=1)
"""A clock that was set to another time zone must not stop the ledger: recorded times wait until it has caught up."""
CONSTRAINT: Final = "head_time_near_the_clock"
WAY_OUT: Final = (
    "set the clock of the database server right; if it is right, the owner of the log sets log.logs.recorded_at to the "
    "time of its last event (docs/reference/verify.md says how)"
)


class HeadTimeError(RuntimeError):
    """The head of the log is far ahead of the clock; the message says what to do."""


def check_head_time(connection: Connection[Any], log: str, head: Head) -> None:
    """Raises `HeadTimeError` if the time of the head would refuse every append."""
    row = connection.execute("SELECT clock_timestamp()", binary=True).fetchone()
    assert row is not None, "the server knows the time"
    if head.recorded_at is not None and head.recorded_at >= row[0] + MOST_AHEAD:
        raise HeadTimeError(
            f"the last append to log {log} is of {head.recorded_at:%Y-%m-%d %H:%M} UTC, and the database's clock says "
            f"{row[0]:%Y-%m-%d %H:%M}: nothing is appended, because every later event would get that time; {WAY_OUT}"
        )


def explain_head_time(error: BaseException) -> str | None:
    """The sentence for an append that failed because of the head's time; None for any other error."""
    if isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name == CONSTRAINT:
        return f"the time of the log's head is more than {MOST_AHEAD.days} day ahead of the database's clock; {WAY_OUT}"
    return None
