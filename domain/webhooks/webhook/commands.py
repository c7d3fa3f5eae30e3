"""The commands on webhooks, and their decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from domain.kernel import Accepted, Context, Decide, Decision, Refused, States, Unknown, Value, found
from domain.people.person.state import Person
from domain.webhooks.webhook.events import (
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
from domain.webhooks.webhook.rules import (
    refuse_early,
    refuse_filter,
    refuse_overlap,
    refuse_policy,
    refuse_position,
    refuse_url,
)
from domain.webhooks.webhook.state import Filter, Webhook, evolve

# Commands


class _OnOneWebhook(Value, frozen=True):
    webhook: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.webhook,)


class _Described(_OnOneWebhook, frozen=True):
    url: str
    areas: tuple[str, ...]
    types: tuple[str, ...]
    accounts: tuple[str, ...]
    contact: str
    failures: int
    hours: int

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.webhook, self.contact)


class CreateWebhook(_Described, frozen=True):
    """Have events sent to an address."""

    after: int | None = None


class ChangeWebhook(_Described, frozen=True):
    """Replace address, filter, contact and policy."""


class RotateWebhookSecret(_OnOneWebhook, frozen=True):
    """Have a new secret made. The old one signs too until then."""

    overlap_until: datetime


class PauseWebhook(_OnOneWebhook, frozen=True):
    """Send nothing until it is resumed."""


class ResumeWebhook(_OnOneWebhook, frozen=True):
    """Send again what was not taken, after a pause or after it was disabled."""


class ReplayWebhook(_OnOneWebhook, frozen=True):
    """Send the events after a position, again if they were sent."""

    after: int


class RemoveWebhook(_OnOneWebhook, frozen=True):
    """Remove it for good."""


class DisableWebhook(_OnOneWebhook, frozen=True):
    """Disable it, as its policy says. The worker sends this, and names the version since which it counted."""

    restarted: int
    cause: Cause
    reply: int | None
    failures: int
    since: datetime


# Decisions


def create(command: CreateWebhook, states: States, context: Context) -> Decision:
    if states[command.webhook] is not None:
        return Refused("webhook_exists", {"webhook": command.webhook})
    refusal = _refuse_description(command, states)
    if refusal is None and command.after is not None:
        refusal = refuse_position(command.after)
    if refusal is not None:
        return refusal
    event = WebhookCreated(
        originator_id=command.webhook,
        originator_version=1,
        url=command.url,
        areas=_in_order(command.areas),
        types=_in_order(command.types),
        accounts=_in_order(command.accounts),
        contact=command.contact,
        failures=command.failures,
        hours=command.hours,
        after=command.after,
    )
    return Accepted((event,), {"webhook": command.webhook, "status": "active", "set_by": 1})


def change(command: ChangeWebhook, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    refusal = webhook.refuse_status(WebhookChanged) or _refuse_description(command, states)
    if refusal is not None:
        return refusal
    event = WebhookChanged(
        originator_id=webhook.id,
        originator_version=webhook.version + 1,
        url=command.url,
        areas=_in_order(command.areas),
        types=_in_order(command.types),
        accounts=_in_order(command.accounts),
        contact=command.contact,
        failures=command.failures,
        hours=command.hours,
    )
    return _refuse_unchanged(webhook, event) or _accepted(webhook, event)


def rotate_secret(command: RotateWebhookSecret, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    refusal = webhook.refuse_status(WebhookSecretRotated)
    refusal = refusal or refuse_overlap(command.overlap_until, context.decided_at)
    if refusal is not None:
        return refusal
    version = webhook.version + 1
    event = WebhookSecretRotated(webhook.id, version, command.overlap_until)
    return Accepted((event,), {"webhook": webhook.id, "status": webhook.status, "set_by": version})


def _changes_status(event: type[WebhookPaused | WebhookResumed | WebhookRemoved]) -> Decide:
    """Return the decision of a command that only changes the status, by an event of this type."""

    def decide(command: _OnOneWebhook, states: States, context: Context) -> Decision:
        webhook = found(states, command.webhook, Webhook)
        if webhook is None:
            return Unknown("webhook", command.webhook)
        return webhook.refuse_status(event) or _accepted(webhook, event(webhook.id, webhook.version + 1))

    return decide


pause, resume, remove = (_changes_status(event) for event in (WebhookPaused, WebhookResumed, WebhookRemoved))


def replay(command: ReplayWebhook, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    refusal = webhook.refuse_status(WebhookReplayed) or refuse_position(command.after)
    return refusal or _accepted(webhook, WebhookReplayed(webhook.id, webhook.version + 1, command.after))


def disable(command: DisableWebhook, states: States, context: Context) -> Decision:
    webhook = found(states, command.webhook, Webhook)
    if webhook is None:
        return Unknown("webhook", command.webhook)
    event = WebhookDisabled(
        originator_id=webhook.id,
        originator_version=webhook.version + 1,
        contact=webhook.contact,
        cause=command.cause,
        reply=command.reply,
        failures=command.failures,
        since=command.since,
    )
    refusal = webhook.refuse_status(WebhookDisabled)
    if refusal is None and command.restarted != webhook.restarted:
        refusal = Refused("webhook_restarted", {"webhook": webhook.id, "restarted": webhook.restarted})
    if refusal is None:
        refusal = refuse_early(webhook, event, context.decided_at)
    return refusal or _accepted(webhook, event)


def _accepted(webhook: Webhook, event: WebhookEvent) -> Accepted:
    return Accepted((event,), {"webhook": webhook.id, "status": evolve(webhook, event).status})


def _in_order(texts: Sequence[str]) -> tuple[str, ...]:
    """Each text once, so that two spellings of the same filter are equal."""
    return tuple(sorted(set(texts)))


def _refuse_description(command: _Described, states: States) -> Refused | Unknown | None:
    refusal = refuse_url(command.url) or refuse_policy(command.failures, command.hours)
    refusal = refusal or refuse_filter(Filter(command.areas, command.types, command.accounts))
    if refusal is not None:
        return refusal
    person = found(states, command.contact, Person)
    if person is None:
        return Unknown("person", command.contact)
    return person.refuse_unless("the contact of a webhook", "active")


def _refuse_unchanged(webhook: Webhook, event: WebhookChanged) -> Refused | None:
    after = evolve(webhook, event)
    same = replace(after, version=webhook.version, restarted=webhook.restarted) == webhook
    return Refused("webhook_unchanged", {"webhook": webhook.id}) if same else None
