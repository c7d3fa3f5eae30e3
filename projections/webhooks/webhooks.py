"""Webhooks as they are now. What was sent is not here: positions and attempts are rows beside the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from domain.webhooks.webhook import (
    WebhookChanged,
    WebhookCreated,
    WebhookDisabled,
    WebhookPaused,
    WebhookRemoved,
    WebhookReplayed,
    WebhookResumed,
    WebhookSecretRotated,
)
from projections.engine.columns import code, index, json_value, moment, number, read_table
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View
from projections.engine.writing import Row

TABLE = read_table(
    "webhooks",
    "One row a webhook, as it is now.",
    code("webhook", "Public id; also the name of the stream in the log.", key=True),
    code("url", "The address that events are sent to."),
    json_value("areas", "The areas of the events that are sent, as a JSON array; empty for all."),
    json_value("types", "The types of the events that are sent, without versions, as a JSON array; empty for all."),
    json_value("accounts", "The accounts whose events are sent, as a JSON array; empty for all streams."),
    code("contact", "The person who gets a mail when it is disabled."),
    number("failures", "It is disabled after so many failed attempts in a row ...", bits=32),
    number("hours", "... that lasted for so many hours.", bits=32),
    code("status", "active, paused, disabled or removed."),
    code("cause", "Code of what the last attempt failed of when it was disabled. NULL if it is not.", optional=True),
    number("reply", "Status of the receiver's answer to that attempt. NULL if there was none.", bits=16, optional=True),
    number("restarted", "Version of the event since which failed attempts count."),
    number("secret", "Version of the event that made the newest secret."),
    moment("overlap_until", "Until when the secret before signs too, UTC. NULL if there is none.", optional=True),
    number("version", "Version of the stream: the number of its events."),
    number("position", "Position in the log of its first event."),
    moment("created_at", "When it was created, UTC."),
    number("last_position", "Position in the log of the last event."),
    moment("last_at", "When the last event was recorded, UTC."),
    index("webhooks_in_order", "position"),
    index("webhooks_in_status", "status", "position"),
)


def _described(event: WebhookCreated | WebhookChanged) -> Row:
    return {
        "url": event.url,
        "areas": _json(event.areas),
        "types": _json(event.types),
        "accounts": _json(event.accounts),
        "contact": event.contact,
        "failures": event.failures,
        "hours": event.hours,
    }


def _json(texts: Sequence[str]) -> str:
    return orjson.dumps(list(texts)).decode()


def created(row: Row, event: WebhookCreated) -> Row:
    """A new webhook."""
    return {
        **row,
        **_described(event),
        "status": "active",
        "restarted": row["version"],
        "secret": row["version"],
        "position": row["last_position"],
        "created_at": row["last_at"],
    }


def changed(row: Row, event: WebhookChanged) -> Row:
    """It is another one from now on."""
    return {**row, **_described(event), "restarted": row["version"]}


def secret_rotated(row: Row, event: WebhookSecretRotated) -> Row:
    """It has a new secret."""
    return {**row, "secret": row["version"], "overlap_until": event.overlap_until.isoformat()}


def paused(row: Row, event: WebhookPaused) -> Row:
    """Nothing is sent."""
    return {**row, "status": "paused"}


def disabled(row: Row, event: WebhookDisabled) -> Row:
    """Its policy ended it."""
    return {**row, "status": "disabled", "cause": event.cause, "reply": event.reply}


def resumed(row: Row, event: WebhookResumed) -> Row:
    """It goes on."""
    return {**row, "status": "active", "cause": None, "reply": None, "restarted": row["version"]}


def replayed(row: Row, event: WebhookReplayed) -> Row:
    """It begins at another position."""
    return {**row, "restarted": row["version"]}


def removed(row: Row, event: WebhookRemoved) -> Row:
    """It is gone."""
    return {**row, "status": "removed"}


WEBHOOKS = declared(
    "webhooks",
    RowFold(
        TABLE,
        starts={WebhookCreated: created},
        changes={
            WebhookChanged: changed,
            WebhookSecretRotated: secret_rotated,
            WebhookPaused: paused,
            WebhookDisabled: disabled,
            WebhookResumed: resumed,
            WebhookReplayed: replayed,
            WebhookRemoved: removed,
        },
    ),
    area="webhooks",
    reports=(View(TABLE, "One row a webhook, as it is now.", tuple(TABLE.columns.keys())),),
)


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A webhook as it is now."""

    webhook: str
    url: str
    areas: list[str]
    types: list[str]
    accounts: list[str]
    contact: str
    failures: int
    hours: int
    status: str
    cause: str | None
    reply: int | None
    overlap_until: datetime | None
    version: int
    position: int
    created_at: datetime
    last_at: datetime


WEBHOOK_LIST = Listing(readable(TABLE), WebhookRow, filters=("webhook", "status"))


def webhook(connection: Connection[Any], webhook: str) -> WebhookRow | None:
    """Return one webhook by its id."""
    return WEBHOOK_LIST.one(connection, webhook=webhook)


def webhooks(
    connection: Connection[Any],
    *,
    status: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[WebhookRow, int]:
    """Return webhooks in the order in which they were created."""
    return WEBHOOK_LIST.read(connection, {"status": status, "after": after}, limit, cursor=cursor)


_ACTIVE = "SELECT webhook FROM read.webhooks WHERE status = 'active' ORDER BY position"


def active_webhooks(connection: Connection[Any]) -> list[str]:
    """Return the webhooks that events are sent to."""
    return [webhook for (webhook,) in connection.execute(_ACTIVE).fetchall()]


_BEHIND = """
SELECT count(*) FILTER (WHERE w.status = 'active'), count(*) FILTER (WHERE w.status = 'disabled'),
       count(*) FILTER (WHERE w.status = 'active' AND p.failures > 0),
       coalesce(max(l.position - p.position) FILTER (WHERE w.status = 'active'), 0)
  FROM log.logs l CROSS JOIN read.webhooks w
  LEFT JOIN webhooks.positions p ON p.log = l.log AND p.webhook = w.webhook
 WHERE l.name = %s
"""


@dataclass(frozen=True, slots=True)
class Behind:
    """How many webhooks are active and disabled, how many of the active fail, and how far the last one is behind."""

    active: int
    disabled: int
    failing: int
    events: int


def webhooks_behind(connection: Connection[Any], log: str) -> Behind:
    """Count the webhooks of a log."""
    row = connection.execute(_BEHIND, (log,)).fetchone()
    assert row is not None, "an aggregate has a row"
    return Behind(*row)
