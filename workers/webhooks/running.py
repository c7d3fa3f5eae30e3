"""The process of webhooks: sends until it is stopped, through lost connections."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import Any, Final

from psycopg import Connection

from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.read import CHANNEL, read_uuid
from eventstore.postgres.connect import connect, pool_of
from projections.engine.outage import Outage
from projections.engine.tables import ShapeError, outdated_among
from projections.webhooks.webhooks import WEBHOOKS
from workers.clock_and_ids import now
from workers.composition import write_side
from workers.outages import through_outages
from workers.processes.worker import sender
from workers.settings import Settings
from workers.waking import IDLE_SECONDS
from workers.webhooks.sending import Https, Sending
from workers.webhooks.worker import SENDERS, Counts, Worker

logger = logging.getLogger(__name__)

BUSY_SECONDS: Final = 0.1
"""Between two looks for what is due, while something is being sent."""
POOL_SECONDS: Final = 10.0
STATEMENT_SECONDS: Final = 30.0


def sending_of(settings: Settings) -> Sending:
    """How messages are sent."""
    return Https(allow_http=settings.webhook_http, allow_private=settings.webhook_private_addresses)


def run_webhooks(settings: Settings, stop: Event, counts: Counts, *, clock: Callable[[], datetime] = now) -> None:
    """Send to webhooks until `stop` is set.

    Raises `SettingsError`, `DatabaseAwayError` where the database stays away for too long, `ShapeError` if the table of
    webhooks is of another version of Daybook.
    """
    where = "any address" if settings.webhook_private_addresses else "public addresses"
    logger.info("sending the events of log %s to webhooks at %s", settings.log, where)
    sending = sending_of(settings)
    through_outages(settings, stop, lambda outage: _run_connected(settings, stop, outage, sending, counts, clock))


def _run_connected(
    settings: Settings,
    stop: Event,
    outage: Outage,
    sending: Sending,
    counts: Counts,
    clock: Callable[[], datetime],
) -> None:
    with (
        connect(settings.query_url(), application_name="daybook-webhooks", read_only=True) as reads,
        pool_of(
            settings.api_url(),
            application_name="daybook-webhooks",
            most=SENDERS,
            wait_seconds=POOL_SECONDS,
            statement_seconds=STATEMENT_SECONDS,
        ) as connections,
        write_side(settings, "daybook-webhooks") as side,
    ):
        connections.wait(POOL_SECONDS)
        if outdated := outdated_among(reads, [WEBHOOKS]):
            raise ShapeError(outdated)
        worker = Worker(
            sender(side.executor),
            side.log,
            side.log_number,
            read_uuid(reads, side.log_number),
            reads,
            connections,
            side.codec,
            KeyedHashes(side.codec.sealer),
            sending,
            clock,
            random.random,
            counts=counts,
        )
        reads.execute(f"LISTEN {CHANNEL}".encode())
        outage.ended()
        worker.run(stop, lambda pause: _wait(reads, pause), BUSY_SECONDS)


def _wait(reads: Connection[Any], pause: timedelta | None) -> None:
    """Wait for an append, for the pause at most, and look again after `IDLE_SECONDS` in any case."""
    seconds = IDLE_SECONDS if pause is None else min(IDLE_SECONDS, max(pause.total_seconds(), 0.0))
    list(reads.notifies(timeout=seconds, stop_after=1))
