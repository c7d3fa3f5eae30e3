"""The process of mails: sends what waits until told to stop, through lost connections."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from email.headerregistry import Address
from email.utils import parseaddr
from threading import Event
from typing import Any

from psycopg import Connection

from eventstore.credentials.mail_tokens import MailTokens
from eventstore.log.read import CHANNEL
from eventstore.postgres.connect import connect, pool_of
from projections.engine.follow import end_when_silent
from projections.engine.outage import Outage
from projections.engine.tables import ShapeError, outdated_among
from projections.engine.waiting import Checkpoints
from projections.people.mails import MAILS, next_due_mail
from workers.clock_and_ids import now
from workers.composition import make_codec, write_side
from workers.mail.composing import Sender
from workers.mail.sending import Delivery, Folder, Smtp, server_of
from workers.mail.worker import FOLD_SECONDS, Worker
from workers.outages import through_outages
from workers.processes.worker import sender
from workers.settings import Settings, SettingsError, variable
from workers.waking import wait_for_work

logger = logging.getLogger(__name__)

PAUSED_SECONDS = 300.0
"""A session that is silent for so many seconds belongs to a stopped process: the server ends it, and with it its lock.
It is longer than a mail server takes that answers at all."""
CREDENTIALS_SECONDS = 10.0
"""How long to wait for the database of tokens."""
NOBODY = "Daybook <daybook@localhost>"
"""The sender of mails in a folder, where none is set."""


def delivery_of(settings: Settings) -> Delivery:
    """Where mails go. Raises `SettingsError`."""
    url, folder = settings.smtp_url, settings.mail_folder
    if url is not None and folder is not None:
        raise SettingsError(f"set {variable('smtp_url')} or {variable('mail_folder')}, not both")
    if folder is not None:
        return Folder(folder)
    if url is None:
        raise SettingsError(
            f"{variable('smtp_url')} is not set: set it to the mail server, or set {variable('mail_folder')} to a "
            "folder into which mails are written"
        )
    for name in ("mail_from", "mail_link"):
        if getattr(settings, name) is None:
            raise SettingsError(f"{variable(name)} is not set, but {variable('smtp_url')} is: set both")
    return Smtp(server_of(url.get_secret_value()), sender_of(settings).address.domain)


def sender_of(settings: Settings) -> Sender:
    """Who sends mails, and where the links in them lead."""
    name, address = parseaddr(settings.mail_from or NOBODY)
    link = settings.mail_link or f"http://localhost:{settings.port}"
    return Sender(Address(name, addr_spec=address), link)


def run_mail(settings: Settings, stop: Event, *, clock: Callable[[], datetime] = now) -> None:
    """Send mails until `stop` is set.

    Raises `SettingsError`, `DatabaseAwayError` where the database stays away for too long, `ShapeError` if the table of
    mails is of another version of Daybook.
    """
    delivery = delivery_of(settings)
    where = "by SMTP" if settings.mail_folder is None else f"into the folder {settings.mail_folder}"
    logger.info("sending the mails of log %s %s", settings.log, where)
    through_outages(settings, stop, lambda outage: _run_connected(settings, stop, outage, delivery, clock))


def _run_connected(
    settings: Settings, stop: Event, outage: Outage, delivery: Delivery, clock: Callable[[], datetime]
) -> None:
    def read(name: str) -> Connection[Any]:
        return connect(settings.query_url(), application_name=f"daybook-{name}", read_only=True)

    with (
        read("mail") as reads,
        read("mail-keys") as keys,
        closing(Checkpoints(lambda: read("mail-checkpoints"), settings.log)) as checkpoints,
        pool_of(
            settings.credentials_url(),
            application_name="daybook-mail-tokens",
            most=1,
            wait_seconds=CREDENTIALS_SECONDS,
            statement_seconds=CREDENTIALS_SECONDS,
        ) as credentials,
        write_side(settings, "daybook-mail") as side,
    ):
        end_when_silent(reads, PAUSED_SECONDS)
        codec = make_codec(settings, keys, side.log_number, lambda: read("mail-keys"))
        worker = Worker(
            sender(side.executor),
            side.log,
            side.log_number,
            reads,
            codec,
            checkpoints,
            MailTokens(credentials, side.log_number, clock),
            delivery,
            sender_of(settings),
            clock,
        )
        reads.execute(f"LISTEN {CHANNEL}".encode())
        while not stop.is_set():
            if outdated := outdated_among(reads, [MAILS]):
                raise ShapeError(outdated)
            worked = worker.sweep(stop)
            outage.ended()
            if not worked:
                at = clock()
                coming = next_due_mail(reads, at)
                pause = None if coming is None else coming - at
                wait_for_work(reads, checkpoints, side.log_number, MAILS.name, pause, FOLD_SECONDS)
