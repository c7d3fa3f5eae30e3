"""Topics that a log is published to: how far each is, and why nothing is published, if so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of a topic. Without ids no publisher has reached it yet."""

    topic: str
    cluster_id: str | None
    topic_id: str | None
    position: int  # the topic has at least the events up to here
    published_at: datetime
    waiting: str | None  # why nothing is published


@dataclass(frozen=True, slots=True)
class PublicationLag:
    """How far a topic is behind the head of the log. The oldest event that it lacks was recorded `seconds` ago."""

    topic: str
    position: int
    events: int
    seconds: float
    waiting: str | None  # why nothing is published; None while it is


_LAG = """
SELECT p.topic, p.position, greatest(l.position - p.position, 0),
       coalesce(greatest(extract(epoch FROM clock_timestamp() - e.recorded_at), 0), 0)::float8, p.waiting
  FROM log.publications p
  JOIN log.logs l ON l.log = p.log
  LEFT JOIN log.events e ON e.log = p.log AND e.position = p.position + 1
 WHERE p.log = %s ORDER BY p.topic
"""
_ALL = """
SELECT topic, cluster_id, topic_id, position, published_at, waiting FROM log.publications WHERE log = %s ORDER BY topic
"""
_KEEP = "SELECT log.keep_publication(%s, %s, %s, %s, %s, %s)"


def publications(connection: Connection[Any], log_number: int) -> dict[str, Recorded]:
    """What is known of the topics of a log, by their names."""
    rows = connection.execute(_ALL, (log_number,), binary=True)
    return {row[0]: Recorded(*row) for row in rows}


def publication_lags(connection: Connection[Any], log_number: int) -> tuple[PublicationLag, ...]:
    """The lag of each topic of a log, by name. Those of older generations are there too."""
    rows = connection.execute(_LAG, (log_number,), binary=True)
    return tuple(PublicationLag(*row) for row in rows)


def keep_publication(
    connection: Connection[Any],
    log_number: int,
    topic: str,
    *,
    cluster_id: str | None = None,
    topic_id: str | None = None,
    position: int = 0,
    waiting: str | None = None,
) -> None:
    """Record how far a topic is published, as the publisher. The position never falls."""
    connection.execute(_KEEP, (log_number, topic, cluster_id, topic_id, position, waiting))
