"""Helpers of the tests of the persistence module."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.utils import Environment

from eventstore import EventStoreFactory
from eventstore.library.recorders import LogApplicationRecorder, LogProcessRecorder
from tests.support.postgres import Database


def factory(environment: dict[str, str], name: str = "App", **variables: str) -> EventStoreFactory:
    """A factory as an application with this name makes it."""
    return EventStoreFactory(Environment(name, {**environment, **variables}))


def application(environment: dict[str, str], **variables: str) -> LogApplicationRecorder:
    """The recorder of an application, with separate connections."""
    recorder = factory(environment, **variables).application_recorder()
    assert isinstance(recorder, LogApplicationRecorder)
    return recorder


def process(environment: dict[str, str]) -> LogProcessRecorder:
    """The recorder of an application that follows another one, with separate connections."""
    recorder = factory(environment).process_recorder()
    assert isinstance(recorder, LogProcessRecorder)
    return recorder


def events(count: int, *, stream: Any = None, first: int = 1, topic: str = "topic") -> list[StoredEvent]:
    """Events of one stream, by default of a new one."""
    originator_id = uuid4() if stream is None else stream
    return [StoredEvent(originator_id, first + i, topic, f"{first + i}".encode()) for i in range(count)]


def as_superuser(database: Database, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def log_name(environment: dict[str, str], name: str = "app") -> str:
    """The log of an application of the test."""
    return f"library:{environment['EVENTSTORE_NAMESPACE']}:{name}"


def log_of(database: Database, environment: dict[str, str], name: str = "app") -> list[str]:
    """The types of all events in the log of an application."""
    rows = as_superuser(
        database,
        "SELECT e.type FROM log.events e JOIN log.logs l USING (log) WHERE l.name = %s ORDER BY e.position",
        log_name(environment, name),
    )
    return [row[0] for row in rows]


def sessions(database: Database, environment: dict[str, str]) -> int:
    """The number of connections of the test's applications."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s"
    count: int = as_superuser(database, query, f"library:{environment['EVENTSTORE_NAMESPACE']}%")[0][0]
    return count


def end_sessions(database: Database, environment: dict[str, str]) -> None:
    """Break every connection of the test's applications, as a restart of the server does."""
    as_superuser(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
        f"library:{environment['EVENTSTORE_NAMESPACE']}%",
    )
