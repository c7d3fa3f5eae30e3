"""Runs the projector or the publisher in a separate process, and measures its lag behind the head of the log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event, Thread

import psycopg

from bench.harness import process
from bench.harness.ledger import LOG
from bench.harness.oracle import WrongError
from bench.harness.server import MASTER_KEY, Database

LOOK_SECONDS = 0.005
"""Seconds between two reads of the checkpoints. A measured lag may be too long by this time."""
SAMPLE_SECONDS = 0.02
"""Seconds between two heads whose lag is measured."""
CATCH_UP_SECONDS = 120.0

FOLDED = "(SELECT min(c.position) FROM read.checkpoints c WHERE c.log = l.log)"
"""The position of the projection that is furthest behind, in SQL."""
PUBLISHED = "(SELECT min(p.position) FROM log.publications p WHERE p.log = l.log)"
"""The position of the topic that is furthest behind."""
_PROGRESS = """
SELECT clock_timestamp(), l.position, l.recorded_at, coalesce({}, 0) FROM log.logs l WHERE l.name = %s
"""


@contextmanager
def running_projector(database: Database) -> Iterator[None]:
    """Run a projector for all projections, as it is deployed. It has caught up at the start."""
    with (
        psycopg.connect(database.url, autocommit=True) as connection,
        process.running(
            "workers.cli",
            "work",
            environment={"DATABASE_URL": database.url, "DAYBOOK_MASTER_KEY": MASTER_KEY},
            ready=lambda: _caught_up(connection),
        ),
    ):
        yield


@contextmanager
def running_publisher(database: Database, brokers: str) -> Iterator[None]:
    """Run a publisher of the topic of the log, as it is deployed. It has caught up at the start."""
    environment = {
        "DATABASE_URL": database.url,
        "DAYBOOK_MASTER_KEY": MASTER_KEY,
        "DAYBOOK_KAFKA_BOOTSTRAP_SERVERS": brokers,
    }
    with (
        psycopg.connect(database.url, autocommit=True) as connection,
        process.running(
            "workers.cli",
            "publish",
            environment=environment,
            ready=lambda: _caught_up(connection, PUBLISHED),
        ),
    ):
        yield


def wait_until_caught_up(database: Database, reached: str = FOLDED) -> None:
    """Wait until everything in the log is in the read tables, or published.

    Raises `WrongError` if that takes too long.
    """
    until = time.monotonic() + CATCH_UP_SECONDS
    with psycopg.connect(database.url, autocommit=True) as connection:
        while not _caught_up(connection, reached):
            if time.monotonic() > until:
                raise WrongError(f"the head was not reached in {CATCH_UP_SECONDS:.0f} seconds")
            time.sleep(LOOK_SECONDS)


@contextmanager
def watched_head(database: Database, reached: str = FOLDED) -> Iterator[list[int]]:
    """Measure lags of the head: microseconds from its recording until all read tables show it. Yields their list.

    With `PUBLISHED`: until it is published.
    """
    lags: list[int] = []
    stop = Event()
    thread = Thread(target=_watch, args=(database.url, reached, lags, stop), daemon=True)
    thread.start()
    try:
        yield lags
        wait_until_caught_up(database, reached)
    finally:
        stop.set()
        thread.join()


def _watch(url: str, reached: str, lags: list[int], stop: Event) -> None:
    unseen: deque[tuple[int, datetime]] = deque()
    with psycopg.connect(url, autocommit=True) as connection:
        now, last, _, _ = _read_progress(connection, reached)  # an old head would seem to have a lag
        sampled = now
        while not (stop.is_set() and not unseen):
            now, head, recorded_at, folded = _read_progress(connection, reached)
            if head > last and now - sampled >= timedelta(seconds=SAMPLE_SECONDS):
                unseen.append((head, recorded_at))
                last, sampled = head, now
            while unseen and unseen[0][0] <= folded:
                lags.append((now - unseen.popleft()[1]) // timedelta(microseconds=1))
            time.sleep(LOOK_SECONDS)


def _caught_up(connection: psycopg.Connection, reached: str = FOLDED) -> bool:
    _, head, _, folded = _read_progress(connection, reached)
    return folded == head


def _read_progress(connection: psycopg.Connection, reached: str) -> tuple[datetime, int, datetime, int]:
    """The server's clock, the head, its time, and the position that is reached."""
    row = connection.execute(_PROGRESS.format(reached).encode(), (LOG,)).fetchone()
    assert row is not None, "there is a log named main"
    now, head, recorded_at, folded = row
    return now, head, recorded_at, folded
