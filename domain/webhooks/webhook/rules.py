"""The rules of a webhook. Decisions and the check of stored events share them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from domain.codes import refuse_other_than_code
from domain.kernel import Figure, Refused
from domain.webhooks.webhook.events import WebhookDisabled
from domain.webhooks.webhook.state import Filter, Webhook

MOST_URL = 500
"""Most characters of an address."""
MOST_AREAS, MOST_TYPES, MOST_ACCOUNTS = 20, 100, 100
"""Most areas, event types and accounts of a filter."""
LEAST_FAILURES, MOST_FAILURES = 3, 1_000
"""Bounds of the failed attempts in a row after which a webhook is disabled."""
LEAST_HOURS, MOST_HOURS = 1, 24 * 30
"""Bounds of the hours for which it has to fail until it is disabled."""
MOST_OVERLAP = timedelta(days=7)
"""Longest time for which the secret before signs beside the new one."""
MOST_POSITION = 2**53
"""Largest position that every program reads as the same number."""

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
URL = rf"^https?://{_HOST}(?::[0-9]{{1,5}})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?$"
"""The pattern of an address: no user, no password, no query and no fragment, so that no secret has a place in it."""
_URL = re.compile(URL, re.ASCII)
_PORT = re.compile(r"://[^/]*:([0-9]+)(?:/|$)")

RULES: dict[str, str] = {
    "webhook_exists": "Webhook {webhook} exists already.",
    "webhook_status": "Webhook {webhook} is {status}; only one that is {required} can be {verb}.",
    "webhook_url": (
        "The address of a webhook is like https://example.com/path, with a port up to 65535, {most} characters at "
        "most, and without a user, a query or a fragment."
    ),
    "webhook_filter": "The filter has {number} {kind}; the most is {most}.",
    "webhook_policy": (
        "A webhook is disabled after {least_failures} to {most_failures} failures and {least_hours} to {most_hours} "
        "hours; this one would be after {failures} and {hours}."
    ),
    "webhook_position": "A position is from 0 to {most}; this one is {after}.",
    "webhook_overlap": "The secret before signs until {latest} at the latest; this would be until {until}.",
    "webhook_unchanged": "Webhook {webhook} already is what it would be changed to.",
    "webhook_restarted": (
        "Webhook {webhook} was restarted meanwhile: failures before its version {restarted} do not count."
    ),
    "webhook_not_failing": (
        "Webhook {webhook} failed {failures} times since {since}; it is disabled after {required} times in {hours} "
        "hours."
    ),
}


def refuse_url(url: str) -> Refused | None:
    """Return the refusal of an address that is none, or None."""
    port = _PORT.search(url)
    right = len(url) <= MOST_URL and _URL.fullmatch(url) is not None
    if right and (port is None or 0 < int(port[1]) <= 65535):
        return None
    return Refused("webhook_url", {"most": MOST_URL})


def refuse_filter(filter: Filter) -> Refused | None:
    """Return the refusal of a filter that is too large or has other than codes, or None."""
    for kind, texts, most in (
        ("areas", filter.areas, MOST_AREAS),
        ("event types", filter.types, MOST_TYPES),
        ("accounts", filter.accounts, MOST_ACCOUNTS),
    ):
        if len(texts) > most:
            return Refused("webhook_filter", {"number": len(texts), "kind": kind, "most": most})
        for text in texts:
            refusal = refuse_other_than_code(f"item of {kind}", text)
            if refusal is not None:
                return refusal
    return None


def refuse_policy(failures: int, hours: int) -> Refused | None:
    """Return the refusal of a policy out of bounds, or None."""
    if LEAST_FAILURES <= failures <= MOST_FAILURES and LEAST_HOURS <= hours <= MOST_HOURS:
        return None
    bounds = {"least_failures": LEAST_FAILURES, "most_failures": MOST_FAILURES}
    bounds |= {"least_hours": LEAST_HOURS, "most_hours": MOST_HOURS}
    return Refused("webhook_policy", {**bounds, "failures": failures, "hours": hours})


def refuse_position(after: int) -> Refused | None:
    """Return the refusal of a position out of bounds, or None."""
    return None if 0 <= after <= MOST_POSITION else Refused("webhook_position", {"most": MOST_POSITION, "after": after})


def refuse_overlap(until: datetime, at: datetime) -> Refused | None:
    """Return the refusal of a secret before that would sign for too long, or None."""
    latest = at + MOST_OVERLAP
    if until <= latest:
        return None
    return Refused("webhook_overlap", {"latest": latest.isoformat(), "until": until.isoformat()})


def refuse_early(webhook: Webhook, event: WebhookDisabled, at: datetime) -> Refused | None:
    """Return the refusal to disable a webhook before its policy says so, or None."""
    if webhook.policy.ends(event.cause, event.failures, event.since, at):
        return None
    policy, since = webhook.policy, event.since.isoformat()
    figures: dict[str, Figure] = {"webhook": webhook.id, "failures": event.failures, "since": since}
    return Refused("webhook_not_failing", {**figures, "required": policy.failures, "hours": policy.hours})
