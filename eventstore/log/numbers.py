"""Numbers that people can read out, from a database sequence. They are unique for ever and may have gaps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any

from psycopg import Connection

BLOCK = 100


class Numbers:
    """Hands out numbers, with one round trip a block. Thread-safe."""

    def __init__(self, connection: Callable[[], AbstractContextManager[Connection[Any]]]) -> None:
        self._connection = connection
        self._drawn: deque[int] = deque()
        self._lock = Lock()

    def next(self) -> int:
        """The next number. Raises `psycopg.Error`."""
        with self._lock:
            if not self._drawn:
                with self._connection() as connection:
                    rows = connection.execute("SELECT nextval('log.numbers') FROM generate_series(1, %s)", (BLOCK,))
                    self._drawn.extend(number for (number,) in rows)
            return self._drawn.popleft()
