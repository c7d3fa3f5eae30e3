"""Drives a command to its last attempt: another process changes its account before each earlier append."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

import httpx
import psycopg

from eventstore.executor.attempts import OPTIMISTIC_ATTEMPTS
from tests.faults.clients import deposit
from tests.faults.messages import Hold, Line, an_append
from tests.faults.world import Api, World

HOLDS_THE_HEAD = "state = 'idle in transaction' AND query LIKE '%log.append%'"
WAITS_FOR_THE_HEAD = "cardinality(pg_blocking_pids(pid)) > 0 AND query LIKE '%log.append%'"


def connection_exists(world: World, condition: str) -> bool:
    """Whether a connection of the world's database meets the condition."""
    with psycopg.connect(world.database.url) as connection:
        row = connection.execute(
            f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}".encode()
        ).fetchone()
    return row is not None and row[0] > 0


@contextmanager
def last_attempt(
    slow: Line, post: Callable[[], Future[httpx.Response]], other: Api, account: str
) -> Iterator[tuple[Future[httpx.Response], Hold]]:
    """A request over a slow line, and its append in the attempt that holds the head. It is held until the block ends.

    `other` deposits one euro on the account before each earlier attempt.
    """
    with ExitStack() as holds:
        appends = [holds.enter_context(slow.held(an_append)) for _ in range(OPTIMISTIC_ATTEMPTS + 1)]
        posted = post()
        for number, attempt in enumerate(appends[:-1]):
            attempt.wait_until_held()
            assert deposit(other, account, f"between-{account}-{number}").status_code == 201
            attempt.release()
        appends[-1].wait_until_held()
        yield posted, appends[-1]
