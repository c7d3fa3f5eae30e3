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


_ALL = """
SELECT topic, cluster_id, topic_id, position, published_at, waiting FROM log.publications WHERE log = %s ORDER BY topic
"""
_KEEP = "SELECT log.keep_publication(%s, %s, %s, %s, %s, %s)"


def publications(connection: Connection[Any], log_number: int) -> dict[str, Recorded]:
    """What is known of the topics of a log, by their names."""
    rows = connection.execute(_ALL, (log_number,), binary=True)
    return {row[0]: Recorded(*row) for row in rows}


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
