"""The processes that seal the log, and that ask witnesses, until they are stopped, through lost connections."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Event
from typing import Final

from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from eventstore.postgres.ownership import Ownership, Purpose
from projections.engine.follow import end_when_silent
from projections.engine.outage import Outage
from workers.clock_and_ids import now
from workers.outages import through_outages
from workers.proof.asking import Asker
from workers.proof.asking import Counts as AskCounts
from workers.proof.sealer import Counts, Sealer, origin_of, signers_of
from workers.settings import SEALER_ROLE, AskedWitness, Settings
from workers.waking import IDLE_SECONDS
from workers.webhooks.sending import Https

logger = logging.getLogger(__name__)

SEALING: Final = Purpose("seal", "log", SEALER_ROLE)
ASKING: Final = Purpose("ask witnesses", "log", SEALER_ROLE)
PENDING_SECONDS: Final = 0.1
"""Between two looks while there are events that are not sealed."""
OWNED_SECONDS: Final = 1.0
"""Between two looks whether the sealer that works has ended."""
BUSY_SECONDS: Final = 0.1
"""Between two looks whether it should stop, while a witness is waited for."""
SILENT_SECONDS: Final = 60.0
"""A session that is silent for so long belongs to a stopped process: the server ends it, and with it its lock."""


def run_sealer(settings: Settings, stop: Event, counts: Counts, *, clock: Callable[[], datetime] = now) -> None:
    """Seal the log until `stop` is set.

    Raises `SettingsError` without a key, `SealError`, `DatabaseAwayError` where the database stays away for too long.
    """
    keys = settings.proof_key_bytes()
    through_outages(settings, stop, lambda outage: _seal_connected(settings, keys, stop, outage, counts, clock))


def run_asker(
    settings: Settings, stop: Event, counts: Sequence[AskCounts], *, clock: Callable[[], datetime] = now
) -> None:
    """Ask the witnesses to cosign checkpoints until `stop` is set. `counts` are one for each witness.

    Raises `SettingsError` without a witness, `DatabaseAwayError` where the database stays away for too long.
    """
    witnesses = settings.asked_witnesses()
    through_outages(settings, stop, lambda outage: _ask_connected(settings, witnesses, stop, outage, counts, clock))


def _seal_connected(
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
        heads_pace = timedelta(seconds=settings.proof_heads_seconds)
        sealer = Sealer(connection, settings.log, log_number, signers, clock, pace, heads_pace, counts=counts)
        outage.ended()
        logger.info("sealing the log %s; the key of its checkpoints is %s", settings.log, signers[0].verifier)
        while not stop.is_set():
            sealer.turn(stop)
            stop.wait(PENDING_SECONDS if sealer.pending else min(IDLE_SECONDS, settings.proof_seconds))


def _ask_connected(
    settings: Settings,
    witnesses: Sequence[AskedWitness],
    stop: Event,
    outage: Outage,
    counts: Sequence[AskCounts],
    clock: Callable[[], datetime],
) -> None:
    with connect(settings.sealer_url(), application_name="daybook-ask-witnesses") as connection:
        end_when_silent(connection, SILENT_SECONDS)
        log_number = read_head(connection, settings.log).log_number
        ownership = Ownership(connection, ASKING, log_number, [settings.log])
        if not ownership.wait(stop, OWNED_SECONDS, SILENT_SECONDS, outage.ended):
            return
        # The settings allow no address without TLS but of this machine, and who sets them may name any network.
        asker = Asker(connection, log_number, witnesses, Https(allow_http=True, allow_private=True), clock, counts)
        outage.ended()
        logger.info("asking %d witnesses to cosign the checkpoints of the log %s", len(witnesses), settings.log)
        while not stop.is_set():
            if asker.turn():
                asker.wait(BUSY_SECONDS)
            else:
                stop.wait(IDLE_SECONDS)
