"""Records events for aggregates, applications and processing applications, and records snapshots."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    DataError,
    Notification,
    ProcessRecorder,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from psycopg import Connection
from psycopg.sql import SQL, Composed, Identifier

from eventstore.library.store import LogStore
from eventstore.library.stored import (
    TOKEN_BYTES,
    Columns,
    Row,
    metadata_of,
    notification,
    stored_event,
    stream_of,
    token_of,
)
from eventstore.library.subscription import LogSubscription
from eventstore.library.tracking import LogTrackingRecorder
from eventstore.postgres.arrays import bytea_array, int4_array, int8_array, text_array

MOST = 2**63 - 1

_STREAM = SQL("""
SELECT stream, version, type, payload, metadata FROM {table}
 WHERE log = %s AND stream = %s AND version > %s AND version <= %s ORDER BY version {order} LIMIT %s
""")

_INSERT_EVENTS = """
SELECT library.insert_events(
    p_log => %(log)s, p_application => %(application)s, p_notification => %(notification)s,
    s_stream => %(streams)s, s_base => %(bases)s,
    e_stream => %(stream_numbers)s, e_type => %(types)s, e_payload => %(payloads)s, e_metadata => %(metadata)s
)
"""

_TOKEN = "SELECT position, metadata FROM log.events WHERE log = %s AND stream = %s AND version = %s"  # noqa: S105

_NOTIFICATIONS = """
SELECT position, stream, version, type, payload, metadata FROM log.events
 WHERE log = %s AND position >= %s AND position <= %s ORDER BY position LIMIT %s
"""

_NOTIFICATIONS_OF_TOPICS = """
SELECT position, stream, version, type, payload, metadata FROM log.events
 WHERE log = %s AND position >= %s AND position <= %s AND type = ANY (%s) ORDER BY position LIMIT %s
"""

_INSERT_SNAPSHOTS = """
INSERT INTO library.snapshots (log, stream, version, type, payload, metadata)
SELECT %(log)s, s.* FROM unnest(%(streams)s, %(versions)s, %(types)s, %(payloads)s, %(metadata)s) AS s
"""


def _select(table: Identifier) -> dict[bool, Composed]:
    return {desc: _STREAM.format(table=table, order=SQL("DESC" if desc else "ASC")) for desc in (False, True)}


class StreamReader:
    """Reads the events of one aggregate, from whichever table they are in."""

    SELECT: ClassVar[dict[bool, Composed]]

    def __init__(self, store: LogStore) -> None:
        self.store = store

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The stored events of an aggregate, by version. Raises the library's errors."""
        statement = self.SELECT[desc]
        stream, after, upto = stream_of(originator_id), -1 if gt is None else gt, MOST if lte is None else lte
        return self.store.run(
            lambda connection, log_number: [
                stored_event(Row._make(row))
                for row in connection.execute(statement, (log_number, stream, after, upto, limit), binary=True)
            ]
        )


class LogAggregateRecorder(StreamReader, AggregateRecorder):
    """Aggregates' events, in the log of the application."""

    SELECT = _select(Identifier("log", "events"))

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Insert events as one unit. Raises `IntegrityError` where they do not follow what is there."""
        self._insert(stored_events, **kwargs)
        return None

    def _insert(
        self, stored_events: Sequence[StoredEvent], tracking: Tracking | None = None, **_: Any
    ) -> Sequence[int] | None:
        if tracking is not None:
            raise ProgrammingError(f"{type(self).__name__} cannot track: use a process recorder")
        if not stored_events:
            return None
        return self._append(stored_events, None)

    def _append(self, stored_events: Sequence[StoredEvent], tracking: Tracking | None) -> Sequence[int]:
        """Positions of the events. Should a connection break, the call is made again, and takes effect once.

        The token tells its events from all others: where the second attempt finds the first version taken, and taken
        by itself, the first attempt had gone in and only its acknowledgement was lost. It cannot go in later: the
        look-up comes after the second attempt held the head of the log, and whoever follows finds the versions taken.
        """
        token = os.urandom(TOKEN_BYTES)
        columns = Columns.of(stored_events, token)
        attempts = 0

        def attempt(connection: Connection[Any], log_number: int) -> int:
            nonlocal attempts
            attempts += 1
            try:
                return _insert_events(connection, log_number, columns, tracking)
            except psycopg.errors.UniqueViolation:
                head = _head_before(connection, log_number, columns, token) if attempts > 1 else None
                if head is None:
                    raise
                return head

        with _as_data_errors():
            head = self.store.run(attempt)
        return range(head + 1, head + len(stored_events) + 1)


class LogApplicationRecorder(LogAggregateRecorder, ApplicationRecorder):
    """The events of an application, also in their order: notification ids are the log's positions, without a gap."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """As for aggregates; the answer is the events' notification ids."""
        ids = self._insert(stored_events, **kwargs)
        return None if ids is None else list(ids)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Up to `limit` notifications from `start` to `stop`, of these topics where any are given."""
        first = 1 if start is None else start + (not inclusive_of_start)
        last = MOST if stop is None else stop
        wanted = (text_array(topics),) if topics else ()
        statement = _NOTIFICATIONS_OF_TOPICS if topics else _NOTIFICATIONS
        return self.store.run(
            lambda connection, log_number: [
                notification(position, Row._make(row))
                for position, *row in connection.execute(
                    statement, (log_number, first, last, *wanted, limit), binary=True
                )
            ]
        )

    def max_notification_id(self) -> int | None:
        """The head of the log; None where it is empty."""
        return self.store.head().position or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> LogSubscription:
        """Every notification after `gt`, of these topics where any are given, then those to come."""
        return LogSubscription(self, self.store, gt=gt, topics=topics)


class LogProcessRecorder(LogTrackingRecorder, LogApplicationRecorder, ProcessRecorder):
    """The events of an application that follows another, and how far: both together or neither."""

    def _insert(
        self, stored_events: Sequence[StoredEvent], tracking: Tracking | None = None, **_: Any
    ) -> Sequence[int] | None:
        if stored_events:
            return self._append(stored_events, tracking)
        if tracking is not None:
            self.insert_tracking(tracking)
        return None


class SnapshotRecorder(StreamReader, AggregateRecorder):
    """Snapshots, beside the log: shortcuts that can be taken again, so their versions may have gaps."""

    SELECT = _select(Identifier("library", "snapshots"))

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Insert snapshots, all or none. Raises `IntegrityError` where there is one of that version already."""
        if not stored_events:
            return None
        with _as_data_errors():
            columns = {
                "streams": text_array([stream_of(event.originator_id) for event in stored_events]),
                "versions": int8_array([event.originator_version for event in stored_events]),
                "types": text_array([event.topic for event in stored_events]),
                "payloads": bytea_array([event.state for event in stored_events]),
                "metadata": bytea_array([metadata_of(event, b"") for event in stored_events]),
            }
        self.store.run(
            lambda connection, log_number: connection.execute(_INSERT_SNAPSHOTS, {"log": log_number, **columns})
        )
        return None


def _insert_events(connection: Connection[Any], log_number: int, columns: Columns, tracking: Tracking | None) -> int:
    application, notification_id = (
        (None, None) if tracking is None else (tracking.application_name, tracking.notification_id)
    )
    row = connection.execute(
        _INSERT_EVENTS,
        {
            "log": log_number,
            "application": application,
            "notification": notification_id,
            "streams": text_array(columns.streams),
            "bases": int8_array(columns.bases),
            "stream_numbers": int4_array(columns.stream_numbers),
            "types": text_array(columns.types),
            "payloads": bytea_array(columns.payloads),
            "metadata": bytea_array(columns.metadata),
        },
        prepare=True,
    ).fetchone()
    assert row is not None
    head: int = row[0]
    return head


def _head_before(connection: Connection[Any], log_number: int, columns: Columns, token: bytes) -> int | None:
    """The head before the call that this token is of, None where it did not go in."""
    row = connection.execute(_TOKEN, (log_number, columns.streams[0], columns.bases[0] + 1), binary=True).fetchone()
    return row[0] - 1 if row is not None and token_of(row[1]) == token else None


@contextmanager
def _as_data_errors() -> Iterator[None]:
    """Text that is no UTF-8, such as a lone surrogate, is refused by the encoder, not by the server."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise DataError(f"an id or a topic cannot be stored: {error}") from error
