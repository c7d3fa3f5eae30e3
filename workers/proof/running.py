"""The process that seals the log until it is stopped, through lost connections."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import Final

from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from eventstore.postgres.ownership import Ownership, Purpose
from projections.engine.follow import end_when_silent
from projections.engine.outage import DatabaseAwayError, Outage
from projections.engine.runner import TRANSIENT
from workers.clock_and_ids import now
from workers.proof.sealer import Counts, Sealer, origin_of, signers_of
from workers.settings import SEALER_ROLE, Settings, variable
from workers.waking import IDLE_SECONDS

logger = logging.getLogger(__name__)

SEALING: Final = Purpose("seal", "log", SEALER_ROLE)
OWNED_SECONDS: Final = 1.0
"""Between two looks whether the sealer that works has ended."""
SILENT_SECONDS: Final = 60.0
"""A session that is silent for so long belongs to a stopped process: the server ends it, and with it its lock."""


def run_sealer(settings: Settings, stop: Event, counts: Counts, *, clock: Callable[[], datetime] = now) -> None:
    """Seal the log until `stop` is set.

    Raises `SettingsError` without a key, `SealError`, `DatabaseAwayError` where the database stays away for too long.
    """
    keys = settings.proof_key_bytes()
    outage = Outage(stop, settings.database_wait_seconds)
    while not stop.is_set():
        try:
            _run_connected(settings, keys, stop, outage, counts, clock)
        except TRANSIENT as error:
            try:
                outage.failed(error)
            except DatabaseAwayError as away:
                raise DatabaseAwayError(
                    f"{away}; start it again once the database is back, or let it wait for longer with "
                    f"{variable('database_wait_seconds')}"
                ) from away


def _run_connected(
    settings: Settings,
    keys: list[bytes],
    stop: Event,
    outage: Outage,
    counts: Counts,
    clock: Callable[[], datetime],
) -> None:
    with connect(settings.sealer_url(), application_name="daybook-sealer") as connection:
        end_when_silent(connection, SILENT_SECONDS)
        log_number = read_head(connection, settings.log).log_number
        ownership = Ownership(connection, SEALING, log_number, [settings.log])
        if not ownership.wait(stop, OWNED_SECONDS, SILENT_SECONDS, outage.ended):
            return
        signers = signers_of(origin_of(connection, log_number, settings.proof_origin), keys)
        pace = timedelta(seconds=settings.proof_seconds)
        sealer = Sealer(connection, settings.log, log_number, signers, clock, pace, counts=counts)
        outage.ended()
        logger.info("sealing the log %s; the key of its checkpoints is %s", settings.log, signers[0].verifier)
        while not stop.is_set():
            sealer.turn(stop)
            stop.wait(min(IDLE_SECONDS, settings.proof_seconds))
