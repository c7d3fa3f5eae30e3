"""Waits for a database that cannot be used: tries again, reports it, and gives up after a time."""

from __future__ import annotations

import logging
from threading import Event
from time import monotonic

from projections.engine.explain import explain

logger = logging.getLogger(__name__)

WAIT_SECONDS = 3600.0
"""Long enough for a failover, a restore or a new version of the server. An operator is called long before."""
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.1, 5.0
"""Seconds between two tries: doubled each time, up to the last."""
MESSAGE_SECONDS = 30.0
"""Least seconds between two messages while it lasts."""


class DatabaseAwayError(RuntimeError):
    """The database could not be used for the longest time that is allowed."""


class Outage:
    """Counts how long the database could not be used, pauses between tries and ends the waiting at its bound.

    The database may be away, or read-only after a failover or with a full disk.
    """

    def __init__(self, stop: Event, wait_seconds: float = WAIT_SECONDS) -> None:
        self._stop = stop
        self._wait_seconds = wait_seconds
        self._began: float | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._message_at = 0.0

    def failed(self, error: Exception) -> None:
        """Wait after a failed try. Raises `DatabaseAwayError` once the bound is reached."""
        now = monotonic()
        if self._began is None:
            self._began, self._pause, self._message_at = now, FIRST_PAUSE_SECONDS, now
        away = now - self._began
        if away >= self._wait_seconds:
            raise DatabaseAwayError(
                f"the database was tried for {self._wait_seconds:g} seconds and still cannot be used: {explain(error)}"
            ) from error
        if now >= self._message_at:
            logger.warning(
                "the database cannot be used for %.0f seconds now, and is tried again for %.0f in all: %s",
                away,
                self._wait_seconds,
                explain(error),
            )
            self._message_at = now + MESSAGE_SECONDS
        self._stop.wait(min(self._pause, self._wait_seconds - away))
        self._pause = min(2 * self._pause, LAST_PAUSE_SECONDS)

    def ended(self) -> None:
        """Record a try that succeeded."""
        if self._began is not None:
            logger.warning("the database can be used again after %.0f seconds", monotonic() - self._began)
            self._began = None
