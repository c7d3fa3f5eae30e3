"""Lag tells how far the topics of a log are behind it, and how far a copy is behind its topic."""

from __future__ import annotations

import psycopg

from eventstore.log.publications import keep_publication
from eventstore.postgres.connect import connect
from tests.support.service import Service

COPY = """
INSERT INTO log.copies (log, topic, cluster_id, topic_id, next_offset, end_offset, waiting)
VALUES (1, 'daybook.main.1.log', 'cluster', 'topic', 40, 47, 'there is no topic')
"""


def test_lag_has_the_copy_and_why_it_waits(service: Service) -> None:
    assert service.get("lag").json()["copies"] == []
    service.account()
    with psycopg.connect(service.database.url) as connection:
        connection.execute(COPY)
    lag = service.get("lag").json()
    assert lag["copies"] == [
        {"topic": "daybook.main.1.log", "position": lag["head"], "records": 7, "waiting": "there is no topic"}
    ]


def test_lag_has_the_topics_and_why_nothing_is_published(service: Service) -> None:
    """They do not count for readiness: a broker that is away delays publishing and nothing else."""
    assert service.get("lag").json()["publications"] == []
    service.account()
    with connect(service.database.url, application_name="test") as connection:
        keep_publication(connection, 1, "daybook.main.1.log", position=2)
        keep_publication(connection, 1, "daybook.main.1.log", position=1, waiting="Kafka cannot be used")
    lag = service.get("lag").json()
    [topic] = lag["publications"]
    assert topic.pop("seconds") > 0
    assert topic == {
        "topic": "daybook.main.1.log",
        "position": 2,
        "events": lag["head"] - 2,
        "waiting": "Kafka cannot be used",
    }
