"""The state of a webhook, the fold of its events, and what each event needs."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from domain.kernel import Event, Refused, Value
from domain.webhooks.webhook.events import (
    LASTING,
    Cause,
    WebhookChanged,
    WebhookCreated,
    WebhookDisabled,
    WebhookEvent,
    WebhookPaused,
    WebhookRemoved,
    WebhookReplayed,
    WebhookResumed,
    WebhookSecretRotated,
)

WEBHOOK = "whk"
"""Prefix of the ids of webhooks."""
_VERSION = re.compile(r"\.v[0-9]+$")

MOST_SECRETS_BEFORE = 4
"""Most secrets that sign beside the newest one. Of more rotations within the longest overlap the oldest end."""

Status = Literal["active", "paused", "disabled", "removed"]
"""Only an active webhook is sent events. One that is paused or disabled keeps its position; a removed one is gone."""

PRESENT: tuple[Status, ...] = ("active", "paused", "disabled")
NEEDED: dict[type[Event], tuple[str, tuple[Status, ...]]] = {
    WebhookChanged: ("changed", PRESENT),
    WebhookSecretRotated: ("given a new secret", PRESENT),
    WebhookPaused: ("paused", ("active",)),
    WebhookDisabled: ("disabled", ("active",)),
    WebhookResumed: ("resumed", ("paused", "disabled")),
    WebhookReplayed: ("replayed", PRESENT),
    WebhookRemoved: ("removed", PRESENT),
}
"""What each event needs: the verb of the sentence, and the statuses."""


class Filter(Value, frozen=True):
    """Which events are wanted. An empty part wants all."""

    areas: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()

    def wants(self, area: str, type: str, stream: str) -> bool:
        """Return whether an event of this type, on a stream of this area, is wanted."""
        return (
            (not self.areas or area in self.areas)
            and (not self.types or unversioned(type) in self.types)
            and (not self.accounts or stream in self.accounts)
        )


class Policy(Value, frozen=True):
    """When a webhook is disabled: after so many failed attempts in a row that lasted for so many hours."""

    failures: int
    hours: int

    def ends(self, cause: Cause, failures: int, since: datetime, at: datetime) -> bool:
        """Return whether a webhook is disabled that failed so often since then, the last time of this cause."""
        return cause in LASTING or (failures >= self.failures and at - since >= timedelta(hours=self.hours))


class SecretBefore(Value, frozen=True):
    """A secret that another one has replaced."""

    version: int  # of the event that made it
    until: datetime  # until when it signs too


class Webhook(Value, frozen=True):
    """A webhook at a version of its stream."""

    version: int
    id: str
    url: str
    filter: Filter
    contact: str
    policy: Policy
    status: Status = "active"
    begun: int = 1  # version of the event that says where it begins: that it was created or replayed
    after: int | None = None  # where it begins; None: at its first event
    restarted: int = 1  # version of the event since which failures count
    secret: int = 1  # version of the event that made the secret
    secrets_before: tuple[SecretBefore, ...] = ()  # the newest first

    def refuse_status(self, event: type[Event]) -> Refused | None:
        """Return the refusal of an event that needs another status, or None."""
        verb, required = NEEDED[event]
        if self.status in required:
            return None
        figures = {"webhook": self.id, "status": self.status, "required": " or ".join(required), "verb": verb}
        return Refused("webhook_status", dict(figures))

    def secrets(self, at: datetime) -> tuple[int, ...]:
        """Return the versions of the events whose secrets sign at this time, the newest first."""
        return (self.secret, *(one.version for one in self.secrets_before if at < one.until))

    def rotated(self, version: int, overlap_until: datetime) -> Webhook:
        """Return the webhook with a new secret. Those before sign until then, or end sooner if they would."""
        kept = [replace(one, until=min(one.until, overlap_until)) for one in self.secrets_before]
        before = (SecretBefore(self.secret, overlap_until), *kept)[:MOST_SECRETS_BEFORE]
        return replace(self, version=version, secret=version, secrets_before=before)


def unversioned(type: str) -> str:
    """Return the name of an event type without its version."""
    return _VERSION.sub("", type)


def evolve(state: Webhook | None, event: WebhookEvent) -> Webhook:
    """Return the webhook after the event. Raises ValueError if the stream does not begin with `WebhookCreated`."""
    version = event.originator_version
    if isinstance(event, WebhookCreated):
        return Webhook(
            version=version,
            id=event.originator_id,
            url=event.url,
            filter=Filter(event.areas, event.types, event.accounts),
            contact=event.contact,
            policy=Policy(event.failures, event.hours),
            after=event.after,
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with WebhookCreated")
    match event:
        case WebhookChanged():
            return replace(
                state,
                version=version,
                url=event.url,
                filter=Filter(event.areas, event.types, event.accounts),
                contact=event.contact,
                policy=Policy(event.failures, event.hours),
                restarted=version,
            )
        case WebhookSecretRotated():
            return state.rotated(version, event.overlap_until)
        case WebhookPaused():
            return replace(state, version=version, status="paused")
        case WebhookDisabled():
            return replace(state, version=version, status="disabled")
        case WebhookResumed():
            return replace(state, version=version, status="active", restarted=version)
        case WebhookReplayed():
            return replace(state, version=version, begun=version, after=event.after, restarted=version)
        case WebhookRemoved():
            return replace(state, version=version, status="removed")
