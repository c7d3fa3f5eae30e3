"""Stores the positions up to which views, and applications that follow another one, have processed the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eventsourcing.persistence import Tracking, TrackingRecorder
from psycopg import Connection

from eventstore.library.store import LogStore

_TRACK = "SELECT library.track(%s, %s, %s)"
_TRACKED = "SELECT notification_id FROM library.tracking WHERE log = %s AND application_name = %s"


class LogTrackingRecorder(TrackingRecorder):
    """Stores tracking positions. A position never falls. Views are subclasses: see `transaction`."""

    def __init__(self, store: LogStore) -> None:
        self.store = store

    def insert_tracking(self, tracking: Tracking) -> None:
        """Store the position. Raises `IntegrityError` if this notification, or a later one, is stored already."""
        self.store.run(lambda connection, log_number: _track(connection, log_number, tracking))

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return the last notification of that application that was processed, or None if there is none."""
        rows = self.store.run(
            lambda connection, log_number: connection.execute(
                _TRACKED, (log_number, application_name), binary=True
            ).fetchall()
        )
        return rows[0][0] if rows else None

    @contextmanager
    def transaction(self, tracking: Tracking) -> Iterator[Connection[Any]]:
        """A transaction in which a view writes its rows for a notification, together with the position.

        Raises `IntegrityError` before the block where the notification, or a later one, is tracked already. Tracking
        comes first because it locks: a second runner with the same notification waits, then fails, and writes nothing.
        Nothing is tried again: the block may have had other effects.
        """
        number = self.store.number
        with self.store.pool.connection() as connection, connection.transaction():
            _track(connection, number, tracking)
            yield connection


def _track(connection: Connection[Any], log_number: int, tracking: Tracking) -> None:
    connection.execute(_TRACK, (log_number, tracking.application_name, tracking.notification_id))
