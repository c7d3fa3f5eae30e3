"""The clock and the fresh ids of production."""

from __future__ import annotations

import os
import time
from collections import deque
from datetime import UTC, datetime

from domain.ids import TAIL, fresh_id, tails


def now() -> datetime:
    """The injected clock of production: aware, UTC."""
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """A fresh, time-ordered public id."""
    try:
        tail = _tails.popleft()
    except IndexError:  # a block at a time: one call of the system for each id took 8 % of a busy API's time
        _tails.extend(tails(os.urandom(_RANDOM_BLOCK)))
        tail = _tails.popleft()
    return fresh_id(prefix, time.time_ns() // 1_000_000, tail)


_RANDOM_BLOCK = 256 * TAIL
_tails: deque[str] = deque()
