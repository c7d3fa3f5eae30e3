"""Following the log: page after page, and at its end wait for more.

A NOTIFY shortens the wait; nothing depends on it, because the wait is bounded and then the log is read all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from psycopg import Connection

from eventstore.read import Page, read_log

CHANNEL = "daybook"
"""Where a NOTIFY tells that a log has grown."""

POLL_SECONDS = 0.25


def follow(
    connection: Connection[Any],
    log: int,
    after: int,
    *,
    stopped: Callable[[], bool],
    limit: int = 500,
    types: tuple[str, ...] | None = None,
    category: str | None = None,
    poll_seconds: float = POLL_SECONDS,
) -> Iterator[Page]:
    """Pages from a position on, until `stopped`; an empty one each time the wait for more was in vain.

    The connection is the follower's own. With a filter the pages advance over what it leaves out.
    """
    connection.execute(f"LISTEN {CHANNEL}")
    while not stopped():
        page = read_log(connection, log, after, limit, types=types, category=category)
        after = page.upto
        yield page
        if page.at_end and not stopped():
            for _ in connection.notifies(timeout=poll_seconds, stop_after=1):
                pass
