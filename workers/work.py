"""The projector process: follows the log and folds it into the read tables until told to stop."""

from __future__ import annotations

import logging
import signal
from threading import Event

from eventstore.connect import connect
from projections.follow import follow
from projections.rooms import ROOMS
from projections.tables import begin
from workers import runtime
from workers.settings import Settings

logger = logging.getLogger(__name__)


def work(settings: Settings) -> None:
    """Fold until SIGTERM or SIGINT."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    url = settings.projector_url()
    logger.info("folding the log %s into the read tables", settings.log)
    with connect(url, application_name="daybook-begin") as connection:
        begin(connection, settings.log, ROOMS)
    runtime.tune_for_folding()
    follow(
        lambda: connect(url, application_name="daybook-projector"),
        lambda connection, log: runtime.make_codec(settings, connection, log),
        settings.log,
        ROOMS,
        stop,
        poll_seconds=settings.poll_seconds,
    )
