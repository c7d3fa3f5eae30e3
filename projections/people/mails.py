"""Mails as they are now: waiting, failed and tried again, sent, given up. No address and no text of a mail is here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.people.mail import MailFailed, MailGivenUp, MailQueued, MailRetried, MailSent
from projections.engine.columns import code, index, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View
from projections.engine.writing import Row

TABLE = read_table(
    "mails",
    "One row a mail to a person, as it is now.",
    code("mail", "Public id; also the name of the stream in the log.", key=True),
    code("person", "Who gets it."),
    code("template", "What is written."),
    number("cause_version", "Version on the person's stream of the event that asked for it.", bits=32),
    code("status", "waiting, failed (it is tried again), sent or given_up."),
    code(
        "cause", "Code of what the last attempt failed of. NULL if there was none, and once it was sent.", optional=True
    ),
    number("reply", "Code of the mail server's answer to the last attempt that failed.", bits=16, optional=True),
    number("attempts", "Attempts since it was queued or retried.", bits=16),
    moment("next_at", "When it is tried next, UTC. NULL if it is not.", optional=True),
    number("version", "Version of the stream: the number of its events."),
    number("position", "Position in the log of its first event."),
    moment("queued_at", "When it was queued, UTC."),
    number("last_position", "Position in the log of the last event."),
    moment("last_at", "When the last event was recorded, UTC."),
    index("mails_in_order", "position"),
    index("mails_in_status", "status", "position"),
    index("mails_of_person", "person", "position"),
    index("mails_to_send", "next_at", "mail", where="next_at IS NOT NULL"),
)


def queued(row: Row, event: MailQueued) -> Row:
    """A new mail, to be sent at once."""
    return {
        **row,
        "person": event.person,
        "template": event.template,
        "cause_version": event.cause_version,
        "status": "waiting",
        "attempts": 0,
        "next_at": event.next_at.isoformat(),
        "position": row["last_position"],
        "queued_at": row["last_at"],
    }


def sent(row: Row, event: MailSent) -> Row:
    """It is done."""
    return {**row, "status": "sent", "attempts": event.attempt, "cause": None, "reply": None, "next_at": None}


def failed(row: Row, event: MailFailed) -> Row:
    """It is tried again."""
    next_at = event.next_at.isoformat()
    return {**row, "status": "failed", **_attempt(event), "next_at": next_at}


def given_up(row: Row, event: MailGivenUp) -> Row:
    """It is not tried again by itself."""
    return {**row, "status": "given_up", **_attempt(event), "next_at": None}


def retried(row: Row, event: MailRetried) -> Row:
    """Somebody wants it to be tried again. The cause stays until it is sent."""
    return {**row, "status": "waiting", "attempts": 0, "next_at": event.next_at.isoformat()}


def _attempt(event: MailFailed | MailGivenUp) -> Row:
    return {"attempts": event.attempt, "cause": event.cause, "reply": event.reply}


FOLD = RowFold(
    TABLE,
    starts={MailQueued: queued},
    changes={MailSent: sent, MailFailed: failed, MailGivenUp: given_up, MailRetried: retried},
)

VIEW = View(TABLE, "One row a mail to a person, as it is now.", tuple(TABLE.columns.keys()))

MAILS = declared("mails", FOLD, area="people", reports=(VIEW,))


@dataclass(frozen=True, slots=True)
class MailRow:
    """A mail as it is now."""

    mail: str
    person: str
    template: str
    status: str
    cause: str | None
    reply: int | None
    attempts: int
    next_at: datetime | None
    version: int
    position: int
    queued_at: datetime
    last_at: datetime


MAIL_LIST = Listing(readable(TABLE), MailRow, filters=("mail", "person", "status"))


def mail(connection: Connection[Any], mail: str) -> MailRow | None:
    """Return one mail by its id."""
    return MAIL_LIST.one(connection, mail=mail)


def mails(
    connection: Connection[Any],
    *,
    status: str | None = None,
    person: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[MailRow, int]:
    """Return mails in the order in which they were queued."""
    return MAIL_LIST.read(connection, {"status": status, "person": person, "after": after}, limit, cursor=cursor)


_DUE = """
SELECT mail, next_at FROM read.mails WHERE next_at <= %s AND (next_at, mail) > (%s, %s) ORDER BY next_at, mail LIMIT %s
"""
_NEXT_DUE = "SELECT min(next_at) FROM read.mails WHERE next_at > %s"

_OPEN = """
SELECT count(*) FILTER (WHERE status = 'waiting'), count(*) FILTER (WHERE status = 'failed'), min(next_at)
  FROM read.mails WHERE next_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class OpenMails:
    """How many mails wait for their first attempt or for another one, and how late the longest due is."""

    waiting: int
    failed: int
    late_seconds: float


def open_mails(connection: Connection[Any], now: datetime) -> OpenMails:
    """Count the mails that are not sent and not given up."""
    row = connection.execute(_OPEN).fetchone()
    waiting, failed, oldest = (0, 0, None) if row is None else row
    return OpenMails(waiting, failed, 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0))


def due_mails(
    connection: Connection[Any], now: datetime, after: tuple[datetime, str], limit: int
) -> list[tuple[str, datetime]]:
    """Return mails whose time has come, with that time, the longest due first, after this one."""
    return [(mail, at) for mail, at in connection.execute(_DUE, (now, *after, limit)).fetchall()]


def next_due_mail(connection: Connection[Any], now: datetime) -> datetime | None:
    """Return the next time at which a mail has to be sent."""
    row = connection.execute(_NEXT_DUE, (now,)).fetchone()
    return None if row is None else row[0]
