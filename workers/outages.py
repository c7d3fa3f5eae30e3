"""A process goes on after its database was away."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from projections.engine.outage import DatabaseAwayError, Outage
from projections.engine.runner import TRANSIENT
from workers.settings import Settings, variable


def through_outages(settings: Settings, stop: Event, run_connected: Callable[[Outage], None]) -> None:
    """Call `run_connected` until `stop` is set, again after each error of a connection.

    `run_connected` makes its connections anew, and calls `ended` of the outage once they work. Raises
    `DatabaseAwayError` where the database stays away for longer than the settings allow.
    """
    outage = Outage(stop, settings.database_wait_seconds)
    while not stop.is_set():
        try:
            run_connected(outage)
        except TRANSIENT as error:
            try:
                outage.failed(error)
            except DatabaseAwayError as away:
                raise DatabaseAwayError(
                    f"{away}; start it again once the database is back, or let it wait for longer with "
                    f"{variable('database_wait_seconds')}"
                ) from away
