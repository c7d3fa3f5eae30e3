"""Lag tells how far a copy of a log is behind its topic."""

from __future__ import annotations

import psycopg

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
