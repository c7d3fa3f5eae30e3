"""Lists of the attempts to deliver to a webhook, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection


class Delivery(NamedTuple):
    """A row of ``webhooks.deliveries``."""

    id: int
    position: int
    attempt: int
    at: datetime
    milliseconds: int
    status: int | None
    cause: str | None


_SELECT: Final = """
SELECT id, position, attempt, at, milliseconds, status, cause FROM webhooks.deliveries
 WHERE log = %(log)s AND webhook = %(webhook)s{conditions}
 ORDER BY id DESC LIMIT %(row_limit)s
"""
_BEFORE: Final = "\n   AND id < %(before)s"
_FAILED: Final = {None: "", True: "\n   AND cause IS NOT NULL", False: "\n   AND cause IS NULL"}


def deliveries(
    connection: Connection[Any],
    log_number: int,
    webhook: str,
    limit: int,
    *,
    failed: bool | None = None,
    before: int | None = None,
) -> list[Delivery]:
    """The newest `limit` attempts before the id `before`. `failed` leaves only those that failed, or did not."""
    conditions = _FAILED[failed] + ("" if before is None else _BEFORE)
    parameters = {"log": log_number, "webhook": webhook, "before": before, "row_limit": limit}
    rows = connection.execute(_SELECT.format(conditions=conditions).encode(), parameters).fetchall()
    return [Delivery(*row) for row in rows]
