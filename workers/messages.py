"""What the processes write to standard error: messages, and the actions of operators."""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from api.gateway.access_log import LOGGER, MOST_ID, write_line
from workers.clock_and_ids import now
from workers.settings import Settings

OURS: Final = ("api", "domain", "eventstore", "migrations", "projections", "workers")


def write_messages(settings: Settings) -> None:
    """Write messages to standard error: of Daybook from the level of the settings on, of libraries at least warnings.

    Every process calls it once it has its settings. uvicorn writes its own messages and gets the level at its start.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.WARNING), format="%(levelname)s: %(message)s")
    for package in OURS:
        logging.getLogger(package).setLevel(level)
    access = logging.getLogger(LOGGER)  # written whatever the level is
    access.setLevel(logging.INFO)
    access.propagate = False
    access.handlers = [logging.StreamHandler()]


@contextmanager
def action_recorded(command: str, settings: Settings, stream: str | None = None) -> Iterator[None]:
    """Write an operator's command to the access log: who ran it, whether it succeeded, and the stream it read."""
    ids = {} if stream is None else {"ids": {"stream": stream[:MOST_ID]}}
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        user = str(os.getuid())
        with suppress(KeyError):  # a user of a container may have no name
            user = pwd.getpwuid(os.getuid()).pw_name
        write_line("operator.action", now(), command=command, log=settings.log, user=user, outcome=outcome, **ids)
