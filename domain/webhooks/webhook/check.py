"""What stored events of webhooks are held to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from domain.aggregate import Broken, Decided, refused
from domain.codes import RULES as CODE_RULES
from domain.kernel import Refused
from domain.webhooks.webhook.events import (
    WebhookChanged,
    WebhookCreated,
    WebhookDisabled,
    WebhookEvent,
    WebhookReplayed,
    WebhookSecretRotated,
)
from domain.webhooks.webhook.rules import (
    RULES,
    refuse_early,
    refuse_filter,
    refuse_overlap,
    refuse_policy,
    refuse_position,
    refuse_url,
)
from domain.webhooks.webhook.state import Filter, Webhook, evolve


def check(before: Webhook | None, events: Sequence[WebhookEvent], decided: Decided) -> Iterator[Broken]:
    """Find a webhook that is created twice, is beyond the bounds, or changes in a status that does not allow it."""
    webhook = before
    for event in events:
        refusal = _refuse_fields(event)
        if isinstance(event, WebhookCreated):
            if webhook is not None:
                yield Broken(event, f"{webhook.id} is created again")
        elif webhook is not None:
            refusal = refusal or _refuse_event(webhook, event, decided.decided_at)
        if refusal is not None:
            yield refused(event, refusal, {**RULES, **CODE_RULES})
        webhook = evolve(webhook, event)


def _refuse_fields(event: WebhookEvent) -> Refused | None:
    if isinstance(event, WebhookReplayed):
        return refuse_position(event.after)
    if not isinstance(event, WebhookCreated | WebhookChanged):
        return None
    refusal = refuse_url(event.url) or refuse_policy(event.failures, event.hours)
    refusal = refusal or refuse_filter(Filter(event.areas, event.types, event.accounts))
    if refusal is None and isinstance(event, WebhookCreated) and event.after is not None:
        return refuse_position(event.after)
    return refusal


def _refuse_event(webhook: Webhook, event: WebhookEvent, at: datetime) -> Refused | None:
    refusal = webhook.refuse_status(type(event))
    if refusal is None and isinstance(event, WebhookDisabled):
        return refuse_early(webhook, event, at)
    if refusal is None and isinstance(event, WebhookSecretRotated):
        return refuse_overlap(event.overlap_until, at)
    return refusal
