"""Waits until a worker that sweeps a read model has something to do: an append and its fold, or a due time."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, Final

from psycopg import Connection

from projections.engine.waiting import BehindError, Checkpoints

logger = logging.getLogger(__name__)

IDLE_SECONDS: Final = 1.0
"""Most seconds until a worker looks again. A notification of an append, or a due time, ends the wait earlier."""


def wait_for_work(
    reads: Connection[Any],
    checkpoints: Checkpoints,
    log_number: int,
    projection: str,
    pause: timedelta | None,
    fold_seconds: float,
) -> None:
    """Wait for an append and its fold, for the `pause` until something is due, or for `IDLE_SECONDS`.

    `reads` listens to the channel of appends. The fold of `projection` is waited for, at most `fold_seconds`.
    """
    seconds = IDLE_SECONDS if pause is None else min(IDLE_SECONDS, pause.total_seconds())
    told = [one.payload.partition(":") for one in reads.notifies(timeout=seconds, stop_after=1)]
    positions = [int(position) for log, _, position in told if int(log) == log_number]
    if positions:  # many may have come at once; one wait is for all of them
        try:
            checkpoints.wait_here((projection,), max(positions), fold_seconds)
        except BehindError as behind:
            logger.warning("%s; %s go on once it has", behind, projection)
